"""Security profiles 1, 2 and 3 over real sockets, and every way to have the wrong certificate."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidMessage, InvalidStatus
from websockets.typing import Subprotocol

from bridge.ocpp.security import tls
from bridge.ocpp.security.tls import TlsFiles, TlsUnusable, examine, expires_at_ms, server_context
from bridge.ocpp.server import AuthPolicy, OcppServer, TlsListener
from tests.bridge.ocpp.pki import Authority
from tests.bridge.ocpp.recorder import RecordingSite
from tests.bridge.ocpp.wire import RawCharger, now_ms

PASSWORD = "a-long-password!"
PAST = datetime(2021, 1, 1)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture(autouse=True)
def _tell_each_reason_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tls, "_COMPLAIN_EVERY_S", 0.0)


@asynccontextmanager
async def listening(
    files: TlsFiles, policy: AuthPolicy, site: RecordingSite | None = None
) -> AsyncGenerator[OcppServer]:
    server = OcppServer(
        site or RecordingSite("CP001"),
        "127.0.0.1:0",
        lambda _: policy,
        now_ms,
        tls=TlsListener("127.0.0.1:0", server_context(files)),
    )
    await server.start()
    try:
        yield server
    finally:
        await server.close()


def dialled(
    server: OcppServer, context: ssl.SSLContext | None, password: str | None = None
) -> connect:
    """A connection to be opened: over TLS with a context, else plain."""
    headers: dict[str, str] = {}
    if password is not None:
        credentials = b64encode(f"CP001:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {credentials}"
    where = f"wss://127.0.0.1:{server.tls_port}" if context else f"ws://127.0.0.1:{server.port}"
    return connect(
        f"{where}/ocpp/CP001",
        ssl=context,
        subprotocols=[Subprotocol("ocpp1.6")],
        additional_headers=headers,
        proxy=None,
    )


async def boot(
    server: OcppServer, context: ssl.SSLContext | None, password: str | None = None
) -> str:
    """Connect and boot; returns the status of the answer, or that of the refusal."""
    try:
        async with dialled(server, context, password) as socket:
            return (await RawCharger(socket).boot())["status"]
    except InvalidStatus as refused:
        body = (refused.response.body or b"").decode()
        return f"{refused.response.status_code} {body}"


async def test_profile_1_takes_its_password_with_and_without_tls(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(authority.server(), AuthPolicy(PASSWORD, profile=1)) as server:
        for context in (None, authority.trusting()):
            assert await boot(server, context, PASSWORD) == "Accepted"
            assert (await boot(server, context, "wrong")).startswith("401")
            assert (await boot(server, context)).startswith("401")
    assert "CP001 was refused: its password is wrong (from 127.0.0.1)" in caplog.text
    assert "CP001 was refused: it showed no password" in caplog.text
    assert PASSWORD not in caplog.text


async def test_profile_2_is_refused_without_tls(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(authority.server(), AuthPolicy(PASSWORD, profile=2)) as server:
        assert await boot(server, authority.trusting(), PASSWORD) == "Accepted"
        assert (await boot(server, authority.trusting(), "wrong")).startswith("401")
        assert (await boot(server, None, PASSWORD)).startswith("403 Connect over TLS")
    assert "it came without TLS, and its security profile is 2" in caplog.text


@pytest.mark.parametrize(
    ("name", "alternatives", "wanted", "taken"),
    [
        ("CP001", (), "", True),
        ("cp001", (), "", True),
        (None, ("CP001",), "", True),
        ("SN-4711", (), "SN-4711", True),
        ("CP001", (), "SN-4711", False),
        ("CP002", ("CP0011",), "", False),
        (None, (), "", False),
    ],
)
async def test_profile_3_takes_the_charge_points_own_certificate(
    authority: Authority,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    name: str | None,
    alternatives: tuple[str, ...],
    wanted: str,
    taken: bool,
) -> None:
    chargers = Authority(tmp_path, "chargers")
    own = chargers.issue("own", *(alternatives or ("10.0.0.1",)), cn=name)
    policy = AuthPolicy(profile=3, certificate_name=wanted)
    async with listening(authority.server(chargers.file), policy) as server:
        answer = await boot(server, authority.trusting(own))
        if taken:
            assert answer == "Accepted"
        else:
            assert answer.startswith("403 Show the client certificate of this charge point")
            assert f"is issued to {name or 'nobody'}" in caplog.text.replace("CP0011, ", "")
            assert f'not to "{wanted or "CP001"}"' in caplog.text


async def test_profile_3_without_a_certificate_and_without_tls(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chargers = Authority(tmp_path, "chargers")
    files = authority.server(chargers.file)
    async with listening(files, AuthPolicy(profile=3)) as server:
        assert (await boot(server, authority.trusting())).startswith("403 Show the client")
        assert (await boot(server, None)).startswith("403 Connect over TLS")
    assert "it showed no client certificate" in caplog.text
    async with listening(files, AuthPolicy(PASSWORD, profile=2)) as server:
        assert await boot(server, authority.trusting(), PASSWORD) == "Accepted"


@pytest.mark.parametrize(
    ("of_another", "until", "reason"),
    [
        (True, None, "its client certificate is not taken: "),
        (False, PAST, "its client certificate is not taken: certificate has expired"),
    ],
)
async def test_a_client_certificate_that_is_no_good(
    authority: Authority,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    of_another: bool,
    until: datetime | None,
    reason: str,
) -> None:
    chargers = Authority(tmp_path, "chargers")
    signer = Authority(tmp_path, "other") if of_another else chargers
    own = signer.issue("own", cn="CP001", until=until)
    async with listening(authority.server(chargers.file), AuthPolicy(profile=3)) as server:
        with pytest.raises((ssl.SSLError, ConnectionError, InvalidMessage, EOFError)):
            await boot(server, authority.trusting(own))
    assert f"a charger's TLS connection failed: {reason}" in caplog.text


async def test_a_server_that_the_charger_does_not_trust(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def greet(port: int, context: ssl.SSLContext) -> None:
        """As OpenSSL does it; asyncio keeps the alert to itself."""
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            context.wrap_socket(plain, server_hostname="127.0.0.1")

    other = Authority(tmp_path, "other")
    for files, trusted, reason in (
        (authority.server(), other, "it does not trust the authority of Strom's certificate"),
        (authority.server(until=PAST), authority, "for it Strom's certificate has expired"),
    ):
        async with listening(files, AuthPolicy(PASSWORD)) as server:
            await anyio.to_thread.run_sync(greet, server.tls_port, trusted.trusting())
            with anyio.fail_after(10):
                while reason not in caplog.text:
                    await anyio.sleep(0.01)


async def test_a_plain_charger_at_the_tls_port_and_the_other_way_round(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(authority.server(), AuthPolicy()) as server:
        with pytest.raises((InvalidMessage, ConnectionError, EOFError)):
            async with connect(f"ws://127.0.0.1:{server.tls_port}/ocpp/CP001", proxy=None):
                pass
        assert "it came without TLS: its URL must begin with wss://" in caplog.text
        with pytest.raises((ssl.SSLError, ConnectionError)):
            async with connect(
                f"wss://127.0.0.1:{server.port}/ocpp/CP001", ssl=authority.trusting(), proxy=None
            ):
                pass
        assert await boot(server, authority.trusting()) == "Accepted"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1:DeprecationWarning")
async def test_tls_1_1_is_refused_and_1_2_is_not(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(authority.server(), AuthPolicy()) as server:
        old = authority.trusting()
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = ssl.TLSVersion.TLSv1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await boot(server, old)
        assert "its TLS is older than version 1.2" in caplog.text
        for cipher in ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"):
            plain = authority.trusting()
            plain.maximum_version = ssl.TLSVersion.TLSv1_2
            plain.set_ciphers(cipher)
            assert await boot(server, plain) == "Accepted"
        weak = authority.trusting()
        weak.maximum_version = ssl.TLSVersion.TLSv1_2
        weak.set_ciphers("ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await boot(server, weak)
        assert "it knows no cipher suite that is safe" in caplog.text


async def test_the_newest_connection_counts_whichever_way_it_came(authority: Authority) -> None:
    site = RecordingSite("CP001")
    async with (
        listening(authority.server(), AuthPolicy(), site) as server,
        dialled(server, None) as plain,
    ):
        await RawCharger(plain).boot()
        async with dialled(server, authority.trusting()) as encrypted:
            await RawCharger(encrypted).boot()
            with anyio.fail_after(10):
                await plain.wait_closed()
            assert server.connected() == ("CP001",)
            async with dialled(server, None) as again:
                await RawCharger(again).boot()
                with anyio.fail_after(10):
                    await encrypted.wait_closed()
                assert server.connected() == ("CP001",)


async def test_certificate_key_and_chain_are_tried_before_use(
    authority: Authority, tmp_path: Path
) -> None:
    files = authority.server(until=datetime(2050, 6, 1))
    shown = examine(files)
    assert (shown.names, shown.chain) == (["127.0.0.1"], 1)
    assert shown.issuer.startswith("trustme")
    assert shown.expires_at_ms == expires_at_ms(files.certificate) == 2_537_654_400_000
    assert examine(authority.server(until=PAST)).expires_at_ms < now_ms()
    below = Authority(tmp_path, "below", authority.ca.create_child_ca())
    files = below.server()
    assert examine(files).chain == 2
    blocks = files.certificate.read_text().split("-----BEGIN")
    other = Authority(tmp_path, "unrelated")
    broken = tmp_path / "broken-chain.pem"
    broken.write_text("-----BEGIN" + blocks[1] + other.file.read_text())
    with pytest.raises(TlsUnusable, match=r"chargers cannot use .*broken-chain.pem"):
        examine(TlsFiles(broken, files.key))


def test_unusable_files_are_one_sentence(authority: Authority, tmp_path: Path) -> None:
    files = authority.server()
    _, other_key = authority.issue("other")
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for wrong, reason in (
        (TlsFiles(files.certificate, other_key), "the key is not the one of this certificate"),
        (TlsFiles(files.certificate, tmp_path / "missing"), "No such file"),
        (TlsFiles(broken, files.key), ""),
        (TlsFiles(files.certificate, files.key, tmp_path / "missing"), "No such file"),
        (TlsFiles(files.certificate, files.key, files.key), "there is no certificate in it"),
    ):
        with pytest.raises(TlsUnusable, match=f"cannot be used: .*{reason}"):
            server_context(wrong)
    for path in (broken, tmp_path / "missing", files.key):
        with pytest.raises(TlsUnusable, match="no readable certificate"):
            expires_at_ms(path)


def test_a_key_with_a_password_is_not_waited_for(authority: Authority, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl to encrypt a key")
    files = authority.server()
    locked = tmp_path / "locked.key"
    subprocess.run(
        [openssl, "pkey", "-in", files.key, "-aes256", "-passout", "pass:x", "-out", locked],
        check=True,
    )
    with pytest.raises(TlsUnusable, match="the key has a password"):
        server_context(TlsFiles(files.certificate, locked))

"""Security profiles 2 and 3, with certificates made on the spot."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from bridge.ocpp.server import AuthPolicy, OcppServer
from bridge.ocpp.tls import TlsUnusable, expires_at_ms, server_context, warn_of_expiry
from tests.bridge.ocpp.recorder import RecordingSite
from tests.bridge.ocpp.wire import RawCharger, now_ms

DAY_MS = 86_400_000


def certificate(folder: Path, name: str, days: int = 90) -> tuple[Path, Path]:
    """A self-signed certificate for a name, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl to make certificates")
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", str(days), "-subj", f"/CN={name}", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return certificate, key


async def boot(server: OcppServer, trust: Path, own: tuple[Path, Path] | None = None) -> str:
    """Connect over TLS and boot; returns the status."""
    context = ssl.create_default_context(cafile=str(trust))
    if own is not None:
        context.load_cert_chain(*own)
    async with connect(
        f"wss://127.0.0.1:{server.port}/ocpp/CP001",
        ssl=context,
        subprotocols=[Subprotocol("ocpp1.6")],
        proxy=None,
    ) as socket:
        return (await RawCharger(socket).boot())["status"]


async def test_tls_alone_and_with_a_client_certificate(tmp_path: Path) -> None:
    shown, key = certificate(tmp_path, "central")
    mine = certificate(tmp_path, "cp001")
    other = certificate(tmp_path, "CP002")
    authorities = tmp_path / "authorities.pem"
    authorities.write_text(mine[0].read_text() + other[0].read_text())
    site = RecordingSite("CP001")
    context = server_context(shown, key, authorities)
    for demanded in (False, True):
        policy = AuthPolicy(client_certificate=demanded)
        server = OcppServer(
            site, "127.0.0.1:0", lambda _, policy=policy: policy, now_ms, tls=context
        )
        await server.start()
        try:
            assert await boot(server, shown, mine) == "Accepted"
            if not demanded:
                assert await boot(server, shown) == "Accepted"
                continue
            for wrong in (None, other):
                with pytest.raises(InvalidStatus) as caught:
                    await boot(server, shown, wrong)
                assert caught.value.response.status_code == 403
        finally:
            await server.close()


def test_expiry_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shown, _ = certificate(tmp_path, "central", days=40)
    assert abs(expires_at_ms(shown) - now_ms() - 40 * DAY_MS) < 120_000
    assert warn_of_expiry(shown, now_ms()) in (39, 40)
    assert caplog.text == ""
    warn_of_expiry(shown, now_ms() + 20 * DAY_MS)
    assert "expires in" in caplog.text
    warn_of_expiry(shown, now_ms() + 50 * DAY_MS)
    assert "has expired" in caplog.text


def test_unusable_files_are_one_sentence(tmp_path: Path) -> None:
    shown, key = certificate(tmp_path, "central")
    _, other_key = certificate(tmp_path, "other")
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    for pair in ((shown, other_key), (shown, tmp_path / "missing"), (broken, key)):
        with pytest.raises(TlsUnusable, match="cannot be used"):
            server_context(*pair)
    with pytest.raises(TlsUnusable, match="cannot be used"):
        server_context(shown, key, tmp_path / "missing")
    for path in (broken, tmp_path / "missing", key):
        with pytest.raises(TlsUnusable, match="no readable certificate"):
            expires_at_ms(path)

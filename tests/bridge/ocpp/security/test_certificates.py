"""Renewed certificates are taken up while chargers stay, and what expires is told of in time."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidMessage

from agent.alerts import Alerts
from bridge.ocpp.security.certificates import CLIENT_CA, SERVER, Certificates
from bridge.ocpp.security.tls import TlsFiles, TlsUnusable, client_certificate
from bridge.ocpp.server import AuthPolicy, OcppServer, TlsListener
from tests.agent.world import ManualClock
from tests.bridge.ocpp.pki import Authority
from tests.bridge.ocpp.recorder import RecordingSite
from tests.bridge.ocpp.wire import RawCharger, now_ms

DAY_S = 86_400


class Operators:
    """Certificates, and what the operators hear of them."""

    def __init__(self, files: TlsFiles, clock: ManualClock) -> None:
        self.heard: list[str] = []
        self.alerts = Alerts(clock, self._hear)
        self.certificates = Certificates(files, clock, self.alerts)

    async def _hear(self, text: str) -> None:
        self.heard.append(text)

    async def hears(self) -> list[str]:
        """What is new to them."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.alerts.run)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        heard, self.heard = self.heard, []
        return heard


@asynccontextmanager
async def listening(certificates: Certificates, profile: int = 0) -> AsyncGenerator[OcppServer]:
    server = OcppServer(
        RecordingSite("CP001"),
        "127.0.0.1:0",
        lambda _: AuthPolicy(profile=profile),
        now_ms,
        tls=TlsListener("127.0.0.1:0", certificates.context),
    )
    await server.start()
    try:
        yield server
    finally:
        await server.close()


def dialled(server: OcppServer, context: ssl.SSLContext) -> connect:
    return connect(f"wss://127.0.0.1:{server.tls_port}/ocpp/CP001", ssl=context, proxy=None)


def seen(socket: ClientConnection) -> str:
    """When the certificate expires that a charger sees."""
    return str(socket.transport.get_extra_info("peercert")["notAfter"])


def in_days(days: float) -> datetime:
    return (datetime.now(UTC) + timedelta(days=days)).replace(tzinfo=None)


async def test_a_renewed_certificate_is_taken_up_and_nobody_is_thrown_out(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    operators = Operators(authority.server(until=in_days(60)), ManualClock(now_ms()))
    async with (
        listening(operators.certificates) as server,
        dialled(server, authority.trusting()) as early,
    ):
        authority.server(until=in_days(400))
        operators.certificates.look()
        assert (await RawCharger(early).boot())["status"] == "Accepted"
        async with dialled(server, authority.trusting()) as late:
            assert seen(late) != seen(early)
    days = (operators.certificates.expiries()[SERVER] - now_ms()) / DAY_S / 1000
    assert days == pytest.approx(400, abs=1)


async def test_a_renewal_that_cannot_be_used_changes_nothing(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = authority.server()
    operators = Operators(files, ManualClock(now_ms()))
    _, foreign_key = authority.issue("foreign")
    good = files.key.read_bytes()
    async with listening(operators.certificates) as server:
        for harm in (lambda: files.key.write_bytes(foreign_key.read_bytes()), files.key.unlink):
            harm()
            operators.certificates.look()
            async with dialled(server, authority.trusting()) as socket:
                assert (await RawCharger(socket).boot())["status"] == "Accepted"
    [message] = await operators.hears()
    assert "the key is not the one of this certificate; what was read before goes on" in message
    files.key.write_bytes(good)
    operators.certificates.look()
    assert await operators.hears() == ["✓ the certificate files can be used again"]


async def test_authorities_of_chargers_can_be_replaced(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    old, new = Authority(tmp_path, "old"), Authority(tmp_path, "new")
    client_ca = tmp_path / "client-ca.pem"
    client_ca.write_bytes(old.file.read_bytes())
    operators = Operators(authority.server(client_ca), ManualClock(now_ms()))
    of_old, of_new = old.issue("of-old", cn="CP001"), new.issue("of-new", cn="CP001")
    async with listening(operators.certificates, profile=3) as server:
        for taken, refused in ((of_old, of_new), (of_new, of_old)):
            async with dialled(server, authority.trusting(taken)) as socket:
                assert (await RawCharger(socket).boot())["status"] == "Accepted"
            with pytest.raises((ssl.SSLError, ConnectionError, InvalidMessage)):
                async with dialled(server, authority.trusting(refused)) as socket:
                    await RawCharger(socket).boot()
            client_ca.write_bytes(new.file.read_bytes())
            operators.certificates.look()


async def test_what_expires_is_told_of_in_time_and_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path)
    clock = ManualClock(now_ms())
    files = authority.server(until=in_days(40.5))
    operators = Operators(files, clock)
    assert await operators.hears() == []
    told: dict[int, list[str]] = {}
    warned = 0
    for day in range(1, 43):
        clock.advance(DAY_S)
        caplog.clear()
        operators.certificates.look()
        operators.certificates.look()
        if heard := await operators.hears():
            told[day] = heard
        warned += caplog.text.count(str(files.certificate))
    what = f"⚠ the certificate {files.certificate}"
    cure = "renew it, or chargers refuse to connect"
    assert told == {
        11: [f"{what} expires in 29 days: {cure}"],
        34: [f"{what} expires in 6 days: {cure}"],
        40: [f"{what} expires in 0 days: {cure}"],
        41: [f"{what} has expired: {cure}"],
    }
    assert warned == 32
    authority.server(until=in_days(500))
    operators.certificates.look()
    [message] = await operators.hears()
    assert message.startswith(f"✓ the certificate {files.certificate} is valid for 4")
    assert operators.alerts.current() == {}


async def test_one_that_expires_soon_is_told_of_at_the_start(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    operators = Operators(authority.server(until=in_days(5.5)), ManualClock(now_ms()))
    [message] = await operators.hears()
    assert "expires in 5 days" in message


async def test_a_chargers_own_certificate_is_watched_too(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    chargers = Authority(tmp_path, "chargers")
    operators = Operators(authority.server(chargers.file), ManualClock(now_ms()))
    assert set(operators.certificates.expiries()) == {SERVER, CLIENT_CA}
    for days, expected in ((10.5, 1), (10.5, 0), (400, 1)):
        until = in_days(days)
        shown = client_certificate(
            {
                "subject": ((("commonName", "CP001"),),),
                "notAfter": until.strftime("%b %d %H:%M:%S %Y GMT"),
            }
        )
        assert shown is not None
        operators.certificates.shown("CP001", shown)
        assert len(await operators.hears()) == expected
    assert "CP001" in operators.certificates.expiries()


def test_unusable_files_at_the_start_are_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    files = authority.server()
    files.certificate.write_text("no certificate")
    with pytest.raises(TlsUnusable):
        Certificates(files, ManualClock(), Alerts(ManualClock(), _hear_nothing))


async def _hear_nothing(text: str) -> None:
    logging.getLogger(__name__).info(text)

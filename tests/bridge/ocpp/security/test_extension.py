"""Security events are kept and shown, in both versions of OCPP; alarming ones reach operators."""

from __future__ import annotations

import logging
from pathlib import Path

import anyio
import pytest

from agent.alerts import Alerts
from agent.config.tables import Config, load
from bridge.charger_security import ChargerSecurity
from bridge.ocpp.server import OcppServer
from tests.agent.world import ManualClock
from tests.bridge.cli.command import Strom
from tests.bridge.cli.conftest import strom as strom
from tests.bridge.ocpp.recorder import RecordingSite
from tests.bridge.ocpp.wire import charger
from tests.strom_toml import DAY, charge_point

FILE = DAY + charge_point()


def configured(folder: Path) -> Config:
    (folder / "strom.toml").write_text(FILE)
    return load(folder / "strom.toml")


@pytest.mark.parametrize("subprotocol", ["ocpp1.6", "ocpp2.0.1"])
async def test_events_are_kept_and_alarming_ones_told(
    tmp_path: Path, strom: Strom, caplog: pytest.LogCaptureFixture, subprotocol: str
) -> None:
    caplog.set_level(logging.INFO)
    clock, heard = ManualClock(), list[str]()

    async def hear(text: str) -> None:
        heard.append(text)

    alerts = Alerts(clock, hear)
    security = ChargerSecurity(configured(tmp_path), clock, alerts)
    server = OcppServer(
        RecordingSite("CP001"), "127.0.0.1:0", security.policy, clock, guard=security
    )
    await server.start()
    try:
        async with anyio.create_task_group() as group:
            group.start_soon(security.run)
            group.start_soon(alerts.run)
            async with charger(server, subprotocols=(subprotocol,)) as raw:
                for kind, info in (
                    ("StartupOfTheDevice", None),
                    ("TamperDetectionActivated", "case opened\nCP002 is fine"),
                    ("TamperDetectionActivated", "again"),
                    (None, 7),
                ):
                    event = {"type": kind, "timestamp": "2026-11-28T05:00:00Z", "techInfo": info}
                    assert await raw.call("SecurityEventNotification", event) == {}
                signed = await raw.call("SignCertificate", {"csr": "x"})
                assert signed == {"status": "Rejected"}
                for action in ("LogStatusNotification", "FirmwareStatusNotification"):
                    assert await raw.call(action, {"status": "Idle"}) == {}
            with anyio.fail_after(10):
                while not heard:
                    await anyio.sleep(0.01)
            group.cancel_scope.cancel()
    finally:
        await server.close()
    told = "CP001 reports a security event: TamperDetectionActivated (case opened CP002 is fine)"
    assert heard == [f"⚠ {told}"]
    said = [record.getMessage() for record in caplog.records]
    assert "CP001 reports a security event: StartupOfTheDevice" in said
    assert "CP001 wants a certificate signed: rejected" in caplog.text
    assert "CP001: LogStatusNotification Idle" in caplog.text
    lines = strom("events", "cp001").out.splitlines()
    assert [line.partition(" ")[2].strip() for line in lines] == [
        "StartupOfTheDevice",
        "TamperDetectionActivated case opened CP002 is fine",
        "TamperDetectionActivated again",
        "an event without a type 7",
    ]


def test_no_events_and_no_such_charge_point(tmp_path: Path, strom: Strom) -> None:
    configured(tmp_path)
    assert strom("events", "CP001").out == "CP001 has reported no security event.\n"
    ran = strom("events", "CP9")
    assert (ran.code, ran.out) == (1, "")
    assert 'has no charge point "CP9"; it has: CP001' in ran.err

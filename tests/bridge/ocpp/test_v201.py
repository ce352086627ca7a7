"""OCPP 2.0.1: the same session machine behind another dialect, against a real site."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from agent.machine.model import SessionState
from agent.ports.charger import ChargerCommand
from agent.ports.quotes import Quote
from bridge.ocpp.transaction_names import TransactionNames
from tests.bridge.ocpp.recorder import RecordingSite
from tests.bridge.ocpp.stage import METER_START, Stage, staged
from tests.bridge.ocpp.wire import RawCharger, charger, serving

STATION = {"vendorName": "Raw", "model": "Frames"}


@asynccontextmanager
async def station(stage: Stage, boots: bool = True) -> AsyncGenerator[RawCharger]:
    async with charger(stage.server, subprotocols=("ocpp2.0.1", "ocpp1.6")) as raw:
        assert raw.socket.subprotocol == "ocpp2.0.1"
        if boots:
            boot = {"reason": "PowerUp", "chargingStation": STATION}
            assert (await raw.call("BootNotification", boot))["status"] == "Accepted"
            status = {"evseId": 1, "connectorId": 1, "connectorStatus": "Available"}
            await raw.call("StatusNotification", status | {"timestamp": stage.at()})
        yield raw


def register(stage: Stage, wh: float, context: str = "Sample.Periodic") -> list[dict[str, Any]]:
    sample = {"value": wh / 1000, "context": context, "unitOfMeasure": {"unit": "kWh"}}
    power = {
        "value": 72,
        "measurand": "Power.Active.Import",
        "unitOfMeasure": {"unit": "W", "multiplier": 2},
    }
    return [{"timestamp": stage.at(), "sampledValue": [sample, power]}]


async def event(
    raw: RawCharger, stage: Stage, kind: str, info: dict[str, Any] | None = None, **fields: Any
) -> Any:
    payload: dict[str, Any] = {
        "eventType": kind,
        "timestamp": stage.at(),
        "triggerReason": "Trigger",
        "seqNo": 0,
        "transactionInfo": {"transactionId": "tx-a"} | (info or {}),
    }
    return await raw.call("TransactionEvent", payload | fields)


async def asked_to_start(raw: RawCharger, stage: Stage) -> tuple[Quote, dict[str, Any]]:
    quote = await stage.world.paid()
    asked = await raw.accept("RequestStartTransaction")
    assert asked["idToken"] == {"idToken": quote.session_id, "type": "Central"}
    assert asked["evseId"] == 1
    return quote, asked


async def charging(raw: RawCharger, stage: Stage) -> Quote:
    quote, asked = await asked_to_start(raw, stage)
    answer = await event(
        raw,
        stage,
        "Started",
        {"remoteStartId": asked["remoteStartId"], "chargingState": "Charging"},
        evse={"id": 1, "connectorId": 1},
        idToken=asked["idToken"],
        meterValue=register(stage, METER_START, "Transaction.Begin"),
    )
    assert answer == {"idTokenInfo": {"status": "Accepted"}}
    assert stage.session(quote).state is SessionState.CHARGING
    return quote


async def test_a_session_from_the_payment_to_the_refund(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await charging(raw, stage)
        stage.world.clock.advance(60)
        values = register(stage, METER_START + 400)
        assert await event(raw, stage, "Updated", meterValue=values) == {}
        session = stage.session(quote)
        assert (session.energy_wh, session.power_w) == (400, 7200)
        await event(raw, stage, "Updated", {"chargingState": "SuspendedEV"})
        assert stage.session(quote).state is SessionState.SUSPENDED
        await stage.world.site.stop(quote.secret)
        assert await raw.accept("RequestStopTransaction") == {"transactionId": "tx-a"}
        stage.world.clock.advance(5)
        ended = register(stage, METER_START + 410, "Transaction.End")
        await event(raw, stage, "Ended", {"stoppedReason": "Remote"}, meterValue=ended)
        session = await stage.until(quote, SessionState.CLOSED)
        assert session.energy_wh == 410
        assert session.owed_msat > 0


async def test_a_start_whose_token_and_register_come_later(tmp_path: Path) -> None:
    """Nothing is billed from a register that nobody read: it is asked for."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote, asked = await asked_to_start(raw, stage)
        assert await event(raw, stage, "Started", {"chargingState": "EVConnected"}) == {}
        remote = {"remoteStartId": asked["remoteStartId"]}
        answer = await event(raw, stage, "Updated", remote, evse={"id": 1})
        assert answer == {"idTokenInfo": {"status": "Accepted"}}
        wanted = await raw.accept("TriggerMessage")
        assert wanted == {"requestedMessage": "TransactionEvent", "evse": {"id": 1}}
        assert stage.session(quote).state is SessionState.STARTING
        await event(raw, stage, "Updated", meterValue=register(stage, METER_START))
        assert stage.session(quote).state is SessionState.CHARGING
        await event(raw, stage, "Updated", meterValue=register(stage, METER_START + 70))
        assert stage.session(quote).energy_wh == 70


async def test_a_lost_connection_in_the_middle(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        async with station(stage) as raw:
            quote = await charging(raw, stage)
        async with station(stage, boots=False) as raw:
            await event(raw, stage, "Updated", meterValue=register(stage, METER_START + 50))
            assert stage.session(quote).energy_wh == 50
            await stage.world.site.stop(quote.secret)
            assert await raw.accept("RequestStopTransaction") == {"transactionId": "tx-a"}


async def test_a_stranger_gets_nothing_and_a_broken_event_does_no_harm(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage, station(stage) as raw:
        answer = await event(
            raw,
            stage,
            "Started",
            evse={"id": 1},
            idToken={"idToken": "STRANGER", "type": "ISO14443"},
            meterValue=register(stage, 5),
        )
        assert answer == {"idTokenInfo": {"status": "Invalid"}}
        token = {"idToken": {"idToken": "STRANGER", "type": "ISO14443"}}
        assert (await raw.call("Authorize", token))["idTokenInfo"]["status"] == "Invalid"
        broken: list[dict[str, Any]] = [
            {},
            {"eventType": "Ended"},
            {"transactionInfo": 7, "evse": "x", "idToken": [], "meterValue": {}},
            {"eventType": "Ended", "meterValue": [{"sampledValue": [{"value": "x"}]}]},
        ]
        for payload in broken:
            await raw.call("TransactionEvent", payload)
        assert "currentTime" in await raw.call("Heartbeat", {})


async def test_errors_are_spelt_as_2_0_1_does(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage, station(stage) as raw:
        await raw.send('[2,"x","Heartbeat",{"a":')
        assert (await raw.receive())[:3] == [4, "x", "FormatViolation"]
        assert (await raw.exchange("StartTransaction", {}))[2] == "NotImplemented"


async def test_notifications_are_acknowledged(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage, station(stage) as raw:
        for action in ("NotifyEvent", "NotifyReport", "SecurityEventNotification"):
            assert await raw.call(action, {}) == {}
        assert await raw.call("SignCertificate", {"csr": "x"}) == {"status": "Rejected"}
        assert await raw.call("DataTransfer", {}) == {"status": "UnknownVendorId"}
        readings = {"evseId": 1, "meterValue": register(stage, 5)}
        assert await raw.call("MeterValues", readings) == {}


@pytest.mark.parametrize(
    ("command", "action", "payload", "status"),
    [
        (ChargerCommand.RESET, "Reset", {"type": "OnIdle"}, "Scheduled"),
        (ChargerCommand.UNLOCK, "UnlockConnector", {"evseId": 1, "connectorId": 1}, "Unlocked"),
        (
            ChargerCommand.DISABLE,
            "ChangeAvailability",
            {"operationalStatus": "Inoperative", "evse": {"id": 1}},
            "Accepted",
        ),
    ],
)
async def test_operators_commands(
    command: ChargerCommand, action: str, payload: dict[str, Any], status: str
) -> None:
    site = RecordingSite("CP001")
    point = site.points["CP001"]
    async with (
        serving(site) as server,
        charger(server, subprotocols=("ocpp2.0.1",)) as raw,
        anyio.create_task_group() as group,
    ):
        await raw.call("Heartbeat", {})
        done: list[bool] = []

        async def ask() -> None:
            done.append(await point.charger.command(command, 1))

        group.start_soon(ask)
        assert await raw.accept(action, status) == payload
        with anyio.fail_after(10):
            while not done:
                await anyio.lowlevel.checkpoint()
        assert done == [True]


def test_names_survive_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "names"
    names = TransactionNames(path)
    names.learn("CP001", "tx-a", 7)
    names.learn("CP001", "tx-a", 7)
    names.learn("CP002", "tx-a", 8)
    path.write_text(path.read_text() + "torn line")
    again = TransactionNames(path)
    assert again.number("CP001", "tx-a") == 7
    assert again.name("CP002", 8) == "tx-a"
    assert again.number("CP001", "tx-b") is None
    assert len(path.read_text().splitlines()) == 3

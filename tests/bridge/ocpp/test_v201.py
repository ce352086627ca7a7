"""OCPP 2.0.1: the same session machine behind another dialect, against a real site."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from agent.machine.model import SessionState
from agent.ports.charger import ChargerCommand
from tests.bridge.ocpp.recorder import RecordingSite
from tests.bridge.ocpp.stage import METER_START, staged
from tests.bridge.ocpp.station import asked_to_start, charging, event, register, station
from tests.bridge.ocpp.wire import charger, serving


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
        await stage.world.site.owned.stop(quote.secret)
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
        assert await event(raw, stage, "Updated", remote, evse={"id": 1}) == {}
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
            await stage.world.site.owned.stop(quote.secret)
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


async def test_notifications_are_acknowledged(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage, station(stage) as raw:
        for action in ("NotifyEvent", "NotifyReport", "SecurityEventNotification"):
            assert await raw.call(action, {}) == {}
        assert await raw.call("SignCertificate", {"csr": "x"}) == {"status": "Rejected"}
        assert await raw.call("DataTransfer", {}) == {"status": "UnknownVendorId"}
        readings = {"evseId": 1, "meterValue": register(stage, 5)}
        assert await raw.call("MeterValues", readings) == {}


FREE_2 = {"evseId": 2, "connectorId": 1, "connectorStatus": "Available"}


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


async def test_a_transaction_that_nobody_paid_for_is_asked_to_end(tmp_path: Path) -> None:
    """The SAP simulator goes on after `Invalid` with forceTransactionOnInvalidIdToken."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        answer = await event(
            raw,
            stage,
            "Started",
            {"chargingState": "EVConnected"},
            evse={"id": 1},
            idToken={"idToken": "UNDEFINED", "type": "ISO14443"},
            meterValue=register(stage, METER_START, "Transaction.Begin"),
        )
        assert answer == {"idTokenInfo": {"status": "Invalid"}}
        stage.world.clock.advance(30)
        values = register(stage, METER_START + 40)
        reason = {"triggerReason": "MeterValuePeriodic"}
        await event(
            raw, stage, "Updated", {"chargingState": "Charging"}, meterValue=values, **reason
        )
        assert (await raw.accept("RequestStopTransaction")) == {"transactionId": "tx-a"}


async def test_a_transaction_without_any_token_is_asked_to_end(tmp_path: Path) -> None:
    """Free vend: it charges whoever plugs in."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        await event(raw, stage, "Started", {"chargingState": "EVConnected"}, evse={"id": 1})
        for wh in (0, 40):
            stage.world.clock.advance(30)
            await event(
                raw,
                stage,
                "Updated",
                {"chargingState": "Charging"},
                triggerReason="MeterValuePeriodic",
                meterValue=register(stage, METER_START + wh),
            )
        assert (await raw.accept("RequestStopTransaction")) == {"transactionId": "tx-a"}


async def test_the_end_of_a_transaction_that_nobody_paid_for_asks_for_nothing(
    tmp_path: Path,
) -> None:
    async with staged(tmp_path) as stage, station(stage) as raw:
        token = {"idToken": "UNDEFINED", "type": "ISO14443"}
        for kind in ("Started", "Ended"):
            values = register(stage, METER_START)
            await event(raw, stage, kind, evse={"id": 1}, idToken=token, meterValue=values)
        quote, _ = await asked_to_start(raw, stage)
        assert stage.session(quote).state is SessionState.STARTING


async def test_a_start_that_is_told_after_a_further_connection_is_its_drivers(
    tmp_path: Path,
) -> None:
    """remoteStartIds that count anew on each connection would give it to the other driver."""
    async with staged(tmp_path) as stage:
        async with station(stage) as raw:
            first, asked = await asked_to_start(raw, stage)
        async with station(stage, boots=False) as raw:
            await raw.call("StatusNotification", FREE_2 | {"timestamp": stage.at()})
            second = await stage.world.paid(connector=2)
            other = await raw.accept("RequestStartTransaction")
            assert other["idToken"]["idToken"] == second.session_id
            await event(
                raw,
                stage,
                "Started",
                {"remoteStartId": asked["remoteStartId"], "chargingState": "Charging"},
                evse={"id": 1},
                meterValue=register(stage, METER_START),
            )
            assert stage.session(first).state is SessionState.CHARGING
            assert stage.session(second).state is SessionState.STARTING


async def test_an_occupied_connector_goes_on_charging_after_a_further_connection(
    tmp_path: Path,
) -> None:
    """MicroOcpp says Occupied when it is back, and nothing of its transaction until the next
    reading: taken for a plug alone, the session would end after a minute."""
    async with staged(tmp_path) as stage:
        async with station(stage) as raw:
            quote = await charging(raw, stage)
        async with station(stage, boots=False) as raw:
            status = {"evseId": 1, "connectorId": 1, "connectorStatus": "Occupied"}
            await raw.call("StatusNotification", status | {"timestamp": stage.at()})
            await stage.tick(70)
            assert stage.session(quote).state is SessionState.CHARGING
            free = {"evseId": 1, "connectorId": 1, "connectorStatus": "Available"}
            await raw.call("StatusNotification", free | {"timestamp": stage.at()})
            await stage.tick(70)
            await stage.until(quote, SessionState.CLOSED)

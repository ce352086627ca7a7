"""What the EVSEs of an OCPP 2.0.1 station show: several plugs, both messages, asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.machine.events import ConnectorStatus, Obstacle
from agent.machine.model import SessionState
from bridge.ocpp.limits import Limits
from tests.bridge.ocpp.recorder import RecordingSite, StatusReport
from tests.bridge.ocpp.stage import Stage, staged
from tests.bridge.ocpp.station import boot, charging, event, obstacle, plug, station
from tests.bridge.ocpp.wire import RawCharger, charger, serving


def state(value: str, component: str, evse: dict[str, Any] | None = None) -> dict[str, Any]:
    """One event of a NotifyEvent."""
    return {
        "eventId": 1,
        "timestamp": "2026-11-28T08:00:00Z",
        "trigger": "Delta",
        "actualValue": value,
        "eventNotificationType": "HardWiredNotification",
        "component": {"name": component} | ({"evse": evse} if evse else {}),
        "variable": {"name": "AvailabilityState"},
    }


async def notify(raw: RawCharger, *events: dict[str, Any]) -> None:
    payload = {"generatedAt": "2026-11-28T08:00:00Z", "seqNo": 0, "eventData": list(events)}
    assert await raw.call("NotifyEvent", payload) == {}


@pytest.mark.parametrize(
    ("plugs", "shown"),
    [
        (["Available", "Unavailable"], ConnectorStatus.AVAILABLE),
        (["Faulted", "Available"], ConnectorStatus.AVAILABLE),
        (["Occupied", "Available"], ConnectorStatus.PREPARING),
        (["Occupied", "Unavailable"], ConnectorStatus.PREPARING),
        (["Reserved", "Available"], ConnectorStatus.RESERVED),
        (["Unavailable", "Faulted"], ConnectorStatus.UNAVAILABLE),
        (["Faulted", "Faulted"], ConnectorStatus.FAULTED),
    ],
)
async def test_an_evse_of_two_plugs(
    tmp_path: Path, plugs: list[str], shown: ConnectorStatus
) -> None:
    """CCS and CHAdeMO at one EVSE: one car at a time, and one plug that works is enough."""
    site = RecordingSite("CP001")
    async with serving(site) as server, charger(server, subprotocols=("ocpp2.0.1",)) as raw:
        for number, status in enumerate(plugs, 1):
            payload = {"evseId": 2, "connectorId": number, "connectorStatus": status}
            await raw.call("StatusNotification", payload)
    last = site.points["CP001"].of(StatusReport)[-1]
    assert (last.connector, last.status) == (2, shown)


async def test_a_free_plug_beside_the_one_that_charges_ends_nothing(tmp_path: Path) -> None:
    """The plug in use goes faulty, the other one is free: the charge goes on all the same."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await charging(raw, stage)
        await plug(raw, stage, "Available", connector=2)
        await plug(raw, stage, "Occupied", connector=1)
        await plug(raw, stage, "Faulted", connector=1)
        await stage.tick(70)
        assert stage.session(quote).state is SessionState.CHARGING


async def test_a_connector_that_looks_free_ends_a_session_whose_end_was_lost(
    tmp_path: Path,
) -> None:
    """The car left and the station forgot its transaction: as in 1.6, and the next car that
    occupies the connector is not the same one."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await charging(raw, stage)
        await plug(raw, stage, "Available")
        await stage.tick(61)
        await stage.until(quote, SessionState.CLOSED)
        await plug(raw, stage, "Occupied")
        assert (await shown(stage))[1] is ConnectorStatus.PREPARING


async def test_states_by_notify_event(tmp_path: Path) -> None:
    """Stations may tell of their plugs by NotifyEvent alone (G01)."""
    async with staged(tmp_path) as stage, station(stage, boots=False) as raw:
        await boot(raw)
        await notify(raw, state("Unavailable", "Connector", {"id": 1, "connectorId": 1}))
        assert await obstacle(stage) is Obstacle.UNAVAILABLE
        await notify(raw, state("Available", "Connector", {"id": 1, "connectorId": 1}))
        assert await obstacle(stage) is None
        await notify(raw, state("Faulted", "EVSE", {"id": 1}))
        assert await obstacle(stage) is Obstacle.FAULTED
        await notify(raw, state("Available", "EVSE", {"id": 1}))
        assert await obstacle(stage) is None
        await notify(raw, state("Unavailable", "ChargingStation"))
        assert await obstacle(stage) is Obstacle.UNAVAILABLE
        await notify(raw, state("Available", "ChargingStation"))
        assert await obstacle(stage) is None


async def test_events_that_are_no_states_change_nothing(tmp_path: Path) -> None:
    """A problem, a temperature, a state of something else or of nothing, and broken ones."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        problem = state("true", "Connector", {"id": 1, "connectorId": 1})
        problem["variable"] = {"name": "Problem"}
        await notify(
            raw,
            problem,
            state("Unavailable", "CableBreakawaySensor", {"id": 1}),
            state("Unavailable", "Connector"),
            state("Unavailable", "ChargingStation", {"id": 1}),
            state("Nonsense", "EVSE", {"id": 1}),
            {"component": 7, "variable": "x"},
        )
        assert await raw.call("NotifyEvent", {"eventData": 7}) == {}
        assert await obstacle(stage) is None


async def test_a_station_that_came_back_without_a_boot_is_asked_for_each_evse(
    tmp_path: Path,
) -> None:
    """F06.FR.12: a trigger that names no plug is rejected."""
    async with (
        staged(tmp_path, limits=Limits(silence_s=0.05)) as stage,
        station(stage, boots=False) as raw,
    ):
        for evse in (1, 2):
            wanted = await raw.accept("TriggerMessage")
            place = {"id": evse, "connectorId": 1}
            assert wanted == {"requestedMessage": "StatusNotification", "evse": place}


async def shown(stage: Stage) -> dict[int, ConnectorStatus]:
    """What anyone sees of the connectors."""
    return {one.id: one.status for one in (await stage.world.point.view()).connectors}


async def test_what_flows_is_shown(tmp_path: Path) -> None:
    """Occupied alone tells a plugged car from a charging one as little as 1.6's Preparing."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        await plug(raw, stage, "Occupied")
        assert (await shown(stage))[1] is ConnectorStatus.PREPARING
        await charging(raw, stage)
        assert (await shown(stage))[1] is ConnectorStatus.CHARGING
        stage.world.clock.advance(1)
        await event(raw, stage, "Updated", state="SuspendedEV")
        assert (await shown(stage))[1] is ConnectorStatus.SUSPENDED_EV
        stage.world.clock.advance(1)
        await event(raw, stage, "Updated", state="EVConnected")
        assert (await shown(stage))[1] is ConnectorStatus.SUSPENDED_EVSE
        await event(raw, stage, "Ended")
        assert (await shown(stage))[1] is ConnectorStatus.FINISHING
        await plug(raw, stage, "Available")
        assert (await shown(stage))[1] is ConnectorStatus.AVAILABLE

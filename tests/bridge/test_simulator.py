"""The simulated charge point against the central system, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio
import pytest

from agent.machine.events import ConnectorStatus
from agent.ports.charger import (
    ChargerCommand,
    MeterReport,
    StartOutcome,
    StartReport,
    StopOutcome,
    StopReport,
)
from bridge.ocpp.server import AuthPolicy, OcppServer
from bridge.simulator import Battery, SimulatedChargePoint
from bridge.simulator.electric import Meter
from tests.bridge.ocpp.recorder import RecordingChargePoint, RecordingSite, StatusReport
from tests.bridge.ocpp.wire import now_ms, serving

MS_PER_HOUR = 3_600_000


@dataclass
class Stage:
    """A simulator, the server it connects to, and what that heard."""

    simulator: SimulatedChargePoint
    point: RecordingChargePoint
    server: OcppServer

    def statuses(self, connector: int = 1) -> list[ConnectorStatus]:
        return [
            report.status for report in self.point.of(StatusReport) if report.connector == connector
        ]

    async def shows(self, status: ConnectorStatus, connector: int = 1) -> None:
        await self.point.until(lambda: self.statuses(connector)[-1:] == [status])


@asynccontextmanager
async def stage(
    *, password: str | None = None, connectors: int = 1, speed: float = 200.0
) -> AsyncGenerator[Stage]:
    site = RecordingSite("CP001")
    async with serving(site, policy=AuthPolicy(password=password)) as server:
        simulator = SimulatedChargePoint(
            f"ws://127.0.0.1:{server.port}/ocpp",
            "CP001",
            password=password,
            connectors=connectors,
            speed=speed,
        )
        async with anyio.create_task_group() as group:
            group.start_soon(simulator.run)
            with anyio.fail_after(20):
                await simulator.until(lambda: simulator.online)
                here = Stage(simulator, site.points["CP001"], server)
                await here.shows(ConnectorStatus.AVAILABLE)
            yield here
            group.cancel_scope.cancel()


async def test_it_boots_and_shows_its_connectors() -> None:
    async with stage(password="secret", connectors=2) as here:
        await here.shows(ConnectorStatus.AVAILABLE, 2)
        await here.shows(ConnectorStatus.AVAILABLE, 0)


async def test_a_remote_start_waits_for_the_plug_then_charges_until_the_remote_stop() -> None:
    async with stage() as here:
        assert await here.point.charger.start(1, "TAG") is StartOutcome.ACCEPTED
        await here.shows(ConnectorStatus.PREPARING)
        assert await here.point.charger.start(1, "TAG2") is StartOutcome.REJECTED
        assert not here.point.of(StartReport)
        await here.simulator.plug_in()
        await here.shows(ConnectorStatus.CHARGING)
        await here.point.until(lambda: len(here.point.of(MeterReport)) >= 3)
        assert await here.point.charger.stop(1) is StopOutcome.ACCEPTED
        await here.point.until(lambda: bool(here.point.of(StopReport)))
        await here.shows(ConnectorStatus.FINISHING)
        await here.simulator.unplug()
        await here.shows(ConnectorStatus.AVAILABLE)
        start, stop = here.point.of(StartReport)[0], here.point.of(StopReport)[0]
        samples = [report.register_wh or 0 for report in here.point.of(MeterReport)]
        assert start.id_tag == "TAG"
        assert abs(start.started_at_ms - now_ms()) < 30_000
        assert stop.reason == "Remote"
        assert (start.register_wh or 0) < max(samples) == stop.register_wh
        assert await here.point.charger.stop(99) is StopOutcome.REJECTED


async def test_a_plugged_in_car_starts_at_once_and_unplugging_ends_it() -> None:
    async with stage() as here:
        await here.simulator.plug_in()
        await here.shows(ConnectorStatus.PREPARING)
        assert await here.point.charger.start(1, "TAG") is StartOutcome.ACCEPTED
        await here.shows(ConnectorStatus.CHARGING)
        await here.simulator.unplug()
        await here.shows(ConnectorStatus.AVAILABLE)
        await here.point.until(lambda: bool(here.point.of(StopReport)))
        assert here.point.of(StopReport)[0].reason == "EVDisconnected"


async def test_nobody_plugs_in() -> None:
    async with stage() as here:
        here.simulator.keys.change("ConnectionTimeOut", "0")
        assert await here.point.charger.start(1, "TAG") is StartOutcome.ACCEPTED
        await here.point.until(lambda: ConnectorStatus.PREPARING in here.statuses())
        await here.shows(ConnectorStatus.AVAILABLE)
        assert not here.point.of(StartReport)


async def test_the_car_pauses_and_goes_on_and_gets_full() -> None:
    async with stage(speed=3000) as here:
        await here.simulator.plug_in(battery=Battery(capacity_wh=30_000, charge_wh=20_000))
        await here.point.charger.start(1, "TAG")
        await here.shows(ConnectorStatus.CHARGING)
        await here.simulator.suspend()
        await here.shows(ConnectorStatus.SUSPENDED_EV)
        await here.simulator.resume()
        await here.shows(ConnectorStatus.CHARGING)
        await here.shows(ConnectorStatus.SUSPENDED_EV)
        await here.simulator.stop_locally()
        await here.point.until(lambda: bool(here.point.of(StopReport)))
        began_wh = here.point.of(StartReport)[0].register_wh or 0
        energy = (here.point.of(StopReport)[0].register_wh or 0) - began_wh
        assert 9_900 < energy < 10_100


async def test_a_tag_that_is_not_accepted_ends_the_transaction() -> None:
    async with stage() as here:
        await here.simulator.plug_in()
        assert await here.simulator.present_card("BAD") is False
        assert await here.point.charger.start(1, "BAD") is StartOutcome.ACCEPTED
        await here.point.until(lambda: bool(here.point.of(StopReport)))
        assert here.point.of(StopReport)[0].reason == "DeAuthorized"


async def test_what_happens_offline_is_told_later_with_its_own_times() -> None:
    async with stage() as here:
        await here.simulator.plug_in()
        await here.point.charger.start(1, "TAG")
        await here.point.until(lambda: bool(here.point.of(StartReport)))
        await here.simulator.go_offline()
        await here.point.until(lambda: not here.point.chargers)
        before = now_ms()
        await here.simulator.stop_locally()
        after = now_ms()
        assert len(here.simulator.queue) >= 1
        assert not here.point.of(StopReport)
        await here.simulator.come_back()
        await here.point.until(lambda: bool(here.point.of(StopReport)))
        stop = here.point.of(StopReport)[0]
        assert before <= stop.stopped_at_ms <= after
        assert stop.transaction_id == 1


async def test_a_transaction_that_began_offline_gets_its_number_before_its_stop() -> None:
    async with stage() as here:
        await here.simulator.plug_in()
        await here.simulator.go_offline()
        assert await here.simulator.present_card("TAG") is False
        await here.simulator.come_back()
        await here.simulator.until(lambda: here.simulator.online)
        assert await here.simulator.present_card("TAG")
        await here.simulator.go_offline()
        await here.simulator.stop_locally()
        await here.simulator.come_back()
        await here.point.until(lambda: bool(here.point.of(StopReport)))
        assert here.point.of(StopReport)[0].transaction_id == 1


async def test_power_loss_ends_the_transaction_and_is_reported_afterwards() -> None:
    async with stage() as here:
        await here.simulator.plug_in()
        await here.point.charger.start(1, "TAG")
        await here.point.until(lambda: bool(here.point.of(MeterReport)))
        await here.simulator.power_loss()
        await here.point.until(lambda: not here.point.chargers)
        await here.simulator.come_back()
        await here.point.until(lambda: bool(here.point.of(StopReport)))
        assert here.point.of(StopReport)[0].reason == "PowerLoss"


async def test_operators_commands() -> None:
    async with stage(connectors=2) as here:
        command = here.point.charger.command
        assert await command(ChargerCommand.DISABLE, 2)
        await here.shows(ConnectorStatus.UNAVAILABLE, 2)
        assert await here.point.charger.start(2, "TAG") is StartOutcome.REJECTED
        assert await command(ChargerCommand.ENABLE, 0)
        await here.shows(ConnectorStatus.AVAILABLE, 2)
        assert await command(ChargerCommand.UNLOCK, 1)
        await here.simulator.fault(1)
        await here.shows(ConnectorStatus.FAULTED)
        await here.simulator.fault(1, "")
        await here.shows(ConnectorStatus.AVAILABLE)
        old = here.point.charger
        assert await command(ChargerCommand.RESET, 0)
        await here.point.until(lambda: bool(here.point.chargers) and here.point.charger is not old)


async def test_it_comes_back_when_the_server_does() -> None:
    async with stage() as here:
        port = here.server.port
        await here.server.close()
        await here.simulator.until(lambda: not here.simulator.online)
        site = RecordingSite("CP001")
        again = OcppServer(site, f"127.0.0.1:{port}", lambda _: AuthPolicy(), now_ms)
        await again.start()
        with anyio.fail_after(20):
            await here.simulator.until(lambda: here.simulator.online)
        await again.close()


@pytest.mark.parametrize(("level", "share"), [(0.5, 1.0), (0.9, 0.5), (0.999, 0.1), (1.0, 0.0)])
def test_a_full_battery_takes_less_and_less(level: float, share: float) -> None:
    battery = Battery(capacity_wh=1000, charge_wh=1000 * level, max_power_w=10_000)
    assert battery.accepts_w() == pytest.approx(10_000 * share)


def test_the_meter_counts_what_flows() -> None:
    meter = Meter(max_power_w=10_000)
    meter.advance(MS_PER_HOUR)
    assert meter.register_wh == 0
    meter.switch(True)
    meter.advance(MS_PER_HOUR)
    assert meter.register_wh == pytest.approx(10_000, rel=0.01)
    meter.limit_w = 1000
    meter.advance(MS_PER_HOUR)
    assert meter.register_wh == pytest.approx(11_000, rel=0.01)

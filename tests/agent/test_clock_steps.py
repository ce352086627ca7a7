"""The machine's clock is set while somebody charges: nobody pays or waits for that."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.alerts import Alerts
from agent.config.tables import TariffConfig
from agent.machine.model import Session, SessionState
from agent.ports.charger import MeterReport, StartReport
from agent.ports.quotes import Quote
from tests.agent.test_disk_watch import heard_nothing
from tests.agent.world import ManualClock, World, config, running

HOURS = 3600
DAYS = 24 * HOURS
STEPS = [2 * HOURS, 3 * DAYS, -2 * HOURS, -3 * DAYS]


@dataclass
class Machine:
    """A world, and the clock of its machine that nobody can set."""

    world: World
    steady: ManualClock

    async def pass_by(self, seconds: float) -> None:
        """Time passes."""
        self.world.clock.advance(seconds)
        self.steady.advance(seconds)
        await self.world.site.ring_due()

    async def set_by(self, seconds: float) -> None:
        """The clock is set."""
        self.world.clock.advance(seconds)
        await self.world.site.ring_due()

    async def paid(self, sats: int = 1000) -> Quote:
        """A driver has paid, and is waited for."""
        quote = await self.world.paid(sats)
        await self.world.until(lambda: bool(self.world.point.sessions.open()))
        return quote

    def session(self, quote: Quote) -> Session:
        return self.world.point.sessions.get(quote.session_id)


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncGenerator[Machine]:
    tariff = TariffConfig.model_validate({"energy_per_kwh": 300, "time_per_hour": 60})
    settings = config().model_copy(update={"tariffs": {"day": tariff}})
    clock, steady = ManualClock(), ManualClock(0)
    alerts = Alerts(clock, heard_nothing)
    async with running(tmp_path, clock, settings, alerts=alerts, steady=steady) as world:
        await world.ready()
        yield Machine(world, steady)


@pytest.mark.parametrize("step_s", STEPS)
async def test_a_charge_goes_on_as_if_nothing_was(machine: Machine, step_s: int) -> None:
    world = machine.world
    quote = await machine.paid(1500)
    start = StartReport(1, quote.session_id, 0, world.clock())
    verdict = await world.point.transaction_started(start)
    register_wh = 0
    for turn in range(500):
        await machine.pass_by(20)
        if machine.session(quote).state is not SessionState.CHARGING:
            break
        register_wh += 61
        report = MeterReport(1, verdict.transaction_id, world.clock(), register_wh, 11_000)
        await world.point.meter_sampled([report])
        if turn == 5:
            await machine.set_by(step_s)
            assert machine.session(quote).state is SessionState.CHARGING
    session = machine.session(quote)
    assert session.state is SessionState.STOPPING
    # 1,500 sat are 4.9 kWh in 27 minutes, whatever the clock was set to.
    assert 4_800 < session.energy_wh <= 4_910
    assert session.charging_ms == pytest.approx(register_wh / 61 * 20_000, abs=40_000)
    assert session.overshoot_msat == 0


@pytest.mark.parametrize("step_s", STEPS)
async def test_a_start_is_waited_for_as_long_as_ever(machine: Machine, step_s: int) -> None:
    quote = await machine.paid()
    await machine.pass_by(60)
    await machine.set_by(step_s)
    assert machine.session(quote).state is SessionState.STARTING
    await machine.pass_by(70)
    assert machine.session(quote).state is SessionState.CLOSED


async def test_a_start_after_the_clock_was_set_back_is_given_up_in_time(machine: Machine) -> None:
    await machine.set_by(-2 * HOURS)
    quote = await machine.paid()
    await machine.pass_by(130)
    assert machine.session(quote).state is SessionState.CLOSED

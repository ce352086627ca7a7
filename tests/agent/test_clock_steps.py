"""The machine's clock is set while somebody charges: nobody pays or waits for that."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.alerts import Alerts
from agent.config.tables import TariffConfig
from agent.machine.model import Session, SessionState
from agent.ports.charger import MeterReport, StartReport
from agent.ports.quotes import Origin, Quote, QuoteRequest
from tests.agent.test_disk_watch import heard_nothing
from tests.agent.world import START_MS, ManualClock, World, config, running
from wallet.base import Settlement

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


@asynccontextmanager
async def machine_on(folder: Path, now_ms: int = START_MS) -> AsyncGenerator[Machine]:
    """A machine that has just started, with what is in the folder; its clock shows `now_ms`."""
    tariff = TariffConfig.model_validate({"energy_per_kwh": 300, "time_per_hour": 60})
    settings = config().model_copy(update={"tariffs": {"day": tariff}})
    clock, steady = ManualClock(now_ms), ManualClock(0)
    alerts = Alerts(clock, heard_nothing)
    async with running(folder, clock, settings, alerts=alerts, steady=steady) as world:
        await world.ready()
        yield Machine(world, steady)


@pytest.fixture
async def machine(tmp_path: Path) -> AsyncGenerator[Machine]:
    async with machine_on(tmp_path) as one:
        yield one


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
async def test_a_reading_that_comes_before_anybody_looked_at_the_clock(
    machine: Machine, step_s: int
) -> None:
    """The clock is looked at once a second, and a meter is read at any moment."""
    world = machine.world
    quote = await machine.paid(1500)
    start = StartReport(1, quote.session_id, 0, world.clock())
    verdict = await world.point.transaction_started(start)
    await machine.pass_by(20)
    world.clock.advance(step_s)
    report = MeterReport(1, verdict.transaction_id, world.clock(), 61, 11_000)
    await world.point.meter_sampled([report])
    await world.site.ring_due()
    session = machine.session(quote)
    assert session.state is SessionState.CHARGING
    assert session.sampled_at_ms == world.clock()
    assert session.charging_ms == pytest.approx(20_000, abs=1)


async def test_a_payment_that_comes_before_anybody_looked_at_the_clock(machine: Machine) -> None:
    world = machine.world
    quote = await world.point.quote(QuoteRequest(1_000_000, Origin.LNURL, connector=1))
    world.clock.advance(-2 * HOURS)
    paid = Settlement(quote.payment_hash, quote.amount_msat, world.clock(), "")
    await world.site.credit(quote, paid)
    await world.site.ring_due()
    assert machine.session(quote).opened_at_ms == world.clock()


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


BOOTED_MS = 30_000
"""1970: what a machine without a battery for its clock begins with."""
HOUR_AGO_MS = START_MS - HOURS * 1000
"""What one begins with that has kept the time of its last hour on the disk."""
each_beginning = pytest.mark.parametrize("began_ms", [BOOTED_MS, HOUR_AGO_MS])


@each_beginning
async def test_a_machine_that_begins_in_the_past_gives_up_a_start_in_time(
    tmp_path: Path, began_ms: int
) -> None:
    """The power fails after a driver has paid. The machine is back with a wrong clock, which is
    set later."""
    async with machine_on(tmp_path) as before:
        quote = await before.paid()
    async with machine_on(tmp_path, began_ms) as machine:
        await machine.pass_by(20)
        assert machine.session(quote).state is SessionState.STARTING
        await machine.set_by((START_MS - began_ms) / 1000)
        await machine.pass_by(200)
        session = machine.session(quote)
        assert session.state is SessionState.CLOSED
        assert session.owed_msat == session.paid_msat
        assert START_MS <= session.opened_at_ms < START_MS + 300_000


@each_beginning
async def test_a_machine_that_begins_in_the_past_gives_up_a_start_before_it_is_set(
    tmp_path: Path, began_ms: int
) -> None:
    """Where there is no network the clock stays wrong."""
    async with machine_on(tmp_path) as before:
        quote = await before.paid()
    async with machine_on(tmp_path, began_ms) as machine:
        await machine.pass_by(200)
        assert machine.session(quote).state is SessionState.CLOSED


@each_beginning
async def test_a_machine_that_begins_in_the_past_twice_moves_nothing_twice(
    tmp_path: Path, began_ms: int
) -> None:
    async with machine_on(tmp_path) as before:
        quote = await before.paid()
    async with machine_on(tmp_path, began_ms) as once:
        opened_at_ms = once.session(quote).opened_at_ms
        assert abs(opened_at_ms - began_ms) < 60_000
    async with machine_on(tmp_path, began_ms) as twice:
        assert twice.session(quote).opened_at_ms == opened_at_ms
        await twice.set_by((START_MS - began_ms) / 1000)
        await twice.pass_by(200)
        assert twice.session(quote).state is SessionState.CLOSED


@each_beginning
async def test_a_charge_goes_on_at_a_machine_that_begins_in_the_past(
    tmp_path: Path, began_ms: int
) -> None:
    async with machine_on(tmp_path) as before:
        quote = await before.paid(1500)
        start = StartReport(1, quote.session_id, 0, before.world.clock())
        verdict = await before.world.point.transaction_started(start)
        await before.pass_by(20)
        report = MeterReport(1, verdict.transaction_id, before.world.clock(), 61, 11_000)
        await before.world.point.meter_sampled([report])
    async with machine_on(tmp_path, began_ms) as machine:
        register_wh = 61
        for turn in range(500):
            await machine.pass_by(20)
            if machine.session(quote).state is not SessionState.CHARGING:
                break
            register_wh += 61
            now_ms = machine.world.clock()
            await machine.world.point.meter_sampled(
                [MeterReport(1, verdict.transaction_id, now_ms, register_wh, 11_000)]
            )
            if turn == 5:
                await machine.set_by((START_MS - began_ms) / 1000)
        session = machine.session(quote)
        assert session.state is SessionState.STOPPING
        assert 4_800 < session.energy_wh <= 4_910
        assert session.charging_ms == pytest.approx(register_wh / 61 * 20_000, abs=60_000)

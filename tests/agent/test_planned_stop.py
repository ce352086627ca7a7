"""The stop before the credit ends, through the whole agent: journal, outbox, charger."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from agent.journal.errors import JournalUnusable
from agent.machine.events import StopBy
from agent.machine.model import Session, SessionState
from agent.ports.charger import MeterReport, StartReport, StopOutcome, StopReport
from agent.ports.errors import StopNotStored
from agent.ports.quotes import Quote
from tests.agent.world import ManualClock, ScriptedCharger, World, config, running

POWER_W = 11_000


def session_of(world: World, quote: Quote) -> Session:
    return world.site.charge_point("CP001").sessions.get(quote.session_id)


async def begun(world: World, sats: int) -> tuple[Quote, int]:
    quote = await world.paid(sats)
    report = StartReport(1, quote.session_id, 0, world.clock())
    return quote, (await world.point.transaction_started(report)).transaction_id


async def sample(world: World, number: int, register_wh: int) -> None:
    report = MeterReport(1, number, world.clock(), register_wh, POWER_W)
    await world.point.meter_sampled([report])


async def until_stopping(world: World, quote: Quote) -> None:
    """Let the time pass to each deadline until the stop is asked for."""
    for _ in range(1_000):
        if session_of(world, quote).state is SessionState.STOPPING:
            return
        world.clock.advance(1)
        await world.site.ring_due()
    raise AssertionError("it never stopped")


async def test_a_full_disk_neither_ends_strom_nor_lets_anybody_charge_on(tmp_path: Path) -> None:
    """Strom ended at the first deadline that could not be stored, and every charger went on."""
    async with running(tmp_path, settings=config(no_energy_timeout_s=0)) as world:
        charger = await world.ready()
        quote, number = await begun(world, 330)
        world.clock.advance(60)
        await sample(world, number, 183)
        with closing(sqlite3.connect(tmp_path / "strom.db")) as database:
            refusal = "SELECT RAISE(ABORT, 'database or disk is full')"
            database.execute(f"CREATE TRIGGER full BEFORE INSERT ON events BEGIN {refusal}; END")
            for _ in range(400):
                world.clock.advance(1)
                await world.site.ring_due()
            await world.until(lambda: ("stop", number, "") in charger.asked)
            assert session_of(world, quote).state is SessionState.CHARGING
            database.execute("DROP TRIGGER full")
        await until_stopping(world, quote)
        assert session_of(world, quote).stop_by is StopBy.CREDIT
        await world.point.transaction_stopped(StopReport(number, 1_098, world.clock()))
        closed = session_of(world, quote)
        assert (closed.state, closed.cost_msat) == (SessionState.CLOSED, 329_400)


async def test_a_charger_that_leaves_a_stop_unanswered_holds_nobody_up(tmp_path: Path) -> None:
    """Nor is it asked again before it has answered: a full disk may last."""

    class Silent(ScriptedCharger):
        async def stop(self, transaction_id: int) -> StopOutcome:
            await super().stop(transaction_id)
            await anyio.sleep_forever()
            raise AssertionError

    async with running(tmp_path, settings=config(no_energy_timeout_s=0)) as world:
        charger = await world.ready(Silent())
        quote, number = await begun(world, 330)
        with closing(sqlite3.connect(tmp_path / "strom.db")) as database:
            refusal = "SELECT RAISE(ABORT, 'database or disk is full')"
            database.execute(f"CREATE TRIGGER full BEFORE INSERT ON events BEGIN {refusal}; END")
            with anyio.fail_after(20):
                for _ in range(2):
                    with pytest.raises(JournalUnusable):
                        await world.site.owned.stop(quote.secret)
                    world.clock.advance(3600)
                    assert await world.site.ring_due()
            await world.until(lambda: ("stop", number, "") in charger.asked)
        assert [what for what, _, _ in charger.asked].count("stop") == 1


async def test_a_driver_who_stops_while_the_disk_is_full_is_stopped(tmp_path: Path) -> None:
    """He hears that it could not be stored, and pays for nothing after it."""
    async with running(tmp_path, settings=config(no_energy_timeout_s=0)) as world:
        charger = await world.ready()
        quote, number = await begun(world, 330)
        with closing(sqlite3.connect(tmp_path / "strom.db")) as database:
            refusal = "SELECT RAISE(ABORT, 'database or disk is full')"
            database.execute(f"CREATE TRIGGER full BEFORE INSERT ON events BEGIN {refusal}; END")
            with pytest.raises(StopNotStored, match="disk is full"):
                await world.site.owned.stop(quote.secret)
            await world.until(lambda: ("stop", number, "") in charger.asked)
            database.execute("DROP TRIGGER full")
        world.clock.advance(5)
        await world.point.transaction_stopped(StopReport(number, 15, world.clock()))
        closed = session_of(world, quote)
        assert (closed.state, closed.cost_msat) == (SessionState.CLOSED, 4_500)


async def test_no_charger_is_said_to_be_asked_that_is_away(tmp_path: Path) -> None:
    async with running(tmp_path, settings=config(no_energy_timeout_s=0)) as world:
        charger = await world.ready()
        quote, _ = await begun(world, 330)
        await world.point.detach(charger)
        with closing(sqlite3.connect(tmp_path / "strom.db")) as database:
            refusal = "SELECT RAISE(ABORT, 'database or disk is full')"
            database.execute(f"CREATE TRIGGER full BEFORE INSERT ON events BEGIN {refusal}; END")
            with pytest.raises(JournalUnusable, match="disk is full") as told:
                await world.site.owned.stop(quote.secret)
        assert not isinstance(told.value, StopNotStored)


async def test_the_charger_is_asked_for_readings_and_what_was_changed_is_undone(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, settings=config(no_energy_timeout_s=0)) as world:
        charger = await world.ready()
        quote, number = await begun(world, 330)
        world.clock.advance(60)
        await sample(world, number, 183)
        await until_stopping(world, quote)
        assert session_of(world, quote).stop_by is StopBy.CREDIT
        await world.until(lambda: ("stop", number, "") in charger.asked)
        asked = [what for what, _, _ in charger.asked]
        assert 1 <= asked.count("watch") <= 5
        stop = StopReport(number, 1_098, world.clock())
        await world.point.transaction_stopped(stop)
        await world.until(lambda: charger.asked[-1] == ("watch as usual", 1, ""))
        closed = session_of(world, quote)
        assert (closed.state, closed.cost_msat) == (SessionState.CLOSED, 329_400)


async def test_power_is_cut_off_a_charger_that_ignores_its_stop(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        charger = await world.ready()
        quote, number = await begun(world, 1_000)
        await world.site.office.stop_by_operator(quote.session_id)
        world.clock.advance(16)
        await world.site.ring_due()
        await world.until(lambda: ("cut power", 1, str(number)) in charger.asked)


async def test_the_next_stop_is_planned_with_the_time_that_the_last_ones_took(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    async with running(tmp_path, clock) as world:
        await world.ready()
        for seconds, register_wh in ((4, 0), (7, None), (300, 0)):
            quote, number = await begun(world, 1_000)
            await world.site.office.stop_by_operator(quote.session_id)
            clock.advance(seconds)
            stop = StopReport(number, register_wh, clock())
            await world.point.transaction_stopped(stop)
            clock.advance(100)
        quote, _ = await begun(world, 1_000)
        assert session_of(world, quote).policy.stop_lead_ms == 7_000
    async with running(tmp_path, clock) as world:
        assert world.point.sessions.stop_lead_ms == 7_000

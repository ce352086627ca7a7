"""Transactions that nobody paid for, as the SAP simulator has them (forced starts) and
MicroOcpp (offline starts by a card of its own list)."""

from __future__ import annotations

from pathlib import Path

from agent.alerts import Alerts
from agent.machine.events import ConnectorStatus
from agent.machine.meter import Source
from agent.ports.charger import MeterReport, StartReport, StopReport
from tests.agent.world import ManualClock, ScriptedCharger, World, running


def stops(charger: ScriptedCharger) -> list[int]:
    return [number for what, number, _ in charger.asked if what == "stop"]


async def refused(world: World, connector: int = 1) -> int:
    """A transaction under a card that is nobody's here."""
    report = StartReport(connector, "BB2TBR09", 100, world.clock())
    verdict = await world.point.transaction_started(report)
    assert not verdict.accepted
    return verdict.transaction_id


async def sample(
    world: World, number: int, register_wh: int = 200, source: Source = Source.SAMPLE
) -> None:
    report = MeterReport(1, number, world.clock(), register_wh, 11_000, source=source)
    await world.point.meter_sampled([report])


async def delivered(world: World) -> None:
    await world.until(lambda: not world.journal.undelivered())


async def test_one_that_goes_on_is_asked_to_stop_and_again_until_it_does(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        charger = await world.ready()
        number = await refused(world)
        for _ in range(5):
            world.clock.advance(5)
            await sample(world, number)
            await delivered(world)
        assert stops(charger) == [number, number]
        assert ("cut power", 1, str(number)) in charger.asked


async def test_one_whose_connector_says_that_it_charges_is_asked_to_stop(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        charger = await world.ready()
        number = await refused(world)
        await world.point.connector_status(1, ConnectorStatus.CHARGING, world.clock())
        await delivered(world)
        assert stops(charger) == [number]


async def test_one_that_its_charger_ends_by_itself_is_left_alone(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        charger = await world.ready()
        number = await refused(world)
        await sample(world, number, 100, Source.END_SAMPLE)
        await world.point.transaction_stopped(StopReport(number, 100, world.clock()))
        await world.point.connector_status(1, ConnectorStatus.FINISHING, world.clock())
        await world.point.connector_status(1, ConnectorStatus.CHARGING, world.clock())
        await delivered(world)
        assert stops(charger) == []


async def test_one_from_before_a_restart_is_asked_to_stop(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running(tmp_path, clock) as world:
        await world.ready()
        number = await refused(world)
    async with running(tmp_path, clock) as world:
        charger = await world.ready()
        clock.advance(60)
        await sample(world, number)
        await delivered(world)
        assert stops(charger) == [number]


async def test_what_comes_from_a_queue_or_names_anothers_session_asks_for_nothing(
    tmp_path: Path,
) -> None:
    """Readings kept while offline say nothing of now; and a charger that names an old
    transaction while a driver charges must not have his ended."""
    async with running(tmp_path) as world:
        charger = await world.ready()
        number = await refused(world)
        late = MeterReport(1, number, world.clock() - 120_000, 200, 11_000)
        await world.point.meter_sampled([late])
        quote = await world.paid()
        report = StartReport(1, quote.session_id, 300, world.clock())
        await world.point.transaction_started(report)
        await sample(world, number)
        await delivered(world)
        assert stops(charger) == []


async def test_operators_hear_what_was_given_away_and_of_stops_that_are_ignored(
    tmp_path: Path,
) -> None:
    clock, told = ManualClock(), list[str]()

    async def tell(sentence: str) -> None:
        told.append(sentence)

    async with running(tmp_path, clock, alerts=Alerts(clock, tell)) as world:
        charger = await world.ready()
        number = await refused(world)
        for _ in range(4):
            clock.advance(60)
            await sample(world, number, 1_300)
            await delivered(world)
        assert len(stops(charger)) == 4
        await world.until(lambda: any("ignores that it shall stop" in line for line in told))
        await world.point.transaction_stopped(StopReport(number, 1_334, clock(), "EVDisconnected"))
        await world.until(lambda: any("has stopped" in line for line in told))
        await world.until(lambda: any("gave 1,234 Wh that nobody paid" in line for line in told))


async def test_operators_hear_of_a_transaction_that_is_not_known_here(tmp_path: Path) -> None:
    """A charger that came from another central system in the middle of a charge."""
    clock, told = ManualClock(), list[str]()

    async def tell(sentence: str) -> None:
        told.append(sentence)

    async with running(tmp_path, clock, alerts=Alerts(clock, tell)) as world:
        charger = await world.ready()
        await sample(world, 4_711)
        await world.until(lambda: any("transaction 4711, which Strom does not" in x for x in told))
        assert stops(charger) == []
        await world.point.connector_status(1, ConnectorStatus.AVAILABLE, clock())
        await world.until(lambda: any("has stopped" in line for line in told))


async def test_one_that_began_where_a_driver_charged_is_stopped_and_his_session_ends(
    tmp_path: Path,
) -> None:
    """The SAP simulator was killed in a session, came back without it, and began another."""
    async with running(tmp_path) as world:
        charger = await world.ready()
        quote = await world.paid()
        report = StartReport(1, quote.session_id, 0, world.clock())
        paid = (await world.point.transaction_started(report)).transaction_id
        await sample(world, paid, 100)
        world.clock.advance(30)
        number = await refused(world)
        for status in (ConnectorStatus.CHARGING, ConnectorStatus.SUSPENDED_EV):
            await world.point.connector_status(1, status, world.clock())
        world.clock.advance(20)
        await sample(world, number, 900)
        await delivered(world)
        assert stops(charger) == [number, number]
        world.clock.advance(41)
        await world.site.ring_due()
        await world.until(lambda: not world.point.sessions.open())
        session = world.journal.sessions.get(quote.session_id)
        assert session is not None
        assert (session.energy_wh, session.charging_ms) == (100, 30_000)


async def test_a_start_that_is_refused_where_a_driver_charges_does_not_end_his_charge(
    tmp_path: Path,
) -> None:
    """The simulator's generator tries connectors that are in use."""
    async with running(tmp_path) as world:
        charger = await world.ready()
        quote = await world.paid()
        report = StartReport(1, quote.session_id, 0, world.clock())
        paid = (await world.point.transaction_started(report)).transaction_id
        for second in range(1, 9):
            await refused(world)
            await world.point.connector_status(1, ConnectorStatus.AVAILABLE, world.clock())
            world.clock.advance(10)
            await sample(world, paid, second * 30)
            await world.site.ring_due()
        await delivered(world)
        assert stops(charger) == []
        session = world.point.sessions.get(quote.session_id)
        assert (session.energy_wh, session.charging_ms) == (240, 80_000)

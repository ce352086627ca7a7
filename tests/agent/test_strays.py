"""When a transaction that nobody paid for begins, is seen and is over, and whose money that is."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.connectors import WITHOUT_POWER
from agent.machine.events import ConnectorStatus, Obstacle
from agent.machine.meter import Source
from agent.machine.model import SessionState
from agent.ports.charger import MeterReport, StartReport
from tests.agent.strays import (
    UNKNOWN_CONNECTOR,
    asked,
    charging,
    delivered,
    given_up,
    refused,
    sampled,
    session,
    started,
    status,
    stopped,
)
from tests.agent.world import ManualClock, running


@pytest.mark.parametrize("free", sorted(WITHOUT_POWER))
async def test_a_connector_in_which_nothing_runs_frees_whoever_waits_there(
    tmp_path: Path, free: ConnectorStatus
) -> None:
    """What the connector says from then on is his again: here it charges for him."""
    async with running(tmp_path) as world:
        charger = await world.ready()
        quote = await world.paid()
        await refused(world)
        await status(world, free)
        assert session(world, quote).status is free
        await status(world, ConnectorStatus.CHARGING)
        assert session(world, quote).status is ConnectorStatus.CHARGING
        await delivered(world)
        assert asked(charger, "stop") == []


@pytest.mark.parametrize("how", ["stop", "stop without register", *sorted(WITHOUT_POWER)])
async def test_what_the_meter_shows_when_it_is_over_is_not_his_whose_connector_it_took(
    tmp_path: Path, how: str
) -> None:
    """The next reading is of the same meter, and holds all that the stranger drew."""
    async with running(tmp_path) as world:
        await world.ready()
        quote, _ = await charging(world)
        number = await refused(world)
        if how.startswith("stop"):
            await stopped(world, number, 1_900 if how == "stop" else None)
        else:
            await status(world, ConnectorStatus(how))
        await sampled(world, 1_900)
        await status(world, ConnectorStatus.CHARGING)
        assert session(world, quote).energy_wh == 500
        await given_up(world, quote)


async def test_one_that_ended_without_energy_never_took_the_connector(tmp_path: Path) -> None:
    """The charger obeyed the refusal: its readings, which name nothing, are still the driver's."""
    async with running(tmp_path) as world:
        charger = await world.ready()
        quote, own = await charging(world)
        await status(world, ConnectorStatus.CHARGING)
        number = await refused(world)
        await stopped(world, number, 500)
        await sampled(world, 900)
        await status(world, ConnectorStatus.SUSPENDED_EV)
        await delivered(world)
        assert session(world, quote).energy_wh == 900
        assert session(world, quote).state is SessionState.SUSPENDED
        view = (await world.point.view()).connectors[0]
        assert view.status is ConnectorStatus.SUSPENDED_EV
        await stopped(world, own, 1_000)
        assert session(world, quote).energy_wh == 1_000
        assert asked(charger, "stop") == []


async def test_a_drivers_own_reading_shows_that_his_goes_on(tmp_path: Path) -> None:
    """Nothing is asked to stop, for a connector has one transaction and that is his."""
    async with running(tmp_path) as world:
        charger = await world.ready()
        quote, own = await charging(world)
        number = await refused(world)
        await sampled(world, 700, own)
        await status(world, ConnectorStatus.CHARGING)
        await sampled(world, 900)
        await sampled(world, 950, number)
        await delivered(world)
        assert session(world, quote).energy_wh == 900
        assert session(world, quote).status is ConnectorStatus.CHARGING
        assert asked(charger, "stop") == []
        await stopped(world, own, 1_000)
        await sampled(world, 1_100, number)
        await delivered(world)
        assert asked(charger, "stop") == [number]


@pytest.mark.parametrize("source", [Source.SAMPLE, Source.END_SAMPLE])
async def test_a_drivers_reading_of_before_or_of_his_end_shows_nothing(
    tmp_path: Path, source: Source
) -> None:
    """It waited in the charger, or came with the stop that is told late."""
    async with running(tmp_path) as world:
        charger = await world.ready()
        quote, own = await charging(world)
        number = await refused(world)
        world.clock.advance(20)
        at_ms = world.clock() - (30_000 if source is Source.SAMPLE else 0)
        await world.point.meter_sampled([MeterReport(1, own, at_ms, 600, source=source)])
        billed_wh = session(world, quote).energy_wh
        await status(world, ConnectorStatus.CHARGING)
        await sampled(world, 1_900)
        await delivered(world)
        assert session(world, quote).energy_wh == billed_wh
        assert asked(charger, "stop") == [number, number]


async def test_it_is_over_for_good_where_a_paid_transaction_began(tmp_path: Path) -> None:
    """When that is over too, nobody is asked to end the earlier one."""
    async with running(tmp_path) as world:
        charger = await world.ready()
        number = await refused(world)
        quote = await world.paid()
        own = await started(world, quote)
        await sampled(world, 500, own)
        await stopped(world, own, 500)
        await status(world, ConnectorStatus.CHARGING)
        await sampled(world, 600)
        await delivered(world)
        assert asked(charger, "stop") == []
        await sampled(world, 700, number)
        await delivered(world)
        assert asked(charger, "stop") == [number]


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_a_start_without_a_time_is_told_again_only_while_it_goes_on(
    tmp_path: Path, is_restarted: bool
) -> None:
    """A card that is refused each time, and a meter that is always told as 0."""
    start = StartReport(1, "BB2TBR09", 0, 0)
    clock = ManualClock()
    async with running(tmp_path, clock) as world:
        charger = await world.ready()
        first = (await world.point.transaction_started(start)).transaction_id
        assert (await world.point.transaction_started(start)).transaction_id == first
        await stopped(world, first, 0)
        clock.advance(60)
        second = (await world.point.transaction_started(start)).transaction_id
        assert second != first
        await status(world, ConnectorStatus.CHARGING)
        await delivered(world)
        assert asked(charger, "stop") == [second]
        if not is_restarted:
            assert (await world.point.transaction_started(start)).transaction_id == second
    if is_restarted:
        async with running(tmp_path, clock) as world:
            assert (await world.point.transaction_started(start)).transaction_id == second


async def test_a_paid_start_without_a_time_is_no_strangers_again(tmp_path: Path) -> None:
    """A stranger's card was refused there just before, and the meter stands where it stood."""
    async with running(tmp_path) as world:
        await world.ready()
        await world.point.transaction_started(StartReport(1, "BB2TBR09", 500, 0))
        quote = await world.paid()
        start = StartReport(1, quote.session_id, 500, 0)
        verdict = await world.point.transaction_started(start)
        assert verdict.accepted
        world.clock.advance(5)
        assert await world.point.transaction_started(start) == verdict
        await sampled(world, 900, verdict.transaction_id)
        assert session(world, quote).energy_wh == 400


async def test_a_reading_that_is_older_than_its_end_says_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        charger = await world.ready()
        number = await refused(world)
        world.clock.advance(30)
        await stopped(world, number, 600)
        at_ms = world.clock() - 5_000
        await world.point.meter_sampled([MeterReport(1, number, at_ms, 590)])
        await status(world, ConnectorStatus.CHARGING)
        await delivered(world)
        assert asked(charger, "stop") == []


async def test_a_reading_of_before_its_connector_looked_free_says_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        charger = await world.ready()
        number = await refused(world)
        world.clock.advance(30)
        await status(world, ConnectorStatus.AVAILABLE)
        at_ms = world.clock() - 5_000
        await world.point.meter_sampled([MeterReport(1, number, at_ms, 590)])
        await delivered(world)
        assert asked(charger, "stop") == []


async def test_one_that_its_charger_ended_is_over_though_it_is_named(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        charger = await world.ready()
        number = await refused(world)
        world.clock.advance(30)
        await stopped(world, number, 600)
        await sampled(world, 600, number)
        await delivered(world)
        assert asked(charger, "stop") == []


async def test_one_that_is_read_while_its_connector_looks_free_is_asked_to_stop(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as world:
        charger = await world.ready()
        number = await refused(world)
        await status(world, ConnectorStatus.AVAILABLE)
        await sampled(world, 900, number)
        await delivered(world)
        assert asked(charger, "stop") == [number]


async def test_one_that_is_named_where_a_driver_waits_is_not_asked_to_stop(
    tmp_path: Path,
) -> None:
    """Chargers name an earlier transaction in the first readings of the next one: a stop of that
    would be a stop of his."""
    async with running(tmp_path) as world:
        charger = await world.ready()
        number = await refused(world)
        await status(world, ConnectorStatus.FINISHING)
        await world.paid()
        await world.until(lambda: bool(world.point.sessions.open()))
        await sampled(world, 900, number)
        await delivered(world)
        assert asked(charger, "stop") == []


async def test_a_later_one_runs_and_not_the_one_that_is_named(tmp_path: Path) -> None:
    """Nor does the late stop of the earlier one say that the connector is free."""
    async with running(tmp_path) as world:
        charger = await world.ready()
        earlier = await refused(world)
        later = await refused(world, register_wh=600)
        await status(world, ConnectorStatus.CHARGING)
        await sampled(world, 900, earlier)
        await stopped(world, earlier, 600)
        view = (await world.point.view()).connectors[0]
        assert view.status is ConnectorStatus.CHARGING
        await sampled(world, 950, later)
        await delivered(world)
        assert asked(charger, "stop") == [later, later]
        assert asked(charger, "cut power") == [1]


async def test_the_late_end_of_a_drivers_charge_says_nothing_of_the_strangers(
    tmp_path: Path,
) -> None:
    """It is told after the stranger began: nobody may pay for a connector that is in use."""
    async with running(tmp_path) as world:
        await world.ready()
        quote, own = await charging(world)
        await status(world, ConnectorStatus.CHARGING)
        number = await refused(world)
        await stopped(world, own, 500)
        assert session(world, quote).state is SessionState.CLOSED
        assert await world.point.obstacle(1) is Obstacle.OCCUPIED
        await stopped(world, number, 900)
        assert await world.point.obstacle(1) is None


async def test_the_charge_point_as_a_whole_says_nothing_of_a_transaction(tmp_path: Path) -> None:
    """One on a connector that is not in the file goes on until its charger says that it ended."""
    async with running(tmp_path) as world:
        charger = await world.ready()
        number = await refused(world, UNKNOWN_CONNECTOR)
        await status(world, ConnectorStatus.CHARGING, 0)
        await delivered(world)
        assert asked(charger, "stop") == []
        await status(world, ConnectorStatus.AVAILABLE, 0)
        await sampled(world, 900, connector=UNKNOWN_CONNECTOR)
        await delivered(world)
        assert asked(charger, "stop") == [number]
        await stopped(world, number, 900)
        await sampled(world, 950, connector=UNKNOWN_CONNECTOR)
        await delivered(world)
        assert asked(charger, "stop") == [number]


@pytest.mark.parametrize("connector", [0, 2, UNKNOWN_CONNECTOR])
async def test_one_elsewhere_takes_nobodys_connector(tmp_path: Path, connector: int) -> None:
    async with running(tmp_path) as world:
        await world.ready()
        quote, _ = await charging(world)
        await refused(world, connector)
        await sampled(world, 900)
        await status(world, ConnectorStatus.SUSPENDED_EV)
        assert session(world, quote).energy_wh == 900
        assert session(world, quote).state is SessionState.SUSPENDED


@pytest.mark.parametrize("connector", [1, UNKNOWN_CONNECTOR])
async def test_its_end_does_not_heal_what_is_out_of_order(tmp_path: Path, connector: int) -> None:
    """Nobody pays for a connector or a charge point that says that it is faulted."""
    async with running(tmp_path) as world:
        await world.ready()
        number = await refused(world, connector)
        await status(world, ConnectorStatus.FAULTED, connector if connector == 1 else 0)
        await stopped(world, number, 900)
        assert await world.point.obstacle(1) is Obstacle.FAULTED

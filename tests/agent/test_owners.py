"""Chargers that name transactions and connectors loosely: whose meter a reading or a stop is of."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.machine.events import ConnectorStatus
from agent.machine.model import Session, SessionState
from agent.ports.charger import MeterReport, StartReport, StopReport
from agent.ports.quotes import Quote
from tests.agent.world import ManualClock, World, running


async def charging(world: World, connector: int, register_wh: int) -> tuple[Quote, int]:
    """A driver who charges on a connector."""
    status = world.point.connector_status
    await status(connector, ConnectorStatus.AVAILABLE, world.clock())
    quote = await world.paid(connector=connector)
    report = StartReport(connector, quote.session_id, register_wh, world.clock())
    verdict = await world.point.transaction_started(report)
    await status(connector, ConnectorStatus.CHARGING, world.clock())
    return quote, verdict.transaction_id


async def sampled(world: World, connector: int, named: int | None, register_wh: int) -> None:
    """A reading, half a minute later."""
    world.clock.advance(30)
    await world.point.meter_sampled([MeterReport(connector, named, world.clock(), register_wh)])


def session(world: World, quote: Quote) -> Session:
    return world.point.sessions.get(quote.session_id)


def energies(world: World, *quotes: Quote) -> list[int]:
    return [session(world, quote).energy_wh for quote in quotes]


@pytest.mark.parametrize("restarted", [False, True])
async def test_a_number_of_the_chargers_own_is_not_the_one_next_door(
    tmp_path: Path, restarted: bool
) -> None:
    """It counts by itself: what it calls by the first driver's number is the second one's."""
    clock = ManualClock()
    async with running(tmp_path, clock) as world:
        await world.ready()
        first, number = await charging(world, 1, 1_000)
        second, _ = await charging(world, 2, 50_000)
        if not restarted:
            await sampled(world, 2, number, 50_400)
            assert energies(world, first, second) == [0, 400]
    if restarted:
        async with running(tmp_path, clock) as world:
            await world.ready()
            await sampled(world, 2, number, 50_400)
            assert energies(world, first, second) == [0, 400]


async def test_a_number_of_the_chargers_own_where_nobody_paid_is_on_no_bill(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.ready()
        first, number = await charging(world, 1, 1_000)
        world.clock.advance(1)
        await world.point.connector_status(2, ConnectorStatus.CHARGING, world.clock())
        await sampled(world, 2, number, 1_300)
        assert energies(world, first) == [0]
        await world.point.transaction_started(StartReport(2, "A CARD", 1_000, world.clock()))
        await sampled(world, 2, number, 1_400)
        assert energies(world, first) == [0]


@pytest.mark.parametrize("named_by", ["0", "another", "one that there is not"])
async def test_a_wrong_connector_with_the_right_number_is_billed(
    tmp_path: Path, named_by: str
) -> None:
    """Where nothing else runs on the connector that it names."""
    connector = {"0": 0, "another": 2, "one that there is not": 9}[named_by]
    async with running(tmp_path) as world:
        await world.ready()
        first, number = await charging(world, 1, 1_000)
        await sampled(world, connector, number, 1_300)
        assert energies(world, first) == [300]


async def test_a_charge_that_its_states_show_next_door_is_billed(tmp_path: Path) -> None:
    """The start echoes the connector that was asked for, and the plug is in the other one."""
    async with running(tmp_path) as world:
        await world.ready()
        quote = await world.paid()
        report = StartReport(1, quote.session_id, 1_000, world.clock())
        number = (await world.point.transaction_started(report)).transaction_id
        await world.point.connector_status(2, ConnectorStatus.CHARGING, world.clock())
        await sampled(world, 2, number, 1_300)
        assert energies(world, quote) == [300]


async def test_a_charger_that_always_says_1_and_numbers_rightly_bills_each_his_own(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as world:
        await world.ready()
        first, first_number = await charging(world, 1, 1_000)
        second, second_number = await charging(world, 2, 50_000)
        await sampled(world, 1, first_number, 1_100)
        await sampled(world, 1, second_number, 50_400)
        await sampled(world, 1, first_number, 1_200)
        assert energies(world, first, second) == [200, 400]


async def test_what_a_charger_numbers_rightly_is_known_after_a_restart(tmp_path: Path) -> None:
    """Its first reading then is of the other driver, and names this one's connector."""
    clock = ManualClock()
    async with running(tmp_path, clock) as world:
        await world.ready()
        first, first_number = await charging(world, 1, 1_000)
        second, second_number = await charging(world, 2, 50_000)
        await sampled(world, 1, first_number, 1_100)
    async with running(tmp_path, clock) as world:
        await world.ready()
        await sampled(world, 1, second_number, 50_400)
        await sampled(world, 1, first_number, 1_200)
        assert energies(world, first, second) == [200, 400]


async def test_a_past_number_from_next_door_keeps_no_reading_from_who_charges(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as world:
        await world.ready()
        first, number = await charging(world, 1, 1_000)
        await world.point.transaction_stopped(StopReport(number, 1_200, world.clock()))
        assert session(world, first).state is SessionState.CLOSED
        second, _ = await charging(world, 2, 50_000)
        await sampled(world, 2, number, 50_400)
        assert energies(world, first, second) == [200, 400]


async def test_a_stop_by_another_ones_number_ends_whose_tag_it_has(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.ready()
        first, number = await charging(world, 1, 1_000)
        second, _ = await charging(world, 2, 50_000)
        world.clock.advance(30)
        stop = StopReport(number, 50_400, world.clock(), id_tag=second.session_id)
        await world.point.transaction_stopped(stop)
        assert session(world, first).state is SessionState.CHARGING
        closed = session(world, second)
        assert (closed.state, closed.energy_wh) == (SessionState.CLOSED, 400)


async def test_a_stop_under_any_card_ends_the_transaction_that_it_names(tmp_path: Path) -> None:
    """Also under the tag of a neighbour, where the charger is known to number rightly."""
    async with running(tmp_path) as world:
        await world.ready()
        first, first_number = await charging(world, 1, 1_000)
        second, second_number = await charging(world, 2, 50_000)
        await sampled(world, 2, second_number, 50_100)
        stop = StopReport(first_number, 1_200, world.clock(), id_tag=second.session_id)
        await world.point.transaction_stopped(stop)
        assert session(world, first).state is SessionState.CLOSED
        assert session(world, second).state is SessionState.CHARGING
        stop = StopReport(second_number, 50_400, world.clock(), id_tag="A MASTER CARD")
        await world.point.transaction_stopped(stop)
        assert energies(world, first, second) == [200, 400]

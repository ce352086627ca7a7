"""Connections that end and begin at once, and what a charger says at one moment."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agent.machine.events import ConnectorStatus
from agent.machine.model import SessionState
from agent.ports.charger import StartReport, StopReport
from agent.ports.quotes import Quote
from tests.agent.world import ScriptedCharger, World, running


async def charging(world: World, connector: int) -> Quote:
    quote = await world.paid(1000, connector)
    report = StartReport(connector, quote.session_id, 0, world.clock())
    assert (await world.point.transaction_started(report)).accepted
    return quote


async def test_a_charger_that_is_back_while_its_sessions_hear_that_it_is_lost(
    tmp_path: Path,
) -> None:
    """None of them stays lost: nobody would plan its stop."""
    async with running(tmp_path) as world:
        charger = await world.ready()
        quotes = [await charging(world, connector) for connector in (1, 2)]
        back = ScriptedCharger()
        await asyncio.gather(world.point.detach(charger), world.point.attach(back))
        sessions = [world.point.sessions.get(quote.session_id) for quote in quotes]
        assert [session.offline_since_ms for session in sessions] == [None, None]
        world.clock.advance(1)
        await asyncio.gather(world.point.attach(charger), world.point.detach(charger))
        sessions = [world.point.sessions.get(quote.session_id) for quote in quotes]
        assert [session.offline_since_ms for session in sessions] == [world.clock()] * 2


async def test_a_state_that_changes_back_within_a_second_is_the_last_one(tmp_path: Path) -> None:
    """Else idle time is billed to a driver whose car is charging."""
    async with running(tmp_path) as world:
        await world.ready()
        quote = await charging(world, 1)
        world.clock.advance(1)
        at_ms = world.clock()
        paused, charges = ConnectorStatus.SUSPENDED_EV, ConnectorStatus.CHARGING
        for status in (charges, paused, charges):
            world.clock.advance(0.1)
            await world.point.connector_status(1, status, at_ms)
        assert world.point.sessions.get(quote.session_id).state is SessionState.CHARGING
        await world.point.connector_status(1, paused, at_ms + 1000)
        await world.point.connector_status(1, charges, at_ms)
        assert world.point.sessions.get(quote.session_id).state is SessionState.SUSPENDED


async def test_two_early_stops_of_one_moment_are_two(tmp_path: Path) -> None:
    """A charger that lost its power tells both ends first, without a transaction's id."""
    async with running(tmp_path) as world:
        await world.ready()
        quotes = [await world.paid(1000, connector) for connector in (1, 2)]
        at_ms = world.clock()
        for quote in quotes:
            stop = StopReport(-1, 0, at_ms, "PowerLoss", quote.session_id)
            await world.point.transaction_stopped(stop)
        for connector, quote in enumerate(quotes, 1):
            start = StartReport(connector, quote.session_id, 0, at_ms - 1000)
            await world.point.transaction_started(start)
        sessions = [world.point.sessions.get(quote.session_id) for quote in quotes]
        assert [session.state for session in sessions] == [SessionState.CLOSED] * 2


async def test_a_start_that_comes_over_two_connections_at_once_is_one(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.ready()
        quote = await world.paid(1000)
        for tag in (quote.session_id, "a stranger"):
            report = StartReport(1, tag, 0, world.clock())
            started = world.point.transaction_started
            first, second = await asyncio.gather(started(report), started(report))
            assert first == second

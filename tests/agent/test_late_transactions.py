"""What runs for a session that is over: it is nobody's, it is stopped, and operators are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.alerts import Alerts
from agent.machine.events import ConnectorStatus
from agent.machine.model import SessionState
from agent.ports.charger import StartReport, StopReport
from tests.agent.strays import (
    asked,
    charging,
    delivered,
    sampled,
    session,
    started,
    status,
    stopped,
)
from tests.agent.world import ManualClock, ScriptedCharger, running


async def test_a_start_for_a_session_that_is_over_is_nobodys(tmp_path: Path) -> None:
    """It takes the connector from the next driver, is asked to stop until it does, also by
    readings that name it, and operators hear what it gave away."""
    clock, told = ManualClock(), list[str]()

    async def tell(sentence: str) -> None:
        told.append(sentence)

    async with running(tmp_path, clock, alerts=Alerts(clock, tell)) as world:
        charger = await world.ready()
        first, own = await charging(world)
        await stopped(world, own, 500)
        second = await world.paid()
        await started(world, second, 500)
        await sampled(world, 700)
        assert session(world, second).energy_wh == 200
        report = StartReport(1, first.session_id, 700, clock())
        verdict = await world.point.transaction_started(report)
        assert not verdict.accepted
        number = verdict.transaction_id
        await sampled(world, 1_700)
        await sampled(world, 1_900, number)
        await delivered(world)
        assert session(world, second).energy_wh == 200
        assert session(world, first).energy_wh == 500
        assert asked(charger, "stop") == [number] * 3
        await stopped(world, number, 2_000)
        await world.until(lambda: any("gave 1,300 Wh that nobody paid" in line for line in told))
        await sampled(world, 2_100)
        await delivered(world)
        assert asked(charger, "stop") == [number] * 3


@pytest.mark.parametrize(
    ("register_wh", "told"),
    [(900, "gave 400 Wh that nobody was billed for"), (500, ""), (9_000_000, "")],
)
async def test_what_a_charge_took_after_it_was_given_up_is_told(
    tmp_path: Path, register_wh: int, told: str
) -> None:
    """Where its register can have counted that much."""
    heard: list[str] = []

    async def tell(text: str) -> None:
        heard.append(text)

    clock = ManualClock()
    async with running(tmp_path, clock, alerts=Alerts(clock, tell)) as world:
        charger = await world.ready()
        quote, number = await charging(world)
        await world.point.detach(charger)
        clock.advance(24 * 3600)
        await world.site.ring_due()
        closed = session(world, quote)
        assert (closed.state, closed.energy_wh) == (SessionState.CLOSED, 500)
        await world.point.attach(charger)
        for _ in range(2):
            await world.point.transaction_stopped(
                StopReport(number, register_wh, clock() - 23 * 3600 * 1000)
            )
        await world.until(lambda: not told or any(told in line for line in heard))
        assert len([line for line in heard if "nobody" in line]) == bool(told)
        assert session(world, quote).energy_wh == 500


async def test_after_a_restart_a_start_for_a_session_that_is_over_is_still_asked_to_stop(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    async with running(tmp_path, clock) as world:
        await world.ready()
        quote, own = await charging(world)
        await world.point.transaction_stopped(StopReport(own, 500, clock()))
        clock.advance(10)
        again = StartReport(quote.connector, quote.session_id, 500, clock())
        verdict = await world.point.transaction_started(again)
        assert not verdict.accepted
        await status(world, ConnectorStatus.CHARGING)
        await delivered(world)
    clock.advance(60)
    async with running(tmp_path, clock) as world:
        charger = ScriptedCharger()
        await world.point.attach(charger)
        await status(world, ConnectorStatus.CHARGING)
        await delivered(world)
        assert asked(charger, "stop") == [verdict.transaction_id]
        assert session(world, quote).energy_wh == 500

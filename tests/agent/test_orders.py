"""What a charger is asked for, through journal and outbox."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.machine.effects import Topic
from agent.machine.events import ConnectorStatus, Obstacle
from agent.machine.model import SessionState
from agent.ports.charger import MeterReport, StartOutcome, StartReport, StopReport
from tests.agent.world import ScriptedCharger, World, running


class SlowCharger(ScriptedCharger):
    """Its answer to a start comes when the test lets it."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    async def start(self, connector: int, id_tag: str) -> StartOutcome:
        self._world.clock.advance(25)
        return await super().start(connector, id_tag)


async def test_a_start_that_was_accepted_late_is_not_asked_for_again(tmp_path: Path) -> None:
    """Behind an outage answer and plug come together: the SAP simulator began twice."""
    async with running(tmp_path) as world:
        charger = SlowCharger(world)
        await world.ready(charger)
        quote = await world.paid()
        await world.until(lambda: not world.journal.undelivered())
        await world.point.connector_status(1, ConnectorStatus.PREPARING, world.clock())
        await world.until(lambda: not world.journal.undelivered())
        assert charger.asked == [("start", 1, quote.session_id)]
        world.clock.advance(21)
        await world.point.connector_status(1, ConnectorStatus.AVAILABLE, world.clock())
        await world.point.connector_status(1, ConnectorStatus.PREPARING, world.clock())
        await world.until(lambda: len(charger.asked) == 2)


async def test_of_two_transactions_that_which_the_meter_shows_is_stopped(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        charger = await world.ready()
        quote = await world.paid()
        numbers: list[int] = []
        for _ in range(2):
            world.clock.advance(1)
            report = StartReport(1, quote.session_id, 0, world.clock())
            numbers.append((await world.point.transaction_started(report)).transaction_id)
        world.clock.advance(10)
        reading = MeterReport(1, numbers[0], world.clock(), 100, 11_000)
        await world.point.meter_sampled([reading])
        await world.site.office.stop_by_operator(quote.session_id)
        await world.until(lambda: ("stop", numbers[0], "") in charger.asked)
        stop = StopReport(numbers[0], 110, world.clock())
        await world.point.transaction_stopped(stop)
        session = world.journal.sessions.get(quote.session_id)
        assert session is not None
        assert (session.state, session.energy_wh) == (SessionState.CLOSED, 110)


@pytest.mark.parametrize("charged_before", [False, True])
async def test_what_begins_after_its_session_ended_is_asked_to_stop_until_it_does(
    tmp_path: Path, charged_before: bool
) -> None:
    async with running(tmp_path) as world:
        charger = await world.ready()
        quote = await world.paid()
        if charged_before:
            first = StartReport(1, quote.session_id, 0, world.clock())
            ended = (await world.point.transaction_started(first)).transaction_id
            await world.point.transaction_stopped(StopReport(ended, 100, world.clock()))
        else:
            await world.site.office.stop_by_operator(quote.session_id)
        world.clock.advance(10)
        again = StartReport(1, quote.session_id, 100, world.clock())
        running_on = (await world.point.transaction_started(again)).transaction_id
        stop = ("stop", running_on, "")
        await world.until(lambda: charger.asked.count(stop) == 1)
        for minute in (1, 2):
            world.clock.advance(60)
            asked = charger.asked.count(stop)
            reading = MeterReport(1, running_on, world.clock(), 100 + 100 * minute, 11_000)
            await world.point.meter_sampled([reading])
            await world.until(lambda asked=asked: charger.asked.count(stop) > asked)
        await world.point.transaction_stopped(StopReport(running_on, 400, world.clock()))
        await world.until(lambda: not world.journal.undelivered())
        asked = charger.asked.count(stop)
        world.clock.advance(60)
        await world.point.meter_sampled([MeterReport(1, running_on, world.clock(), 400, 0)])
        await world.until(lambda: not world.journal.undelivered())
        assert charger.asked.count(stop) == asked


async def test_a_charger_that_wants_the_cable_unplugged_is_asked_again_then(tmp_path: Path) -> None:
    """Many begin no other transaction in Finishing: the driver hears what to do, and need not pay
    again for it."""
    async with running(tmp_path) as world:
        charger = ScriptedCharger(start_outcome=StartOutcome.REJECTED)
        await world.ready(charger)
        await world.point.connector_status(1, ConnectorStatus.FINISHING, world.clock())
        quote = await world.paid()
        assert (await world.site.owned.session(quote.secret)).unplug_first
        await world.until(lambda: not world.journal.undelivered())
        assert charger.asked == [("start", 1, quote.session_id)]
        assert world.point.sessions.get(quote.session_id).state is SessionState.STARTING
        world.clock.advance(5)
        await world.point.connector_status(1, ConnectorStatus.AVAILABLE, world.clock())
        await world.until(lambda: len(charger.asked) == 2)
        await world.until(lambda: not world.journal.undelivered())
        assert not (await world.site.owned.session(quote.secret)).unplug_first
        charger.start_outcome = StartOutcome.ACCEPTED
        world.clock.advance(5)
        await world.point.connector_status(1, ConnectorStatus.PREPARING, world.clock())
        await world.until(lambda: len(charger.asked) == 3)
        verdict = await world.point.transaction_started(
            StartReport(1, quote.session_id, 0, world.clock())
        )
        assert verdict.accepted
        assert Topic.NOT_STARTED not in world.ear.topics()


async def test_who_does_not_unplug_gets_all_back_and_hears_why(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        charger = ScriptedCharger(start_outcome=StartOutcome.REJECTED)
        await world.ready(charger)
        quote = await world.paid()
        session = world.point.sessions.get(quote.session_id)
        await world.until(lambda: not world.journal.undelivered())
        assert world.point.sessions.get(session.id).obstacle is Obstacle.REJECTED
        await world.point.connector_status(1, ConnectorStatus.FINISHING, world.clock())
        quote = await world.paid()
        await world.until(lambda: not world.journal.undelivered())
        world.clock.advance(120)
        await world.site.ring_due()
        view = await world.site.owned.session(quote.secret)
        assert (view.obstacle, view.owed_msat) == (Obstacle.STILL_PLUGGED_IN, view.paid_msat)

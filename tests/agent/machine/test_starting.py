"""How a session begins: with a payment, a cable to unplug, and starts that are asked for again."""

from __future__ import annotations

from agent.machine.effects import SendMessage, StartCharging, Topic
from agent.machine.events import ConnectorStatus, Obstacle, StartRejected
from agent.machine.model import SessionState
from agent.machine.session import opened, step
from tests.agent.machine.examples import (
    POLICY,
    SAT,
    SECOND,
    T0,
    named,
    paid,
    showed,
    starting,
    unplug_wanted,
    waited,
)


def test_a_payment_opens_a_session_and_asks_the_charger_to_start() -> None:
    session, effects = opened("session", "CP001", 1, POLICY, paid())
    assert session.state is SessionState.STARTING
    assert named(effects) == "StartCharging PublishZapReceipt PublishStatus Say:PLUG_IN"


def test_a_cable_that_has_to_be_unplugged_is_told_once_and_the_charger_asked_again() -> None:
    session, effects = step(starting(), unplug_wanted(T0 + SECOND))
    assert named(effects) == "PublishStatus Say:UNPLUG_FIRST"
    session, effects = step(session, showed(T0 + 5 * SECOND, ConnectorStatus.AVAILABLE))
    assert effects == (StartCharging(2),)
    # It wants a plug first: no money is given back for that, nor the next plug left unused.
    session, _ = step(session, StartRejected("rejected:2", T0 + 6 * SECOND))
    assert not session.unplug_first
    _, effects = step(session, showed(T0 + 9 * SECOND, ConnectorStatus.PREPARING))
    assert effects == (StartCharging(3),)


def test_who_does_not_unplug_in_time_is_told_that() -> None:
    session, _ = opened("session", "CP001", 1, POLICY, paid(), unplug_first=True)
    session, _ = step(session, showed(T0 + SECOND, ConnectorStatus.FINISHING))
    _, effects = step(session, waited(session.start_deadline_ms))
    assert SendMessage(Topic.NOT_STARTED, 1_000 * SAT, Obstacle.STILL_PLUGGED_IN) in effects


def test_a_start_is_asked_for_again_only_when_the_charger_may_have_forgotten_it() -> None:
    soon = showed(T0 + 19 * SECOND, ConnectorStatus.PREPARING)
    assert named(step(starting(), soon)[1]) == "PublishStatus"
    late = showed(T0 + 20 * SECOND, ConnectorStatus.PREPARING)
    assert named(step(starting(), late)[1]) == "StartCharging"

"""How a session is stopped: the charger is asked, asked again, and at last given up. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from agent.machine.effects import CutPower, Effect, PublishStatus, SendMessage, StopCharging, Topic
from agent.machine.events import DeadlineReached, StopBy
from agent.machine.forecast import stop_repeats_at, vanished_ends_at
from agent.machine.model import Ending, Session, SessionState
from agent.machine.settling import Result, close


def stop(session: Session, at_ms: int, by: StopBy) -> Result:
    """Ask the charger to stop."""
    stopping = replace(
        session,
        state=SessionState.STOPPING,
        stop_by=by,
        stop_sent_at_ms=at_ms,
        stop_attempts=1,
        stopping_since_ms=at_ms,
    )
    return stopping, (
        *ask_to_stop(stopping),
        PublishStatus(),
        SendMessage(Topic.STOPPING),
    )


def ask_to_stop(session: Session) -> tuple[Effect, ...]:
    """The charger is asked to stop what runs."""
    if session.transaction_id is None:
        return ()
    return (StopCharging(session.transaction_id),)


def ask_again(session: Session, at_ms: int) -> Result:
    """The charger is asked once more."""
    attempts = session.stop_attempts + 1
    asked = replace(session, stop_sent_at_ms=at_ms, stop_attempts=attempts)
    return asked, ask_to_stop(asked)


def cut_power(session: Session) -> tuple[Effect, ...]:
    """Power is cut off what goes on after a stop: it is nobody's to pay for.

    Never before a stop: some cars end a charge for good when their power is taken away.
    """
    return () if session.transaction_id is None else (CutPower(session.transaction_id),)


def insist(session: Session, event: DeadlineReached) -> Result:
    """A stop that had no effect is asked for again, and at last given up."""
    policy = session.policy
    ending = given_up(session, event.at_ms)
    if ending is not None:
        return close(replace(session, ending=ending), event.at_ms)
    if session.offline_since_ms is not None:
        return session, ()
    if event.at_ms >= session.stopping_since_ms + policy.stop_give_up_ms:
        ending = Ending.WOULD_NOT_STOP
        closed, effects = close(replace(session, ending=ending), event.at_ms)
        return closed, (SendMessage(Topic.CHARGER_SILENT), *effects)
    if event.at_ms >= stop_repeats_at(session):
        first = session.stop_sent_at_ms == session.stopping_since_ms
        again, effects = ask_again(session, event.at_ms)
        return again, (*effects, *(cut_power(session) if first else ()))
    return session, ()


def given_up(session: Session, at_ms: int) -> Ending | None:
    """Why the charger's own word on the end is not waited for any longer; None while it is."""
    policy = session.policy
    lost = session.offline_since_ms
    vanished_ms = vanished_ends_at(session)
    if lost is not None and at_ms >= lost + policy.offline_timeout_ms:
        return Ending.LOST
    if vanished_ms is not None and at_ms >= vanished_ms:
        return Ending.VANISHED
    return None

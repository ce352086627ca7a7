"""What the states of its connector mean to a session, and a charger that is lost or boots. Pure.

They come late, twice and out of order; and a connector that looks free ends no session by itself.
"""

from __future__ import annotations

from msgspec.structs import replace

from agent.machine.effects import (
    PublishStatus,
    SendMessage,
    StartCharging,
    Topic,
)
from agent.machine.events import (
    ChargerBooted,
    ConnectorStatus,
    ConnectorStatusChanged,
    MeterSampled,
)
from agent.machine.forecast import stop_repeats_at
from agent.machine.model import Session, SessionState
from agent.machine.sampling import LOOKS_FREE, PAUSED, vouched
from agent.machine.settling import Result
from agent.machine.stopping import ask_again, ask_to_stop

RESTART_AFTER_MS = 20_000
"""A start that old may be forgotten by the charger (ConnectionTimeOut is 30 s by default)."""

_POWERED = frozenset({ConnectorStatus.CHARGING})
_STILL_PLUGGED_IN = frozenset(
    {
        ConnectorStatus.FINISHING,
        ConnectorStatus.OFFLINE,
        ConnectorStatus.FAULTED,
        ConnectorStatus.UNAVAILABLE,
        ConnectorStatus.RESERVED,
    }
)
"""States after which a cable that was plugged in before is so still. Chargers show Finishing as
well where nobody plugged in in time."""


def status_while_starting(session: Session, event: ConnectorStatusChanged) -> Result:
    """A car that is plugged in is asked for once more where the charger may have forgotten."""
    status, known = event.status, session.status
    unplug_first = session.unplug_first and status in _STILL_PLUGGED_IN
    changed = replace(session, status=status, unplug_first=unplug_first)
    plugged_in = status is ConnectorStatus.PREPARING and known is not status
    freed = known is not status or session.unplug_first
    unplugged = status is ConnectorStatus.AVAILABLE and freed
    asks = plugged_in or (unplugged and not session.start_sent_at_ms)
    if asks and event.at_ms - session.start_sent_at_ms >= RESTART_AFTER_MS:
        attempt = session.start_attempts + 1
        asked = replace(changed, start_attempts=attempt, start_sent_at_ms=event.at_ms)
        return asked, (StartCharging(attempt),)
    return changed, (PublishStatus(),)


def _is_of_before(session: Session, event: ConnectorStatusChanged) -> bool:
    """Whether a free connector is yesterday's news: chargers deliver what they kept, too."""
    return event.status in LOOKS_FREE and event.at_ms < (session.started_at_ms or 0)


def status_while_charging(session: Session, event: ConnectorStatusChanged) -> Result:
    """Pauses, faults, and what ends them."""
    if event.status is ConnectorStatus.OFFLINE:
        return _lose(session, event)
    if _is_of_before(session, event):
        return session, ()
    changed = replace(vouched(session, event), faulted_since_ms=None)
    if event.status in LOOKS_FREE:
        return changed, (PublishStatus(),)
    if event.status in PAUSED and session.state is SessionState.CHARGING:
        paused = replace(changed, state=SessionState.SUSPENDED, power_w=0, plan_power_w=0)
        return paused, (PublishStatus(), SendMessage(Topic.SUSPENDED))
    if event.status is ConnectorStatus.FAULTED:
        since_ms = session.faulted_since_ms or max(changed.counted_until_ms, event.at_ms)
        faulted = replace(changed, power_w=0, plan_power_w=0, faulted_since_ms=since_ms)
        return faulted, (PublishStatus(),)
    paused = session.state is SessionState.SUSPENDED
    if event.status in _POWERED and (paused or session.status is ConnectorStatus.FAULTED):
        power_w = session.peak_power_w or session.max_power_w
        plan_w = max(changed.plan_power_w, power_w)
        resumed = replace(changed, state=SessionState.CHARGING, plan_power_w=plan_w)
        told = (SendMessage(Topic.RESUMED),) if paused else ()
        return resumed, (PublishStatus(), *told)
    return changed, (PublishStatus(),)


def status_while_stopping(session: Session, event: ConnectorStatusChanged) -> Result:
    """A charger that is back is asked to stop again."""
    if event.status is ConnectorStatus.OFFLINE:
        return _lose(session, event)
    if _is_of_before(session, event):
        return session, ()
    back = session.offline_since_ms is not None
    changed = vouched(session, event)
    if back:
        again = replace(changed, stop_sent_at_ms=event.at_ms)
        return again, (*ask_to_stop(again), PublishStatus())
    return changed, (PublishStatus(),)


def _lose(session: Session, event: ConnectorStatusChanged) -> Result:
    """The charger is gone: it may go on charging, so only its own later word counts."""
    if session.offline_since_ms is not None:
        return session, ()
    unheard_ms = session.unheard_since_ms
    if unheard_ms is None:
        unheard_ms = (
            max(event.heard_ms, session.counted_until_ms) if event.heard_ms else event.at_ms
        )
    lost = replace(session, offline_since_ms=event.at_ms, unheard_since_ms=unheard_ms)
    return lost, (PublishStatus(),)


def boot(session: Session, event: ChargerBooted) -> Result:
    """A boot says what a silence was, and that the register may have lost some of what it counted;
    some chargers send one for no reason.

    The credit lasts as long as before, so the readings that the stop is planned from move on by
    the silence.
    """
    lost_ms = session.unheard_since_ms
    if lost_ms is None:
        return replace(session, booted_at_ms=event.at_ms), ()
    silence_ms = max(0, event.at_ms - max(lost_ms, session.booted_at_ms, session.metered_at_ms))
    booted = replace(
        session,
        booted_at_ms=event.at_ms,
        metered_at_ms=session.metered_at_ms + silence_ms,
        paced_at_ms=session.paced_at_ms and session.paced_at_ms + silence_ms,
    )
    return booted, ()


def go_on_in_vain(session: Session, event: MeterSampled | ConnectorStatusChanged) -> Result:
    """The transaction of a session that was given up still runs: nobody pays for this."""
    if session.transaction_id is None or session.transaction_ended:
        return session, ()
    if isinstance(event, ConnectorStatusChanged) and event.status not in _POWERED | PAUSED:
        return session, ()
    if event.at_ms < stop_repeats_at(session):
        return session, ()
    return ask_again(session, event.at_ms)

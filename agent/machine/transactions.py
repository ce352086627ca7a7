"""How a session's transaction begins and ends, as the charger tells it, late or twice. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from agent.machine.effects import (
    PublishStatus,
    SendMessage,
    SettlePayment,
    StopCharging,
    Topic,
)
from agent.machine.events import (
    ConnectorStatus,
    TransactionShown,
    TransactionStarted,
    TransactionStopped,
)
from agent.machine.forecast import is_idle
from agent.machine.meter import Meter, Reading, Source
from agent.machine.model import EarlyStop, Ending, Session, SessionState
from agent.machine.sampling import PAUSED, metered
from agent.machine.settling import Result, close
from agent.machine.stopping import ask_to_stop

TOLD_LATE_MS = 60_000
"""A start that is told so long after it was one of an outage: what it became is not known yet."""
POWER_LOSS = "PowerLoss"
"""The reason of a stop that its charger tells of once it has power again (OCPP 1.6, 7.36)."""


def stop_early(session: Session, event: TransactionStopped) -> Result:
    """The end before the beginning: some chargers send what they kept in the wrong order."""
    early = EarlyStop(event.at_ms, event.register_wh, event.reason)
    return replace(session, early_stop=early), ()


def begin(session: Session, event: TransactionStarted) -> Result:
    """Charging begins, and ends at once where its end was told before."""
    early = session.early_stop
    if early is None:
        return _begin_now(session, event)
    begun, effects = _begin_now(replace(session, early_stop=None), event)
    if early.at_ms < event.at_ms:
        return begun, effects
    stopped = TransactionStopped(
        event.key, early.at_ms, event.transaction_id, early.register_wh, early.reason
    )
    ended, end_effects = end(begun, stopped)
    return ended, (*effects, *end_effects)


def _at_its_connector(session: Session, event: TransactionStarted) -> Session:
    """Some drivers plug in next door, and some chargers start them there."""
    if event.connector in (0, session.connector):
        return session
    return replace(
        session,
        connector=event.connector,
        max_power_w=event.max_power_w,
        status=ConnectorStatus.PREPARING,
    )


def _begin_now(session: Session, event: TransactionStarted) -> Result:
    session = _at_its_connector(session, event)
    # Nothing began before it was paid for: a clock that says so would bill time from then on.
    begun_at_ms = max(event.at_ms, session.opened_at_ms)
    paused = session.status in PAUSED
    is_late = event.told_at_ms - begun_at_ms > TOLD_LATE_MS
    looks_free = is_late and session.status is ConnectorStatus.AVAILABLE
    begun = replace(
        session,
        state=SessionState.SUSPENDED if paused else SessionState.CHARGING,
        plan_power_w=0 if paused else session.max_power_w,
        transaction_id=event.transaction_id,
        started_at_ms=begun_at_ms,
        counted_until_ms=begun_at_ms,
        sampled_at_ms=event.at_ms,
        metered_at_ms=begun_at_ms,
        paced_at_ms=begun_at_ms,
        meter=_meter_of(event),
        offline_since_ms=None,
        unheard_since_ms=begun_at_ms if is_late else None,
        back_at_ms=event.told_at_ms if is_late else session.back_at_ms,
        vanished_since_ms=event.told_at_ms if looks_free else None,
    )
    return begun, (
        *(SettlePayment(payment.payment_hash) for payment in begun.held),
        PublishStatus(),
        SendMessage(Topic.STARTED, amount_msat=session.credit_msat),
    )


def _meter_of(event: TransactionStarted) -> Meter | None:
    register_wh = event.register_wh
    return None if register_wh is None else Meter.started(register_wh, event.at_ms)


def begin_again(session: Session, event: TransactionStarted) -> Result:
    """The charger lost the transaction and began another for the same driver: it goes on."""
    if event.transaction_id == session.transaction_id:
        return session, ()
    session = _at_its_connector(session, event)
    meter = session.meter
    if meter is None:
        meter = _meter_of(event)
    elif event.register_wh is not None:
        meter = meter.began_again(event.register_wh, event.at_ms)
    counted_ms = session.counted_until_ms
    if session.unheard_since_ms is not None:
        # It lost its power: between the two nothing flowed.
        counted_ms = max(counted_ms, event.at_ms)
    resumed = replace(
        session,
        transaction_id=event.transaction_id,
        counted_until_ms=counted_ms,
        unheard_since_ms=None,
        meter=meter,
        sampled_at_ms=event.at_ms,
        metered_at_ms=max(event.at_ms, session.metered_at_ms),
        paced_wh=session.energy_wh,
        paced_at_ms=max(event.at_ms, session.metered_at_ms),
        offline_since_ms=None,
        vanished_since_ms=None,
    )
    if session.state is SessionState.STOPPING:
        return resumed, ask_to_stop(resumed)
    return resumed, (PublishStatus(),)


def go_on_with(session: Session, event: TransactionShown) -> Result:
    """It is this transaction that runs, and it that is to be stopped.

    Readings that were written before the latest one began say nothing of what runs.
    """
    latest_began_at_ms = session.meter.past.began_at_ms if session.meter else 0
    known = event.transaction_id == session.transaction_id or session.transaction_ended
    if known or event.at_ms <= latest_began_at_ms:
        return session, ()
    shown = replace(session, transaction_id=event.transaction_id)
    return shown, ask_to_stop(shown) if session.state is SessionState.STOPPING else ()


def begin_in_vain(session: Session, event: TransactionStarted) -> Result:
    """The charger starts for a session that is over: nobody pays for this."""
    if event.transaction_id == session.transaction_id:
        return session, ()
    return session, (StopCharging(event.transaction_id),)


def end(session: Session, event: TransactionStopped) -> Result:
    """The charger's last word on its transaction; one on another of this session is ignored,
    unless a stop was asked for: a connector has one transaction, and that ran."""
    stopping = session.state is SessionState.STOPPING
    asked = stopping and event.at_ms >= session.stopping_since_ms
    if event.transaction_id != session.transaction_id and not asked:
        return session, ()
    at_ms = max(event.at_ms, session.sampled_at_ms, session.counted_until_ms)
    reading = None
    if event.register_wh is not None:
        reading = Reading(event.register_wh, at_ms, Source.STOP)
    after = metered(session, at_ms, reading, 0, _went_on_until(session, event))
    after = _no_longer_than(after, event.at_ms)
    believed = after.meter is not None and after.meter.source is Source.STOP
    ending = Ending.STOPPED if believed else Ending.NOT_BELIEVED
    ending = Ending.NO_REGISTER if reading is None else ending
    ending = Ending.VANISHED if event.presumed else ending
    return close(replace(after, transaction_ended=not event.presumed, ending=ending), at_ms)


def _no_longer_than(session: Session, stopped_ms: int) -> Session:
    """The session with no more time than there was until its stop, as the charger says: states
    that it kept, or told without a time, may have counted more."""
    most_ms = stopped_ms - (session.started_at_ms or stopped_ms)
    beyond_ms = session.charging_ms + session.idle_ms - most_ms
    if beyond_ms <= 0 or most_ms <= 0:
        # A stop before its start is not dated at all.
        return session
    if is_idle(session):
        idle_ms = max(0, session.idle_ms - beyond_ms)
        return replace(session, idle_ms=idle_ms, charging_ms=min(session.charging_ms, most_ms))
    charging_ms = max(0, session.charging_ms - beyond_ms)
    return replace(session, charging_ms=charging_ms, idle_ms=min(session.idle_ms, most_ms))


def _went_on_until(session: Session, event: TransactionStopped) -> int:
    """Up to when a charge went on that has stopped: as the charger says, except that nothing
    flows once its connector looks free, or without power."""
    unheard_ms, vanished_ms = session.unheard_since_ms, session.vanished_since_ms
    if unheard_ms is None:
        return event.at_ms if vanished_ms is None else session.counted_until_ms
    until_ms = event.at_ms if vanished_ms is None else min(event.at_ms, vanished_ms)
    return min(until_ms, unheard_ms) if event.reason == POWER_LOSS else until_ms


def end_in_vain(session: Session, event: TransactionStopped) -> Result:
    """A late word that the transaction has ended; what it cost was fixed before."""
    ended = event.transaction_id == session.transaction_id
    return replace(session, transaction_ended=session.transaction_ended or ended), ()

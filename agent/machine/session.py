"""The session machine: from the settled payment to the last millisatoshi. Pure.

`step(session, event)` gives the session after an event and the effects it asks for;
`deadlines.deadline(session)` says when to send it a DeadlineReached. No clock, no I/O, integers
only. How a session ends and what becomes of its refunds stands in `settling`.
The table at the end says what each state does with each event; `_ignore` marks what chargers
and wallets do in the wild and what must change nothing.
"""

from __future__ import annotations

from msgspec.structs import replace

from agent.machine import refund as refunds
from agent.machine.clock_steps import move
from agent.machine.crediting import (
    hold_again,
    pay_late,
    top_up,
    withdraw,
    withdraw_before_start,
    withdraw_closed,
)
from agent.machine.effects import (
    PublishStatus,
    PublishZapReceipt,
    SendMessage,
    StartCharging,
    Topic,
    WatchClosely,
)
from agent.machine.errors import IllegalEvent
from agent.machine.events import (
    ChargerBooted,
    ClockSet,
    ConnectorStatus,
    ConnectorStatusChanged,
    DeadlineReached,
    Event,
    MeterSampled,
    Obstacle,
    PaymentCanceled,
    PaymentHeld,
    PaymentSettled,
    RefundClaimed,
    RefundDecided,
    RefundFailed,
    RefundOffered,
    RefundSent,
    RefundSettled,
    RefundUncertain,
    SessionEvent,
    StartRejected,
    StopBy,
    StopRequested,
    TransactionShown,
    TransactionStarted,
    TransactionStopped,
)
from agent.machine.forecast import no_energy_ends_at
from agent.machine.model import Payment, Policy, Session, SessionState
from agent.machine.planning import ask_at, left_at, stop_at
from agent.machine.sampling import sample
from agent.machine.settling import (
    Result,
    claim,
    close,
    decide,
    doubt,
    fail,
    find_refund,
    offer,
    offer_left,
    send,
    settle,
    with_refund,
)
from agent.machine.statuses import (
    boot,
    go_on_in_vain,
    status_while_charging,
    status_while_starting,
    status_while_stopping,
)
from agent.machine.stopping import given_up, insist, stop
from agent.machine.table import look_up, row, table
from agent.machine.transactions import (
    begin,
    begin_again,
    begin_in_vain,
    end,
    end_in_vain,
    go_on_with,
    stop_early,
)


def opened(
    session_id: str,
    charge_point: str,
    connector: int,
    policy: Policy,
    event: PaymentSettled | PaymentHeld,
    max_power_w: int = 0,
    check_meter: bool = True,
    unplug_first: bool = False,
) -> Result:
    """The session that a payment opens, on a connector that gives `max_power_w` at most, and in
    which the cable of the charge before may still be plugged in.

    With an obstacle in the event the session is closed at once and all of the money is due
    back, or let go where it is only held; otherwise the charger is asked to start.
    """
    payment = Payment(event.payment_hash, event.amount_msat, event.at_ms)
    held = isinstance(event, PaymentHeld)
    session = Session(
        id=session_id,
        charge_point=charge_point,
        connector=connector,
        payer=event.payer,
        tariff=event.tariff,
        policy=policy,
        max_power_w=max_power_w,
        check_meter=check_meter,
        unplug_first=unplug_first,
        opened_at_ms=event.at_ms,
        start_deadline_ms=event.start_deadline_ms,
        start_attempts=1,
        start_sent_at_ms=event.at_ms,
        payments=() if held else (payment,),
        held=(payment,) if held else (),
    )
    receipt = () if held else (PublishZapReceipt(event.payment_hash),)
    if event.obstacle is not None:
        closed, effects = close(session, event.at_ms, event.obstacle)
        return closed, (*receipt, *effects)
    return session, (
        StartCharging(attempt=1),
        *receipt,
        PublishStatus(),
        SendMessage(Topic.PLUG_IN, amount_msat=event.amount_msat),
    )


def step(session: Session, event: Event) -> Result:
    """The session after an event, and what is to be done about it.

    Raises:
        IllegalEvent: a refund event that cannot happen; nothing changes. Events from
            chargers and wallets are never illegal: what must not matter is ignored.
    """
    return look_up(TRANSITIONS, session.state, event)(session, event)


def _ignore(session: Session, event: SessionEvent) -> Result:
    del event
    return session, ()


def _reject(session: Session, event: StartRejected) -> Result:
    """The first no ends the session; a later one may answer a repeated question.

    Many chargers begin no other transaction before they were unplugged: there the driver has the
    rest of his time to do that, and the charger is asked again at each step of it.
    """
    if event.reason is Obstacle.STILL_PLUGGED_IN:
        waiting = replace(session, start_sent_at_ms=0, unplug_first=True)
        told = () if session.unplug_first else (SendMessage(Topic.UNPLUG_FIRST),)
        return waiting, (PublishStatus(), *told)
    if session.start_attempts > 1 and event.reason is Obstacle.REJECTED:
        return replace(session, start_sent_at_ms=0), ()
    return close(session, event.at_ms, event.reason)


def _cancel(session: Session, event: StopRequested) -> Result:
    """Stopped before anything flowed: all of the money goes back."""
    return close(replace(session, stop_by=event.by), event.at_ms)


def _request_stop(session: Session, event: StopRequested) -> Result:
    return stop(session, event.at_ms, event.by)


def _miss_start(session: Session, event: DeadlineReached) -> Result:
    if event.at_ms < session.start_deadline_ms:
        return session, ()
    plug = Obstacle.STILL_PLUGGED_IN if session.unplug_first else Obstacle.NOT_PLUGGED_IN
    obstacle = Obstacle.NOT_ANSWERING if event.silent else plug
    offline = session.status is ConnectorStatus.OFFLINE
    return close(session, event.at_ms, Obstacle.OFFLINE if offline else obstacle)


def _reach_limit(session: Session, event: DeadlineReached) -> Result:
    ending = given_up(session, event.at_ms)
    if ending is not None:
        return close(replace(session, ending=ending), event.at_ms)
    if session.offline_since_ms is not None:
        return session, ()
    stop_ms = stop_at(session)
    if stop_ms is not None and event.at_ms >= stop_ms:
        return stop(session, event.at_ms, StopBy.CREDIT)
    no_energy_at_ms = no_energy_ends_at(session)
    if no_energy_at_ms is not None and event.at_ms >= no_energy_at_ms:
        return stop(session, event.at_ms, StopBy.NO_ENERGY)
    ask_ms = ask_at(session, stop_ms)
    if ask_ms is not None and event.at_ms >= ask_ms:
        return _watch(session, event), (WatchClosely(),)
    return session, ()


def _watch(session: Session, event: DeadlineReached) -> Session:
    return replace(
        session,
        watched=True,
        asked_at_ms=event.at_ms,
        asks_unanswered=session.asks_unanswered + 1,
    )


def _claim_left(session: Session, event: RefundClaimed) -> Result:
    """What is left is claimed back: it is set aside, and the session ends.

    What may have been used since it was offered is not left: who claims again and again would
    charge for nothing.
    """
    current = find_refund(session, event)
    too_much = event.amount_msat > left_at(session, event.at_ms)
    if too_much or event.at_ms > current.offer_ends_at_ms:
        raise IllegalEvent(session.state, event)
    claimed = with_refund(session, refunds.step(current, event))
    claimed = replace(claimed, claimed_msat=claimed.claimed_msat + event.amount_msat)
    stopped = StopRequested(event.key, event.at_ms, StopBy.REFUND)
    return look_up(TRANSITIONS, claimed.state, stopped)(claimed, stopped)


_STARTING = SessionState.STARTING
_CHARGING = SessionState.CHARGING
_SUSPENDED = SessionState.SUSPENDED
_STOPPING = SessionState.STOPPING
_CLOSED = SessionState.CLOSED

TRANSITIONS = table(
    [
        row(_STARTING, PaymentSettled, top_up),
        row(_STARTING, PaymentHeld, hold_again),
        row(_STARTING, PaymentCanceled, withdraw_before_start),
        row(_STARTING, StartRejected, _reject),
        row(_STARTING, TransactionStarted, begin),
        row(_STARTING, TransactionShown, _ignore),
        row(_STARTING, MeterSampled, _ignore),
        row(_STARTING, ConnectorStatusChanged, status_while_starting),
        row(_STARTING, ChargerBooted, _ignore),
        row(_STARTING, ClockSet, move),
        row(_STARTING, StopRequested, _cancel),
        row(_STARTING, TransactionStopped, stop_early),
        row(_STARTING, DeadlineReached, _miss_start),
        row(_STARTING, RefundOffered, offer_left),
        row(_STARTING, RefundClaimed, _claim_left),
        row(_CHARGING, PaymentSettled, top_up),
        row(_CHARGING, PaymentHeld, hold_again),
        row(_CHARGING, PaymentCanceled, withdraw),
        row(_CHARGING, StartRejected, _ignore),
        row(_CHARGING, TransactionStarted, begin_again),
        row(_CHARGING, TransactionShown, go_on_with),
        row(_CHARGING, MeterSampled, sample),
        row(_CHARGING, ConnectorStatusChanged, status_while_charging),
        row(_CHARGING, ChargerBooted, boot),
        row(_CHARGING, ClockSet, move),
        row(_CHARGING, StopRequested, _request_stop),
        row(_CHARGING, TransactionStopped, end),
        row(_CHARGING, DeadlineReached, _reach_limit),
        row(_CHARGING, RefundOffered, offer_left),
        row(_CHARGING, RefundClaimed, _claim_left),
        row(_SUSPENDED, PaymentSettled, top_up),
        row(_SUSPENDED, PaymentHeld, hold_again),
        row(_SUSPENDED, PaymentCanceled, withdraw),
        row(_SUSPENDED, StartRejected, _ignore),
        row(_SUSPENDED, TransactionStarted, begin_again),
        row(_SUSPENDED, TransactionShown, go_on_with),
        row(_SUSPENDED, MeterSampled, sample),
        row(_SUSPENDED, ConnectorStatusChanged, status_while_charging),
        row(_SUSPENDED, ChargerBooted, boot),
        row(_SUSPENDED, ClockSet, move),
        row(_SUSPENDED, StopRequested, _request_stop),
        row(_SUSPENDED, TransactionStopped, end),
        row(_SUSPENDED, DeadlineReached, _reach_limit),
        row(_SUSPENDED, RefundOffered, offer_left),
        row(_SUSPENDED, RefundClaimed, _claim_left),
        row(_STOPPING, PaymentSettled, top_up),
        row(_STOPPING, PaymentHeld, hold_again),
        row(_STOPPING, PaymentCanceled, withdraw),
        row(_STOPPING, StartRejected, _ignore),
        row(_STOPPING, TransactionStarted, begin_again),
        row(_STOPPING, TransactionShown, go_on_with),
        row(_STOPPING, MeterSampled, sample),
        row(_STOPPING, ConnectorStatusChanged, status_while_stopping),
        row(_STOPPING, ChargerBooted, boot),
        row(_STOPPING, ClockSet, move),
        row(_STOPPING, StopRequested, _ignore),
        row(_STOPPING, TransactionStopped, end),
        row(_STOPPING, DeadlineReached, insist),
        row(_STOPPING, RefundOffered, offer_left),
        row(_STOPPING, RefundClaimed, _claim_left),
        row(_CLOSED, PaymentSettled, pay_late),
        row(_CLOSED, PaymentHeld, hold_again),
        row(_CLOSED, PaymentCanceled, withdraw_closed),
        row(_CLOSED, StartRejected, _ignore),
        row(_CLOSED, TransactionStarted, begin_in_vain),
        row(_CLOSED, TransactionShown, go_on_with),
        row(_CLOSED, MeterSampled, go_on_in_vain),
        row(_CLOSED, ConnectorStatusChanged, go_on_in_vain),
        row(_CLOSED, ChargerBooted, _ignore),
        row(_CLOSED, ClockSet, _ignore),
        row(_CLOSED, StopRequested, _ignore),
        row(_CLOSED, TransactionStopped, end_in_vain),
        row(_CLOSED, DeadlineReached, _ignore),
        row(_CLOSED, RefundOffered, offer),
        row(_CLOSED, RefundClaimed, claim),
        row(_CLOSED, RefundSent, send),
        row(_CLOSED, RefundSettled, settle),
        row(_CLOSED, RefundUncertain, doubt),
        row(_CLOSED, RefundFailed, fail),
        row(_CLOSED, RefundDecided, decide),
    ]
)

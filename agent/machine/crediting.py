"""How money comes into a session: settled, only held, twice, too late, or withdrawn. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from agent.machine.effects import CancelPayment, PublishZapReceipt, SendMessage, Topic
from agent.machine.events import (
    Obstacle,
    PaymentCanceled,
    PaymentHeld,
    PaymentSettled,
    StopBy,
)
from agent.machine.model import Payment, Session, SessionState
from agent.machine.settling import Result, close, end_hold, owe_the_rest
from agent.machine.stopping import stop


def top_up(session: Session, event: PaymentSettled) -> Result:
    """A settled payment: it adds to the credit, or is the one that was held."""
    if any(payment.payment_hash == event.payment_hash for payment in session.payments):
        return session, ()
    payment = Payment(event.payment_hash, event.amount_msat, event.at_ms)
    credited = replace(session, payments=(*session.payments, payment))
    receipt = PublishZapReceipt(event.payment_hash)
    if _holds(session, event.payment_hash):
        return _without_held(credited, event.payment_hash), (receipt,)
    topped_up = SendMessage(Topic.TOPPED_UP, amount_msat=event.amount_msat)
    return replace(credited, credit_low_told=False), (receipt, topped_up)


def _holds(session: Session, payment_hash: str) -> bool:
    return any(payment.payment_hash == payment_hash for payment in session.held)


def _without_held(session: Session, payment_hash: str) -> Session:
    held = tuple(p for p in session.held if p.payment_hash != payment_hash)
    return replace(session, held=held)


def hold_again(session: Session, event: PaymentHeld) -> Result:
    """Only a session's first payment is held: another one is let go."""
    known = (*session.held, *session.payments)
    if any(payment.payment_hash == event.payment_hash for payment in known):
        return session, ()
    return session, (CancelPayment(event.payment_hash),)


def withdraw_before_start(session: Session, event: PaymentCanceled) -> Result:
    """The payment went back before charging began: without another one there is no session."""
    if not _holds(session, event.payment_hash):
        return session, ()
    left = _without_held(session, event.payment_hash)
    return (left, ()) if left.credit_msat else close(left, event.at_ms, Obstacle.WITHDRAWN)


def withdraw(session: Session, event: PaymentCanceled) -> Result:
    """Charging goes on that nobody pays for: what flowed is the operator's, and it stops."""
    if not _holds(session, event.payment_hash):
        return session, ()
    left = _without_held(session, event.payment_hash)
    spent = left.bill.total_msat >= left.credit_msat
    if spent and left.state is not SessionState.STOPPING:
        return stop(left, event.at_ms, StopBy.CREDIT)
    return left, ()


def withdraw_closed(session: Session, event: PaymentCanceled) -> Result:
    """A payment that a closed session still held went back: what it cost is not paid."""
    if not _holds(session, event.payment_hash):
        return session, ()
    return end_hold(_without_held(session, event.payment_hash))


def pay_late(session: Session, event: PaymentSettled) -> Result:
    """Money for a session that is over: all of it is owed back."""
    credited, effects = top_up(session, event)
    if credited is session:
        return session, ()
    if _holds(session, event.payment_hash):
        ended, end_effects = end_hold(credited, event.amount_msat)
        return ended, (*effects, *end_effects)
    owing, due_effects = owe_the_rest(credited)
    return owing, (
        effects[0],
        SendMessage(Topic.NOT_STARTED, event.amount_msat, Obstacle.LATE),
        *due_effects,
    )

"""How a session ends, and how its refunds move: cost fixed, rest owed, claims decided. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from agent.machine import refund as refunds
from agent.machine.effects import (
    CancelPayment,
    Effect,
    OfferRefund,
    PayRefund,
    PublishStatus,
    SendCdr,
    SendMessage,
    Topic,
    WatchAsUsual,
)
from agent.machine.errors import IllegalEvent
from agent.machine.events import (
    Obstacle,
    RefundClaimed,
    RefundDecided,
    RefundEvent,
    RefundFailed,
    RefundOffered,
    RefundSent,
    RefundSettled,
    RefundUncertain,
)
from agent.machine.model import Session, SessionState
from agent.machine.money import whole_sats_msat
from agent.machine.refund import COMMITTED, Refund, RefundState

Result = tuple[Session, tuple[Effect, ...]]


def close(session: Session, at_ms: int, obstacle: Obstacle | None = None) -> Result:
    """End the session: fix the cost and owe the rest.

    Args:
        session: an open session.
        at_ms: when it ended, Unix ms.
        obstacle: why it never charged, where that is so.
    """
    never_started = session.started_at_ms is None
    closed = with_cost_fixed(
        replace(
            session,
            state=SessionState.CLOSED,
            # A charger's clock may run ahead: nothing ends before it began.
            closed_at_ms=max(at_ms, session.started_at_ms or at_ms),
            power_w=0,
            obstacle=obstacle,
        )
    )
    closed, effects = owe_the_rest(closed)
    told = (
        (SendMessage(Topic.NOT_STARTED, closed.owed_msat, obstacle),)
        if never_started
        else _told_at_the_end(closed)
    )
    claimed = tuple(PayRefund(r.no) for r in closed.refunds if r.state is RefundState.CLAIMED)
    let_go = tuple(CancelPayment(p.payment_hash) for p in closed.held) if never_started else ()
    cdr = () if never_started else (SendCdr(),)
    unwatched = (WatchAsUsual(),) if session.watched else ()
    return closed, (PublishStatus(), *told, *let_go, *claimed, *effects, *unwatched, *cdr)


def with_cost_fixed(session: Session) -> Session:
    """A closed session with its cost: the bill, as far as money that is ours covers it."""
    total_msat = session.bill.total_msat
    cost_msat = min(total_msat, session.taken_msat)
    return replace(session, cost_msat=cost_msat, overshoot_msat=total_msat - cost_msat)


def _told_at_the_end(closed: Session) -> tuple[Effect, ...]:
    """The last word on a charge; it waits for a payment of which the wallet's word is out."""
    if closed.held:
        return ()
    return (SendMessage(Topic.FINISHED, closed.owed_msat), SendMessage(Topic.RECEIPT))


def end_hold(closed: Session, settled_msat: int = 0) -> Result:
    """A closed session after a payment that was held was settled or let go.

    Args:
        closed: with the payment among those settled, or without it.
        settled_msat: what was settled. It alone can add to the cost: a payment that came after
            the end bought nothing and goes back whole.
    """
    total_msat = closed.bill.total_msat
    cost_msat = min(total_msat, closed.cost_msat + settled_msat)
    fixed = replace(closed, cost_msat=cost_msat, overshoot_msat=total_msat - cost_msat)
    closed, effects = owe_the_rest(fixed)
    if closed.started_at_ms is not None:
        return closed, (*_told_at_the_end(closed), *effects)
    due = (SendMessage(Topic.REFUND_DUE, closed.owed_msat),) if effects else ()
    return closed, (*due, *effects)


def owe_the_rest(session: Session) -> Result:
    """Bring the refunds of a closed session to what is due: the last that is free takes it."""
    free = [r for r in session.refunds if r.state not in COMMITTED]
    last = free[-1] if free else Refund(next_no(session), 0)
    others = tuple(r for r in session.refunds if r.no != last.no)
    promised_msat = sum(r.amount_msat for r in others)
    due_msat = whole_sats_msat(session.paid_msat - session.cost_msat - promised_msat)
    if not due_msat:
        return replace(session, refunds=others), ()
    # An amount offered before may differ from what is due now: its key is void.
    due = replace(last, amount_msat=due_msat, state=RefundState.DUE, k1="")
    return with_refund(session, due), (OfferRefund(due.no),)


def next_no(session: Session) -> int:
    """The number that the session's next refund gets."""
    return max((r.no for r in session.refunds), default=0) + 1


def offer_left(session: Session, event: RefundOffered) -> Result:
    """A withdraw key for what is left, before the session has ended."""
    whole = event.amount_msat > 0 and whole_sats_msat(event.amount_msat) == event.amount_msat
    if not whole or event.amount_msat > session.left_msat or session.claimed_msat:
        raise IllegalEvent(session.state, event)
    free = [r for r in session.refunds if r.state not in COMMITTED]
    current = free[0] if free else Refund(next_no(session), event.amount_msat)
    if event.refund_no != current.no:
        raise IllegalEvent(session.state, event)
    return with_refund(session, refunds.step(current, event)), ()


def offer(session: Session, event: RefundOffered) -> Result:
    """A withdraw key for a refund that is due."""
    current = find_refund(session, event)
    if event.amount_msat != current.amount_msat:
        raise IllegalEvent(session.state, event)
    return with_refund(session, refunds.step(current, event)), ()


def claim(session: Session, event: RefundClaimed) -> Result:
    """An invoice for a refund that is due: it is decided on."""
    claimed = refunds.step(find_refund(session, event), event)
    return with_refund(session, claimed), (PayRefund(event.refund_no),)


def send(session: Session, event: RefundSent) -> Result:
    """The invoice goes to the wallet."""
    return with_refund(session, refunds.step(find_refund(session, event), event)), ()


def settle(session: Session, event: RefundSettled) -> Result:
    """The money has arrived."""
    paid = refunds.step(find_refund(session, event), event)
    return with_refund(session, paid), (SendMessage(Topic.REFUND_PAID, paid.amount_msat),)


def doubt(session: Session, event: RefundUncertain) -> Result:
    """The wallet cannot say what became of the payment."""
    return with_refund(session, refunds.step(find_refund(session, event), event)), ()


def fail(session: Session, event: RefundFailed) -> Result:
    """The payment will never arrive: the money stays owed."""
    failed = refunds.step(find_refund(session, event), event)
    return with_refund(session, failed), (SendMessage(Topic.REFUND_FAILED, failed.amount_msat),)


def decide(session: Session, event: RefundDecided) -> Result:
    """The operator's word on a refund counts where no wallet's can be had."""
    decided = refunds.step(find_refund(session, event), event)
    topic = Topic.REFUND_PAID if event.arrived else Topic.REFUND_FAILED
    return with_refund(session, decided), (SendMessage(topic, decided.amount_msat),)


def find_refund(session: Session, event: RefundEvent) -> Refund:
    """The refund that an event is about; raises IllegalEvent when there is none."""
    for current in session.refunds:
        if current.no == event.refund_no:
            return current
    raise IllegalEvent(session.state, event)


def with_refund(session: Session, changed: Refund) -> Session:
    """The session with one of its refunds changed or added."""
    others = tuple(r for r in session.refunds if r.no != changed.no)
    ordered = tuple(sorted((*others, changed), key=lambda r: r.no))
    return replace(session, refunds=ordered)

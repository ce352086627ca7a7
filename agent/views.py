"""Sessions and bills as their owner may see them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable

from agent.machine.events import Event, MeterSampled
from agent.machine.forecast import credit_ends_at
from agent.machine.model import Session, SessionState
from agent.ports import RefundView, SessionView, TimelineEntry

_SECRET_FIELDS = frozenset({"key", "at_ms", "k1", "payer", "tariff", "bolt11", "refund_no"})


def timeline(events: Iterable[Event]) -> tuple[TimelineEntry, ...]:
    """What happened in a session, without keys and without what only machines read."""
    return tuple(
        TimelineEntry(
            at_ms=event.at_ms,
            kind=type(event).__name__,
            detail={
                field.name: getattr(event, field.name)
                for field in dataclasses.fields(event)
                if field.name not in _SECRET_FIELDS
            },
        )
        for event in events
    )


def session_view(session: Session, secret: str, events: Iterable[Event] = ()) -> SessionView:
    """A session as plain data."""
    closed = session.state is SessionState.CLOSED
    return SessionView(
        id=session.id,
        secret=secret,
        state=session.state,
        charge_point=session.charge_point,
        connector=session.connector,
        energy_wh=session.energy_wh,
        power_w=session.power_w,
        paid_msat=session.paid_msat,
        cost_msat=session.cost_now_msat,
        credit_msat=session.credit_msat - session.cost_now_msat,
        owed_msat=session.owed_msat,
        refunded_msat=session.refunded_msat,
        rounding_msat=session.rounding_msat,
        refunds=tuple(
            RefundView(r.no, r.state, r.amount_msat, r.fee_msat) for r in session.refunds
        ),
        bill=session.bill.lines,
        tariff=session.tariff,
        opened_at_ms=session.opened_at_ms,
        start_deadline_ms=session.start_deadline_ms,
        started_at_ms=session.started_at_ms,
        closed_at_ms=session.closed_at_ms,
        credit_ends_at_ms=None if closed else credit_ends_at(session),
        obstacle=session.obstacle,
        payment_hashes=tuple(payment.payment_hash for payment in session.payments),
        events=timeline(event for event in events if not isinstance(event, MeterSampled)),
    )

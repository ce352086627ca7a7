"""What must hold of every session, whatever happened to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from agent.machine.deadlines import deadline
from agent.machine.effects import Effect, OfferRefund, PayRefund, SendCdr, StartCharging
from agent.machine.events import (
    DeadlineReached,
    Event,
    RefundDecided,
    RefundFailed,
    TransactionStopped,
)
from agent.machine.evidence import evidence_of
from agent.machine.meter import Source
from agent.machine.metering import possible_wh
from agent.machine.model import Session, SessionState
from agent.machine.refund import COMMITTED, RefundState
from agent.machine.session import step
from agent.receipts import Seller, faults, receipt_of


def money_is_accounted_for(
    session: Session, credited: Mapping[str, int], held: Mapping[str, int]
) -> None:
    """Nothing is lost between what came in, what was used and what goes back.

    Args:
        session: in any state.
        credited: what the wallet received for it, in msat by payment hash.
        held: what the wallet only holds for it.
    """
    assert session.paid_msat == sum(credited.values())
    assert session.held_msat == sum(held.values())
    assert 0 <= session.cost_now_msat <= session.credit_msat
    assert session.credit_msat <= session.paid_msat + session.held_msat
    assert session.left_msat >= 0
    if not session.energy_wh:
        assert session.cost_now_msat == 0
    committed_msat = sum(r.amount_msat for r in session.refunds if r.state in COMMITTED)
    cost_msat = min(session.cost_now_msat, session.taken_msat)
    assert committed_msat <= session.paid_msat - cost_msat
    for due in session.refunds:
        assert due.amount_msat > 0
        assert due.amount_msat % 1_000 == 0
    assert len({r.no for r in session.refunds}) == len(session.refunds)
    if session.state is SessionState.CLOSED:
        assert session.overshoot_msat >= 0
        assert session.cost_msat + session.overshoot_msat == session.bill.total_msat
        assert 0 <= session.rounding_msat < 1_000
        assert session.paid_msat == (
            session.cost_msat + session.refunded_msat + session.owed_msat + session.rounding_msat
        )
        if session.started_at_ms is None:
            assert session.cost_msat == 0
        else:
            assert session.closed_at_ms is not None
            assert session.closed_at_ms >= session.started_at_ms >= session.opened_at_ms
    else:
        assert session.owed_msat == session.rounding_msat == 0


def the_evidence_explains_the_energy(session: Session, begins: int) -> None:
    """`begins`: how many transactions began for it."""
    evidence = evidence_of(session)
    assert (evidence is None) == (session.meter is None)
    assert session.meter is not None or session.energy_wh == 0
    if evidence is not None:
        assert evidence.adds_up
        assert evidence.energy_wh == session.energy_wh
        closed = session.state is SessionState.CLOSED
        assert (evidence.ending is not None) == closed
        took_ms = max(evidence.end_at_ms - evidence.start_at_ms, 0)
        assert session.energy_wh <= possible_wh(took_ms, session.max_power_w) * begins


def the_receipt_adds_up(session: Session) -> None:
    receipt = receipt_of(session, (), Seller("CP001", "Old Mill"))
    assert (receipt is None) == (session.state is not SessionState.CLOSED)
    if receipt is not None:
        # The hashes are made up here.
        assert [f for f in faults(receipt) if "hash" not in f] == []


def no_deadline_comes_twice(session: Session) -> None:
    due_ms = deadline(session)
    if due_ms is None:
        return
    changed, _ = step(session, DeadlineReached("due", due_ms))
    next_ms = deadline(changed)
    assert changed.state is not session.state or next_ms is None or next_ms > due_ms


def what_changes_is_allowed(
    before: Session, event: Event, after: Session, effects: Sequence[Effect]
) -> None:
    """What an event made of a session takes nothing back, and does nothing twice."""
    if before.meter is None or before.meter.source is not Source.INTERVALS:
        assert after.energy_wh >= before.energy_wh
    assert min(after.power_w, after.plan_power_w) >= 0
    if not isinstance(event, TransactionStopped):
        # A stop alone takes back what a state seemed to show.
        assert after.charging_ms >= before.charging_ms
        assert after.idle_ms >= before.idle_ms
    assert (after.tariff, after.policy, after.payer) == (
        before.tariff,
        before.policy,
        before.payer,
    )
    now = {r.no: r for r in after.refunds}
    for old in before.refunds:
        if old.state not in COMMITTED:
            continue
        new = now[old.no]
        assert new.amount_msat == old.amount_msat
        assert (new.bolt11, new.payment_hash) == (old.bolt11, old.payment_hash)
        if new.state not in COMMITTED:
            assert new.state is RefundState.FAILED
            assert isinstance(event, RefundFailed | RefundDecided)
    if before.state is SessionState.CLOSED:
        assert after.state is SessionState.CLOSED
        assert after.energy_wh == before.energy_wh
        if after.held == before.held:
            assert after.cost_msat == before.cost_msat
        assert not any(isinstance(e, StartCharging | SendCdr) for e in effects)
    else:
        closes = after.state is SessionState.CLOSED
        cdrs = sum(isinstance(e, SendCdr) for e in effects)
        assert cdrs == (closes and after.started_at_ms is not None)
    for effect in effects:
        if isinstance(effect, PayRefund):
            assert now[effect.refund_no].state is RefundState.CLAIMED
            assert now[effect.refund_no].bolt11
        if isinstance(effect, OfferRefund):
            assert now[effect.refund_no].state is RefundState.DUE

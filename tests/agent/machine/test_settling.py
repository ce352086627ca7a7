"""Closing, owing and claiming: what is promised is kept, and never promised twice."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from agent.machine.effects import OfferRefund, PayRefund
from agent.machine.errors import IllegalEvent
from agent.machine.events import ConnectorStatus
from agent.machine.model import SessionState
from agent.machine.refund import RefundState
from agent.machine.session import opened, step
from tests.agent.machine.examples import (
    HOUR,
    MINUTE,
    POLICY,
    SAT,
    SECOND,
    T0,
    TIMED,
    after,
    arrived,
    asked_to_stop,
    begun,
    charging,
    claimed,
    ended,
    failed,
    held,
    named,
    offered,
    paid,
    sampled,
    sent,
    showed,
    starting,
    waited,
)

CHARGED = after(charging(), sampled(T0 + MINUTE, 41_000))
CLAIMED = after(
    CHARGED, offered(T0 + MINUTE, 700 * SAT, holds_ms=HOUR), claimed(T0 + MINUTE, 700 * SAT)
)


@pytest.mark.parametrize("amount_msat", [701 * SAT, 700 * SAT + 1, 500 * SAT + 1, 999, 0, -5 * SAT])
def test_no_more_than_what_is_left_is_offered_and_only_whole_satoshi(amount_msat: int) -> None:
    with pytest.raises(IllegalEvent):
        step(CHARGED, offered(T0 + MINUTE, amount_msat))


def test_an_offer_holds_to_its_end_and_no_longer() -> None:
    offer = after(CHARGED, offered(T0 + MINUTE, 300 * SAT, holds_ms=MINUTE))
    assert after(offer, claimed(T0 + 2 * MINUTE, 300 * SAT)).claimed_msat == 300 * SAT
    with pytest.raises(IllegalEvent):
        step(offer, claimed(T0 + 2 * MINUTE + 1, 300 * SAT))


def test_what_may_have_been_used_since_it_was_offered_is_not_paid_back() -> None:
    """An offer of all that was paid, made before anything flowed and claimed a minute later, let
    a car charge for nothing, again and again."""
    paid_for = replace(starting(), max_power_w=22_000)
    before = after(paid_for, offered(T0, 1_000 * SAT, holds_ms=HOUR), begun())
    with pytest.raises(IllegalEvent):
        step(before, claimed(T0 + MINUTE, 1_000 * SAT))
    offer = after(CHARGED, offered(T0 + MINUTE, 700 * SAT, holds_ms=HOUR))
    with pytest.raises(IllegalEvent):
        step(offer, claimed(T0 + 2 * MINUTE, 700 * SAT))


def test_a_pause_that_the_charger_makes_takes_nothing_of_what_can_be_claimed() -> None:
    paused = after(charging(tariff=TIMED), showed(T0 + 11 * SECOND, ConnectorStatus.SUSPENDED_EVSE))
    left_msat = paused.left_msat
    claim = claimed(T0 + HOUR, left_msat)
    assert after(paused, offered(T0 + HOUR, left_msat), claim).claimed_msat == left_msat


def test_no_cost_reaches_what_was_claimed() -> None:
    session, effects = step(CLAIMED, ended(T0 + HOUR, 42_000))
    assert (session.cost_msat, session.overshoot_msat) == (300 * SAT, 300 * SAT)
    assert session.owed_msat == 700 * SAT
    assert PayRefund(1) in effects


def test_what_a_claim_left_over_is_owed_as_a_second_refund() -> None:
    offer = after(CHARGED, offered(T0 + MINUTE, 400 * SAT), claimed(T0 + MINUTE, 400 * SAT))
    session, effects = step(offer, ended(T0 + HOUR, 41_500))
    assert [(r.no, r.state, r.amount_msat) for r in session.refunds] == [
        (1, RefundState.CLAIMED, 400 * SAT),
        (2, RefundState.DUE, 150 * SAT),
    ]
    assert named(effects) == "PublishStatus Say:FINISHED Say:RECEIPT PayRefund OfferRefund SendCdr"


def test_a_session_is_claimed_from_once() -> None:
    assert CLAIMED.state is SessionState.STOPPING
    assert CLAIMED.left_msat == 0
    topped_up = after(CLAIMED, paid(T0 + 3 * MINUTE, 100 * SAT, "bb"))
    for no in (1, 2):
        with pytest.raises(IllegalEvent):
            step(topped_up, offered(T0 + 3 * MINUTE, 100 * SAT, "k2", no))
        with pytest.raises(IllegalEvent):
            step(topped_up, claimed(T0 + 3 * MINUTE, 700 * SAT, "", no))
    assert after(topped_up, ended(T0 + HOUR, 41_000)).owed_msat == 800 * SAT


def test_a_claim_while_starting_takes_all_of_it_back() -> None:
    session = after(starting(), offered(T0, 1_000 * SAT), claimed(T0, 1_000 * SAT))
    assert session.state is SessionState.CLOSED
    assert session.owed_msat == 1_000 * SAT


def test_an_offer_made_before_the_end_is_void_after_it() -> None:
    session = after(CHARGED, offered(T0 + MINUTE, 700 * SAT), ended(T0 + MINUTE, 41_000))
    assert session.owed_msat == 700 * SAT
    with pytest.raises(IllegalEvent):
        step(session, claimed(T0 + MINUTE, 700 * SAT, "k1"))


def test_an_offer_that_the_cost_ate_up_is_gone() -> None:
    session = after(CHARGED, offered(T0 + MINUTE, 700 * SAT), ended(T0 + HOUR, 50_000))
    assert session.refunds == ()
    assert session.cost_msat == 1_000 * SAT


def test_another_amount_than_what_is_due_is_not_offered() -> None:
    due = after(CHARGED, ended(T0 + HOUR, 41_000))
    for amount_msat in (701 * SAT, 699 * SAT):
        with pytest.raises(IllegalEvent):
            step(due, offered(T0 + HOUR, amount_msat))


def test_a_late_payment_is_owed_and_pays_nothing_that_was_decided_again() -> None:
    session, _ = step(CLAIMED, ended(T0 + HOUR, 41_000))
    late, effects = step(session, paid(T0 + 2 * HOUR, 20 * SAT + 5, "bb"))
    assert (late.owed_msat, late.rounding_msat) == (720 * SAT, 5)
    assert PayRefund(1) not in effects
    assert OfferRefund(2) in effects


def test_a_late_payment_voids_the_key_of_the_smaller_amount() -> None:
    due = after(CHARGED, ended(T0 + HOUR, 41_000), offered(T0 + HOUR, 700 * SAT))
    late = after(due, paid(T0 + 2 * HOUR, 20 * SAT, "bb"))
    assert late.owed_msat == 720 * SAT
    for amount_msat in (700 * SAT, 720 * SAT):
        with pytest.raises(IllegalEvent):
            step(late, claimed(T0 + 2 * HOUR, amount_msat, "k1"))


def test_fractions_of_late_payments_add_up_to_whole_satoshi() -> None:
    session = after(charging(), ended(T0 + HOUR, 50_000))
    for number in range(3):
        session = after(session, paid(T0 + 2 * HOUR, 400, f"bb{number}"))
    assert (session.owed_msat, session.rounding_msat) == (1_000, 200)


def test_a_failed_refund_stays_owed_and_can_be_claimed_anew() -> None:
    session = after(
        CLAIMED,
        ended(T0 + HOUR, 41_000),
        sent(T0 + HOUR),
        failed(T0 + HOUR),
    )
    assert (session.owed_msat, session.refunded_msat) == (700 * SAT, 0)
    again = after(session, claimed(T0 + HOUR, 700 * SAT, ""), sent(T0 + HOUR), arrived(T0 + HOUR))
    assert (again.owed_msat, again.refunded_msat) == (0, 700 * SAT)
    with pytest.raises(IllegalEvent):
        step(again, claimed(T0 + HOUR, 700 * SAT, ""))


def test_a_number_once_given_names_no_other_refund() -> None:
    """A key or an effect that names refund 2 must never come to mean other money."""
    split = after(
        CHARGED,
        offered(T0 + MINUTE, 400 * SAT),
        claimed(T0 + MINUTE, 400 * SAT),
        ended(T0 + HOUR, 41_000),
        sent(T0 + HOUR),
        failed(T0 + HOUR),
    )
    assert [r.no for r in split.refunds] == [1, 2]
    late = after(split, paid(T0 + 2 * HOUR, 20 * SAT, "bb"))
    assert [(r.no, r.amount_msat) for r in late.refunds] == [(1, 400 * SAT), (2, 320 * SAT)]


def test_nothing_ends_before_it_began_by_a_clock_that_runs_ahead() -> None:
    session = after(starting(), begun(T0 + 3 * HOUR), asked_to_stop(T0 + MINUTE))
    gone = after(session, waited(T0 + HOUR))
    assert gone.state is SessionState.CLOSED
    assert gone.closed_at_ms == gone.started_at_ms == T0 + 3 * HOUR


def test_a_late_payment_does_not_pay_for_what_a_held_one_bought() -> None:
    session, _ = opened("session", "CP001", 1, POLICY, held(payment_hash="held"))
    closed = after(session, begun(), sampled(T0 + MINUTE, 41_000), ended(T0 + HOUR, 41_000))
    assert (closed.state, closed.cost_msat) == (SessionState.CLOSED, 0)
    late = after(closed, paid(T0 + HOUR, 500 * SAT, "late"))
    assert late.owed_msat == 500 * SAT
    back = after(
        late, offered(T0 + HOUR, 500 * SAT), claimed(T0 + HOUR, 500 * SAT), sent(T0 + HOUR)
    )
    taken = after(back, paid(T0 + HOUR, 1_000 * SAT, "held"), arrived(T0 + HOUR))
    assert (taken.cost_msat, taken.refunded_msat) == (300 * SAT, 500 * SAT)
    assert taken.owed_msat == 700 * SAT


def test_a_late_payment_pays_for_nothing_where_the_held_one_was_too_small() -> None:
    session, _ = opened("session", "CP001", 1, POLICY, held(payment_hash="held"))
    closed = after(session, begun(), sampled(T0 + MINUTE, 45_000), ended(T0 + HOUR, 45_000))
    taken = after(closed, paid(T0 + HOUR, 500 * SAT, "late"), paid(T0 + HOUR, 1_000 * SAT, "held"))
    assert (taken.cost_msat, taken.overshoot_msat) == (1_000 * SAT, 500 * SAT)
    assert taken.owed_msat == 500 * SAT


def test_a_late_payment_that_went_back_does_not_pay_for_what_was_held() -> None:
    """The held payment is taken after the session's other money has gone back."""
    session, _ = opened("session", "CP001", 1, POLICY, held())
    session = after(session, begun(), ended(T0 + HOUR, 50_000))
    session = after(session, paid(T0 + HOUR, 2_000 * SAT, "bb"))
    session = after(session, claimed(T0 + HOUR, 2_000 * SAT, k1=""), sent(T0 + HOUR))
    session = after(session, arrived(T0 + HOUR), paid(T0 + HOUR, 1_000 * SAT, "aa"))
    assert (session.cost_msat, session.overshoot_msat) == (1_000 * SAT, 2_000 * SAT)
    assert session.refunded_msat == 2_000 * SAT
    assert session.owed_msat == 0

"""The refund machine's table: every state with every event; and what only the amounts decide."""

from __future__ import annotations

from typing import get_args

import pytest
from msgspec.structs import replace

from agent.machine import refund as refunds
from agent.machine.errors import IllegalEvent
from agent.machine.events import RefundDecided, RefundEvent
from agent.machine.refund import COMMITTED, Refund, RefundState
from tests.agent.machine.examples import (
    SAT,
    T0,
    arrived,
    claimed,
    decided,
    doubted,
    failed,
    offered,
    sent,
)

EVENTS: dict[str, RefundEvent] = {
    "RefundOffered": offered(T0, 100 * SAT, "k2"),
    "RefundClaimed": claimed(T0, 100 * SAT, "k1"),
    "RefundSent": sent(T0),
    "RefundSettled": arrived(T0),
    "RefundUncertain": doubted(T0),
    "RefundFailed": failed(T0),
    "RefundDecided": decided(T0),
}

# state   Offered   Claimed   Sent      Settled   Uncertain Failed    Decided
TABLE = """
DUE       OFFERED   CLAIMED   -         -         -         -         -
OFFERED   OFFERED   CLAIMED   -         -         -         -         -
CLAIMED   -         -         SENDING   -         -         FAILED    -
SENDING   -         -         SENDING   PAID      UNKNOWN   FAILED    FAILED
PAID      -         -         -         -         -         -         -
UNKNOWN   -         -         -         PAID      UNKNOWN   FAILED    FAILED
FAILED    OFFERED   CLAIMED   -         -         -         -         -
"""
ROWS = [line.split() for line in TABLE.splitlines() if line]


@pytest.mark.parametrize("cells", ROWS, ids=lambda cells: cells[0])
def test_every_state_with_every_event(cells: list[str]) -> None:
    refund = Refund(1, 100 * SAT, RefundState(cells[0]), k1="k1", payment_hash="cc")
    found: list[str] = []
    for event in EVENTS.values():
        try:
            changed = refunds.step(refund, event)
        except IllegalEvent:
            found.append("-")
        else:
            found.append(changed.state)
            assert changed.amount_msat == refund.amount_msat
    assert found == cells[1:]


def test_the_table_leaves_nothing_out() -> None:
    assert [cells[0] for cells in ROWS] == list(RefundState)
    assert [type(event) for event in EVENTS.values()] == list(get_args(RefundEvent))
    assert list(EVENTS) == [type(event).__name__ for event in EVENTS.values()]


@pytest.mark.parametrize("state", RefundState)
def test_what_the_operator_found_arrived_is_paid_whatever_was_known_of_it(
    state: RefundState,
) -> None:
    """Except while its invoice is about to be paid, or was."""
    refund = Refund(1, 100 * SAT, state, k1="k1", payment_hash="cc")
    if state in (RefundState.CLAIMED, RefundState.PAID):
        with pytest.raises(IllegalEvent):
            refunds.step(refund, decided(T0, arrived=True))
        return
    paid = refunds.step(refund, decided(T0, arrived=True))
    assert (paid.state, paid.amount_msat) == (RefundState.PAID, 100 * SAT)
    with pytest.raises(IllegalEvent):
        refunds.step(paid, claimed(T0, 100 * SAT, "k1"))


def test_the_operators_word_on_an_earlier_payment_says_nothing_of_this_one() -> None:
    refund = Refund(1, 100 * SAT, RefundState.UNKNOWN, payment_hash="cc")
    for arrived_so in (False, True):
        word = RefundDecided("decided", T0, 1, arrived_so, "alice", "dd")
        with pytest.raises(IllegalEvent):
            refunds.step(refund, word)


def test_a_committed_refund_is_freed_by_a_final_word_alone() -> None:
    for state in COMMITTED:
        for event in EVENTS.values():
            try:
                changed = refunds.step(Refund(1, 100 * SAT, state, payment_hash="cc"), event)
            except IllegalEvent:
                continue
            assert changed.state in COMMITTED or (
                changed.state is RefundState.FAILED
                and event in (EVENTS["RefundFailed"], EVENTS["RefundDecided"])
            )


@pytest.mark.parametrize("amount_msat", [99 * SAT, 101 * SAT, 0, -100 * SAT])
@pytest.mark.parametrize("state", [RefundState.DUE, RefundState.OFFERED, RefundState.FAILED])
def test_an_invoice_of_another_amount_is_illegal(state: RefundState, amount_msat: int) -> None:
    with pytest.raises(IllegalEvent):
        refunds.step(Refund(1, 100 * SAT, state, k1="k1"), claimed(T0, amount_msat, "k1"))


def test_a_key_that_is_not_the_last_one_handed_out_claims_nothing() -> None:
    twice = refunds.step(
        refunds.step(Refund(1, 100 * SAT), offered(T0, 100 * SAT, "old")),
        offered(T0, 100 * SAT, "new"),
    )
    with pytest.raises(IllegalEvent):
        refunds.step(twice, claimed(T0, 100 * SAT, "old"))
    assert refunds.step(twice, claimed(T0, 100 * SAT, "new")).state is RefundState.CLAIMED


def test_a_payer_known_otherwise_needs_no_key() -> None:
    due = Refund(1, 100 * SAT, RefundState.OFFERED, k1="k1")
    assert refunds.step(due, claimed(T0, 100 * SAT, "")).state is RefundState.CLAIMED


def test_a_failure_voids_the_key() -> None:
    failed_once = refunds.step(
        Refund(1, 100 * SAT, RefundState.SENDING, k1="k1", payment_hash="cc"), failed(T0)
    )
    with pytest.raises(IllegalEvent):
        refunds.step(failed_once, claimed(T0, 100 * SAT, "k1"))


def test_a_claim_stores_what_the_wallet_will_be_asked() -> None:
    decided = refunds.step(Refund(1, 100 * SAT, failure="no route"), claimed(T0, 100 * SAT, ""))
    assert decided == Refund(
        1,
        100 * SAT,
        RefundState.CLAIMED,
        bolt11="lnbc1",
        payment_hash="cc",
        fee_limit_msat=10 * SAT,
    )
    assert refunds.step(replace(decided, state=RefundState.SENDING), arrived(T0)).fee_msat == 3


@pytest.mark.parametrize("state", [RefundState.SENDING, RefundState.UNKNOWN])
@pytest.mark.parametrize("event", [failed(T0), arrived(T0), doubted(T0)])
def test_word_of_an_earlier_attempt_decides_nothing_about_this_one(
    state: RefundState, event: RefundEvent
) -> None:
    second_attempt = Refund(1, 100 * SAT, state, payment_hash="dd")
    with pytest.raises(IllegalEvent):
        refunds.step(second_attempt, replace(event, payment_hash="cc"))
    assert refunds.step(second_attempt, replace(event, payment_hash="dd")).payment_hash == "dd"

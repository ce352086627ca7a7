"""What a receipt says of a session, and which receipts break the laws of money."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from agent.machine.events import ConnectorStatus, Event, Obstacle
from agent.machine.evidence import evidence_of
from agent.machine.meter import Fix, Source
from agent.machine.model import Ending, Session
from agent.machine.refund import RefundState
from agent.receipts import Receipt, Seller, faults, receipt_of
from agent.talk.evidence import evidence_details, evidence_line
from agent.talk.words import LANGUAGES, words
from tests.agent.machine.examples import (
    HOUR,
    MINUTE,
    SAT,
    T0,
    TIMED,
    after,
    arrived,
    asked_to_stop,
    begun,
    charging,
    claimed,
    ended,
    paid,
    sampled,
    sent,
    showed,
    starting,
    waited,
)

SELLER = Seller("CP001", "Old Mill, west wall", "Mill Lane 1")
HASH = "aa" * 32


def hashed(session: Session) -> Session:
    """A session of the examples with hashes as long as real ones."""
    payments = tuple(structs.replace(p, payment_hash=p.payment_hash * 32) for p in session.payments)
    return structs.replace(session, payments=payments)


def of(session: Session, *events: Event) -> Receipt:
    receipt = receipt_of(hashed(session), events, SELLER)
    assert receipt is not None
    return receipt


CLOSED = after(charging(5_000 * SAT, TIMED), ended(T0 + HOUR, 44_510))
RECEIPT = of(CLOSED, begun(), ended(T0 + HOUR, 44_510))


def test_none_while_the_session_is_open() -> None:
    assert receipt_of(charging(), (), SELLER) is None


def test_all_that_is_asked_of_a_receipt_stands_in_it() -> None:
    assert RECEIPT.charge_point == SELLER
    assert (RECEIPT.energy_wh, RECEIPT.meter_start_wh, RECEIPT.meter_stop_wh) == (
        4_510,
        40_000,
        44_510,
    )
    assert [line.dimension for line in RECEIPT.lines] == ["ENERGY", "TIME", "FLAT"]
    assert [payment.payment_hash for payment in RECEIPT.payments] == [HASH]
    parts = (RECEIPT.cost_msat, RECEIPT.owed_msat, RECEIPT.rounding_msat)
    assert sum(parts) == RECEIPT.paid_msat == 5_000 * SAT
    assert faults(RECEIPT) == []


def test_a_later_receipt_says_that_the_refund_arrived_and_is_younger() -> None:
    owed = CLOSED.owed_msat
    later = (claimed(T0 + 2 * HOUR, owed, ""), sent(T0 + 2 * HOUR), arrived(T0 + 3 * HOUR))
    receipt = of(after(CLOSED, *later), begun(), *later)
    assert (receipt.refunded_msat, receipt.owed_msat) == (owed, 0)
    assert [(r.state, r.payment_hash) for r in receipt.refunds] == [(RefundState.PAID, "cc")]
    assert receipt.as_of_ms == T0 + 3 * HOUR > RECEIPT.as_of_ms
    assert faults(receipt) == []


def test_what_the_operator_bears_is_shown() -> None:
    over = of(after(charging(), ended(T0 + HOUR, 44_510)))
    assert over.cost_msat == over.paid_msat == 1_000 * SAT
    assert over.waived_msat == 353 * SAT
    assert faults(over) == []


def test_money_that_bought_nothing() -> None:
    receipt = of(after(starting(), waited(T0 + 3 * MINUTE)))
    assert receipt.obstacle is Obstacle.NOT_PLUGGED_IN
    assert (receipt.lines, receipt.meter_start_wh, receipt.duration_ms) == ((), None, 0)
    assert receipt.owed_msat == receipt.paid_msat
    assert faults(receipt) == []


def test_a_late_payment_is_in_it() -> None:
    late = paid(T0 + 2 * HOUR, 70 * SAT, "bb")
    receipt = of(after(CLOSED, late), late)
    assert receipt.as_of_ms == T0 + 2 * HOUR
    assert len(receipt.payments) == 2
    assert faults(receipt) == []


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        (replace(RECEIPT, energy_wh=4_000), "lines are not what 4000 Wh"),
        (replace(RECEIPT, lines=RECEIPT.lines[:1]), "lines"),
        (replace(RECEIPT, cost_msat=RECEIPT.cost_msat + 1), "lines add up"),
        (
            replace(RECEIPT, paid_msat=1),
            "payments add up to 5000000 msat, not to 1 msat",
        ),
        (replace(RECEIPT, payments=RECEIPT.payments * 2), "counts a payment twice"),
        (
            replace(RECEIPT, payments=(structs.replace(RECEIPT.payments[0], payment_hash="x"),)),
            "no payment hash",
        ),
        (
            replace(RECEIPT, refunded_msat=RECEIPT.owed_msat, owed_msat=0),
            "refunds are not",
        ),
        (replace(RECEIPT, refunds=()), "refunds"),
        (
            replace(RECEIPT, owed_msat=0, refunds=(), rounding_msat=RECEIPT.owed_msat),
            "rounding",
        ),
        (replace(RECEIPT, rounding_msat=RECEIPT.rounding_msat - 1), "add up to"),
        (replace(RECEIPT, idle_ms=-1), "negative"),
        (replace(RECEIPT, refunded_msat=-1), "negative"),
    ],
)
def test_what_does_not_add_up_is_told(changed: Receipt, fault: str) -> None:
    assert any(fault in sentence for sentence in faults(changed))


def test_the_readings_that_decided_stand_in_it() -> None:
    assert RECEIPT.meter is not None
    assert RECEIPT.meter.adds_up
    assert (RECEIPT.meter.end_source, RECEIPT.meter.ending) == (Source.STOP, Ending.STOPPED)
    assert evidence_line(RECEIPT.meter, words("en")) == (
        "Meter: 40,000 Wh at the start, 44,510 Wh at the end (as the charger read it when it "
        "stopped)."
    )
    false = replace(RECEIPT, meter=replace(RECEIPT.meter, end_wh=44_511))
    assert faults(false) == [
        "the readings of its meter and what was corrected make 4511 Wh, not 4510 Wh"
    ]


LOST = showed(T0 + 20 * MINUTE, ConnectorStatus.OFFLINE)
SAMPLED = sampled(T0 + 10 * MINUTE, 41_000)
# how a charge ended, what happened, what the line says in brackets
ENDINGS: list[tuple[Ending, tuple[Event, ...], str]] = [
    (Ending.STOPPED, (SAMPLED, ended(T0 + HOUR, 44_510)), "as the charger read it"),
    (Ending.STOPPED, (SAMPLED, ended(T0 + HOUR, 40_999)), "as the charger read it"),
    (Ending.NO_REGISTER, (SAMPLED, ended(T0 + HOUR, None)), "named no reading"),
    (Ending.NOT_BELIEVED, (SAMPLED, ended(T0 + HOUR, 9)), "cannot be true"),
    (Ending.LOST, (SAMPLED, LOST, waited(T0 + 3 * HOUR)), "before the charger was lost"),
    (
        Ending.VANISHED,
        (SAMPLED, showed(T0 + HOUR, ConnectorStatus.AVAILABLE), waited(T0 + 2 * HOUR)),
        "never said that it stopped",
    ),
    (
        Ending.WOULD_NOT_STOP,
        (SAMPLED, asked_to_stop(T0 + HOUR), waited(T0 + 2 * HOUR)),
        "did not obey",
    ),
    (Ending.LOST, (LOST, waited(T0 + 3 * HOUR)), "nothing was read"),
]


@pytest.mark.parametrize(("ending", "events", "told"), ENDINGS)
def test_which_sample_decided_and_why(ending: Ending, events: tuple[Event, ...], told: str) -> None:
    receipt = of(after(charging(5_000 * SAT, TIMED), *events), begun(), *events)
    assert receipt.meter is not None
    assert receipt.meter.ending is ending
    assert receipt.meter.adds_up
    assert told in evidence_line(receipt.meter, words("en"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_correction_and_every_ending_has_its_words(language: str) -> None:
    said = words(language)
    assert all(said.has(f"meter.fix.{fix}") for fix in Fix)
    assert all(said.has(f"meter.why.{ending}") for ending in Ending)
    assert said.has("meter.why.intervals")


def test_a_correction_is_told_in_one_sentence_with_its_energy() -> None:
    session = after(
        charging(5_000 * SAT, TIMED),
        sampled(T0 + 10 * MINUTE, 41_000),
        sampled(T0 + 11 * MINUTE, 4),
        ended(T0 + HOUR, 504),
    )
    evidence = evidence_of(session)
    assert evidence is not None
    assert evidence_details(evidence, words("en")) == (
        "The register began anew at 4 Wh after 41,000 Wh. +40,996 Wh",
    )
    assert evidence.energy_wh == 1_500

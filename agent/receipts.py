"""The receipt of a session: plain data, from which messages, pages, PDF and JSON are made. Pure.

A receipt says what a session was at one moment: at its close, or later, when its refund has
settled. Of two receipts of one session the later one counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from agent.machine.events import (
    Event,
    Obstacle,
    PaymentSettled,
    RefundClaimed,
    RefundDecided,
    RefundFailed,
    RefundSettled,
    TransactionStarted,
)
from agent.machine.evidence import MeterEvidence, evidence_of
from agent.machine.model import Payment, Session
from agent.machine.money import MSAT_PER_SAT
from agent.machine.refund import RefundState
from agent.signed_values import ReceiptSignedValue, SignedValue, for_receipt
from agent.tariff.model import BillLine, Tariff, Usage, bill, tax_in_msat

VERSION = 1
_HASH = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Seller:
    """The charge point, as it was called when the receipt was made."""

    id: str
    name: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class ReceiptRefund:
    """A refund of a session: `payment_hash` is that of the invoice it was paid to, "" before."""

    no: int
    state: RefundState
    amount_msat: int
    payment_hash: str = ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a closed session bought, what it cost, and where all of the money went.

    Energy is in Wh, times are Unix ms, amounts are msat. A field that is added later has a
    default, so that receipts of before can still be read.

    Attributes:
        version: of this form.
        as_of_ms: the moment that it describes: of two receipts of a session the later counts.
        meter_start_wh: the charger's register when charging began, or first after that; None
            if it never did, or no register was ever read.
        meter_stop_wh: the register at the end.
        idle_ms: time in which the car drew nothing of its own accord.
        lines: the bill by the frozen tariff.
        cost_msat: what the driver pays: the bill, but never more than the credit.
        waived_msat: what the bill passed the credit by; the operator bears it.
        rounding_msat: less than one satoshi, which no wallet can be paid.
        obstacle: why it never charged, where that is so.
        tax_msat: the tax that is in the cost.
        meter: which readings of the meter decided the energy, and why.
        signed_values: the first and the last value that the meter itself has signed.
    """

    session: str
    charge_point: Seller
    connector: int
    as_of_ms: int
    opened_at_ms: int
    started_at_ms: int | None
    closed_at_ms: int
    energy_wh: int
    charging_ms: int
    idle_ms: int
    meter_start_wh: int | None
    meter_stop_wh: int | None
    tariff: Tariff
    lines: tuple[BillLine, ...]
    cost_msat: int
    waived_msat: int
    paid_msat: int
    refunded_msat: int
    owed_msat: int
    rounding_msat: int
    payments: tuple[Payment, ...]
    refunds: tuple[ReceiptRefund, ...]
    obstacle: Obstacle | None = None
    tax_msat: int = 0
    meter: MeterEvidence | None = None
    signed_values: tuple[ReceiptSignedValue, ...] = ()
    version: int = VERSION

    @property
    def duration_ms(self) -> int:
        """How long charging took; 0 when it never began."""
        if self.started_at_ms is None:
            return 0
        return max(0, self.closed_at_ms - self.started_at_ms)


_MONEY_MOVED = (PaymentSettled, RefundClaimed, RefundSettled, RefundFailed, RefundDecided)


def receipt_of(
    session: Session,
    events: Iterable[Event],
    seller: Seller,
    signed: Sequence[SignedValue] = (),
) -> Receipt | None:
    """The receipt of a session as it stands; None while it is open.

    Args:
        session: the session.
        events: what happened in it, oldest first; readings of the meter may be left out.
        seller: the charge point.
        signed: its signed meter values, oldest first.
    """
    if session.closed_at_ms is None:
        return None
    started: TransactionStarted | None = None
    as_of_ms = session.closed_at_ms
    for event in events:
        if isinstance(event, TransactionStarted):
            started = started or event
        elif isinstance(event, _MONEY_MOVED):
            as_of_ms = max(as_of_ms, event.at_ms)
    meter = session.meter
    start_wh = started.register_wh if started else None
    if start_wh is None and meter is not None:
        start_wh = meter.past.start_wh
    return Receipt(
        session=session.id,
        charge_point=seller,
        connector=session.connector,
        as_of_ms=as_of_ms,
        opened_at_ms=session.opened_at_ms,
        started_at_ms=session.started_at_ms,
        closed_at_ms=session.closed_at_ms,
        energy_wh=session.energy_wh,
        charging_ms=session.charging_ms,
        idle_ms=session.idle_ms,
        meter_start_wh=start_wh,
        meter_stop_wh=meter.register_wh if meter else None,
        tariff=session.tariff,
        lines=session.bill.lines,
        cost_msat=session.cost_msat,
        waived_msat=session.overshoot_msat,
        paid_msat=session.paid_msat,
        refunded_msat=session.refunded_msat,
        owed_msat=session.owed_msat,
        rounding_msat=session.rounding_msat,
        payments=session.payments,
        refunds=tuple(
            ReceiptRefund(r.no, r.state, r.amount_msat, r.payment_hash) for r in session.refunds
        ),
        obstacle=session.obstacle,
        tax_msat=tax_in_msat(session.tariff, session.cost_msat),
        meter=evidence_of(session),
        signed_values=for_receipt(signed),
    )


def faults(receipt: Receipt) -> list[str]:
    """What in a receipt breaks the laws of money, a sentence each; none in one of ours."""
    return [*_faults_of_bill(receipt), *_faults_of_money(receipt)]


def _faults_of_bill(receipt: Receipt) -> Iterator[str]:
    if min(receipt.energy_wh, receipt.charging_ms, receipt.idle_ms, receipt.waived_msat) < 0:
        yield "energy, times and what was waived cannot be negative"
        return
    meter = receipt.meter
    if meter is not None and (meter.energy_wh != receipt.energy_wh or not meter.adds_up):
        yield (
            f"the readings of its meter and what was corrected make "
            f"{meter.end_wh - meter.start_wh + meter.corrected_wh} Wh, not {receipt.energy_wh} Wh"
        )
    if not all(value.is_whole for value in receipt.signed_values):
        yield "a signed meter value in it is not that of its hash"
    usage = Usage(receipt.energy_wh, receipt.charging_ms, receipt.idle_ms)
    if bill(receipt.tariff, usage).lines != receipt.lines:
        yield (
            f"its lines are not what {receipt.energy_wh} Wh, {receipt.charging_ms} ms of charging "
            f"and {receipt.idle_ms} ms of idling cost by its tariff"
        )
    total_msat = sum(line.amount_msat for line in receipt.lines)
    if total_msat != receipt.cost_msat + receipt.waived_msat:
        yield (
            f"its lines add up to {total_msat} msat, but cost and waiver to "
            f"{receipt.cost_msat + receipt.waived_msat} msat"
        )
    if receipt.tax_msat != tax_in_msat(receipt.tariff, receipt.cost_msat):
        yield f"the tax in its cost is not {receipt.tax_msat} msat"


def _faults_of_money(receipt: Receipt) -> Iterator[str]:
    amounts = [
        receipt.cost_msat,
        receipt.refunded_msat,
        receipt.owed_msat,
        *(payment.amount_msat for payment in receipt.payments),
        *(refund.amount_msat for refund in receipt.refunds),
    ]
    if min(amounts) < 0:
        yield "an amount in it is negative"
    hashes = [payment.payment_hash for payment in receipt.payments]
    if len(set(hashes)) != len(hashes):
        yield "it counts a payment twice"
    if not all(_HASH.fullmatch(payment_hash) for payment_hash in hashes):
        yield "a payment in it has no payment hash"
    in_msat = sum(payment.amount_msat for payment in receipt.payments)
    if in_msat != receipt.paid_msat:
        yield f"its payments add up to {in_msat} msat, not to {receipt.paid_msat} msat"
    back_msat = sum(r.amount_msat for r in receipt.refunds if r.state is RefundState.PAID)
    due_msat = sum(r.amount_msat for r in receipt.refunds if r.state is not RefundState.PAID)
    if (back_msat, due_msat) != (receipt.refunded_msat, receipt.owed_msat):
        yield "its refunds are not what it says came back and is owed"
    out_msat = receipt.cost_msat + back_msat + due_msat + receipt.rounding_msat
    if out_msat != receipt.paid_msat:
        yield (
            f"{receipt.paid_msat} msat were paid, but cost, refunds and rounding add up to "
            f"{out_msat} msat"
        )
    if not 0 <= receipt.rounding_msat < MSAT_PER_SAT:
        yield f"its rounding is {receipt.rounding_msat} msat, but must be less than one sat"

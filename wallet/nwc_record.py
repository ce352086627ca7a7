"""A wallet's records of invoices and payments in NIP-47, and what they mean."""

from __future__ import annotations

import hashlib
from contextlib import suppress

import msgspec

from wallet import bolt11
from wallet.base import PaymentOutcome, PaymentState
from wallet.nwc_link import Notification


class Transaction(msgspec.Struct):
    """An invoice or payment as NIP-47 describes it; amounts in msat, times in Unix seconds.

    What a record leaves out is read from its invoice, where it has one.
    """

    type: str = ""
    state: str | None = None
    invoice: str | None = None
    payment_hash: str | None = None
    amount: int | None = None
    fees_paid: int | None = None
    preimage: str | None = None
    created_at: int | None = None
    settled_at: int | None = None

    def __post_init__(self) -> None:
        if self.invoice and not (self.payment_hash and self.amount):
            with suppress(bolt11.InvalidInvoice):
                invoice = bolt11.decode(self.invoice)
                self.payment_hash = self.payment_hash or invoice.payment_hash
                self.amount = self.amount or invoice.amount_msat

    @property
    def settled(self) -> bool:
        """Whether it was paid. Without a state, a payment that went out needs its preimage for
        that: some wallets tell of one that failed when that was."""
        if self.state:
            return self.state == "settled"
        if self.type == "outgoing":
            return opens(self.preimage, self.payment_hash or "")
        return bool(self.settled_at)

    @property
    def over(self) -> bool:
        """Whether it has ended, one way or the other, without a state that tells which."""
        return not self.state and bool(self.settled_at)

    @property
    def undated(self) -> bool:
        """Whether it is not told when it was paid: some wallets give the time at which its
        invoice was made."""
        return (self.settled_at or 0) <= (self.created_at or 0)

    def settled_at_ms(self, now_ms: int) -> int:
        """When it was paid: where that is not told just now, or as its invoice expired."""
        if not self.undated:
            return (self.settled_at or 0) * 1000
        try:
            return min(now_ms, bolt11.decode(self.invoice or "").expires_at_ms)
        except bolt11.InvalidInvoice:
            return now_ms


def outcome_of(record: Transaction | None) -> PaymentOutcome:
    """How a payment ended, by the wallet's record of its hash; None: it has none."""
    if record is None or record.type == "incoming":
        return PaymentOutcome(PaymentState.UNKNOWN)
    if record.settled:
        return PaymentOutcome(PaymentState.SETTLED, fee_msat=record.fees_paid or 0)
    match record.state:
        case "failed" | "expired":
            return PaymentOutcome(
                PaymentState.FAILED, reason="the wallet says that the payment failed"
            )
        case "pending" | "accepted":
            return PaymentOutcome(PaymentState.PENDING)
        case _:
            return PaymentOutcome(PaymentState.UNKNOWN)


def received_by(notification: Notification) -> Transaction | None:
    """What a notification says was received; it is signed by the wallet, so it is its word."""
    if notification.notification_type != "payment_received":
        return None
    try:
        received = msgspec.convert(notification.notification, Transaction)
    except msgspec.ValidationError:
        return None
    return received if received.payment_hash and (received.amount or 0) > 0 else None


def opens(preimage: object, payment_hash: str) -> bool:
    """Whether a preimage is the one of a hash: the proof that it was paid."""
    try:
        return (
            isinstance(preimage, str)
            and hashlib.sha256(bytes.fromhex(preimage)).hexdigest() == payment_hash
        )
    except ValueError:
        return False

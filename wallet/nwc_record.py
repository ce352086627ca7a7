"""A wallet's records of invoices and payments in NIP-47, and what they mean."""

from __future__ import annotations

import hashlib

import msgspec

from wallet.base import PaymentOutcome, PaymentState
from wallet.nwc_link import Notification


class Transaction(msgspec.Struct):
    """An invoice or payment as NIP-47 describes it; amounts in msat, times in Unix seconds."""

    type: str = ""
    state: str | None = None
    invoice: str | None = None
    payment_hash: str = ""
    amount: int = 0
    fees_paid: int | None = None
    preimage: str | None = None
    settled_at: int | None = None

    @property
    def settled(self) -> bool:
        """Older wallets tell no state."""
        if self.state:
            return self.state == "settled"
        return bool(self.settled_at or (self.type == "outgoing" and self.preimage))


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
    return received if received.payment_hash and received.amount > 0 else None


def opens(preimage: object, payment_hash: str) -> bool:
    """Whether a preimage is the one of a hash: the proof that it was paid."""
    try:
        return (
            isinstance(preimage, str)
            and hashlib.sha256(bytes.fromhex(preimage)).hexdigest() == payment_hash
        )
    except ValueError:
        return False

"""What LNbits says of a payment, an account and a fee, in its own words.

https://github.com/lnbits/lnbits/blob/main/lnbits/core/models/payments.py
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypeVar

import httpx
import msgspec

from wallet.base import PaymentOutcome, PaymentState, WalletUnavailable

_T = TypeVar("_T")


class Record(msgspec.Struct):
    """A payment as LNbits keeps it; `amount` is in msat and negative when it went out."""

    payment_hash: str
    amount: int
    fee: int
    status: str
    bolt11: str
    updated_at: datetime
    created_at: datetime | None = None

    @property
    def updated_at_ms(self) -> int:
        """When it last changed, Unix ms."""
        return _unix_ms(self.updated_at)

    @property
    def created_at_ms(self) -> int:
        """When it was made, Unix ms."""
        return _unix_ms(self.created_at or self.updated_at)


class Page(msgspec.Struct):
    """Some of the payments of an account."""

    data: list[Record]


class Account(msgspec.Struct):
    """The wallet behind the key: `id` is told to the admin key only; `balance` is in msat."""

    name: str
    balance: int
    id: str = ""


class Reserve(msgspec.Struct):
    """What LNbits sets aside for a fee, in msat."""

    fee_reserve: int


def outcome_of(records: list[Record]) -> PaymentOutcome:
    """What the records of a hash say of our payment of it."""
    sent = [record for record in records if record.amount < 0]
    states = {record.status for record in sent}
    for record in sent:
        if record.status == "success":
            return PaymentOutcome(PaymentState.SETTLED, fee_msat=abs(record.fee))
    if "pending" in states:
        return PaymentOutcome(PaymentState.PENDING)
    if states == {"failed"}:
        return PaymentOutcome(PaymentState.FAILED, reason="LNbits says that the payment failed")
    return PaymentOutcome(PaymentState.UNKNOWN)


def read(response: httpx.Response, shape: type[_T]) -> _T:
    """The body of an answer in a known shape; WalletUnavailable when it has another."""
    try:
        return msgspec.json.decode(response.content, type=shape)
    except msgspec.MsgspecError as error:
        raise WalletUnavailable(
            f"LNbits answered in an unknown shape (it must be 1.0 or later): {error}"
        ) from None


def _unix_ms(at: datetime) -> int:
    # On PostgreSQL LNbits 1.0 wrote no zone; all of its times are UTC.
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)

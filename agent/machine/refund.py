"""The refund machine: how what was prepaid and not used goes back. Pure.

Money out is decided once: a claim stores the invoice and the fee limit, and only a final
FAILED frees the refund for another invoice. What the wallet cannot say is UNKNOWN, which is
looked up until it can; where it never can, the operator says what became of the money.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from agent.machine.errors import IllegalEvent
from agent.machine.events import (
    RefundClaimed,
    RefundDecided,
    RefundEvent,
    RefundFailed,
    RefundOffered,
    RefundSent,
    RefundSettled,
    RefundUncertain,
)
from agent.machine.table import look_up, row, table


class RefundState(StrEnum):
    """Where a refund stands."""

    DUE = "DUE"
    OFFERED = "OFFERED"
    CLAIMED = "CLAIMED"
    SENDING = "SENDING"
    PAID = "PAID"
    UNKNOWN = "UNKNOWN"
    FAILED = "FAILED"


COMMITTED = frozenset(
    {RefundState.CLAIMED, RefundState.SENDING, RefundState.UNKNOWN, RefundState.PAID}
)
"""States in which an invoice has been decided on: the amount cannot change any more."""

ASKED = frozenset({RefundState.SENDING, RefundState.UNKNOWN})
"""States in which the wallet may have been asked to pay, and has not said how that ended."""


class Refund(Struct, frozen=True):
    """One refund of a session.

    Attributes:
        no: its number in the session, from 1.
        amount_msat: whole satoshi, as msat.
        k1: the withdraw key last handed out.
        offer_ends_at_ms: until when an offer made while charging holds.
        bolt11: the invoice decided on.
        payment_hash: its hash, hex.
        fee_limit_msat: what routing may cost at most.
        fee_msat: what routing did cost.
        failure: why the last attempt failed.
        wallet: which one was to pay the invoice; "" for unknown.
    """

    no: int
    amount_msat: int
    state: RefundState = RefundState.DUE
    k1: str = ""
    offer_ends_at_ms: int = 0
    bolt11: str = ""
    payment_hash: str = ""
    fee_limit_msat: int = 0
    fee_msat: int = 0
    failure: str = ""
    wallet: str = ""


def step(refund: Refund, event: RefundEvent) -> Refund:
    """The refund after an event.

    Raises:
        IllegalEvent: the event cannot happen in this state; nothing changes.
    """
    return look_up(TRANSITIONS, refund.state, event)(refund, event)


def _offer(refund: Refund, event: RefundOffered) -> Refund:
    return replace(
        refund,
        state=RefundState.OFFERED,
        k1=event.k1,
        amount_msat=event.amount_msat,
        offer_ends_at_ms=event.expires_at_ms,
    )


def _claim(refund: Refund, event: RefundClaimed) -> Refund:
    if event.amount_msat != refund.amount_msat or (event.k1 and event.k1 != refund.k1):
        raise IllegalEvent(refund.state, event)
    return replace(
        refund,
        state=RefundState.CLAIMED,
        bolt11=event.bolt11,
        payment_hash=event.payment_hash,
        fee_limit_msat=event.fee_limit_msat,
        failure="",
    )


def _same_attempt(
    refund: Refund,
    event: RefundSent | RefundSettled | RefundUncertain | RefundFailed | RefundDecided,
) -> Refund:
    if event.payment_hash and event.payment_hash != refund.payment_hash:
        raise IllegalEvent(refund.state, event)
    return refund


def _send(refund: Refund, event: RefundSent) -> Refund:
    sent = _same_attempt(refund, event)
    return replace(sent, state=RefundState.SENDING, wallet=event.wallet)


def _settle(refund: Refund, event: RefundSettled) -> Refund:
    return replace(_same_attempt(refund, event), state=RefundState.PAID, fee_msat=event.fee_msat)


def _doubt(refund: Refund, event: RefundUncertain) -> Refund:
    return replace(_same_attempt(refund, event), state=RefundState.UNKNOWN)


def _fail(refund: Refund, event: RefundFailed) -> Refund:
    freed = _same_attempt(refund, event)
    return replace(freed, state=RefundState.FAILED, k1="", failure=event.reason)


def _decide(refund: Refund, event: RefundDecided) -> Refund:
    """The operator's word on a payment that no wallet can tell of."""
    decided = _same_attempt(refund, event)
    if event.arrived:
        return replace(decided, state=RefundState.PAID)
    return replace(decided, state=RefundState.FAILED, k1="", failure="not arrived, by the operator")


def _pay_by_hand(refund: Refund, event: RefundDecided) -> Refund:
    """The operator paid it back on another way."""
    if not event.arrived:
        raise IllegalEvent(refund.state, event)
    return replace(_same_attempt(refund, event), state=RefundState.PAID, k1="")


TRANSITIONS = table(
    [
        row(RefundState.DUE, RefundOffered, _offer),
        row(RefundState.DUE, RefundClaimed, _claim),
        row(RefundState.DUE, RefundDecided, _pay_by_hand),
        row(RefundState.OFFERED, RefundOffered, _offer),
        row(RefundState.OFFERED, RefundClaimed, _claim),
        row(RefundState.OFFERED, RefundDecided, _pay_by_hand),
        row(RefundState.CLAIMED, RefundSent, _send),
        row(RefundState.CLAIMED, RefundFailed, _fail),
        row(RefundState.SENDING, RefundSent, _send),
        row(RefundState.SENDING, RefundSettled, _settle),
        row(RefundState.SENDING, RefundUncertain, _doubt),
        row(RefundState.SENDING, RefundFailed, _fail),
        row(RefundState.SENDING, RefundDecided, _decide),
        row(RefundState.UNKNOWN, RefundSettled, _settle),
        row(RefundState.UNKNOWN, RefundUncertain, _doubt),
        row(RefundState.UNKNOWN, RefundFailed, _fail),
        row(RefundState.UNKNOWN, RefundDecided, _decide),
        row(RefundState.FAILED, RefundOffered, _offer),
        row(RefundState.FAILED, RefundClaimed, _claim),
        row(RefundState.FAILED, RefundDecided, _pay_by_hand),
    ]
)

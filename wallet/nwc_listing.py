"""NIP-47 list_transactions: which received payments a wallet lists.

https://github.com/nostr-protocol/nips/blob/master/47.md

Payments are listed by the time at which their invoice was made: so they are looked for from as
long before they can have been paid as an invoice lives.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from wallet.nwc_record import Transaction

INVOICE_LIFE_S = 90_000
PAGE = 50

Ask = Callable[[dict[str, Any]], Awaitable[list[Transaction]]]
"""Asks the wallet for one page, by the parameters of list_transactions."""


async def settled_since(ask: Ask, since_ms: int) -> list[Transaction]:
    """Received payments that were settled at or after a time, oldest first.

    With those made not long before it of which it is not told when that was.

    Args:
        ask: asks the wallet; what it raises comes through.
        since_ms: Unix ms.
    """
    paid = await _paid_from(ask, since_ms // 1000 - INVOICE_LIFE_S)
    return sorted(
        (
            entry
            for entry in paid.values()
            if entry.undated or (entry.settled_at or 0) * 1000 >= since_ms
        ),
        key=lambda entry: entry.settled_at or 0,
    )


async def is_listed(ask: Ask, payment_hash: str, found: Transaction) -> bool:
    """Whether an invoice is among the paid ones, for a wallet that tells no state.

    Args:
        ask: asks the wallet; what it raises comes through.
        payment_hash: of the invoice, in hex.
        found: the wallet's record of it.
    """
    return payment_hash in await _paid_from(ask, (found.created_at or 0) - INVOICE_LIFE_S)


async def _paid_from(ask: Ask, from_s: int) -> dict[str, Transaction]:
    """The received payments by their hash whose invoice was made at or after a time."""
    listed = await listed_from(ask, from_s, "incoming")
    return {payment_hash: entry for payment_hash, entry in listed.items() if entry.settled}


async def listed_from(ask: Ask, from_s: int, kind: str) -> dict[str, Transaction]:
    """The payments by their hash that were made, or whose invoice was, at or after a time.

    Args:
        ask: asks the wallet; what it raises comes through.
        from_s: Unix seconds.
        kind: "incoming" or "outgoing".
    """
    found: dict[str, Transaction] = {}
    offset = 0
    while True:
        page = await ask(
            {
                "from": max(0, from_s),
                "limit": PAGE,
                "offset": offset,
                "unpaid": False,
                "type": kind,
            }
        )
        known = len(found)
        found.update({entry.payment_hash: entry for entry in page if entry.payment_hash})
        offset += len(page)
        if len(found) == known:
            break
    return {payment_hash: entry for payment_hash, entry in found.items() if entry.type == kind}

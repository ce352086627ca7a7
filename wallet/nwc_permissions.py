"""What the owner of a wallet allowed a Nostr Wallet Connect connection to do.

https://github.com/nostr-protocol/nips/blob/master/47.md
"""

from __future__ import annotations

import msgspec

from wallet.nwc_link import ServiceInfo

_NETWORKS = {"mainnet": "bitcoin"}
_REQUIRED = ("make_invoice", "lookup_invoice")
_WORDS = {
    "pay_invoice": "pay refunds (pay_invoice)",
    "list_transactions": "list payments (list_transactions): those that came while Strom was down, "
    "and all of them where the wallet is LNbits, are not seen",
    "get_balance": "see the balance (get_balance)",
    "payment_received": "be told of payments (notification payment_received)",
}
_HOLD = frozenset({"make_hold_invoice", "settle_hold_invoice", "cancel_hold_invoice"})


class Node(msgspec.Struct):
    """The answer to get_info: the wallet's node, and what this very connection may do."""

    alias: str | None = None
    network: str | None = None
    methods: list[str] | None = None
    notifications: list[str] | None = None

    def bitcoin_network(self) -> str:
        """Its network as invoices name it; "" where it is not told."""
        return _NETWORKS.get(self.network or "", self.network or "")


def allowed(service: ServiceInfo, node: Node) -> frozenset[str]:
    """Methods and notifications: get_info knows this connection, the info event the service."""
    methods = service.methods if node.methods is None else frozenset(node.methods)
    notifications = (
        service.notifications if node.notifications is None else frozenset(node.notifications)
    )
    return methods | notifications


def missing(allowed: frozenset[str]) -> list[str]:
    """The methods without which a connection is of no use."""
    return [method for method in _REQUIRED if method not in allowed]


def holds(allowed: frozenset[str]) -> bool:
    """Whether hold invoices can be made, settled and cancelled."""
    return allowed >= _HOLD


def wanting(allowed: frozenset[str]) -> tuple[str, ...]:
    """What is not allowed and would be of use, in words for the operator."""
    return tuple(words for name, words in _WORDS.items() if name not in allowed)

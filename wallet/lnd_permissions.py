"""What a macaroon of LND's does not allow, in words for the operator."""

from __future__ import annotations

from wallet.lnd_rpc import (
    ADD_INVOICE,
    CHANNEL_BALANCE,
    GET_INFO,
    LIST_CHANNELS,
    LIST_INVOICES,
    LIST_PAYMENTS,
    LOOKUP_INVOICE,
    PERMISSIONS,
    SEND_PAYMENT,
    SUBSCRIBE_INVOICES,
    TRACK_PAYMENT,
)
from wallet.macaroon import InvalidMacaroon, permissions

_CAPABILITIES = {
    "see the node": (GET_INFO,),
    "see the balance": (CHANNEL_BALANCE, LIST_CHANNELS),
    "make invoices": (ADD_INVOICE,),
    "see payments arrive": (LOOKUP_INVOICE, LIST_INVOICES, SUBSCRIBE_INVOICES),
    "pay refunds": (SEND_PAYMENT,),
    "follow refunds": (TRACK_PAYMENT, LIST_PAYMENTS),
}


def missing(macaroon: bytes) -> tuple[str, ...]:
    """What a macaroon does not allow and a wallet needs; nothing where it cannot be read."""
    try:
        allowed = permissions(macaroon)
    except InvalidMacaroon:
        return ()
    missing: list[str] = []
    for words, methods in _CAPABILITIES.items():
        needed = {
            PERMISSIONS[method.name]
            for method in methods
            if PERMISSIONS[method.name] not in allowed and ("uri", method.name) not in allowed
        }
        if needed:
            missing.append(words)
    return tuple(missing)

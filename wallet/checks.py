"""What Strom checks itself of every invoice, whoever made it: backends are lax in turns."""

from __future__ import annotations

import hashlib

from wallet import bolt11
from wallet.base import Invoice, WalletRefused, WalletUnavailable
from wallet.bolt11 import Bolt11, InvalidInvoice


class Misconfigured(WalletUnavailable):
    """It cannot work as configured; `open` says so as a WalletConfigError.

    Later calls say it as what it is then: a backend that used to work and is not there now.
    """


def issued(
    request: str, *, backend: str, network: str, amount_msat: int, description: bytes | None
) -> Invoice:
    """An invoice that a backend made for us, if it is what was asked for.

    Args:
        request: the payment request.
        backend: the backend's name, for the error.
        network: what our invoices must be for.
        amount_msat: what was asked for.
        description: what the invoice must commit to; None when a memo was asked for.

    Raises:
        WalletRefused: the invoice is not what was asked for, and must not be handed out.
    """
    try:
        invoice = bolt11.decode(request)
    except InvalidInvoice as error:
        raise WalletRefused(f"{backend} made an unusable invoice: {error}") from None
    if invoice.network != network:
        raise WalletRefused(another_network(backend, invoice.network, network))
    if invoice.amount_msat != amount_msat:
        raise WalletRefused(
            f"{backend} made an invoice over {invoice.amount_msat} instead of {amount_msat} msat"
        )
    if description is not None and invoice.description_hash != _sha256(description):
        raise WalletRefused(f"{backend} made an invoice that does not commit to its description")
    return Invoice(request, invoice.payment_hash, amount_msat, invoice.expires_at_ms)


def another_network(backend: str, found: str, expected: str) -> str:
    """The sentence for a backend that is not on the configured network."""
    return (
        f"{backend} is on {found or 'an unknown network'}, but the wallet URL says {expected}: "
        f"put network={found} into it if that is meant"
    )


def payable(request: str, *, network: str, now_ms: int) -> Bolt11:
    """An invoice that we may pay.

    Args:
        request: the payment request, from whomever.
        network: what our node can pay.
        now_ms: Unix milliseconds.

    Raises:
        InvalidInvoice: it is malformed, expired, for another network or names no amount.
    """
    invoice = bolt11.decode(request, network=network)
    if invoice.amount_msat is None:
        raise InvalidInvoice("the invoice names no amount")
    if now_ms > invoice.expires_at_ms:
        raise InvalidInvoice("the invoice has expired")
    return invoice


def whole_sats(amount_msat: int, backend: str) -> int:
    """An amount in satoshi, for a backend that knows no fraction of one.

    Raises:
        WalletRefused: it has a fraction, or is not positive.
    """
    sats, fraction = divmod(amount_msat, 1000)
    if fraction:
        raise WalletRefused(f"{backend} takes whole satoshis only, not {amount_msat} msat")
    positive(amount_msat)
    return sats


def positive(amount_msat: int) -> None:
    """Refuse what no invoice can ask for (WalletRefused)."""
    if not 0 < amount_msat <= bolt11.MAX_AMOUNT_MSAT:
        raise WalletRefused(f"an invoice cannot ask for {amount_msat} msat")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

"""What a zap receipt's invoice says (BOLT 11), as far as NIP-57's checks need it.

https://github.com/lightning/bolts/blob/master/11-payment-encoding.md
"""

from __future__ import annotations

from dataclasses import dataclass

import bolt11

from nips.errors import InvalidZapReceipt

MAX_INVOICE_CHARS = 4096
DEFAULT_EXPIRY_S = 3600


@dataclass(frozen=True, slots=True)
class InvoiceFacts:
    """An invoice, decoded.

    Attributes:
        network: "bc", "tb", "bcrt" or "tbs".
        amount_msat: None when the invoice leaves it to the payer.
        payment_hash: hex.
        payee: the node that signed it, hex.
        description_hash: the `h` field, hex, or None.
        made_at_s: Unix seconds.
        expires_at_s: Unix seconds.
    """

    network: str
    amount_msat: int | None
    payment_hash: str
    payee: str
    description_hash: str | None
    expires_at_s: int
    made_at_s: int = 0


def decode_invoice(text: str) -> InvoiceFacts:
    """Decode a BOLT 11 invoice and check its signature.

    Raises:
        InvalidZapReceipt: it is none.
    """
    if len(text) > MAX_INVOICE_CHARS:
        raise InvalidZapReceipt("the receipt's invoice is too long")
    try:
        invoice = bolt11.decode(text)
        payee = invoice.payee or ""
    # The bolt11 package lets all errors of bitstring and coincurve through, bare Exception too.
    except Exception as error:  # noqa: BLE001
        raise InvalidZapReceipt(
            f"the receipt's invoice cannot be read ({type(error).__name__})"
        ) from None
    return InvoiceFacts(
        network=invoice.currency,
        amount_msat=None if invoice.amount_msat is None else int(invoice.amount_msat),
        payment_hash=invoice.payment_hash,
        payee=payee,
        description_hash=invoice.description_hash,
        expires_at_s=invoice.date + (invoice.expiry or DEFAULT_EXPIRY_S),
        made_at_s=invoice.date,
    )

"""Real signed invoices for tests."""

from __future__ import annotations

import hashlib

from bolt11 import Bolt11, MilliSatoshi, TagChar, Tags, decode, encode

PREIMAGE = "0a" * 32
PAYMENT_HASH = hashlib.sha256(bytes.fromhex(PREIMAGE)).hexdigest()


def make_invoice(
    *,
    amount_msat: int | None,
    description: str | None,
    date: int,
    network: str = "bcrt",
    node: str = "node",
    payment_hash: str = PAYMENT_HASH,
) -> str:
    """An invoice whose `h` field is the hash of `description`; None for a plain memo."""
    tags = Tags()
    tags.add(TagChar.payment_hash, payment_hash)
    tags.add(TagChar.payment_secret, "01" * 32)
    if description is None:
        tags.add(TagChar.description, "charging")
    else:
        tags.add(TagChar.description_hash, hashlib.sha256(description.encode()).hexdigest())
    tags.add(TagChar.expire_time, 600)
    invoice = Bolt11(
        currency=network,
        amount_msat=None if amount_msat is None else MilliSatoshi(amount_msat),
        date=date,
        tags=tags,
    )
    return encode(invoice, hashlib.sha256(node.encode()).hexdigest(), ignore_exceptions=True)


NODE_PUBKEY = str(
    decode(make_invoice(amount_msat=1000, description=None, date=1_790_000_000)).payee
)

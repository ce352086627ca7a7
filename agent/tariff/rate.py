"""What Bitcoin costs in a driver's own currency, and when that was so. Pure."""

from __future__ import annotations

from msgspec import Struct

MSAT_PER_BTC = 100_000_000_000


class ExchangeRate(Struct, frozen=True):
    """One rate, as it was known at one time.

    Attributes:
        currency: ISO 4217 code.
        msat_per_unit: msat of one whole unit of the currency.
        at_ms: when it was so, Unix ms.
        sources: who said so; "operator" for a rate that stands in the operator's file.
    """

    currency: str
    msat_per_unit: int
    at_ms: int
    sources: tuple[str, ...] = ()

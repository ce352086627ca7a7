"""Money: integer millisatoshi throughout, and the one place where it is rounded."""

from __future__ import annotations

MSAT_PER_SAT = 1000


def whole_sats_msat(amount_msat: int) -> int:
    """The largest whole number of satoshi in an amount, as msat.

    Args:
        amount_msat: an amount of zero or more, in msat.

    Returns:
        The amount without its fraction of a satoshi, in msat. Most wallets cannot
        be paid less than one satoshi; what is cut off is booked as rounding.
    """
    return amount_msat - amount_msat % MSAT_PER_SAT

"""What the LNURL bridge finds out for the agent about lightning addresses elsewhere."""

from __future__ import annotations

from typing import Protocol


class Payees(Protocol):
    """Finds an invoice behind a lightning address or LNURL; offered by the LNURL bridge."""

    async def invoice(self, target: str, amount_msat: int, comment: str) -> str:
        """A BOLT 11 invoice over exactly `amount_msat`; raises Refused with the reason."""
        ...


class Providers(Protocol):
    """Asks the server behind a lightning address of ours; offered by the LNURL bridge."""

    async def zapper(self, address: str) -> str:
        """The public key (hex) that signs its zap receipts; raises Refused with the reason."""
        ...

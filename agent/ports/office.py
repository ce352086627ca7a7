"""What the operator may see and do beyond his drivers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.charges import Charge
from agent.ports.site import SessionView


@dataclass(frozen=True, slots=True)
class OwedRefund:
    """A refund that has not arrived yet, for the operator.

    Attributes:
        since_ms: since when it is owed, Unix ms.
        failure: why the last attempt failed; "" without one.
    """

    charge_point: str
    session_id: str
    refund_no: int
    amount_msat: int
    state: str
    since_ms: int
    failure: str = ""


@dataclass(frozen=True, slots=True)
class WalletState:
    """The wallet as the operator sees it; amounts that it does not say are None.

    Attributes:
        trouble: why nothing can be paid or received now; "" when it answers.
    """

    name: str = ""
    network: str = ""
    balance_msat: int | None = None
    inbound_msat: int | None = None
    trouble: str = ""


class Office(Protocol):
    """What the operator may see and do beyond his drivers."""

    async def open_sessions(self) -> Sequence[SessionView]:
        """Every session that has not ended, without their secrets."""
        ...

    async def stop_by_operator(self, session_id: str) -> None:
        """End a session by its id; raises UnknownSession."""
        ...

    def owed(self) -> Sequence[OwedRefund]:
        """Every refund that has not arrived yet, the oldest first."""
        ...

    def troubles(self) -> Mapping[str, str]:
        """What is wrong now, by name."""
        ...

    def changes(self, at_least_every_s: float) -> AsyncIterator[None]:
        """Once now, then after whatever the operator sees changed, or after so long.

        Changes that come while the one before is dealt with count as one.
        """
        ...

    async def charges(self, charge_point_id: str, most: int) -> Sequence[Charge]:
        """The closed sessions of a charge point, the latest first; raises UnknownChargePoint."""
        ...

    async def wallet_state(self) -> WalletState:
        """How the wallet is."""
        ...

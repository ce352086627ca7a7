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
        payment_hash: of the payment of which nobody can say yet what became of it; "" where it
            is known.
        doubted: it may have been paid already, by a Strom with other data than this one.
    """

    charge_point: str
    session_id: str
    refund_no: int
    amount_msat: int
    state: str
    since_ms: int
    failure: str = ""
    payment_hash: str = ""
    doubted: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a refund that the operator was asked about.

    Attributes:
        arrived: whether the driver has his money; else it is owed again.
        by_wallet: the wallet itself could tell, so that the operator's word was not needed.
    """

    arrived: bool
    by_wallet: bool


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

    async def decide_refund(
        self, session_id: str, refund_no: int | None, *, arrived: bool, operator: str
    ) -> Verdict:
        """Take the operator's word on what became of a refund; it stands in the journal for good.

        It counts where no wallet can tell: the wallet that was asked to pay is asked first. What
        did not arrive is owed again, and the driver can ask for it on another invoice. What was
        not asked for yet may have been paid back on another way.

        Args:
            session_id: whose.
            refund_no: which of its refunds; None for the only one that is not paid.
            arrived: whether the driver has his money.
            operator: who says so.

        Raises:
            UnknownSession: no such session.
            Refused: the money may still move, or its end is known already; the text says which.
        """
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

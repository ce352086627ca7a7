"""All charge points of this Strom, as the bridges see them, and a session as its payer does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from agent.machine.events import ConnectorStatus, Obstacle, StopBy
from agent.ports.charge_point import ChargePoint
from agent.ports.quotes import Quote
from agent.receipts import Receipt
from agent.signed_values import SignedValue
from agent.tariff.model import BillLine, Tariff


@dataclass(frozen=True, slots=True)
class RefundView:
    """A refund as its owner may see it."""

    refund_no: int
    state: str
    amount_msat: int
    fee_msat: int = 0


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One thing that happened in a session, for its owner."""

    at_ms: int
    kind: str
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PowerSample:
    """The power at one time."""

    at_ms: int
    power_w: int


@dataclass(frozen=True, slots=True)
class SessionView:
    """A session as its owner may see it: all amounts in msat, energy in Wh, times in Unix ms.

    Attributes:
        status: the connector's state, OFFLINE while its charger is lost; None once it is closed.
        claimable_msat: what of the credit an open session's payer can have back by LNURL now: what
            is left, less what may flow until the charge has stopped; 0 for a closed one.
        unplug_first: whether it waits for the cable of the charge before to be unplugged.
    """

    id: str
    secret: str
    state: str
    charge_point: str
    connector: int
    energy_wh: int
    power_w: int
    paid_msat: int
    held_msat: int
    cost_msat: int
    credit_msat: int
    owed_msat: int
    refunded_msat: int
    rounding_msat: int
    refunds: tuple[RefundView, ...]
    bill: tuple[BillLine, ...]
    tariff: Tariff
    opened_at_ms: int
    start_deadline_ms: int
    started_at_ms: int | None
    closed_at_ms: int | None
    credit_ends_at_ms: int | None
    obstacle: Obstacle | None
    payment_hashes: tuple[str, ...]
    events: tuple[TimelineEntry, ...]
    status: ConnectorStatus | None = None
    unplug_first: bool = False
    claimable_msat: int = 0


@dataclass(frozen=True, slots=True)
class WithdrawOffer:
    """What an LNURL-withdraw request is answered with (LUD-03).

    Attributes:
        set_aside_msat: what is left besides, and may flow until the charge has stopped: what of it
            does not is owed afterwards. 0 once it has.
    """

    k1: str
    amount_msat: int
    description: str
    set_aside_msat: int = 0


class ChargePoints(Protocol):
    """The charge points of this Strom."""

    def charge_point(self, charge_point_id: str) -> ChargePoint:
        """The charge point of that id in any case; raises UnknownChargePoint."""
        ...

    def charge_point_ids(self) -> Sequence[str]:
        """The ids of all charge points, in the order of the operator's file."""
        ...


class OwnedSessions(Protocol):
    """Sessions as their payers see and command them."""

    async def session(self, secret: str) -> SessionView:
        """The session that a secret owns; raises UnknownSession."""
        ...

    def session_changes(self, secret: str) -> AsyncIterator[SessionView]:
        """The session now and after each change, newest only, until it is closed and repaid."""
        ...

    async def session_of_key(self, linking_key: str) -> SessionView:
        """The latest session that a linking key owns (LUD-04); raises UnknownSession."""
        ...

    async def receipt(self, secret: str) -> Receipt:
        """The receipt of a closed session; raises UnknownSession, or Refused while it is open."""
        ...

    async def signed_receipt(self, secret: str) -> str:
        """The same, signed by the charge point, as JSON (see `agent.notary`); raises alike."""
        ...

    async def signed_values(self, secret: str) -> Sequence[SignedValue]:
        """The signed meter values of a session, oldest first; raises UnknownSession."""
        ...

    async def power_curve(self, secret: str) -> Sequence[PowerSample]:
        """The power measured so far, oldest first; raises UnknownSession."""
        ...

    async def quote_of(self, payment_hash: str) -> Quote:
        """The quote behind an invoice; raises UnknownSession."""
        ...

    async def stop(self, secret: str, by: StopBy = StopBy.DRIVER) -> None:
        """End a session by its secret."""
        ...

    async def offer_refund(self, secret: str) -> WithdrawOffer:
        """A withdraw key for what is owed, or, while charging, for what is left.

        Raises:
            UnknownSession: no such secret.
            Refused: nothing is left, or it is already being paid.
        """
        ...

    async def claim_refund(self, k1: str, bolt11: str) -> None:
        """Pay a refund to an invoice; returns once the decision is stored.

        The same invoice again is accepted again; another one is refused.

        Raises:
            UnknownSession: no such key.
            Refused: the key is used up, or the invoice is not what was offered.
        """
        ...

    async def send_refund(self, secret: str, target: str) -> None:
        """Pay what is owed to a lightning address, an LNURL or an invoice.

        Raises:
            UnknownSession: no such secret.
            Refused: nothing is owed, or the target is not usable; the text says why.
        """
        ...


class Site(ChargePoints, Protocol):
    """What the bridges see of this Strom: its charge points, and sessions for their payers."""

    @property
    def owned(self) -> OwnedSessions:
        """Sessions, for those who own them."""
        ...

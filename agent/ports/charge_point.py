"""One charge point, as the bridges see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.machine.events import ConnectorStatus, Obstacle
from agent.ports.charger import (
    Charger,
    Fault,
    MeterReport,
    Nameplate,
    StartReport,
    StartVerdict,
    StopReport,
)
from agent.ports.quotes import Quote, QuoteRequest
from agent.signed_values import SignedValue
from agent.tariff.model import Tariff


@dataclass(frozen=True, slots=True)
class ConnectorView:
    """A connector as anyone may see it. `obstacle` is None when a payment can start it now."""

    id: int
    status: ConnectorStatus
    obstacle: Obstacle | None
    power_w: int = 0
    energy_wh: int = 0
    free_in_s: int | None = None

    @property
    def unplug_first(self) -> bool:
        """Whether the cable of the charge before is still plugged in."""
        return self.status is ConnectorStatus.FINISHING


@dataclass(frozen=True, slots=True)
class ChargePointView:
    """A charge point as anyone may see it.

    `lightning_address` is its own, here; `zap_address` is the one in its nostr profile, which
    may live elsewhere.
    """

    id: str
    name: str
    about: str
    picture: str
    website: str
    npub: str
    nprofile: str
    pubkey: str
    lightning_address: str
    tariff: Tariff
    min_payment_msat: int
    max_payment_msat: int
    online: bool
    connectors: tuple[ConnectorView, ...]
    latitude: float | None = None
    longitude: float | None = None
    address: str = ""
    zap_address: str = ""

    def unplug_first(self, connector: int) -> bool:
        """Whether the cable of the charge before is still plugged in at a connector."""
        return any(one.id == connector and one.unplug_first for one in self.connectors)


@dataclass(frozen=True, slots=True)
class Commitments:
    """What a charge point has promised now, for whoever commands its charger.

    Attributes:
        connectors: those with a session that has not ended.
        transactions: the ids of the transactions of these sessions.
        idle: whether nobody is served, about to be, or holds an invoice that can still be paid.
    """

    connectors: frozenset[int]
    transactions: frozenset[int]
    idle: bool


class ChargePoint(Protocol):
    """One charge point as the bridges see it. Every call may raise AgentError."""

    @property
    def id(self) -> str:
        """The id in the operator's file."""
        ...

    async def attach(self, charger: Charger) -> None:
        """The charger connected; the newest connection owns the charge point."""
        ...

    async def detach(self, charger: Charger) -> None:
        """The connection ended; nothing happens when a newer one has taken over."""
        ...

    async def answering(self, charger: Charger, answers: bool) -> None:
        """A connected charger ceased to answer, or answers again.

        While it does not, nobody can pay for it. A charger answers when it connects; nothing
        happens when a newer connection has taken over.
        """
        ...

    async def connector_status(self, connector: int, status: ConnectorStatus, at_ms: int) -> None:
        """A connector reported its state (connector 0: the charge point as a whole)."""
        ...

    async def connector_fault(
        self, connector: int, fault: Fault | None, status: ConnectorStatus | None = None
    ) -> None:
        """What is wrong with a connector (connector 0: with the charge point as a whole).

        It is for the operator alone, and forgotten with the process.

        Args:
            connector: which.
            fault: the charger's latest word; None for nothing.
            status: the state that the same message tells, which is reported besides; None for none.
        """
        ...

    async def faults(self) -> Mapping[int, Fault]:
        """What is wrong now, by connector."""
        ...

    async def may_charge(self, id_tag: str) -> bool:
        """Whether an id tag is that of an open session here (OCPP Authorize)."""
        ...

    async def transaction_started(self, report: StartReport) -> StartVerdict:
        """A transaction began; returns once that is stored. Safe to repeat."""
        ...

    async def meter_sampled(self, reports: Sequence[MeterReport]) -> None:
        """The meter was read; returns once that is stored. Safe to repeat."""
        ...

    async def signed_values(
        self, connector: int, transaction_id: int | None, values: Sequence[SignedValue]
    ) -> None:
        """Signed meter values came; kept with their session. Safe to repeat."""
        ...

    async def transaction_stopped(self, report: StopReport) -> None:
        """A transaction ended; returns once that is stored, whatever it says. Safe to repeat."""
        ...

    async def view(self) -> ChargePointView:
        """What anyone may see."""
        ...

    async def obstacle(self, connector: int | None) -> Obstacle | None:
        """Why a payment could not start this connector (None: any) now; None when it could."""
        ...

    async def commitments(self) -> Commitments:
        """What is promised here now."""
        ...

    async def introduced(self, nameplate: Nameplate) -> None:
        """The charger started, and said what it is; returns once that is stored."""
        ...

    async def nameplate(self) -> Nameplate:
        """What the charger said of itself when it last booted."""
        ...

    async def keep_note(self, name: str, text: str) -> None:
        """Keep a bridge's own note about this charge point; returns once that is stored."""
        ...

    async def note(self, name: str) -> str:
        """A note that was kept; "" for none."""
        ...

    async def quote(self, request: QuoteRequest) -> Quote:
        """Make an invoice with a frozen price; raises Refused before any invoice exists."""
        ...

    async def quote_zap(self, raw: str, amount_msat: int, connector: int | None) -> Quote:
        """Make an invoice for a zap request (NIP-57) as it came.

        Args:
            raw: the URL-decoded request, which the invoice commits to.
            amount_msat: the amount in the query.
            connector: the one in the lightning address; None for any.

        Raises:
            InvalidZapRequest: it breaks a rule of NIP-57.
            Refused: the charge point cannot start now, or the zap was paid before.
        """
        ...

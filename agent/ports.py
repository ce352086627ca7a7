"""What the agent and its guests promise each other: plain data and async calls, both ways.

A bridge reaches a charge point only through `Site.charge_point(id)`. Nothing here assumes
that all charge points live in one process.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from msgspec import Struct

from agent.machine.events import ConnectorStatus, Obstacle, Payer, StopBy
from agent.machine.metering import Source
from agent.receipts import Receipt
from agent.signed_values import SignedValue
from agent.tariff.model import BillLine, Tariff


class AgentError(Exception):
    """Root of what the agent refuses; the text is a sentence for the person who asked."""


class UnknownChargePoint(AgentError):
    """No charge point of that id is configured."""


class UnknownSession(AgentError):
    """No session belongs to that secret or key."""


class Refused(AgentError):
    """The charge point will not do this now.

    Args:
        sentence: why, in English.
        obstacle: why, where it is about charging.
        word: key of the same sentence in the catalogues, behind "refused."; "" without one.
        values: what is filled in there.
    """

    def __init__(
        self, sentence: str, obstacle: Obstacle | None = None, word: str = "", **values: object
    ) -> None:
        super().__init__(sentence)
        self.obstacle = obstacle
        self.word = word
        self.values = values


class NotThePayer(Refused):
    """Only the payer of a session may do this."""


class StartOutcome(StrEnum):
    """A charger's answer to being asked to start."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class StopOutcome(StrEnum):
    """A charger's answer to being asked to stop."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class WatchOutcome(StrEnum):
    """A charger's answer to being asked for a reading of its meter."""

    COMING = "coming"
    UNSUPPORTED = "unsupported"
    UNKNOWN = "unknown"


class ChargerCommand(StrEnum):
    """What an operator may ask of a charger."""

    RESET = "reset"
    UNLOCK = "unlock"
    ENABLE = "enable"
    DISABLE = "disable"


class Charger(Protocol):
    """A connected charger, as a bridge hands it to the agent.

    No method raises for a charger that misbehaves: what cannot be known is UNKNOWN.
    """

    async def start(self, connector: int, id_tag: str) -> StartOutcome:
        """Ask to start charging on a connector under an id tag of at most 18 characters."""
        ...

    async def stop(self, transaction_id: int) -> StopOutcome:
        """Ask to stop a transaction."""
        ...

    async def command(self, command: ChargerCommand, connector: int) -> bool:
        """Carry out an operator's command (connector 0: the whole charge point); True if done."""
        ...

    async def watch(self, connector: int) -> WatchOutcome:
        """Have a connector's meter read now, or more often; takes seconds at most."""
        ...

    async def watch_as_usual(self, connector: int) -> None:
        """Undo what `watch` changed."""
        ...

    async def cut_power(self, connector: int, transaction_id: int) -> bool:
        """Give no more power to a transaction; True if the charger does so."""
        ...


@dataclass(frozen=True, slots=True)
class StartReport:
    """A charger's word that a transaction began (OCPP StartTransaction).

    The four first fields together with the charge point name the transaction: a charger
    that repeats them means the same one. So `started_at_ms` is the charger's own time,
    however wrong its clock is; `began_at_ms` is the same moment by our clock, None where
    it needs no correction.
    """

    connector: int
    id_tag: str
    register_wh: int
    started_at_ms: int
    began_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class StartVerdict:
    """The agent's answer: the id that the transaction has from now on, and whether it may go on."""

    transaction_id: int
    accepted: bool


class MeterReport(Struct, frozen=True):
    """One reading of the meter. `transaction_id` is None where the charger named none.

    Attributes:
        connector: the connector that was read.
        transaction_id: as the charger gave it; trusted only when it is one of ours.
        sampled_at_ms: when, corrected for the charger's clock.
        register_wh: the energy register in Wh; None when the sample had none.
        power_w: power in W; None when the sample had none.
        fraction_mwh: what rounding took off the register or added, in thousandths of a Wh,
            where it was not written in kWh.
        source: whether it came with the stop.
    """

    connector: int
    transaction_id: int | None
    sampled_at_ms: int
    register_wh: int | None
    power_w: int | None = None
    fraction_mwh: int = 0
    source: Source = Source.SAMPLE


@dataclass(frozen=True, slots=True)
class StopReport:
    """A charger's word that a transaction ended (OCPP StopTransaction)."""

    transaction_id: int
    register_wh: int | None
    stopped_at_ms: int
    reason: str = "Local"
    id_tag: str = ""


class Origin(StrEnum):
    """By which way a payment is asked for."""

    ZAP = "zap"
    LNURL = "lnurl"
    MESSAGE = "message"
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True)
class QuoteRequest:
    """What a driver wants to pay for.

    Attributes:
        amount_msat: how much.
        origin: by which way he asks.
        connector: the connector he named; None: the first that can start.
        payer: who he is, as far as he showed.
        description: the raw text whose SHA-256 the invoice commits to (LNURL metadata
            with payer data, or the zap request as it came); None for a plain memo.
        zap_request: the raw zap request when this is a zap.
        topup_secret: the secret of the session to be topped up; None to start one.
        comment: the driver's words.
        reply: protocol in which to write to him: "nip04", "nip17" or "".
        language: the language of his words, as a two-letter code, "" for the default.
    """

    amount_msat: int
    origin: Origin
    connector: int | None = None
    payer: Payer = Payer()
    description: str | None = None
    zap_request: str | None = None
    topup_secret: str | None = None
    comment: str = ""
    reply: str = ""
    language: str = ""


@dataclass(frozen=True, slots=True)
class Quote:
    """An invoice of ours and all that was promised with it; a row, never a state of a charger.

    Attributes:
        payment_hash: hex; the quote's name.
        session_id: the session that it opens or tops up.
        secret: what makes the payer of a session known; part of his session page's URL.
        tariff: the frozen tariff.
        settled_at_ms: when it was paid; None while it is not.
        preimage: hex, where our wallet told it; who has it proves that he paid.
        hold: whether the wallet holds the payment until charging begins.
    """

    payment_hash: str
    bolt11: str
    amount_msat: int
    charge_point: str
    connector: int
    session_id: str
    secret: str = field(repr=False)
    origin: Origin
    payer: Payer
    tariff: Tariff
    created_at_ms: int
    expires_at_ms: int
    zap_request: str | None = None
    comment: str = ""
    reply: str = ""
    language: str = ""
    topup: bool = False
    settled_at_ms: int | None = None
    preimage: str = field(default="", repr=False)
    hold: bool = False


@dataclass(frozen=True, slots=True)
class ConnectorView:
    """A connector as anyone may see it. `obstacle` is None when a payment can start it now."""

    id: int
    status: ConnectorStatus
    obstacle: Obstacle | None
    power_w: int = 0
    energy_wh: int = 0
    free_in_s: int | None = None


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
    """A session as its owner may see it: all amounts in msat, energy in Wh, times in Unix ms."""

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


@dataclass(frozen=True, slots=True)
class WithdrawOffer:
    """What an LNURL-withdraw request is answered with (LUD-03)."""

    k1: str
    amount_msat: int
    description: str


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


@dataclass(frozen=True, slots=True)
class Nameplate:
    """What a charger says of itself when it boots; "" where it says nothing."""

    vendor: str = ""
    model: str = ""
    serial: str = ""
    firmware: str = ""


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
        """The charger said what it is; returns once that is stored."""
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


class Site(Protocol):
    """All charge points of this Strom, as the bridges see them."""

    def charge_point(self, charge_point_id: str) -> ChargePoint:
        """The charge point of that id in any case; raises UnknownChargePoint."""
        ...

    def charge_point_ids(self) -> Sequence[str]:
        """The ids of all charge points, in the order of the operator's file."""
        ...

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


class Providers(Protocol):
    """Asks the server behind a lightning address of ours; offered by the LNURL bridge."""

    async def zapper(self, address: str) -> str:
        """The public key (hex) that signs its zap receipts; raises Refused with the reason."""
        ...


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

    async def wallet_state(self) -> WalletState:
        """How the wallet is."""
        ...


class Payees(Protocol):
    """Finds an invoice behind a lightning address or LNURL; offered by the LNURL bridge."""

    async def invoice(self, target: str, amount_msat: int, comment: str) -> str:
        """A BOLT 11 invoice over exactly `amount_msat`; raises Refused with the reason."""
        ...

"""What happened: the events that the session machine takes, in the past tense, frozen.

Every event carries `key`, under which it is journalled exactly once, and `at_ms`, the
time at which it happened as Unix milliseconds: the machines have no clock of their own.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from agent.machine.meter import Source
from agent.tariff.model import Tariff


class ConnectorStatus(StrEnum):
    """A connector's state: OCPP 1.6 section 7.7 by its names, and OFFLINE for a lost charger."""

    AVAILABLE = "Available"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    SUSPENDED_EVSE = "SuspendedEVSE"
    SUSPENDED_EV = "SuspendedEV"
    FINISHING = "Finishing"
    RESERVED = "Reserved"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"
    OFFLINE = "Offline"


class Obstacle(StrEnum):
    """Why a payment buys no charging and goes back in full."""

    OFFLINE = "offline"
    NOT_ANSWERING = "not answering"
    OCCUPIED = "occupied"
    FAULTED = "faulted"
    UNAVAILABLE = "unavailable"
    RESERVED = "reserved"
    DISABLED = "disabled"
    REJECTED = "rejected"
    NOT_PLUGGED_IN = "not plugged in"
    STILL_PLUGGED_IN = "still plugged in"
    LATE = "paid too late"
    WITHDRAWN = "payment withdrawn"
    AMOUNT = "amount not taken"


class StopBy(StrEnum):
    """Who or what asked for the stop of a session."""

    DRIVER = "driver"
    OPERATOR = "operator"
    CREDIT = "credit"
    REFUND = "refund"
    NO_ENERGY = "no energy"


class Payer(Struct, frozen=True):
    """Who paid, as far as he showed himself: the owner of a session and of its refund.

    Attributes:
        pubkey: hex public key of the zap's or message's author; None when he stayed
            anonymous (an `anon` zap, an LNURL payment): then the secret link alone owns.
        linking_keys: keys that proved themselves as the payer's by LNURL-auth (LUD-04).
        address: a lightning address that he gave for what goes back (LUD-18), or "".
    """

    pubkey: str | None = None
    linking_keys: tuple[str, ...] = ()
    address: str = ""


class PaymentSettled(Struct, frozen=True):
    """The wallet said that an invoice was paid: it opens a session or tops it up.

    Attributes:
        payment_hash: hex hash of the invoice; a hash is credited once.
        amount_msat: what arrived.
        payer: who paid.
        tariff: the tariff frozen in the quote that the driver saw.
        obstacle: why this money cannot buy charging; None when it can.
        start_deadline_ms: until when charging must have begun.
    """

    key: str
    at_ms: int
    payment_hash: str
    amount_msat: int
    payer: Payer
    tariff: Tariff
    start_deadline_ms: int
    obstacle: Obstacle | None = None


class PaymentHeld(Struct, frozen=True):
    """The wallet holds a payment until we take it or let it go (a hold invoice): it opens a
    session. The attributes are those of PaymentSettled.
    """

    key: str
    at_ms: int
    payment_hash: str
    amount_msat: int
    payer: Payer
    tariff: Tariff
    start_deadline_ms: int
    obstacle: Obstacle | None = None


class PaymentCanceled(Struct, frozen=True):
    """A payment that was held went back to its payer: we let it go, or it was withdrawn."""

    key: str
    at_ms: int
    payment_hash: str


class StartRejected(Struct, frozen=True):
    """The charger refused to start.

    STILL_PLUGGED_IN for one that wants the cable of the charge before to be unplugged first.
    """

    key: str
    at_ms: int
    reason: Obstacle = Obstacle.REJECTED


class TransactionStarted(Struct, frozen=True):
    """The charger began a transaction.

    Attributes:
        register_wh: its meter at that moment; None where it did not say.
        connector: where; 0 for the session's own.
        max_power_w: what that connector gives at most; 0 for unknown.
        told_at_ms: when the charger told it; 0 for at once.
    """

    key: str
    at_ms: int
    transaction_id: int
    register_wh: int | None
    connector: int = 0
    max_power_w: int = 0
    told_at_ms: int = 0


class TransactionShown(Struct, frozen=True):
    """A reading of the meter names a transaction of this session that is not its latest.

    A charger that was asked to start twice may begin two, and goes on with the first.
    """

    key: str
    at_ms: int
    transaction_id: int


class MeterSampled(Struct, frozen=True):
    """The charger's meter was read.

    Attributes:
        register_wh: the energy register; None when the sample had power only.
        power_w: the measured power; None when it was not reported.
        fraction_mwh: what rounding took off the register or added, in thousandths of a Wh.
        source: where it was read, or that the register is a sum of intervals.
    """

    key: str
    at_ms: int
    register_wh: int | None
    power_w: int | None = None
    fraction_mwh: int = 0
    source: Source = Source.SAMPLE


class ConnectorStatusChanged(Struct, frozen=True):
    """The connector of the session changed its state.

    Attributes:
        heard_ms: of a lost charger: when it was certainly still there; 0 for `at_ms`.
    """

    key: str
    at_ms: int
    status: ConnectorStatus
    heard_ms: int = 0


class ChargerBooted(Struct, frozen=True):
    """The charger started anew: in a silence before that it had no power, or did not work."""

    key: str
    at_ms: int


class ClockSet(Struct, frozen=True):
    """The clock by which all of this is dated was set.

    Attributes:
        at_ms: when, as it shows since.
        by_ms: by how much, forward or (below zero) back.
    """

    key: str
    at_ms: int
    by_ms: int


class StopRequested(Struct, frozen=True):
    """Somebody entitled asked for the end of charging."""

    key: str
    at_ms: int
    by: StopBy


class TransactionStopped(Struct, frozen=True):
    """The charger ended the transaction; `register_wh` is its meter, None when unreadable.

    `presumed` where it never said so: what is read of it later shows that it goes on.
    """

    key: str
    at_ms: int
    transaction_id: int
    register_wh: int | None
    reason: str = "Local"
    presumed: bool = False


class DeadlineReached(Struct, frozen=True):
    """The time that `deadline()` named has come.

    Attributes:
        silent: whether the charger is connected and does not answer.
    """

    key: str
    at_ms: int
    silent: bool = False


class RefundOffered(Struct, frozen=True):
    """A one-time withdraw key was handed to the payer (LUD-03).

    Attributes:
        refund_no: which refund of the session, from 1; one past the last while the session
            is open offers what is left of its credit.
        k1: the one-time key.
        amount_msat: what may be withdrawn with it.
        expires_at_ms: until when the amount holds while the session is still open.
    """

    key: str
    at_ms: int
    refund_no: int
    k1: str
    amount_msat: int
    expires_at_ms: int


class RefundClaimed(Struct, frozen=True):
    """The payer gave an invoice for his refund: the one decision on this money.

    Attributes:
        refund_no: which refund of the session.
        bolt11: the invoice to be paid.
        payment_hash: its hash, hex.
        fee_limit_msat: what routing may cost at most.
        k1: the withdraw key he used; "" when he was identified otherwise.
    """

    key: str
    at_ms: int
    refund_no: int
    bolt11: str
    payment_hash: str
    amount_msat: int
    fee_limit_msat: int
    k1: str = ""


class RefundSent(Struct, frozen=True):
    """The invoice of a refund is about to be handed to the wallet: from here on it may be paid.

    Attributes:
        refund_no: which refund of the session.
        payment_hash: the invoice's hash: word of an earlier attempt decides nothing about
            this one. "" leaves it unchecked; the same in the three events that follow.
        wallet: whose money it is to be paid from, as the wallet calls itself: another wallet
            knows nothing of it. "" for unknown.
    """

    key: str
    at_ms: int
    refund_no: int
    payment_hash: str = ""
    wallet: str = ""


class RefundSettled(Struct, frozen=True):
    """The wallet said that the refund arrived; the fee is the operator's."""

    key: str
    at_ms: int
    refund_no: int
    fee_msat: int
    payment_hash: str = ""


class RefundUncertain(Struct, frozen=True):
    """The wallet could not say what became of the payment: it may still arrive."""

    key: str
    at_ms: int
    refund_no: int
    payment_hash: str = ""


class RefundFailed(Struct, frozen=True):
    """The wallet said finally that the payment did not and will not arrive."""

    key: str
    at_ms: int
    refund_no: int
    reason: str
    payment_hash: str = ""


class RefundDecided(Struct, frozen=True):
    """The operator said what became of a refund, where no wallet can say it.

    Attributes:
        refund_no: which refund of the session.
        arrived: whether the driver has his money: by this payment, or on another way.
        operator: who said it.
        payment_hash: of the payment that it is about; "" where none was decided on.
    """

    key: str
    at_ms: int
    refund_no: int
    arrived: bool
    operator: str
    payment_hash: str = ""


RefundEvent = (
    RefundOffered
    | RefundClaimed
    | RefundSent
    | RefundSettled
    | RefundUncertain
    | RefundFailed
    | RefundDecided
)
SessionEvent = (
    PaymentSettled
    | PaymentHeld
    | PaymentCanceled
    | StartRejected
    | TransactionStarted
    | TransactionShown
    | MeterSampled
    | ConnectorStatusChanged
    | ChargerBooted
    | ClockSet
    | StopRequested
    | TransactionStopped
    | DeadlineReached
)
Event = SessionEvent | RefundEvent

"""What is to be done: the effects that the session machine asks for, in the imperative, frozen."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from agent.machine.events import Obstacle


class Topic(StrEnum):
    """What a message to the driver is about; voices choose the words."""

    PLUG_IN = "plug_in"
    UNPLUG_FIRST = "unplug_first"
    STARTED = "started"
    TOPPED_UP = "topped_up"
    SUSPENDED = "suspended"
    RESUMED = "resumed"
    PROGRESS = "progress"
    CREDIT_LOW = "credit_low"
    STOPPING = "stopping"
    FINISHED = "finished"
    NOT_STARTED = "not_started"
    REFUND_DUE = "refund_due"
    REFUND_PAID = "refund_paid"
    REFUND_FAILED = "refund_failed"
    CHARGER_SILENT = "charger_silent"
    RECEIPT = "receipt"


@dataclass(frozen=True, slots=True)
class StartCharging:
    """Ask the charger to start; `attempt` counts from 1."""

    attempt: int


@dataclass(frozen=True, slots=True)
class StopCharging:
    """Ask the charger to stop a transaction."""

    transaction_id: int


@dataclass(frozen=True, slots=True)
class WatchClosely:
    """Have the meter read now, or more often where the charger cannot be asked."""


@dataclass(frozen=True, slots=True)
class WatchAsUsual:
    """Undo what WatchClosely changed: the session is over."""


@dataclass(frozen=True, slots=True)
class CutPower:
    """Have the charger give no more power to a transaction that goes on after its stop."""

    transaction_id: int


@dataclass(frozen=True, slots=True)
class SettlePayment:
    """Take a payment that is held: charging has begun."""

    payment_hash: str


@dataclass(frozen=True, slots=True)
class CancelPayment:
    """Let a payment that is held go back: it buys no charging."""

    payment_hash: str


@dataclass(frozen=True, slots=True)
class PublishZapReceipt:
    """Publish the NIP-57 receipt of a payment, if the payment was a zap."""

    payment_hash: str


@dataclass(frozen=True, slots=True)
class PublishStatus:
    """Publish the state of the charge point. Replaceable: made anew at each start."""


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Tell the driver something.

    Attributes:
        topic: what about.
        amount_msat: the amount the message is about, where it has one.
        obstacle: why there was no charging (NOT_STARTED only).
        minutes: how long the credit lasts (CREDIT_LOW only); 0 for unknown.
    """

    topic: Topic
    amount_msat: int = 0
    obstacle: Obstacle | None = None
    minutes: int = 0


@dataclass(frozen=True, slots=True)
class PayRefund:
    """Pay a refund whose invoice is stored, or learn what became of it."""

    refund_no: int


@dataclass(frozen=True, slots=True)
class OfferRefund:
    """A refund fell due: pay it by itself where the driver's address is known."""

    refund_no: int


@dataclass(frozen=True, slots=True)
class SendCdr:
    """Hand the charge detail record of the closed session on."""


Effect = (
    StartCharging
    | StopCharging
    | WatchClosely
    | WatchAsUsual
    | CutPower
    | SettlePayment
    | CancelPayment
    | PublishZapReceipt
    | PublishStatus
    | SendMessage
    | PayRefund
    | OfferRefund
    | SendCdr
)

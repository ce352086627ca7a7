"""The session machine's table: every state with every event."""

from __future__ import annotations

from typing import get_args

import pytest

from agent.machine.deadlines import deadline
from agent.machine.errors import IllegalEvent
from agent.machine.events import (
    ChargerBooted,
    ClockSet,
    ConnectorStatus,
    ConnectorStatusChanged,
    DeadlineReached,
    Event,
    MeterSampled,
    PaymentCanceled,
    PaymentHeld,
    PaymentSettled,
    RefundClaimed,
    RefundDecided,
    RefundEvent,
    RefundFailed,
    RefundOffered,
    RefundSent,
    RefundSettled,
    RefundUncertain,
    SessionEvent,
    StartRejected,
    StopRequested,
    TransactionShown,
    TransactionStarted,
    TransactionStopped,
)
from agent.machine.model import Session, SessionState
from agent.machine.session import TRANSITIONS, step
from tests.agent.machine.each_state import NOW, SESSIONS
from tests.agent.machine.examples import (
    MINUTE,
    SAT,
    T0,
    after,
    arrived,
    asked_to_stop,
    begun,
    booted,
    charging,
    claimed,
    decided,
    doubted,
    ended,
    failed,
    held,
    named,
    offered,
    paid,
    sampled,
    sent,
    showed,
    waited,
)


def event_for(session: Session, event: type[Event]) -> Event:
    """An event that this session might meet next."""
    is_closed = session.state is SessionState.CLOSED
    left_msat = 700 * SAT if is_closed else 500 * SAT
    # What may have been used since the last reading is not to be had.
    claim_ms = NOW if is_closed else T0 + MINUTE
    k1 = session.refunds[0].k1 if session.refunds else ""
    events: dict[type[Event], Event] = {
        PaymentSettled: paid(NOW) if session.held else paid(NOW, 200 * SAT, "bb"),
        PaymentHeld: held(NOW) if session.held else held(NOW, payment_hash="bb"),
        PaymentCanceled: PaymentCanceled("canceled", NOW, "aa"),
        StartRejected: StartRejected("rejected", NOW),
        TransactionStarted: begun(NOW, transaction_id=8, register_wh=41_000),
        TransactionShown: TransactionShown("shown", NOW, 8),
        MeterSampled: sampled(NOW, 41_200),
        ConnectorStatusChanged: showed(NOW, ConnectorStatus.CHARGING),
        ChargerBooted: booted(NOW),
        ClockSet: ClockSet("clock", NOW, 60_000),
        StopRequested: asked_to_stop(NOW),
        TransactionStopped: ended(NOW, 41_300),
        DeadlineReached: waited(deadline(session) or NOW),
        RefundOffered: offered(NOW, left_msat, "k2"),
        RefundClaimed: claimed(claim_ms, left_msat, k1),
        RefundSent: sent(NOW),
        RefundSettled: arrived(NOW),
        RefundUncertain: doubted(NOW),
        RefundFailed: failed(NOW),
        RefundDecided: decided(NOW, arrived=True),
    }
    return events[event]


# state        event                  next state effects
TABLE = """
STARTING       PaymentSettled         STARTING   PublishZapReceipt Say:TOPPED_UP
STARTING       PaymentHeld            STARTING   CancelPayment
STARTING       PaymentCanceled        STARTING
STARTING       StartRejected          CLOSED     PublishStatus Say:NOT_STARTED OfferRefund
STARTING       TransactionStarted     CHARGING   PublishStatus Say:STARTED
STARTING       TransactionShown       STARTING
STARTING       MeterSampled           STARTING
STARTING       ConnectorStatusChanged STARTING   PublishStatus
STARTING       ChargerBooted          STARTING
STARTING       ClockSet               STARTING
STARTING       StopRequested          CLOSED     PublishStatus Say:NOT_STARTED OfferRefund
STARTING       TransactionStopped     STARTING
STARTING       DeadlineReached        CLOSED     PublishStatus Say:NOT_STARTED OfferRefund
STARTING       RefundOffered          STARTING
STARTING       RefundClaimed          CLOSED     PublishStatus Say:NOT_STARTED PayRefund OfferRefund
STARTING       RefundSent             illegal
STARTING       RefundSettled          illegal
STARTING       RefundUncertain        illegal
STARTING       RefundFailed           illegal
STARTING       RefundDecided          illegal

STARTING/unplug PaymentSettled         STARTING   PublishZapReceipt Say:TOPPED_UP
STARTING/unplug PaymentHeld            STARTING   CancelPayment
STARTING/unplug PaymentCanceled        STARTING
STARTING/unplug StartRejected          CLOSED     PublishStatus Say:NOT_STARTED OfferRefund
STARTING/unplug TransactionStarted     CHARGING   PublishStatus Say:STARTED
STARTING/unplug TransactionShown       STARTING
STARTING/unplug MeterSampled           STARTING
STARTING/unplug ConnectorStatusChanged STARTING   PublishStatus
STARTING/unplug ChargerBooted          STARTING
STARTING/unplug ClockSet               STARTING
STARTING/unplug StopRequested          CLOSED     PublishStatus Say:NOT_STARTED OfferRefund
STARTING/unplug TransactionStopped     STARTING
STARTING/unplug DeadlineReached        CLOSED     PublishStatus Say:NOT_STARTED OfferRefund
STARTING/unplug RefundOffered          STARTING
STARTING/unplug RefundClaimed          CLOSED     PublishStatus Say:NOT_STARTED PayRefund OfferRefund
STARTING/unplug RefundSent             illegal
STARTING/unplug RefundSettled          illegal
STARTING/unplug RefundUncertain        illegal
STARTING/unplug RefundFailed           illegal
STARTING/unplug RefundDecided          illegal

CHARGING       PaymentSettled         CHARGING   PublishZapReceipt Say:TOPPED_UP
CHARGING       PaymentHeld            CHARGING   CancelPayment
CHARGING       PaymentCanceled        CHARGING
CHARGING       StartRejected          CHARGING
CHARGING       TransactionStarted     CHARGING   PublishStatus
CHARGING       TransactionShown       CHARGING
CHARGING       MeterSampled           CHARGING
CHARGING       ConnectorStatusChanged CHARGING   PublishStatus
CHARGING       ChargerBooted          CHARGING
CHARGING       ClockSet               CHARGING
CHARGING       StopRequested          STOPPING   StopCharging PublishStatus Say:STOPPING
CHARGING       TransactionStopped     CLOSED     PublishStatus Say:FINISHED Say:RECEIPT OfferRefund SendCdr
CHARGING       DeadlineReached        CHARGING   WatchClosely
CHARGING       RefundOffered          CHARGING
CHARGING       RefundClaimed          STOPPING   StopCharging PublishStatus Say:STOPPING
CHARGING       RefundSent             illegal
CHARGING       RefundSettled          illegal
CHARGING       RefundUncertain        illegal
CHARGING       RefundFailed           illegal
CHARGING       RefundDecided          illegal

CHARGING/watched PaymentSettled         CHARGING   PublishZapReceipt Say:TOPPED_UP
CHARGING/watched PaymentHeld            CHARGING   CancelPayment
CHARGING/watched PaymentCanceled        CHARGING
CHARGING/watched StartRejected          CHARGING
CHARGING/watched TransactionStarted     CHARGING   PublishStatus
CHARGING/watched TransactionShown       CHARGING
CHARGING/watched MeterSampled           CHARGING
CHARGING/watched ConnectorStatusChanged CHARGING   PublishStatus
CHARGING/watched ChargerBooted          CHARGING
CHARGING/watched ClockSet               CHARGING
CHARGING/watched StopRequested          STOPPING   StopCharging PublishStatus Say:STOPPING
CHARGING/watched TransactionStopped     CLOSED     PublishStatus Say:FINISHED Say:RECEIPT OfferRefund WatchAsUsual SendCdr
CHARGING/watched DeadlineReached        STOPPING   StopCharging PublishStatus Say:STOPPING
CHARGING/watched RefundOffered          CHARGING
CHARGING/watched RefundClaimed          STOPPING   StopCharging PublishStatus Say:STOPPING
CHARGING/watched RefundSent             illegal
CHARGING/watched RefundSettled          illegal
CHARGING/watched RefundUncertain        illegal
CHARGING/watched RefundFailed           illegal
CHARGING/watched RefundDecided          illegal

SUSPENDED      PaymentSettled         SUSPENDED  PublishZapReceipt Say:TOPPED_UP
SUSPENDED      PaymentHeld            SUSPENDED  CancelPayment
SUSPENDED      PaymentCanceled        SUSPENDED
SUSPENDED      StartRejected          SUSPENDED
SUSPENDED      TransactionStarted     SUSPENDED  PublishStatus
SUSPENDED      TransactionShown       SUSPENDED
SUSPENDED      MeterSampled           SUSPENDED
SUSPENDED      ConnectorStatusChanged CHARGING   PublishStatus Say:RESUMED
SUSPENDED      ChargerBooted          SUSPENDED
SUSPENDED      ClockSet               SUSPENDED
SUSPENDED      StopRequested          STOPPING   StopCharging PublishStatus Say:STOPPING
SUSPENDED      TransactionStopped     CLOSED     PublishStatus Say:FINISHED Say:RECEIPT OfferRefund SendCdr
SUSPENDED      DeadlineReached        SUSPENDED
SUSPENDED      RefundOffered          SUSPENDED
SUSPENDED      RefundClaimed          STOPPING   StopCharging PublishStatus Say:STOPPING
SUSPENDED      RefundSent             illegal
SUSPENDED      RefundSettled          illegal
SUSPENDED      RefundUncertain        illegal
SUSPENDED      RefundFailed           illegal
SUSPENDED      RefundDecided          illegal

STOPPING       PaymentSettled         STOPPING   PublishZapReceipt Say:TOPPED_UP
STOPPING       PaymentHeld            STOPPING   CancelPayment
STOPPING       PaymentCanceled        STOPPING
STOPPING       StartRejected          STOPPING
STOPPING       TransactionStarted     STOPPING   StopCharging
STOPPING       TransactionShown       STOPPING   StopCharging
STOPPING       MeterSampled           STOPPING
STOPPING       ConnectorStatusChanged STOPPING   PublishStatus
STOPPING       ChargerBooted          STOPPING
STOPPING       ClockSet               STOPPING
STOPPING       StopRequested          STOPPING
STOPPING       TransactionStopped     CLOSED     PublishStatus Say:FINISHED Say:RECEIPT OfferRefund SendCdr
STOPPING       DeadlineReached        STOPPING   StopCharging CutPower
STOPPING       RefundOffered          STOPPING
STOPPING       RefundClaimed          STOPPING
STOPPING       RefundSent             illegal
STOPPING       RefundSettled          illegal
STOPPING       RefundUncertain        illegal
STOPPING       RefundFailed           illegal
STOPPING       RefundDecided          illegal

CLOSED         PaymentSettled         CLOSED     PublishZapReceipt Say:NOT_STARTED OfferRefund
CLOSED         PaymentHeld            CLOSED     CancelPayment
CLOSED         PaymentCanceled        CLOSED
CLOSED         StartRejected          CLOSED
CLOSED         TransactionStarted     CLOSED     StopCharging
CLOSED         TransactionShown       CLOSED
CLOSED         MeterSampled           CLOSED
CLOSED         ConnectorStatusChanged CLOSED
CLOSED         ChargerBooted          CLOSED
CLOSED         ClockSet               CLOSED
CLOSED         StopRequested          CLOSED
CLOSED         TransactionStopped     CLOSED
CLOSED         DeadlineReached        CLOSED
CLOSED         RefundOffered          CLOSED
CLOSED         RefundClaimed          CLOSED     PayRefund
CLOSED         RefundSent             illegal
CLOSED         RefundSettled          illegal
CLOSED         RefundUncertain        illegal
CLOSED         RefundFailed           illegal
CLOSED         RefundDecided          CLOSED     Say:REFUND_PAID

CLOSED/paying  PaymentSettled         CLOSED     PublishZapReceipt Say:NOT_STARTED OfferRefund
CLOSED/paying  PaymentHeld            CLOSED     CancelPayment
CLOSED/paying  PaymentCanceled        CLOSED
CLOSED/paying  StartRejected          CLOSED
CLOSED/paying  TransactionStarted     CLOSED     StopCharging
CLOSED/paying  TransactionShown       CLOSED
CLOSED/paying  MeterSampled           CLOSED
CLOSED/paying  ConnectorStatusChanged CLOSED
CLOSED/paying  ChargerBooted          CLOSED
CLOSED/paying  ClockSet               CLOSED
CLOSED/paying  StopRequested          CLOSED
CLOSED/paying  TransactionStopped     CLOSED
CLOSED/paying  DeadlineReached        CLOSED
CLOSED/paying  RefundOffered          illegal
CLOSED/paying  RefundClaimed          illegal
CLOSED/paying  RefundSent             CLOSED
CLOSED/paying  RefundSettled          CLOSED     Say:REFUND_PAID
CLOSED/paying  RefundUncertain        CLOSED
CLOSED/paying  RefundFailed           CLOSED     Say:REFUND_FAILED
CLOSED/paying  RefundDecided          CLOSED     Say:REFUND_PAID

STARTING/held  PaymentSettled         STARTING   PublishZapReceipt
STARTING/held  PaymentHeld            STARTING
STARTING/held  PaymentCanceled        CLOSED     PublishStatus Say:NOT_STARTED
STARTING/held  StartRejected          CLOSED     PublishStatus Say:NOT_STARTED CancelPayment
STARTING/held  TransactionStarted     CHARGING   SettlePayment PublishStatus Say:STARTED
STARTING/held  TransactionShown       STARTING
STARTING/held  MeterSampled           STARTING
STARTING/held  ConnectorStatusChanged STARTING   PublishStatus
STARTING/held  ChargerBooted          STARTING
STARTING/held  ClockSet               STARTING
STARTING/held  StopRequested          CLOSED     PublishStatus Say:NOT_STARTED CancelPayment
STARTING/held  TransactionStopped     STARTING
STARTING/held  DeadlineReached        CLOSED     PublishStatus Say:NOT_STARTED CancelPayment
STARTING/held  RefundOffered          illegal
STARTING/held  RefundClaimed          illegal
STARTING/held  RefundSent             illegal
STARTING/held  RefundSettled          illegal
STARTING/held  RefundUncertain        illegal
STARTING/held  RefundFailed           illegal
STARTING/held  RefundDecided          illegal

CHARGING/held  PaymentSettled         CHARGING   PublishZapReceipt
CHARGING/held  PaymentHeld            CHARGING
CHARGING/held  PaymentCanceled        STOPPING   StopCharging PublishStatus Say:STOPPING
CHARGING/held  StartRejected          CHARGING
CHARGING/held  TransactionStarted     CHARGING   PublishStatus
CHARGING/held  TransactionShown       CHARGING
CHARGING/held  MeterSampled           CHARGING
CHARGING/held  ConnectorStatusChanged CHARGING   PublishStatus
CHARGING/held  ChargerBooted          CHARGING
CHARGING/held  ClockSet               CHARGING
CHARGING/held  StopRequested          STOPPING   StopCharging PublishStatus Say:STOPPING
CHARGING/held  TransactionStopped     CLOSED     PublishStatus SendCdr
CHARGING/held  DeadlineReached        CHARGING   WatchClosely
CHARGING/held  RefundOffered          illegal
CHARGING/held  RefundClaimed          illegal
CHARGING/held  RefundSent             illegal
CHARGING/held  RefundSettled          illegal
CHARGING/held  RefundUncertain        illegal
CHARGING/held  RefundFailed           illegal
CHARGING/held  RefundDecided          illegal

CLOSED/held    PaymentSettled         CLOSED     PublishZapReceipt Say:FINISHED Say:RECEIPT OfferRefund
CLOSED/held    PaymentHeld            CLOSED
CLOSED/held    PaymentCanceled        CLOSED     Say:FINISHED Say:RECEIPT
CLOSED/held    StartRejected          CLOSED
CLOSED/held    TransactionStarted     CLOSED     StopCharging
CLOSED/held    TransactionShown       CLOSED
CLOSED/held    MeterSampled           CLOSED
CLOSED/held    ConnectorStatusChanged CLOSED
CLOSED/held    ChargerBooted          CLOSED
CLOSED/held    ClockSet               CLOSED
CLOSED/held    StopRequested          CLOSED
CLOSED/held    TransactionStopped     CLOSED
CLOSED/held    DeadlineReached        CLOSED
CLOSED/held    RefundOffered          illegal
CLOSED/held    RefundClaimed          illegal
CLOSED/held    RefundSent             illegal
CLOSED/held    RefundSettled          illegal
CLOSED/held    RefundUncertain        illegal
CLOSED/held    RefundFailed           illegal
CLOSED/held    RefundDecided          illegal
"""  # noqa: E501  a row is a line


EVENTS: dict[str, type[Event]] = {event.__name__: event for event in get_args(Event)}
ROWS = [line.split(maxsplit=3) for line in TABLE.splitlines() if line]


@pytest.mark.parametrize("cells", ROWS, ids=lambda cells: f"{cells[0]}-{cells[1]}")
def test_every_state_with_every_event(cells: list[str]) -> None:
    session = SESSIONS[cells[0]]
    event = event_for(session, EVENTS[cells[1]])
    if cells[2] == "illegal":
        with pytest.raises(IllegalEvent, match=cells[1]):
            step(session, event)
        return
    changed, effects = step(session, event)
    assert changed.state == cells[2]
    assert named(effects) == "".join(cells[3:])


def test_the_table_leaves_nothing_out() -> None:
    assert [(cells[0], cells[1]) for cells in ROWS] == [
        (name, event) for name in SESSIONS for event in EVENTS
    ]
    assert {session.state for session in SESSIONS.values()} == set(SessionState)


def test_no_event_of_a_charger_or_a_payment_is_ever_illegal() -> None:
    assert {
        (state, event) for state in SessionState for event in get_args(SessionEvent)
    } <= TRANSITIONS.keys()


@pytest.mark.parametrize("event", get_args(RefundEvent))
def test_a_refund_event_that_names_no_refund_is_illegal(event: type[Event]) -> None:
    bare = after(charging(), ended(T0 + MINUTE, 50_000))
    assert bare.refunds == ()
    with pytest.raises(IllegalEvent):
        step(bare, event_for(SESSIONS["CLOSED"], event))

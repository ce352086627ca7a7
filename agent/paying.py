"""A refund that is decided on, on its way through the wallet, until its end is known.

Before the wallet gets an invoice, SENDING is stored, and with it which wallet that is; from then
on only that wallet's word counts: what it cannot say is looked up again, and never decided again.
One that was never asked, and can be asked no more, has not paid. Where no wallet can tell, the
operator does.
"""

from __future__ import annotations

import logging
from collections import deque
from datetime import UTC, datetime

from agent.all_sessions import AllSessions
from agent.commons import Commons
from agent.doubts import Doubts
from agent.machine.errors import IllegalEvent
from agent.machine.events import (
    Event,
    RefundDecided,
    RefundFailed,
    RefundSent,
    RefundSettled,
    RefundUncertain,
)
from agent.machine.model import Session, SessionState
from agent.machine.money import MSAT_PER_SAT
from agent.machine.refund import ASKED, COMMITTED, Refund, RefundState
from agent.outbox import Retry
from agent.ports.errors import Refused
from agent.ports.office import Verdict
from wallet.base import PaymentOutcome, PaymentState, WalletRefused, WalletUnavailable
from wallet.bolt11 import decode

PAY_TIMEOUT_S = 60

SURELY_EXPIRED_MS = 600_000
"""So long after its expiry nobody pays an invoice any more: clocks differ, and what a Strom that
died had sent may be delivered minutes later."""

DAY_MS = 86_400_000
IDLE_FEES_MSAT = 1_000_000
"""When routing what bought nothing has cost operators so much within a day, they hear of it, and it
may cost little more: whoever pays and cancels over channels of his own earns the fees himself."""

log = logging.getLogger(__name__)


class Paying:
    """Pays the refunds of all sessions.

    Args:
        commons: wallet, journal, clock and alerts.
        sessions: those of all charge points.
        doubts: what may have been paid already.
    """

    def __init__(self, commons: Commons, sessions: AllSessions, doubts: Doubts) -> None:
        self._commons = commons
        self._sessions = sessions
        self._doubts = doubts
        self._unsent: set[str] = set()
        """Payments that were decided on and have surely not reached the wallet."""
        self._idle_fees: deque[tuple[int, int]] = deque()
        """When how much was paid to route the refund of a charge that never began."""

    async def pay(self, session_id: str, refund_no: int) -> None:
        """Bring a claimed refund to its end; raises Retry while that is not known."""
        session = self._sessions.get(session_id)
        refund = numbered(session, refund_no)
        if refund is None or refund.state not in COMMITTED or refund.state is RefundState.PAID:
            return
        try:
            await self._doubts.known(session_id)
            if refund.state is RefundState.CLAIMED:
                outcome = await self._send(session, refund)
            else:
                outcome = await self._follow_up(session, refund)
        except WalletUnavailable as error:
            raise Retry(f"the wallet does not answer: {error}") from None
        await self._conclude(self._sessions.get(session_id), refund, outcome)

    async def _send(self, session: Session, refund: Refund) -> PaymentOutcome:
        if decode(refund.bolt11).expires_at_ms < self._commons.clock():
            return PaymentOutcome(PaymentState.FAILED, reason="the invoice expired")
        source = await self._commons.wallet.source()
        now_ms = self._commons.clock()
        name = f"{session.id}:{refund.no}:{refund.payment_hash}"
        sent = RefundSent(f"sent:{name}", now_ms, refund.no, refund.payment_hash, source)
        await self._sessions.submit(session, sent)
        self._unsent.add(refund.payment_hash)
        if self._doubts.is_doubted(session.id):
            return await self._found_out(refund)
        return await self._pay_invoice(refund)

    async def _found_out(self, refund: Refund) -> PaymentOutcome:
        """What became of a payment that must not be asked for now: another one may have paid it."""
        self._unsent.discard(refund.payment_hash)
        outcome = await self._looked_up(refund)
        if outcome.state not in (PaymentState.UNKNOWN, PaymentState.NO_RECORD):
            return outcome
        reason = "it may have been paid already on another invoice"
        return PaymentOutcome(PaymentState.FAILED, reason=reason)

    async def _follow_up(self, session: Session, refund: Refund) -> PaymentOutcome:
        """What became of a payment that the wallet may have been asked for.

        Without any record only the same invoice may be sent again, never another, and only by
        the same wallet: two that pay one invoice may both succeed.
        """
        outcome = await self._looked_up(refund)
        if outcome.state not in (PaymentState.UNKNOWN, PaymentState.NO_RECORD):
            return outcome
        expires_at_ms, now_ms = decode(refund.bolt11).expires_at_ms, self._commons.clock()
        if now_ms <= expires_at_ms:
            if not await self._is_its(refund):
                return outcome
            if self._doubts.is_doubted(session.id):
                return await self._found_out(refund)
            return await self._send_same_again(refund)
        if refund.payment_hash in self._unsent:
            self._unsent.discard(refund.payment_hash)
            reason = "the invoice expired before the wallet could be reached"
            return PaymentOutcome(PaymentState.FAILED, reason=reason)
        if now_ms <= expires_at_ms + SURELY_EXPIRED_MS:
            return outcome
        if outcome.state is PaymentState.NO_RECORD and refund.wallet:
            reason = "the wallet never got the invoice, and it has expired"
            return PaymentOutcome(PaymentState.FAILED, reason=reason)
        self._commons.alerts.raised(_alert(session), _question(session, refund))
        return outcome

    async def _looked_up(self, refund: Refund) -> PaymentOutcome:
        """The word of the wallet that was asked; UNKNOWN where another one is used by now."""
        if not await self._is_its(refund):
            return PaymentOutcome(PaymentState.UNKNOWN)
        return await self._commons.wallet.lookup_payment(refund.payment_hash)

    async def _is_its(self, refund: Refund) -> bool:
        """Whether the wallet is the one that was asked, or that is not known."""
        return refund.wallet in ("", await self._commons.wallet.source())

    async def _send_same_again(self, refund: Refund) -> PaymentOutcome:
        """A no to this attempt says nothing of one before it, which may still be on its way."""
        first = refund.payment_hash in self._unsent
        outcome = await self._pay_invoice(refund)
        if first or outcome.state is not PaymentState.FAILED:
            return outcome
        return await self._commons.wallet.lookup_payment(refund.payment_hash)

    async def _pay_invoice(self, refund: Refund) -> PaymentOutcome:
        unsent = refund.payment_hash in self._unsent
        self._unsent.discard(refund.payment_hash)
        try:
            return await self._commons.wallet.pay(
                refund.bolt11, fee_limit_msat=refund.fee_limit_msat, timeout_s=PAY_TIMEOUT_S
            )
        except WalletRefused as error:
            return PaymentOutcome(PaymentState.FAILED, reason=str(error))
        except WalletUnavailable:
            # Only said where the request surely never got there; this tells of this try alone.
            if unsent:
                self._unsent.add(refund.payment_hash)
            raise

    async def _conclude(self, session: Session, refund: Refund, outcome: PaymentOutcome) -> None:
        """Store what the wallet said of a payment; raises Retry where that is not its end."""
        now_ms, no, paying = self._commons.clock(), refund.no, refund.payment_hash
        name = f"{session.id}:{no}:{paying}"
        event: Event
        match outcome.state:
            case PaymentState.SETTLED:
                event = RefundSettled(f"repaid:{name}", now_ms, no, outcome.fee_msat, paying)
            case PaymentState.FAILED:
                log.warning("refund %s did not arrive: %s", name, outcome.reason)
                event = RefundFailed(f"unpaid:{name}", now_ms, no, outcome.reason, paying)
            case PaymentState.PENDING | PaymentState.UNKNOWN | PaymentState.NO_RECORD:
                current = numbered(session, no)
                if current is not None and current.state is RefundState.SENDING:
                    doubt = RefundUncertain(f"doubt:{name}", now_ms, no, paying)
                    await self._submit_if_open(session, doubt, outcome)
                raise Retry("the wallet cannot say yet whether the refund arrived")
        await self._submit_if_open(session, event, outcome)
        self._is_settled(session)
        if session.started_at_ms is None and outcome.fee_msat:
            self._note_idle_fee(now_ms, outcome.fee_msat)

    def idle_fees_are_high(self) -> bool:
        """Whether refunds of charges that never began have cost so much of late that somebody may
        earn from it."""
        return self._idle_fees_msat() >= IDLE_FEES_MSAT

    def _idle_fees_msat(self) -> int:
        since_ms = self._commons.clock() - DAY_MS
        while self._idle_fees and self._idle_fees[0][0] <= since_ms:
            self._idle_fees.popleft()
        return sum(fee_msat for _, fee_msat in self._idle_fees)

    def _note_idle_fee(self, at_ms: int, fee_msat: int) -> None:
        self._idle_fees.append((at_ms, fee_msat))
        total_msat = self._idle_fees_msat()
        if total_msat >= IDLE_FEES_MSAT:
            sentence = (
                f"refunds of {len(self._idle_fees)} charges that never began have cost "
                f"{total_msat // MSAT_PER_SAT:,} sat for routing within a day: somebody may earn "
                "that by paying and cancelling, so that such refunds get no more than "
                "fee_limit_min_sat for it until the day is over"
            )
            log.warning("%s", sentence)
            self._commons.alerts.happened("idle fees", sentence)

    async def _submit_if_open(
        self, session: Session, event: Event, outcome: PaymentOutcome
    ) -> None:
        try:
            await self._sessions.submit(session, event)
        except IllegalEvent:
            # The operator decided while the wallet was asked.
            log.warning(
                "session %s: the wallet says of its refund: %s, and that was decided before",
                session.id,
                outcome.state,
            )

    async def decide(
        self, session_id: str, refund_no: int | None, *, arrived: bool, operator: str
    ) -> Verdict:
        """Take the operator's word on a refund; see `agent.ports.office.Office`."""
        session = self._sessions.get(session_id)
        refund = _meant(session, refund_no)
        if refund.state in ASKED:
            told = await self._final_word(refund, arrived=arrived)
            if told is not None:
                await self._conclude(self._sessions.get(session_id), refund, told)
                return Verdict(told.state is PaymentState.SETTLED, by_wallet=True)
        elif not arrived and self._doubts.is_doubted(session.id):
            await self._doubts.lift(session.id, operator)
            return Verdict(arrived=False, by_wallet=False)
        now_ms = self._commons.clock()
        key = f"decided:{session.id}:{refund.no}:{now_ms}"
        hash_ = refund.payment_hash if refund.state in ASKED else ""
        word = RefundDecided(key, now_ms, refund.no, arrived, operator, hash_)
        try:
            await self._sessions.submit(session, word)
        except IllegalEvent:
            raise _refusal(session, refund) from None
        log.warning(
            "refund %s:%d over %d sat: %s says that it %s",
            session.id,
            refund.no,
            refund.amount_msat // MSAT_PER_SAT,
            operator,
            "arrived" if arrived else "did not arrive",
        )
        self._is_settled(session)
        if arrived:
            await self._doubts.lift(session.id, operator)
        return Verdict(arrived, by_wallet=False)

    async def _final_word(self, refund: Refund, *, arrived: bool) -> PaymentOutcome | None:
        """What the wallet itself says, where it is final; None where the operator's word counts.

        Raises:
            Refused: it may still be paid.
        """
        try:
            told = await self._looked_up(refund)
        except WalletUnavailable as error:
            raise Refused(
                f"the wallet does not answer now, and its own word comes first: {error}. Where "
                "it is gone for good, set the wallet that you use now"
            ) from None
        if told.state in (PaymentState.SETTLED, PaymentState.FAILED):
            return told
        if told.state is PaymentState.PENDING:
            raise Refused("the wallet says that this payment is under way: it ends by itself")
        sure_at_ms = decode(refund.bolt11).expires_at_ms + SURELY_EXPIRED_MS
        if not arrived and self._commons.clock() <= sure_at_ms:
            raise Refused(f"its invoice can still be paid: say so after {_time(sure_at_ms)}")
        return None

    def _is_settled(self, session: Session) -> None:
        self._commons.alerts.cleared(
            _alert(session),
            f"{session.charge_point}: what became of the refund of session {session.id} is known",
        )


def numbered(session: Session, refund_no: int) -> Refund | None:
    """A refund by its number; None where there is none."""
    return next((refund for refund in session.refunds if refund.no == refund_no), None)


def _meant(session: Session, refund_no: int | None) -> Refund:
    """The refund that an operator decides about; raises Refused where that is not clear."""
    if session.state is not SessionState.CLOSED:
        raise Refused("this session has not ended yet")
    if refund_no is not None:
        refund = numbered(session, refund_no)
        if refund is None:
            raise Refused(f"session {session.id} has no refund {refund_no}")
        return refund
    unpaid = [refund for refund in session.refunds if refund.state is not RefundState.PAID]
    if not unpaid:
        raise Refused(f"nothing is owed for session {session.id}")
    if len(unpaid) > 1:
        names = " or ".join(f"{session.id}:{refund.no}" for refund in unpaid)
        raise Refused(f"session {session.id} owes several refunds: say {names}")
    return unpaid[0]


def _refusal(session: Session, refund: Refund) -> Refused:
    """Why the operator's word does not count."""
    match refund.state:
        case RefundState.PAID:
            return Refused(f"refund {session.id}:{refund.no} has been paid")
        case RefundState.CLAIMED:
            return Refused("its invoice goes to the wallet now: ask again in a moment")
        case RefundState.SENDING | RefundState.UNKNOWN:
            return Refused("it has changed in this moment: look at it again")
        case _:
            return Refused(f"refund {session.id}:{refund.no} is owed: its driver can ask for it")


def _alert(session: Session) -> str:
    return f"refund {session.charge_point}/{session.id}"


def _question(session: Session, refund: Refund) -> str:
    return (
        f"{session.charge_point}: no wallet can say whether the refund of "
        f"{refund.amount_msat // MSAT_PER_SAT:,} sat of session {session.id} arrived: see "
        f"strom owed {session.id}"
    )


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")

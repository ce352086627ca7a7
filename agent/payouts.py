"""Money out: offers and claims, of which each is decided once.

A claim stores the invoice and the fee limit before anything is sent; what becomes of it then is
`agent.paying`'s.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from decimal import Decimal

from agent.all_sessions import AllSessions
from agent.commons import Commons
from agent.config.tables import WalletConfig
from agent.doubts import Doubted, Doubts
from agent.journal.journal import Task
from agent.machine.effects import OfferRefund, PayRefund
from agent.machine.errors import IllegalEvent
from agent.machine.events import RefundClaimed, RefundOffered
from agent.machine.model import Session, SessionState
from agent.machine.money import MSAT_PER_SAT
from agent.machine.planning import OFFER_MS, claimable_at
from agent.machine.refund import COMMITTED, Refund, RefundState
from agent.machine.settling import next_no
from agent.outbox import Retry
from agent.paying import Paying, numbered
from agent.ports.addresses import Payees
from agent.ports.errors import Refused, UnknownSession
from agent.ports.site import WithdrawOffer
from agent.zaps import relays_named
from wallet.base import WalletError
from wallet.bolt11 import InvalidInvoice, decode

LEAST_INVOICE_LIFE_MS = 10_000

BY_ITSELF_MS = 3_600_000
"""For so long a refund is tried to be paid by itself where what hinders it may pass."""

_INVOICE = re.compile(r"ln(bcrt|bc|tbs|tb)[0-9a-z]+\Z")
"""An invoice, and not the address of somebody whose name begins like one."""

AddressOf = Callable[[str, Sequence[str]], Awaitable[str]]

log = logging.getLogger(__name__)


class Payouts:
    """The refunds of all sessions.

    Attributes:
        paying: brings what is claimed to its end.

    Args:
        commons: wallet, journal and clock.
        config: the fee limits.
        sessions: those of all charge points.
        payees: finds invoices behind addresses; None when nothing can.
        address_of: the lightning address in the profile of a public key who is found at these
            relays too; "" without. It may raise Refused.
        doubts: what may have been paid already.
    """

    def __init__(
        self,
        commons: Commons,
        config: WalletConfig,
        sessions: AllSessions,
        payees: Payees | None,
        address_of: AddressOf | None = None,
        *,
        doubts: Doubts,
    ) -> None:
        self._address_of = address_of
        self._doubts = doubts
        self._commons = commons
        self._config = config
        self._sessions = sessions
        self._payees = payees
        self._first_tried_ms: dict[tuple[str, int], int] = {}
        self.paying = Paying(commons, sessions, doubts)

    async def offer(self, session: Session) -> WithdrawOffer:
        """A withdraw key for what is owed, or, while the session is open, for what is left.

        Raises:
            Refused: nothing is left, or it is on its way already.
        """
        current = _free(session)
        now_ms = self._commons.clock()
        open_now = session.state is not SessionState.CLOSED
        if current is None and not (open_now and not session.claimed_msat):
            raise _nothing_owed(session)
        if current is None or open_now:
            amount_msat = claimable_at(session, now_ms)
        else:
            amount_msat = current.amount_msat
        if not amount_msat and session.left_msat:
            raise Refused("what is left may be used up in a moment: stop first", word="stop_first")
        if not amount_msat:
            raise Refused("there is nothing left to pay back", word="nothing_owed")
        holds = current is not None and current.state is RefundState.OFFERED and not open_now
        if current is None or not holds:
            event = RefundOffered(
                key=f"offered:{session.id}:{secrets.token_hex(8)}",
                at_ms=now_ms,
                refund_no=next_no(session) if current is None else current.no,
                k1=secrets.token_hex(32),
                amount_msat=amount_msat,
                expires_at_ms=now_ms + OFFER_MS,
            )
            try:
                session = await self._sessions.submit(session, event)
            except IllegalEvent:
                # Something was used, claimed or settled in this moment.
                raise Refused("this offer is no longer valid; scan again") from None
            current = _free(session)
            if current is None:
                raise _nothing_owed(session)
        set_aside_msat = max(0, session.left_msat - current.amount_msat) if open_now else 0
        description = f"Refund of charging at {session.charge_point}"
        return WithdrawOffer(current.k1, current.amount_msat, description, set_aside_msat)

    async def claim_by_key(self, k1: str, bolt11: str) -> None:
        """Decide a refund on an invoice by its withdraw key.

        Raises:
            UnknownSession: no refund has this key.
            Refused: the key is used up, or the invoice is not what was offered.
        """
        bolt11 = _as_written_here(bolt11)
        found = self._commons.journal.sessions.refund_of_key(k1)
        if found is None:
            raise UnknownSession("this refund link is not known here")
        session = self._sessions.get(found[0])
        for refund in session.refunds:
            if refund.k1 == k1 or (refund.no == found[1] and refund.bolt11 == bolt11):
                await self._claim(session, refund, bolt11, k1)
                return
        raise Refused("this refund link was replaced by a newer one; scan again")

    async def send_to(self, session: Session, target: str) -> None:
        """Decide what a closed session owes on an invoice, lightning address or LNURL.

        Raises:
            Refused: nothing is owed, or the target cannot be used; the text says why.
        """
        refund = _free(session)
        if refund is None or session.state is not SessionState.CLOSED:
            raise _nothing_owed(session)
        await self._doubts.check(session.id)
        bolt11 = _as_written_here(target)
        if not _INVOICE.match(bolt11):
            if self._payees is None:
                raise Refused("only an invoice can be paid here", word="no_target")
            comment = f"Refund of charging at {session.charge_point}"
            bolt11 = await self._payees.invoice(target, refund.amount_msat, comment)
        await self._claim(session, refund, _as_written_here(bolt11), "")

    async def _claim(self, session: Session, refund: Refund, bolt11: str, k1: str) -> None:
        if _is_decided(refund, bolt11):
            return
        await self._doubts.check(session.id)
        payment_hash = await self._check_invoice(bolt11, refund)
        # Somebody may have decided it while the wallet was asked, this one too.
        session = self._sessions.get(session.id)
        current = numbered(session, refund.no)
        if current is not None and _is_decided(current, bolt11):
            return
        if self._commons.journal.sessions.has_event(f"claimed:{payment_hash}"):
            raise Refused("this invoice was used before; make a new one", word="used")
        event = RefundClaimed(
            key=f"claimed:{payment_hash}",
            at_ms=self._commons.clock(),
            refund_no=refund.no,
            bolt11=bolt11,
            payment_hash=payment_hash,
            amount_msat=refund.amount_msat,
            fee_limit_msat=self._fee_limit_msat(session, refund),
            k1=k1,
        )
        try:
            session = await self._sessions.submit(session, event)
        except IllegalEvent:
            session = self._sessions.get(session.id)
        decided = numbered(session, refund.no)
        if decided is None or decided.state not in COMMITTED or decided.bolt11 != bolt11:
            raise Refused("this offer is no longer valid; scan again")

    async def _check_invoice(self, bolt11: str, refund: Refund) -> str:
        """The payment hash of an invoice that may be paid; raises Refused."""
        try:
            invoice = decode(bolt11)
        except InvalidInvoice as error:
            raise Refused(f"this invoice cannot be read: {error}", word="unreadable") from None
        sats = refund.amount_msat // MSAT_PER_SAT
        if invoice.amount_msat != refund.amount_msat:
            raise Refused(f"the invoice must be over exactly {sats} sat", word="exact", sats=sats)
        if invoice.expires_at_ms < self._commons.clock() + LEAST_INVOICE_LIFE_MS:
            raise Refused("this invoice has expired; make a new one", word="expired")
        try:
            network = (await self._commons.wallet.info()).network
        except WalletError:
            sentence = "the wallet does not answer; try again soon"
            raise Refused(sentence, word="wallet", passing=True) from None
        if invoice.network != network:
            raise Refused(
                f"this invoice is for {invoice.network}, not for {network}",
                word="network",
                network=network,
            )
        if self._commons.journal.quotes.get(invoice.payment_hash) is not None:
            raise Refused("this invoice is one of our own; make one in your wallet", word="own")
        return invoice.payment_hash

    def _fee_limit_msat(self, session: Session, refund: Refund) -> int:
        """What routing a refund may cost: only the least where somebody may earn it for nothing."""
        least_msat = self._config.fee_limit_min_sat * MSAT_PER_SAT
        if session.started_at_ms is None and self.paying.idle_fees_are_high():
            return least_msat
        share_msat = int(refund.amount_msat * self._config.fee_limit_percent / Decimal(100))
        return max(share_msat, least_msat)

    async def deliver(self, task: Task, recovered: bool) -> None:
        """Carry out an effect about a refund (an outbox handler)."""
        del recovered
        match task.effect:
            case PayRefund(refund_no):
                await self.paying.pay(task.session_id, refund_no)
            case OfferRefund(refund_no):
                await self._pay_to_known_address(task.session_id, refund_no)
            case other:
                raise TypeError(f"not about a refund: {other}")

    async def _pay_to_known_address(self, session_id: str, refund_no: int) -> None:
        """Pay a refund by itself to the address that the payer gave, or that is in his profile.

        He has the withdraw link besides: if this does not work, he loses nothing. Raises Retry
        while what hinders it may pass.
        """
        name, now_ms = (session_id, refund_no), self._commons.clock()
        first_ms = self._first_tried_ms.setdefault(name, now_ms)
        session = self._sessions.get(session_id)
        refund = _free(session)
        try:
            if refund is not None and refund.no == refund_no and self._config.auto_refund:
                await self._send_by_itself(session)
        except Doubted as reason:
            raise Retry(str(reason)) from None
        except Refused as reason:
            if reason.passing and now_ms - first_ms < BY_ITSELF_MS:
                raise Retry(str(reason)) from None
            log.info("refund %s:%d waits for its payer: %s", session.id, refund_no, reason)
        del self._first_tried_ms[name]

    async def _send_by_itself(self, session: Session) -> None:
        """Send what a session owes to its payer's address, where he has one; raises Refused."""
        address, pubkey = session.payer.address, session.payer.pubkey
        if not address and pubkey is not None and self._address_of is not None:
            quotes = self._commons.journal.quotes.of_session(session.id)
            address = await self._address_of(pubkey, relays_named(quotes))
        if address:
            await self.send_to(session, address)


def _as_written_here(bolt11: str) -> str:
    """An invoice as it is kept and compared: QR codes have it in capitals, links behind a word."""
    return bolt11.strip().lower().removeprefix("lightning:").removeprefix("//")


def _is_decided(refund: Refund, bolt11: str) -> bool:
    """Whether a refund is to be paid to this invoice; raises Refused where it is another one."""
    if refund.state not in COMMITTED:
        return False
    if refund.bolt11 != bolt11:
        raise Refused("this refund is already being paid to another invoice", word="on_its_way")
    return True


def _free(session: Session) -> Refund | None:
    """The refund that is not decided on yet; a session has one at most."""
    return next((r for r in session.refunds if r.state not in COMMITTED), None)


def _nothing_owed(session: Session) -> Refused:
    if any(r.state in COMMITTED and r.state is not RefundState.PAID for r in session.refunds):
        return Refused("the refund is on its way", word="on_its_way")
    if session.refunded_msat:
        return Refused("the refund has been paid", word="was_paid")
    if session.state is not SessionState.CLOSED:
        return Refused("the session has not ended yet", word="not_ended")
    return Refused("nothing is owed for this session", word="nothing_owed")

"""Sessions as their payers see and command them: by a secret, a linking key or a nostr identity."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from agent.all_sessions import AllSessions
from agent.commons import Commons
from agent.machine.events import StopBy
from agent.machine.model import Session
from agent.papers import Papers
from agent.payouts import Payouts
from agent.ports.errors import UnknownSession
from agent.ports.quotes import Quote
from agent.ports.site import PowerSample, SessionView, WithdrawOffer
from agent.receipts import Receipt
from agent.signed_values import SignedValue
from agent.views import session_view


class OwnedSessions:
    """See `agent.ports.site.OwnedSessions`.

    Args:
        commons: the journal, and who hears of changes.
        sessions: those of all charge points.
        papers: what is handed out of a session.
        payouts: the refunds.
        stop: ends a session; who does.
    """

    def __init__(
        self,
        commons: Commons,
        sessions: AllSessions,
        papers: Papers,
        payouts: Payouts,
        stop: Callable[[Session, StopBy], Awaitable[None]],
    ) -> None:
        self._journal = commons.journal
        self._changes = commons.changes
        self._clock = commons.clock
        self._sessions = sessions
        self._papers = papers
        self._payouts = payouts
        self._stop = stop

    async def session(self, secret: str) -> SessionView:
        """The session that a secret owns; raises UnknownSession."""
        session = self._sessions.of_secret(secret)
        events = self._journal.sessions.events(session.id, without=["MeterSampled"])
        return session_view(session, secret, events, self._clock())

    async def sessions_of(self, charge_point_id: str, pubkey: str) -> list[SessionView]:
        """The latest sessions that a nostr identity paid for at a charge point, open ones first.

        Only that identity may see them: they carry the secret.
        """
        sessions = self._journal.sessions.of_payer(charge_point_id, pubkey)
        views = [self._own_view(session) for session in sessions]
        return sorted(views, key=lambda view: view.closed_at_ms is not None)

    def _own_view(self, session: Session) -> SessionView:
        secret = self._journal.quotes.of_session(session.id)[0].secret
        return session_view(session, secret, now_ms=self._clock())

    async def session_changes(self, secret: str) -> AsyncIterator[SessionView]:
        """The session now and after each change, newest only, until it is closed and repaid."""
        session_id = self._sessions.of_secret(secret).id
        watcher = self._changes.watch(session_id)
        try:
            while True:
                watcher.clear()
                view = await self.session(secret)
                yield view
                if view.closed_at_ms is not None and not view.owed_msat:
                    return
                await watcher.wait()
        finally:
            self._changes.unwatch(session_id, watcher)

    async def session_of_key(self, linking_key: str) -> SessionView:
        """The latest session that a linking key owns (LUD-04); raises UnknownSession."""
        session = self._journal.sessions.of_linking_key(linking_key)
        if session is None:
            raise UnknownSession("this key owns no session here")
        return await self.session(self._journal.quotes.of_session(session.id)[0].secret)

    async def receipt(self, secret: str) -> Receipt:
        """The receipt of a closed session; raises UnknownSession, or Refused while it is open."""
        return self._papers.receipt(self._sessions.of_secret(secret))

    async def signed_receipt(self, secret: str) -> str:
        """The same, signed by the charge point, as JSON (see `agent.notary`); raises alike."""
        return self._papers.signed_receipt(self._sessions.of_secret(secret))

    async def signed_values(self, secret: str) -> Sequence[SignedValue]:
        """The signed meter values of a session, oldest first; raises UnknownSession."""
        return self._papers.signed_values(self._sessions.of_secret(secret))

    async def power_curve(self, secret: str) -> Sequence[PowerSample]:
        """The power measured so far, oldest first; raises UnknownSession."""
        return self._papers.power_curve(self._sessions.of_secret(secret))

    async def quote_of(self, payment_hash: str) -> Quote:
        """The quote behind an invoice; raises UnknownSession."""
        quote = self._journal.quotes.get(payment_hash)
        if quote is None:
            raise UnknownSession("this invoice is not one of ours")
        return quote

    async def stop(self, secret: str, by: StopBy = StopBy.DRIVER) -> None:
        """End a session by its secret."""
        await self._stop(self._sessions.of_secret(secret), by)

    async def offer_refund(self, secret: str) -> WithdrawOffer:
        """A withdraw key for what is owed, or, while charging, for what is left."""
        return await self._payouts.offer(self._sessions.of_secret(secret))

    async def claim_refund(self, k1: str, bolt11: str) -> None:
        """Pay a refund to an invoice; returns once the decision is stored."""
        await self._payouts.claim_by_key(k1, bolt11)

    async def send_refund(self, secret: str, target: str) -> None:
        """Pay what is owed to a lightning address, an LNURL or an invoice."""
        await self._payouts.send_to(self._sessions.of_secret(secret), target)

"""What a charge point tells its driver unasked, worded with all that he needs to act on it."""

from __future__ import annotations

import logging

from agent.journal.journal import Journal
from agent.links import links_of
from agent.machine.effects import SendMessage, Topic
from agent.machine.model import Session
from agent.notary import pack
from agent.ports.errors import AgentError
from agent.ports.quotes import Origin, Quote, QuoteRequest
from agent.ports.site import Site
from agent.talk.announcements import announce
from agent.talk.replies import receipt
from agent.talk.words import DEFAULT_LANGUAGE, words
from agent.views import session_view

log = logging.getLogger(__name__)


class Announcer:
    """Words messages in the language that the driver used.

    Args:
        public_url: where the session pages are.
        journal: what happened in each session.
        language: for drivers whose own is not known.
    """

    def __init__(self, public_url: str, journal: Journal, language: str = DEFAULT_LANGUAGE) -> None:
        self._language = language
        self._url = public_url
        self._journal = journal
        self._site: Site | None = None

    def speak_for(self, site: Site) -> None:
        """From now on, messages carry what only the site has: invoices and signed receipts."""
        self._site = site

    async def announce(self, session: Session, effect: SendMessage, quote: Quote) -> str:
        """The message; "" for none.

        Args:
            session: whose driver is told.
            effect: what about.
            quote: the quote that opened the session.
        """
        if effect.topic is Topic.RECEIPT:
            return await self._receipt(quote)
        events = self._journal.sessions.events(session.id, without=["MeterSampled"])
        return announce(
            words(quote.language or self._language),
            effect,
            session_view(session, quote.secret, events),
            links_of(self._url, quote.charge_point, quote.secret),
            await self._topup(effect, quote),
        )

    async def _receipt(self, quote: Quote) -> str:
        if self._site is None:
            return ""
        try:
            signed = await self._site.owned.signed_receipt(quote.secret)
            about = await self._site.owned.receipt(quote.secret)
            return receipt(words(quote.language or self._language), about, pack(signed))
        except AgentError as error:
            log.warning("no receipt for session %s: %s", quote.session_id, error)
            return ""

    async def _topup(self, effect: SendMessage, quote: Quote) -> Quote | None:
        """An invoice over what was paid at first, ready to be paid; None when there is none."""
        if effect.topic is not Topic.CREDIT_LOW or self._site is None:
            return None
        request = QuoteRequest(
            quote.amount_msat,
            Origin.MESSAGE,
            payer=quote.payer,
            topup_secret=quote.secret,
            reply=quote.reply,
            language=quote.language,
        )
        try:
            return await self._site.charge_point(quote.charge_point).quote(request)
        except AgentError:
            return None

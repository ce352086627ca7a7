"""What a charge point tells its driver unasked, worded with all that he needs to act on it."""

from __future__ import annotations

from agent.journal.journal import Journal
from agent.links import links_of
from agent.machine.effects import SendMessage, Topic
from agent.machine.model import Session
from agent.ports import AgentError, Origin, Quote, QuoteRequest, Site
from agent.talk.replies import announce
from agent.talk.words import words
from agent.views import session_view


class Announcer:
    """Words messages in the language that the driver used.

    Args:
        public_url: where the session pages are.
        journal: what happened in each session.
    """

    def __init__(self, public_url: str, journal: Journal) -> None:
        self._url = public_url
        self._journal = journal
        self._site: Site | None = None

    def offer_topups(self, site: Site) -> None:
        """From now on, a message about low credit carries an invoice of this site's."""
        self._site = site

    async def announce(self, session: Session, effect: SendMessage, quote: Quote) -> str:
        """The message; "" for none.

        Args:
            session: whose driver is told.
            effect: what about.
            quote: the quote that opened the session.
        """
        events = self._journal.events_of(session.id, without=["MeterSampled"])
        return announce(
            words(quote.language),
            effect,
            session_view(session, quote.secret, events),
            links_of(self._url, quote.charge_point, quote.secret),
            await self._topup(effect, quote),
        )

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

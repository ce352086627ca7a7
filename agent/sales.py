"""What a charge point sells: its price, quotes for it, and the sessions that payments open."""

from __future__ import annotations

from msgspec.structs import replace

from agent import quotes
from agent.commons import Commons
from agent.config.tables import ChargePointConfig
from agent.connectors import Connectors
from agent.machine.events import Obstacle, Payer
from agent.machine.model import Session
from agent.ports.errors import Refused
from agent.ports.quotes import Origin, Quote, QuoteRequest
from agent.sessions import Sessions
from agent.tariff.model import Tariff
from agent.views import PublicFace
from agent.zaps import Zap, read_zap
from nips.identity import Identity
from nips.zaps import ZapRequest, parse_zap_request
from wallet.base import Settlement


class Sales:
    """What drivers buy at one charge point.

    Args:
        config: the charge point in the operator's file.
        tariff: by which it sells at first.
        face: what it shows of itself on nostr and in wallets.
        sessions: those that payments open, or add to.
        connectors: what there is to sell.
        commons: what all charge points share.
        identity: opens private zaps; without it they stay anonymous.
    """

    def __init__(
        self,
        config: ChargePointConfig,
        tariff: Tariff,
        face: PublicFace,
        sessions: Sessions,
        connectors: Connectors,
        commons: Commons,
        identity: Identity | None = None,
    ) -> None:
        self._config = config
        self._tariff = tariff
        self._face = face
        self._sessions = sessions
        self._connectors = connectors
        self._commons = commons
        self._identity = identity

    @property
    def tariff(self) -> Tariff:
        """The price that a quote would freeze now, with the exchange rate of now."""
        rate = self._commons.rate()
        return self._tariff if rate is self._tariff.rate else replace(self._tariff, rate=rate)

    @property
    def base_tariff(self) -> Tariff:
        """The tariff without the exchange rate of now."""
        return self._tariff

    def set_tariff(self, tariff: Tariff) -> None:
        """Sell by another tariff from now on; what was quoted before keeps its price."""
        self._tariff = tariff
        self._commons.herald.status_changed(self._config.id)

    async def quote(self, request: QuoteRequest) -> Quote:
        """Make an invoice with a frozen price; raises Refused before any invoice exists."""
        quotes.check_amount(request.amount_msat, self._commons)
        session, secret = self._topped_up(request)
        connector = session.connector if session else self._connectors.free(request.connector)
        await self._commons.admit(request.amount_msat)
        holds = self._commons.holds
        quote = await quotes.make(
            self._commons,
            request,
            charge_point_id=self._config.id,
            name=self._config.name,
            connector=connector,
            tariff=self.tariff,
            topping_up=session,
            secret=secret,
            holder=None if session else await holds.wallet(),
        )
        holds.watch(quote)
        return quote

    async def quote_zap(self, raw: str, amount_msat: int, connector: int | None) -> Quote:
        """Make an invoice for a zap request; see `agent.ports.charge_point`."""
        request = parse_zap_request(
            raw, recipient_pubkey=self._face.pubkey, amount_msat=amount_msat, own_relays=()
        )
        zap = self.read_zap(request, connector)
        if self._commons.journal.nostr.is_handled(request.event_id):
            raise Refused("this zap was paid before; zap again", word="zap_used")
        return await self.quote(
            QuoteRequest(
                amount_msat=amount_msat,
                origin=Origin.ZAP,
                connector=zap.connector,
                payer=Payer(pubkey=zap.payer),
                description=raw,
                zap_request=raw,
                comment=zap.comment,
                language=zap.language,
            )
        )

    def read_zap(self, request: ZapRequest, addressed: int | None = None) -> Zap:
        """What a zap request asks of this charge point; raises InvalidZapRequest."""
        return read_zap(
            request,
            charge_point=self._config.id,
            connectors=self._connectors.ids,
            addressed=addressed,
            identity=self._identity,
        )

    def connector_for(self, named: int | None) -> int:
        """The connector that a payment is for: the one named, else one that is free."""
        return self._connectors.for_payment(named)

    async def credit(self, quote: Quote, settlement: Settlement) -> Session:
        """Credit a settled payment, once."""

        def obstacle(connector: int) -> Obstacle | None:
            if quote.origin is Origin.OUTSIDE and not quotes.is_taken(
                settlement.amount_msat, self._commons
            ):
                return Obstacle.AMOUNT
            return self._connectors.obstacle_to_paid(connector)

        return await self._sessions.credit(quote, settlement, obstacle)

    async def hold(self, quote: Quote) -> Session:
        """Open a session for a payment that is held, once."""
        return await self._sessions.hold(quote, self._connectors.obstacle_to_paid)

    def _topped_up(self, request: QuoteRequest) -> tuple[Session | None, str]:
        """The open session that the money would be added to, and its secret."""
        if request.topup_secret is not None:
            for quote in self._commons.journal.quotes.by_secret(request.topup_secret)[:1]:
                session = self._sessions.get(quote.session_id)
                return session, quote.secret
            raise Refused("this session does not exist")
        if request.payer.pubkey is not None:
            for session in self._sessions.open():
                wanted = request.connector in (None, session.connector)
                if wanted and session.payer.pubkey == request.payer.pubkey:
                    return session, self._commons.journal.quotes.of_session(session.id)[0].secret
        return None, ""

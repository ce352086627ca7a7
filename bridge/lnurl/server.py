"""The LNURL service of every charge point.

LUD-01, 03, 04, 06, 09, 10, 11, 12, 16, 17, 18, 19, 20, 21, https://github.com/lnurl/luds, and the
callback of NIP-57, https://github.com/nostr-protocol/nips/blob/master/57.md
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from lnurl import (
    LnurlPayResponse,
    LnurlWithdrawResponse,
)
from lnurl.helpers import aes_encrypt
from pydantic import BaseModel
from starlette.requests import Request
from starlette.routing import Route

from agent.links import SECRET, Links, parse_name
from agent.machine.events import Payer
from agent.machine.model import SessionState
from agent.ports.charge_point import ChargePoint
from agent.ports.errors import Refused, UnknownChargePoint, UnknownSession
from agent.ports.quotes import Origin, Quote, QuoteRequest
from agent.ports.site import SessionView, Site, WithdrawOffer
from agent.talk.wording import free_in_s, obstacle_sentence
from agent.talk.words import words
from bridge.limits import Rate, RateLimit
from bridge.linking import Linking
from bridge.lnurl import payer_data
from bridge.lnurl.answers import Answer, BadRequest, Handler, endpoint, one, required, words_for
from bridge.lnurl.metadata import fingerprint, start_metadata, topup_metadata
from nips.zaps import MAX_REQUEST_CHARS

COMMENT_CHARS = 255
_DIGITS = re.compile(r"[0-9]{1,15}")
_HASH = re.compile(r"[0-9a-f]{64}")
_MAX_INVOICE_CHARS = 4_096


@dataclass(frozen=True, slots=True)
class LnurlSettings:
    """What the LNURL service needs to know.

    Attributes:
        links: our public URLs.
        language: of the metadata, which must not change between two steps of a payment.
        sealed: seal the link to the session so that only the payment's preimage opens it
            (LUD-10), where our wallet tells us that preimage; else, and otherwise, the link is
            given as it is (LUD-09), which more wallets can show.
        looks: how often an address may ask.
        invoices: how often an address may ask for an invoice.
    """

    links: Links
    language: str = "en"
    sealed: bool = False
    looks: Rate = Rate(burst=60, per_minute=120)
    invoices: Rate = Rate(burst=20, per_minute=20)


class LnurlServer:
    """The LNURL routes over a site.

    Args:
        site: the charge points.
        settings: see there.
        linking: the challenges for LNURL-auth, shared with the pages.
        clock: the time in Unix milliseconds.
    """

    def __init__(
        self, site: Site, settings: LnurlSettings, linking: Linking, clock: Callable[[], int]
    ) -> None:
        self._site = site
        self._settings = settings
        self._links = settings.links
        self._linking = linking
        self._words = words(settings.language)
        looks = RateLimit(settings.looks, clock)
        invoices = RateLimit(settings.invoices, clock)

        def route(path: str, handler: Handler, limit: RateLimit) -> Route:
            answer = endpoint(handler, limit, settings.language)
            return Route(path, answer, methods=["GET", "OPTIONS"], include_in_schema=False)

        self.routes = [
            route("/.well-known/lnurlp/{cp}", self.address, looks),
            route("/lnurl/{cp}", self.entry, looks),
            route("/lnurl/{cp}/pay/{fingerprint}", self.pay, invoices),
            route("/lnurl/{cp}/topup/{secret}", self.top_up, invoices),
            route("/lnurl/{cp}/withdraw", self.withdraw, invoices),
            route("/lnurl/{cp}/verify/{payment_hash}", self.verify, looks),
            route("/lnurl/{cp}/login", self.login, looks),
        ]

    async def address(self, request: Request) -> Answer:
        """LUD-16 and NIP-57: who answers at a lightning address.

        Answered in every state of the charge point: nostr clients look here for the key
        that signs receipts. Whether it can charge is decided before an invoice is made.
        """
        charge_point, connector = await self._named(request)
        return await self._pay_request(charge_point, connector)

    async def entry(self, request: Request) -> Answer:
        """What the QR code leads to: by state, and by the payer's secret where there is one."""
        secret = one(request.query_params, "s", 128)
        if secret is not None and one(request.query_params, "topup", 8) is None:
            # What is owed is paid back also where the charge point has left the file.
            charge_point_id, _ = parse_name(request.path_params["cp"])
            return await self._withdraw_request(await self._session(charge_point_id, secret))
        charge_point, connector = await self._named(request)
        if secret is not None:
            session = await self._session(charge_point.id, secret)
            return await self._topup_request(charge_point, session)
        obstacle = await charge_point.obstacle(connector)
        if obstacle is not None:
            free_s = free_in_s(await charge_point.view(), connector)
            said = words_for(request, self._settings.language)
            raise Refused(obstacle_sentence(obstacle, said, free_s))
        return await self._pay_request(charge_point, connector)

    async def _pay_request(self, charge_point: ChargePoint, connector: int | None) -> Answer:
        view = await charge_point.view()
        metadata = start_metadata(view, connector, self._links, self._words)
        step = f"pay/{fingerprint(metadata)}"
        fixed = _pay_response(
            self._url(view.id, connector, step),
            metadata,
            view.min_payment_msat,
            view.max_payment_msat,
            view.pubkey,
        )
        return {**fixed, "payerData": _plain(payer_data.offer(self._linking))}

    async def _topup_request(self, charge_point: ChargePoint, session: SessionView) -> Answer:
        self._refuse_closed(session)
        view = await charge_point.view()
        return _plain(
            LnurlPayResponse.model_validate(
                {
                    "callback": self._url(view.id, None, f"topup/{session.secret}"),
                    "minSendable": view.min_payment_msat,
                    "maxSendable": view.max_payment_msat,
                    "metadata": topup_metadata(view, session, self._words),
                    "commentAllowed": COMMENT_CHARS,
                }
            )
        )

    async def _withdraw_request(self, session: SessionView) -> Answer:
        offer = await self._site.owned.offer_refund(session.secret)
        is_open = session.state != SessionState.CLOSED
        pay_url = self._links.lnurl_url(
            session.charge_point, secret=session.secret if is_open else None, topup=is_open
        )
        return _plain(
            LnurlWithdrawResponse.model_validate(
                {
                    "callback": self._url(session.charge_point, None, "withdraw"),
                    "k1": offer.k1,
                    "minWithdrawable": offer.amount_msat,
                    "maxWithdrawable": offer.amount_msat,
                    "defaultDescription": self._withdraw_words(session, offer),
                    "payLink": self._links.pay_link(pay_url),
                }
            )
        )

    def _withdraw_words(self, session: SessionView, offer: WithdrawOffer) -> str:
        """What a withdrawal is; while a charge goes on, why it is not all that is left."""
        if session.state == SessionState.CLOSED:
            return offer.description
        if not offer.set_aside_msat:
            return self._words("lnurl.stop_and_refund", name=session.charge_point)
        rest = self._words.sat(offer.set_aside_msat)
        return self._words("lnurl.stop_and_refund_rest", name=session.charge_point, rest=rest)

    async def pay(self, request: Request) -> Answer:
        """LUD-06 step two, with LUD-12 and LUD-18; NIP-57's callback when it carries a zap."""
        charge_point, connector = await self._named(request)
        query = request.query_params
        amount_msat = _amount_msat(required(query, "amount", 32))
        view = await charge_point.view()
        zap = one(query, "nostr", MAX_REQUEST_CHARS)
        # Some wallets name it whether they zap or not.
        if zap:
            return self._invoice(await charge_point.quote_zap(zap, amount_msat, connector))
        metadata = start_metadata(view, connector, self._links, self._words)
        if request.path_params["fingerprint"] != fingerprint(metadata):
            raise Refused(words_for(request, self._settings.language)("lnurl.price_changed"))
        payer = payer_data.parse(one(query, "payerdata", payer_data.MAX_CHARS), self._linking)
        quote = await charge_point.quote(
            QuoteRequest(
                amount_msat=amount_msat,
                origin=Origin.LNURL,
                connector=connector,
                payer=Payer(
                    linking_keys=(payer.linking_key,) if payer.linking_key else (),
                    address=payer.address,
                ),
                description=metadata + payer.raw,
                comment=_comment(request),
            )
        )
        plugged = view.unplug_first(quote.connector)
        return self._invoice(quote, "lnurl.success_unplug" if plugged else "lnurl.success")

    async def top_up(self, request: Request) -> Answer:
        """LUD-06 step two of a top-up by the secret link."""
        charge_point, _ = await self._named(request)
        session = await self._session(charge_point.id, request.path_params["secret"])
        self._refuse_closed(session)
        return self._invoice(
            await charge_point.quote(
                QuoteRequest(
                    amount_msat=_amount_msat(required(request.query_params, "amount", 32)),
                    origin=Origin.LNURL,
                    connector=session.connector,
                    description=topup_metadata(await charge_point.view(), session, self._words),
                    topup_secret=session.secret,
                    comment=_comment(request),
                )
            )
        )

    def _invoice(self, quote: Quote, success: str = "lnurl.success") -> Answer:
        return {
            "pr": quote.bolt11,
            "routes": [],
            "successAction": self._success_action(quote, success),
            "disposable": False,
            "verify": self._url(quote.charge_point, None, f"verify/{quote.payment_hash}"),
        }

    def _success_action(self, quote: Quote, success: str) -> dict[str, str]:
        """The way to the session page (LUD-09, or LUD-10 where the operator wants it sealed).

        Not for a top-up by zap: its zap request is public in the receipt, so anyone can send
        it again and would be handed the secret of the running session.
        """
        if quote.topup and quote.zap_request is not None:
            return {"tag": "message", "message": self._words("lnurl.topped_up")}
        url = self._links.session(quote.secret)
        if self._settings.sealed and quote.preimage:
            ciphertext, iv = aes_encrypt(bytes.fromhex(quote.preimage), url)
            description = self._words(success)
            return {"tag": "aes", "description": description, "ciphertext": ciphertext, "iv": iv}
        return {"tag": "url", "url": url, "description": self._words(success)}

    async def withdraw(self, request: Request) -> Answer:
        """LUD-03 step two: a wallet hands in the invoice that the refund is paid to."""
        query = request.query_params
        try:
            await self._site.owned.claim_refund(
                required(query, "k1", 128), required(query, "pr", _MAX_INVOICE_CHARS)
            )
        except UnknownSession:
            said = words_for(request, self._settings.language)
            raise Refused(said("lnurl.unknown_k1")) from None
        return {"status": "OK"}

    async def verify(self, request: Request) -> Answer:
        """LUD-21: whether an invoice was paid.

        The preimage stays out of it: it proves who the payer is, and whoever saw the invoice
        on a screen knows the hash that this is asked by.
        """
        payment_hash = request.path_params["payment_hash"].lower()
        if not _HASH.fullmatch(payment_hash):
            raise BadRequest("That is not a payment hash.")
        quote = await self._site.owned.quote_of(payment_hash)
        settled = quote.settled_at_ms is not None
        return {"status": "OK", "settled": settled, "preimage": None, "pr": quote.bolt11}

    async def login(self, request: Request) -> Answer:
        """LUD-04: a wallet proves its key; the page that showed the challenge asks for it."""
        query = request.query_params
        self._linking.prove(
            required(query, "k1", 64), required(query, "key", 66), required(query, "sig", 160)
        )
        return {"status": "OK"}

    async def _named(self, request: Request) -> tuple[ChargePoint, int | None]:
        charge_point_id, connector = parse_name(request.path_params["cp"])
        charge_point = self._site.charge_point(charge_point_id)
        if connector is not None:
            view = await charge_point.view()
            if connector not in [item.id for item in view.connectors]:
                raise UnknownChargePoint(f"{view.name} has no connector {connector}.")
        return charge_point, connector

    async def _session(self, charge_point_id: str, secret: str) -> SessionView:
        if SECRET.fullmatch(secret):
            session = await self._site.owned.session(secret)
            if session.charge_point.lower() == charge_point_id.lower():
                return session
        raise UnknownSession("No session belongs to this link.")

    def _refuse_closed(self, session: SessionView) -> None:
        if session.state in (SessionState.STOPPING, SessionState.CLOSED):
            raise Refused(self._words("lnurl.session_over"))

    def _url(self, charge_point: str, connector: int | None, step: str) -> str:
        return f"{self._links.lnurl_url(charge_point, connector)}/{step}"


@lru_cache(maxsize=1024)
def _pay_response(
    callback: str, metadata: str, min_msat: int, max_msat: int, pubkey: str
) -> Answer:
    """The part of a payRequest that stays the same until a price changes."""
    return _plain(
        LnurlPayResponse.model_validate(
            {
                "callback": callback,
                "minSendable": min_msat,
                "maxSendable": max_msat,
                "metadata": metadata,
                "commentAllowed": COMMENT_CHARS,
                "allowsNostr": True,
                "nostrPubkey": pubkey,
            }
        )
    )


def _plain(answer: BaseModel) -> Answer:
    return answer.model_dump(mode="json", exclude_none=True)


def _amount_msat(text: str) -> int:
    if not _DIGITS.fullmatch(text):
        raise BadRequest("The amount is not a whole number of millisatoshi.")
    return int(text)


def _comment(request: Request) -> str:
    comment = one(request.query_params, "comment", 4 * COMMENT_CHARS) or ""
    if len(comment) > COMMENT_CHARS:
        raise BadRequest(f"The comment is longer than {COMMENT_CHARS} characters.")
    return comment

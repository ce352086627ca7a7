"""Being the payer without the link: by the proof of payment, or by the wallet's key (LUD-04)."""

from __future__ import annotations

import hashlib
import re
import secrets
from urllib.parse import urlencode

from fastapi import APIRouter
from lnurl.helpers import url_encode
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from agent.ports.errors import AgentError, UnknownSession
from bridge.web.context import Context, form

_PREIMAGE = re.compile(r"[0-9a-f]{64}")
_MAX_TOKEN_CHARS = 64


class NotProved(AgentError):
    """The proof does not make anybody the payer of anything here."""


def routes(context: Context) -> APIRouter:
    """The page that finds a driver's session again."""
    router = APIRouter(include_in_schema=False)

    @router.get("/cp/{name}/mine")
    async def mine(request: Request, name: str) -> Response:
        context.look(request)
        _, view, connector = await context.named(name)
        token = secrets.token_urlsafe(24)
        k1 = context.linking.challenge(token)
        query = urlencode({"tag": "login", "k1": k1, "action": "auth"})
        url = f"{context.settings.links.lnurl_url(view.id, connector)}/login?{query}"
        return context.renderer.page(
            request,
            "mine.html",
            view=view,
            connector=connector,
            lnurl=url_encode(url),
            k1=k1,
            token=token,
        )

    @router.post("/cp/{name}/mine/preimage")
    async def by_preimage(request: Request, name: str) -> Response:
        """The preimage hashes to the payment hash; who has it has paid (BOLT 11)."""
        context.order(request)
        await context.named(name)
        preimage = (await form(request)).get("preimage", "").lower()
        said = context.words(request)
        if not _PREIMAGE.fullmatch(preimage):
            raise NotProved(said("web.mine_wrong"))
        payment_hash = hashlib.sha256(bytes.fromhex(preimage)).hexdigest()
        try:
            quote = await context.site.owned.quote_of(payment_hash)
            view = await context.site.owned.session(quote.secret)
        except UnknownSession:
            raise NotProved(said("web.mine_wrong")) from None
        if not quote.is_proved_by_preimage:
            raise NotProved(said("web.mine_public"))
        return RedirectResponse(f"/s/{view.secret}", 303)

    @router.post("/cp/{name}/mine/key")
    async def by_key(request: Request, name: str) -> Response:
        """Only the browser that holds the token of a challenge learns who answered it."""
        context.order(request)
        await context.named(name)
        fields = await form(request)
        token = fields.get("token", "")[:_MAX_TOKEN_CHARS]
        key = context.linking.answer(fields.get("k1", ""), token)
        said = context.words(request)
        if key is None:
            raise NotProved(said("web.mine_waiting"))
        try:
            view = await context.site.owned.session_of_key(key)
        except UnknownSession:
            raise NotProved(said("web.mine_wrong")) from None
        return RedirectResponse(f"/s/{view.secret}", 303)

    return router

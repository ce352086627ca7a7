"""The operator's console: his charge points, what runs, what is owed, and posters to print.

It exists only where the operator's file names a password. Who has signed in is remembered in
memory by a random token in a cookie: a restart signs everybody out.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Literal, cast, get_args
from urllib.parse import urlsplit

from fastapi import APIRouter
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response

from agent.ports.errors import AgentError
from agent.ports.office import Office
from agent.talk.words import LANGUAGES, words
from bridge.charger_sheet import Chargers
from bridge.limits import Rate, RateLimit
from bridge.paper.poster import Paper, poster_pdf, poster_svg
from bridge.web import console_chargers, console_live
from bridge.web.console_chargers import Desk
from bridge.web.console_live import overview_values
from bridge.web.context import BadForm, Context, TooManyRequests, client_address, form
from bridge.web.parts import is_foreign
from bridge.web.ways_back import TO_CONSOLE

COOKIE = "strom_console"
SIGNED_IN_MS = 12 * 3_600_000
_MOST_SIGNED_IN = 100
_GUESSES = Rate(burst=5, per_minute=5)

Format = Literal["svg", "pdf"]
_ARRIVED, _LOST = "arrived", "lost"
_MEDIA_TYPES: dict[Format, str] = {"svg": "image/svg+xml", "pdf": "application/pdf"}


@dataclass(frozen=True, slots=True)
class Console:
    """What the console needs.

    Attributes:
        password: who knows it is the operator.
        office: what he may see and do.
        chargers: what he may see of his chargers.
    """

    password: str = field(repr=False)
    office: Office
    chargers: Chargers


class NotSignedIn(AgentError):
    """The console was asked for something by nobody who has signed in."""


class _Guests:
    """Who has signed in, by a fingerprint of his token."""

    def __init__(self) -> None:
        self._until_ms: OrderedDict[str, int] = OrderedDict()

    def admit(self, now_ms: int) -> str:
        """A new token."""
        token = secrets.token_urlsafe(32)
        self._until_ms[_fingerprint(token)] = now_ms + SIGNED_IN_MS
        while len(self._until_ms) > _MOST_SIGNED_IN:
            self._until_ms.popitem(last=False)
        return token

    def knows(self, token: str, now_ms: int) -> bool:
        """Whether a token still opens the console."""
        return self._until_ms.get(_fingerprint(token), 0) > now_ms

    def dismiss(self, token: str) -> None:
        """This token opens nothing any more."""
        self._until_ms.pop(_fingerprint(token), None)


def _fingerprint(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def routes(context: Context, console: Console) -> APIRouter:
    """The routes of the console."""
    router = APIRouter(prefix="/admin", include_in_schema=False)
    guests = _Guests()
    guesses = RateLimit(_GUESSES, context.clock)
    secure = urlsplit(context.settings.links.public_url).scheme == "https"

    def signed_in(connection: HTTPConnection) -> bool:
        token = connection.cookies.get(COOKIE, "")
        return bool(token) and guests.knows(token, context.clock())

    def check(request: Request) -> None:
        """Raises NotSignedIn, also for a form that another site sent."""
        if is_foreign(request) or not signed_in(request):
            raise NotSignedIn("Sign in at /admin first.")

    desk = Desk(console.office, console.chargers, check)

    @router.get("")
    async def overview(request: Request) -> Response:
        context.look(request)
        if not signed_in(request):
            return context.renderer.page(request, "console/sign_in.html", wrong=False)
        values = await overview_values(context, desk)
        wallet = await console.office.wallet_state()
        return context.renderer.page(request, "console/overview.html", wallet=wallet, **values)

    @router.post("/sign-in")
    async def sign_in(request: Request) -> Response:
        wait_s = guesses.wait_s(client_address(request))
        if wait_s:
            raise TooManyRequests(wait_s)
        given = (await form(request)).get("password", "")
        if not hmac.compare_digest(given.encode(), console.password.encode()):
            return context.renderer.page(request, "console/sign_in.html", 403, wrong=True)
        answer = RedirectResponse("/admin", 303)
        answer.set_cookie(
            COOKIE,
            guests.admit(context.clock()),
            max_age=SIGNED_IN_MS // 1000,
            path="/admin",
            secure=secure,
            httponly=True,
            samesite="strict",
        )
        return answer

    @router.post("/sign-out")
    async def sign_out(request: Request) -> Response:
        check(request)
        guests.dismiss(request.cookies.get(COOKIE, ""))
        answer = RedirectResponse("/admin", 303)
        answer.delete_cookie(COOKIE, path="/admin")
        return answer

    @router.post("/stop")
    async def stop(request: Request) -> Response:
        """End a session by its id, which is no secret."""
        check(request)
        await console.office.stop_by_operator((await form(request)).get("session", ""))
        return RedirectResponse("/admin", 303)

    @router.post("/refund")
    async def refund(request: Request) -> Response:
        """Take the operator's word on a refund that no wallet can tell about."""
        check(request)
        fields = await form(request)
        became, number = fields.get("became", ""), fields.get("refund_no", "")
        if became not in (_ARRIVED, _LOST) or not re.fullmatch(r"[1-9][0-9]{0,3}", number):
            raise BadForm("Say which refund, and whether it arrived or is lost.")
        verdict = await console.office.decide_refund(
            fields.get("session", ""), int(number), arrived=became == _ARRIVED, operator="console"
        )
        who = "wallet" if verdict.by_wallet else "noted"
        sentence = context.words(request)(f"console.{who}_{_ARRIVED if verdict.arrived else _LOST}")
        return context.renderer.page(
            request, "message.html", sentence=sentence, retry=False, back=TO_CONSOLE
        )

    @router.get("/poster/{name}")
    async def poster(request: Request, name: str) -> Response:
        """The poster of a charge point or of one connector, to be printed."""
        check(request)
        _, view, connector = await context.named(name)
        query = request.query_params
        paper, kind = query.get("paper", "A6"), query.get("format", "pdf")
        language = query.get("language", context.settings.language)
        if paper not in get_args(Paper) or kind not in get_args(Format):
            raise BadForm("A poster is A6 or A4, and svg or pdf.")
        if language not in LANGUAGES:
            raise BadForm(f"A poster speaks {', '.join(LANGUAGES)}.")
        size, said = cast("Paper", paper), words(language)
        links = context.settings.links
        if kind == "svg":
            content = poster_svg(view, links, said, paper=size, connector=connector).encode()
        else:
            content = poster_pdf(
                view,
                links,
                said,
                paper=size,
                connector=connector,
                created_at_ms=context.clock(),
            )
        file = f"{links.name(view.id, connector)}-{paper}.{kind}"
        return Response(
            content,
            media_type=_MEDIA_TYPES[cast("Format", kind)],
            headers={
                "Cache-Control": "no-store",
                "Content-Disposition": f'attachment; filename="{file}"',
            },
        )

    router.include_router(console_chargers.routes(context, desk))
    router.include_router(console_live.routes(context, desk, signed_in))
    return router

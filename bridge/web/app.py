"""The HTTP application: the pages, and whatever other guests speak HTTP."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute
from starlette.websockets import WebSocket

from agent.journal.errors import JournalError
from agent.ports.errors import (
    AgentError,
    Refused,
    StopNotStored,
    UnknownChargePoint,
    UnknownSession,
)
from agent.ports.site import Site
from agent.talk.wording import as_sentence, refusal_sentence
from bridge.fetch import Fetcher
from bridge.limits import RateLimit
from bridge.linking import Linking
from bridge.web import charge_points, console, dev, live, mine, photos, receipt, sessions
from bridge.web.context import BadForm, Context, PlayWallet, TooManyRequests, wants_json
from bridge.web.last_resort import LastResort
from bridge.web.render import CONSOLE_STYLE, STYLE, Renderer, WebSettings, static_text
from bridge.web.security import (
    HeadLikeGet,
    SecurityHeaders,
    content_security_policy,
    source_hash,
)
from bridge.web.ways_back import TO_LIST, WayBack, way_back

log = logging.getLogger(__name__)

_IMMUTABLE = {"Cache-Control": "public, max-age=31536000, immutable"}


def create_app(
    site: Site,
    settings: WebSettings,
    *,
    linking: Linking,
    clock: Callable[[], int],
    fetcher: Fetcher | None = None,
    play: PlayWallet | None = None,
    operators: console.Console | None = None,
    routes: Sequence[BaseRoute] = (),
) -> FastAPI:
    """Put the HTTP application together; it starts nothing by itself.

    Args:
        site: the charge points.
        settings: see there.
        linking: the challenges for LNURL-auth, shared with the LNURL service.
        clock: the time in Unix milliseconds.
        fetcher: gets the operator's photos; None for one that reaches public servers only.
        play: the play-money wallet when that is in use: adds /dev and buttons to pay with it.
        operators: the operator's console; None for none.
        routes: of other guests, such as LNURL.
    """
    context = Context(
        site=site,
        settings=settings,
        renderer=Renderer(settings),
        linking=linking,
        play=play,
        clock=clock,
        looks=RateLimit(settings.looks, clock),
        orders=RateLimit(settings.orders, clock),
    )
    app = FastAPI(
        title="Strom",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.router.routes.extend(routes)
    app.include_router(charge_points.routes(context))
    app.include_router(sessions.routes(context))
    app.include_router(live.routes(context))
    app.include_router(receipt.routes(context))
    app.include_router(mine.routes(context))
    app.include_router(photos.routes(context, fetcher or Fetcher()))
    if operators is not None:
        app.include_router(console.routes(context, operators))
    if play is not None:
        app.include_router(dev.routes(play))
    _add_files(app, context.renderer)
    _add_errors(app, context)
    _add_strays(app)

    def failed(request: Request) -> Response:
        sentence = context.words(request)("web.failed")
        return _told(context, request, 500, sentence, way_back(request.url.path, 500))

    tiles = urlsplit(settings.tile_url)
    app.add_middleware(LastResort, answer=failed)
    app.add_middleware(HeadLikeGet)
    app.add_middleware(GZipMiddleware, minimum_size=500, compresslevel=6)
    app.add_middleware(
        SecurityHeaders,
        policy=content_security_policy(
            [source_hash(STYLE)], [f"{tiles.scheme}://{tiles.netloc}"] if tiles.netloc else []
        ),
    )
    return app


def _add_files(app: FastAPI, renderer: Renderer) -> None:
    script = static_text("strom.js")

    @app.get(renderer.script_url, include_in_schema=False)
    async def strom_js() -> Response:
        return Response(script, media_type="text/javascript", headers=_IMMUTABLE)

    @app.get(renderer.console_style_url, include_in_schema=False)
    async def console_css() -> Response:
        return Response(CONSOLE_STYLE, media_type="text/css", headers=_IMMUTABLE)


def _add_strays(app: FastAPI) -> None:
    """A charge point that was given this port is told so, and the operator too."""

    @app.websocket("/{path:path}")
    async def stray(websocket: WebSocket) -> None:
        offered = websocket.headers.get("sec-websocket-protocol", "")
        if offered.lower().startswith("ocpp"):
            host = websocket.client.host if websocket.client else "peer unknown"
            log.warning(
                "a charge point came to http_listen (from %s): its URL must have the port of "
                "ocpp_listen",
                host,
            )
        answer = PlainTextResponse("Charge points connect to the port of ocpp_listen.\n", 404)
        await websocket.send_denial_response(answer)


def _told(
    context: Context,
    request: Request,
    status_code: int,
    sentence: str,
    back: WayBack,
    *,
    retry: bool = False,
) -> Response:
    """A sentence as a page, or as JSON."""
    if wants_json(request):
        return JSONResponse({"error": sentence}, status_code)
    return context.renderer.page(
        request, "message.html", status_code, sentence=sentence, retry=retry, back=back
    )


def _add_errors(app: FastAPI, context: Context) -> None:
    """Every refusal as a page, or as JSON, in the driver's language where it is ours."""

    @app.exception_handler(AgentError)
    async def refused(request: Request, error: AgentError) -> Response:
        said = context.words(request)
        status_code, sentence, retry = 409, as_sentence(str(error)), False
        match error:
            case UnknownSession():
                status_code, sentence, retry = 404, said("web.unknown_session"), True
            case UnknownChargePoint():
                status_code, sentence = 404, said("web.unknown_charge_point")
            case TooManyRequests(wait_s=wait_s):
                status_code, sentence = 429, said("lnurl.too_many_requests", seconds=wait_s)
            case console.NotSignedIn():
                status_code = 403
            case BadForm() | mine.NotProved():
                status_code = 400
            case Refused():
                sentence = refusal_sentence(error, said)
            case _:
                pass
        back = way_back(request.url.path, status_code)
        return _told(
            context, request, status_code, sentence, back, retry=retry and request.method == "GET"
        )

    @app.exception_handler(JournalError)
    async def not_stored(request: Request, error: JournalError) -> Response:
        log.error("%s %s: %s", request.method, request.url.path.split("/")[1], error)
        asked = isinstance(error, StopNotStored)
        sentence = context.words(request)("web.stop_not_stored" if asked else "web.not_stored")
        return _told(context, request, 503, sentence, way_back(request.url.path, 503))

    @app.exception_handler(404)
    async def not_found(request: Request, _: Exception) -> Response:
        return _told(context, request, 404, context.words(request)("web.not_found"), TO_LIST)

    @app.exception_handler(405)
    async def not_so(request: Request, error: HTTPException) -> Response:
        sentence = context.words(request)("web.form_only")
        answer = _told(context, request, 405, sentence, way_back(request.url.path, 405))
        allowed = (error.headers or {}).get("Allow", "")
        answer.headers["Allow"] = "GET, HEAD" if allowed == "GET" else allowed
        return answer

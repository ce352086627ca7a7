"""A session page stays live; see `bridge.web.parts`."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import APIRouter
from starlette.websockets import WebSocket

from agent.machine.model import SessionState
from agent.ports.errors import UnknownSession
from agent.ports.site import PowerSample, SessionView
from agent.talk.words import Words
from bridge.web.context import Context, checked_secret
from bridge.web.curve import PowerCurve
from bridge.web.parts import CLOSE_OVER, CLOSE_UNKNOWN, Parts, Viewers, send_parts
from bridge.web.sessions import FRAGMENTS, fragment_values

MAX_VIEWERS = 5_000
MAX_VIEWERS_PER_SESSION = 20


def routes(context: Context) -> APIRouter:
    """The websocket of each session page."""
    router = APIRouter(include_in_schema=False)
    viewers = Viewers(MAX_VIEWERS, MAX_VIEWERS_PER_SESSION)

    @router.websocket("/s/{secret}/live")
    async def live(websocket: WebSocket, secret: str) -> None:
        async with viewers.admitted(websocket, secret) as admitted:
            if not admitted:
                return
            try:
                await context.site.owned.session(checked_secret(secret))
            except UnknownSession:
                await websocket.close(CLOSE_UNKNOWN)
                return
            said = context.words(websocket)
            await send_parts(websocket, _drawings(context, secret, said), CLOSE_OVER)

    return router


async def _drawings(context: Context, secret: str, said: Words) -> AsyncIterator[Parts]:
    """The page at each change of its session."""
    curve = PowerCurve(await context.site.owned.power_curve(secret))
    async for view in context.site.owned.session_changes(secret):
        if view.state == SessionState.CHARGING:
            curve.add(PowerSample(context.clock(), view.power_w))
        yield _parts(context, view, said, curve)


def _parts(context: Context, view: SessionView, said: Words, curve: PowerCurve) -> Parts:
    values = fragment_values(context, view, said, curve)
    return {
        name: context.renderer.text(f"session/{name}.html", said, **values) for name in FRAGMENTS
    }

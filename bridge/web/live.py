"""A session page stays live: each change comes over a websocket as the parts that changed.

A browser that comes back after a gap gets all parts first, so nothing has to be replayed.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import anyio
from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from agent.machine.model import SessionState
from agent.ports.errors import UnknownSession
from agent.ports.site import PowerSample, SessionView
from agent.talk.words import Words
from bridge.web.context import Context, checked_secret
from bridge.web.curve import PowerCurve
from bridge.web.sessions import FRAGMENTS, fragment_values

CLOSE_OVER = 4000
"""Close code for a session that will not change any more; the script stays away."""
CLOSE_UNKNOWN = 4404
CLOSE_TOO_MANY = 4429
MAX_VIEWERS = 5_000
MAX_VIEWERS_PER_SESSION = 20


def routes(context: Context) -> APIRouter:
    """The websocket of each session page."""
    router = APIRouter(include_in_schema=False)
    viewers: dict[str, int] = {}

    @router.websocket("/s/{secret}/live")
    async def live(websocket: WebSocket, secret: str) -> None:
        if not _same_origin(websocket):
            await websocket.close(CLOSE_UNKNOWN)
            return
        await websocket.accept()
        watching = viewers.get(secret, 0)
        if watching >= MAX_VIEWERS_PER_SESSION or sum(viewers.values()) >= MAX_VIEWERS:
            await websocket.close(CLOSE_TOO_MANY)
            return
        viewers[secret] = watching + 1
        try:
            await _watch(websocket, secret)
        finally:
            viewers[secret] -= 1
            if not viewers[secret]:
                del viewers[secret]

    async def _watch(websocket: WebSocket, secret: str) -> None:
        try:
            await context.site.session(checked_secret(secret))
        except UnknownSession:
            await websocket.close(CLOSE_UNKNOWN)
            return
        said = context.words(websocket)
        async with anyio.create_task_group() as tasks:

            async def send() -> None:
                try:
                    async for message in _messages(context, secret, said):
                        await websocket.send_text(message)
                    await websocket.close(CLOSE_OVER)
                except WebSocketDisconnect:
                    pass
                tasks.cancel_scope.cancel()

            tasks.start_soon(send)
            await _until_gone(websocket)
            tasks.cancel_scope.cancel()

    return router


async def _messages(context: Context, secret: str, said: Words) -> AsyncIterator[str]:
    """The parts of the page that changed, as JSON; all of them first."""
    sent: dict[str, str] = {}
    curve = PowerCurve(await context.site.power_curve(secret))
    async for view in context.site.session_changes(secret):
        if view.state == SessionState.CHARGING:
            curve.add(PowerSample(context.clock(), view.power_w))
        parts = _parts(context, view, said, curve)
        changed = {name: html for name, html in parts.items() if sent.get(name) != html}
        sent.update(changed)
        if changed:
            yield json.dumps(changed, ensure_ascii=False)


def _parts(context: Context, view: SessionView, said: Words, curve: PowerCurve) -> dict[str, str]:
    values = fragment_values(context, view, said, curve)
    return {
        name: context.renderer.text(f"session/{name}.html", said, **values) for name in FRAGMENTS
    }


async def _until_gone(websocket: WebSocket) -> None:
    """Read until the browser is gone; what it says is not listened to."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


def _same_origin(websocket: WebSocket) -> bool:
    """A page of another site must not listen, even with a secret it got hold of."""
    origin = websocket.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == websocket.headers.get("host")

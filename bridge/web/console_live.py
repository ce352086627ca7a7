"""The console's overview and charge point pages stay live; see `bridge.web.parts`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, get_args

import anyio
from fastapi import APIRouter
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket

from agent.ports.errors import UnknownChargePoint
from agent.ports.office import Office
from agent.talk.wording import ended
from agent.talk.words import Words
from bridge.paper.poster import Paper
from bridge.web import console_chargers
from bridge.web.console_chargers import Desk, charger_values
from bridge.web.context import Context
from bridge.web.parts import CLOSE_SIGNED_OUT, CLOSE_UNKNOWN, Parts, Viewers, send_parts

MAX_VIEWERS = 50
MAX_VIEWERS_PER_PAGE = 20

TICK_S = 10.0
"""A page is drawn so often without a change too: it says how long ago things were."""
WALLET_EVERY_S = 60.0
"""The wallet may be far away: it is asked so often."""
WALLET_PATIENCE_S = 5.0
LEAST_PAUSE_S = 1.0
"""Between two drawings: many chargers change something all the time."""
PAUSE_PER_WORK = 20
"""A page that takes long to draw is drawn the less often."""


def routes(context: Context, desk: Desk, signed_in: Callable[[HTTPConnection], bool]) -> APIRouter:
    """The websockets of the pages; `signed_in` says who may watch."""
    router = APIRouter(include_in_schema=False)
    viewers = Viewers(MAX_VIEWERS, MAX_VIEWERS_PER_PAGE)

    @router.websocket("/live")
    async def overview(websocket: WebSocket) -> None:
        async with viewers.admitted(websocket, "") as admitted:
            if admitted:
                drawings = _overviews(context, desk, context.words(websocket))
                await watch(websocket, drawings)

    @router.websocket("/cp/{name}/live")
    async def charger(websocket: WebSocket, name: str) -> None:
        async with viewers.admitted(websocket, name.lower()) as admitted:
            if not admitted:
                return
            try:
                context.site.charge_point(name)
            except UnknownChargePoint:
                await websocket.close(CLOSE_UNKNOWN)
                return
            await watch(websocket, _chargers(context, desk, name, context.words(websocket)))

    async def watch(websocket: WebSocket, drawings: AsyncIterator[Parts]) -> None:
        async def while_signed_in() -> AsyncIterator[Parts]:
            if signed_in(websocket):
                async for parts in drawings:
                    if not signed_in(websocket):
                        return
                    yield parts

        await send_parts(websocket, while_signed_in(), CLOSE_SIGNED_OUT)

    return router


async def overview_values(context: Context, desk: Desk) -> dict[str, Any]:
    """What the parts of the overview are rendered from, but for the wallet's."""
    site, office = context.site, desk.office
    names = site.charge_point_ids()
    return {
        "points": [await site.charge_point(name).view() for name in names],
        "presence": {name: desk.chargers.presence(name) for name in names},
        "sessions": await office.open_sessions(),
        "owed": office.owed(),
        "troubles": sorted(ended(one) for one in office.troubles().values()),
        "now_ms": context.clock(),
        "papers": get_args(Paper),
    }


async def _overviews(context: Context, desk: Desk, said: Words) -> AsyncIterator[Parts]:
    asked_at_s, wallet = anyio.current_time(), None
    async for _ in _moments(desk.office):
        if anyio.current_time() - asked_at_s >= WALLET_EVERY_S:
            with anyio.move_on_after(WALLET_PATIENCE_S):
                wallet = await desk.office.wallet_state()
            asked_at_s = anyio.current_time()
        values = await overview_values(context, desk)

        def part(name: str, values: dict[str, Any] = values, **more: object) -> str:
            return context.renderer.text(f"console/overview/{name}.html", said, **values, **more)

        parts = {name: part(name) for name in ("troubles", "running", "owed")}
        for view in values["points"]:
            parts[f"point-{context.settings.links.name(view.id)}"] = part("point", view=view)
        if wallet is not None:
            parts["wallet"] = part("wallet", wallet=wallet)
        yield parts


async def _chargers(context: Context, desk: Desk, name: str, said: Words) -> AsyncIterator[Parts]:
    async for _ in _moments(desk.office):
        values = await charger_values(context, desk, name, said)
        yield {
            part: context.renderer.text(f"console/charger/{part}.html", said, **values)
            for part in console_chargers.FRAGMENTS
        }


async def _moments(office: Office) -> AsyncIterator[None]:
    """When to draw a page."""
    async for _ in office.changes(TICK_S):
        began_s = anyio.current_time()
        yield
        took_s = anyio.current_time() - began_s
        await anyio.sleep(min(TICK_S, max(LEAST_PAUSE_S, took_s * PAUSE_PER_WORK)))

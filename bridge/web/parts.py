"""Pages that stay live: each change comes over a websocket as the parts that changed.

A part is the HTML of one element by its id. A browser that comes back after a gap gets all parts
first, so nothing has to be replayed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import anyio
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket, WebSocketDisconnect

CLOSE_OVER = 4000
"""Close code for a page that will not change any more; the script stays away."""
CLOSE_SIGNED_OUT = 4401
"""Close code for who is not signed in any more; the script goes where he can sign in."""
CLOSE_UNKNOWN = 4404
CLOSE_TOO_MANY = 4429

Parts = Mapping[str, str]
"""HTML by the id of its element."""


class Viewers:
    """Who watches now.

    Args:
        most: so many at a time.
        most_of_one: so many of them watch the same page.
    """

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._watching = Counter[str]()

    @asynccontextmanager
    async def admitted(self, websocket: WebSocket, page: str) -> AsyncGenerator[bool]:
        """Accept a viewer and count him in; False where he was sent away."""
        if is_foreign(websocket):
            await websocket.close(CLOSE_UNKNOWN)
            yield False
            return
        await websocket.accept()
        if self._watching[page] >= self._most_of_one or self._watching.total() >= self._most:
            await websocket.close(CLOSE_TOO_MANY)
            yield False
            return
        self._watching[page] += 1
        try:
            yield True
        finally:
            self._watching[page] -= 1
            if not self._watching[page]:
                del self._watching[page]


async def send_parts(websocket: WebSocket, drawings: AsyncIterator[Parts], close_code: int) -> None:
    """Send the parts of a page that changed, all of them first, until the browser is gone.

    Args:
        websocket: accepted.
        drawings: the page now and at each change.
        close_code: what the browser is told when there are no more.
    """
    async with anyio.create_task_group() as tasks:

        async def send() -> None:
            sent: dict[str, str] = {}
            try:
                async for parts in drawings:
                    changed = {name: html for name, html in parts.items() if sent.get(name) != html}
                    sent.update(changed)
                    if changed:
                        await websocket.send_text(json.dumps(changed, ensure_ascii=False))
                await websocket.close(close_code)
            except WebSocketDisconnect:
                pass
            tasks.cancel_scope.cancel()

        tasks.start_soon(send)
        await _until_gone(websocket)
        tasks.cancel_scope.cancel()


def is_foreign(connection: HTTPConnection) -> bool:
    """Whether a page of another site asks: it must not, even with a secret it got hold of."""
    origin = connection.headers.get("origin")
    if origin == "null":
        # So are forms of pages that send no Referer, as ours are (Fetch, section 3.2).
        return connection.headers.get("sec-fetch-site") != "same-origin"
    return origin is not None and urlsplit(origin).netloc != connection.headers.get("host")


async def _until_gone(websocket: WebSocket) -> None:
    """Read until the browser is gone; what it says is not listened to."""
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass

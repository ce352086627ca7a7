"""What a driver sees when something fails that nobody thought of: a page that leads back."""

from __future__ import annotations

import logging
from collections.abc import Callable

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)


class LastResort:
    """ASGI middleware that answers a request whose handler failed, and tells the log.

    Args:
        app: what answers otherwise.
        answer: makes the answer for a request.
    """

    def __init__(self, app: ASGIApp, answer: Callable[[Request], Response]) -> None:
        self._app = app
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; an answer that has begun is left to the server to cut off."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def send_noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, send_noted)
        except ClientDisconnect:
            # Who asked is gone: nobody is there to be answered.
            return
        except Exception:
            if begun:
                raise
            # The rest of the path may be a driver's secret.
            log.exception("%s /%s failed", scope["method"], scope["path"].split("/")[1])
            await self._answer(Request(scope))(scope, receive, send)

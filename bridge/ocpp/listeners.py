"""The ports that chargers come to: each is opened, met at, and closed in bounded time."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast
from weakref import WeakSet

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from bridge.errors import cannot_listen
from bridge.ocpp.handshakes import select_subprotocol
from bridge.ocpp.heard_connection import HeardConnection
from bridge.ocpp.limits import Limits

_wire_logger = logging.getLogger(f"{__name__}.wire")
_wire_logger.setLevel(logging.CRITICAL)

_BACKLOG = 2048
_CUT_S = 0.5
"""How long it takes at most until a connection that was cut off is no more."""


class Listeners:
    """The listening sockets of one server, and all who came to them.

    Args:
        serve: serves one charger until its connection ends.
        admit: refuses who may not connect, before the connection is a websocket.
        limits: what one connection may take.
    """

    def __init__(
        self,
        serve: Callable[[ServerConnection], Awaitable[None]],
        admit: Callable[[ServerConnection, Request], Response | None],
        limits: Limits,
    ) -> None:
        self._serve = serve
        self._admit = admit
        self._limits = limits
        self._servers: list[Server] = []
        self._met: WeakSet[HeardConnection] = WeakSet()

    async def open(self, listen: str, key: str, context: ssl.SSLContext | None = None) -> None:
        """Begin to listen, over TLS where there is a context.

        Args:
            listen: "host:port"; port 0 lets the system choose.
            key: what the address is called in the operator's file.
            context: what is shown to chargers that come over TLS.

        Raises:
            CannotListen: the address is in use or not ours.
        """
        host, _, port = listen.rpartition(":")
        try:
            server = await serve(
                self._serve,
                host.strip("[]"),
                int(port),
                process_request=self._admit,
                select_subprotocol=select_subprotocol,
                compression=None,
                max_size=self._limits.frame_bytes,
                max_queue=self._limits.queued_frames,
                ping_interval=None,
                close_timeout=self._limits.goodbye_s,
                create_connection=cast("type[HeardConnection]", self._meet),
                server_header="Strom",
                logger=_wire_logger,
                ssl=context,
                backlog=_BACKLOG,
            )
        except OSError as error:
            raise cannot_listen(key, listen, error) from None
        self._servers.append(server)

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports that are listened on, in the order in which they were opened."""
        return tuple(next(iter(server.sockets)).getsockname()[1] for server in self._servers)

    async def close(self) -> None:
        """Stop listening, and say goodbye to everyone; who does not let go is cut off."""
        servers, self._servers = self._servers, []
        for server in servers:
            server.close()
        if await _closed(servers, self._limits.goodbye_s + _CUT_S):
            return
        for connection in tuple(self._met):
            transport: asyncio.Transport | None = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()
        # Whoever is in the middle of a TLS handshake has not been met yet: its limit ends it.
        await _closed(servers, _CUT_S)

    def _meet(self, *wiring: Any, **more: Any) -> HeardConnection:
        """A connection that has just come, and has not said what it wants."""
        connection = HeardConnection(*wiring, **more)
        connection.frame_bytes = self._limits.frame_bytes
        self._met.add(connection)
        return connection


async def _closed(servers: list[Server], within_s: float) -> bool:
    """Whether all connections of servers that close are gone within so many seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            for server in servers:
                await server.wait_closed()
            return True
    return False

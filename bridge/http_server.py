"""The HTTP server: the socket that it listens on, and how it ends with its Strom."""

from __future__ import annotations

import asyncio
import resource
import socket
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

import anyio
import uvicorn
from starlette.types import ASGIApp

from bridge.errors import cannot_listen
from bridge.http_connections import Connections, HttpConnection, HttpLimits, LiveConnection

_TICKS_PER_S = 10
_MAX_MESSAGE_BYTES = 4_096
"""A page that stays live says nothing."""


class HttpServer(uvicorn.Server):
    """Uvicorn with limits on connections, and without signals: who opened the App closes it.

    Args:
        app: answers the requests.
        trusted_proxies: addresses and networks; whom they speak for is believed.
        limits: on connections; None for what this process may have.
        clock: by which clients are waited for: seconds that only go up.
    """

    def __init__(
        self,
        app: ASGIApp,
        trusted_proxies: Sequence[str],
        limits: HttpLimits | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                access_log=False,
                log_config=None,
                lifespan="off",
                http=HttpConnection,
                ws=LiveConnection,
                ws_max_size=_MAX_MESSAGE_BYTES,
                forwarded_allow_ips=list(trusted_proxies),
            )
        )
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.connections = Connections(limits or HttpLimits().within(files), trusted_proxies, clock)
        self.server_state = self.connections

    async def on_tick(self, counter: int) -> bool:
        """Once a second, cut off who keeps the server waiting."""
        if counter % _TICKS_PER_S == 0:
            self.connections.end_overdue()
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Signals are for whoever opened the App."""
        yield

    async def run(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, listening: socket.socket, *, task_status: anyio.abc.TaskStatus[None]
    ) -> None:
        """Serve on a socket that listens, until cancelled."""
        task_status.started()
        try:
            await self.serve(sockets=[listening])
        except asyncio.CancelledError:
            # Cancelled in its loop, it would leave its connections and its place in the event
            # loop to whoever gets the same file descriptor next.
            self.force_exit = True
            with anyio.CancelScope(shield=True):
                await self.shutdown(sockets=[listening])
            raise


@contextmanager
def listening(key: str, address: str) -> Generator[socket.socket]:
    """A socket that listens on an address of the operator's file.

    Args:
        key: what the address is called there.
        address: "host:port".

    Raises:
        CannotListen: the address is in use or not ours.
    """
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            opened.bind((host.strip("[]"), int(port)))
        except OSError as error:
            raise cannot_listen(key, address, error) from None
        opened.listen(1024)
        opened.setblocking(False)
        yield opened
    finally:
        opened.close()

"""One websocket to one relay, which comes back by itself when it was lost.

What comes over it is handed on frame by frame: a slow listener slows the relay down, by TCP,
and nothing is dropped. nostr-sdk's client is not used for it: it drops what comes faster than it
is taken, tells of lost connections only when asked, and costs three times the CPU for each event.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import ssl
from typing import Protocol

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidURI, WebSocketException
from websockets.uri import parse_uri

from nips.errors import InvalidRelayUrl, NotConnected, NotPublic
from nips.public_hosts import PublicHosts

FIRST_RETRY_S = 1.0
LAST_RETRY_S = 5.0
OPEN_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0
PING_INTERVAL_S = 30.0
PING_TIMEOUT_S = 60.0
MAX_FRAME_BYTES = 2**22
WRITE_BUFFER_BYTES = 2**20

_random = random.SystemRandom()


class SocketListener(Protocol):
    """Who hears what becomes of a socket."""

    def came_up(self) -> None:
        """The relay is connected, for the first time or again."""
        ...

    def went_down(self, reason: str) -> None:
        """The connection was lost, or could not be made; `reason` is a sentence."""
        ...

    async def frame(self, frame: bytes) -> None:
        """The relay sent a message. The next one is read when this has returned."""
        ...


class _Dialled(connect):
    """A connection to the address that was named, and to no other one."""

    def process_redirect(self, exc: Exception) -> Exception:
        """Strangers name relays: an address that was judged must not lead to another one."""
        return exc


class RelaySocket:
    """A connection that is made again until `close`. Nothing raises because of the relay.

    Args:
        url: of the relay.
        listener: hears of it.
        hosts: where it may connect to, when a stranger named the relay; None: anywhere.
    """

    def __init__(
        self, url: str, listener: SocketListener, hosts: PublicHosts | None = None
    ) -> None:
        self.url = url
        self._hosts = hosts
        self.failures = 0
        self._listener = listener
        self._connection: ClientConnection | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def is_connected(self) -> bool:
        """Whether the relay is connected now."""
        return self._connection is not None

    def open(self) -> None:
        """Start to connect, and return at once.

        Raises:
            InvalidRelayUrl: the URL is none of a websocket.
        """
        try:
            parse_uri(self.url)
        except (InvalidURI, ValueError):
            raise InvalidRelayUrl(f'"{self.url[:80]}" is not the URL of a relay') from None
        self._task = asyncio.create_task(self._run(), name=f"relay {self.url}")

    async def close(self) -> None:
        """Disconnect for good. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])

    async def send(self, message: str) -> None:
        """Send a message.

        Raises:
            NotConnected: the relay is not connected now.
        """
        if self._connection is None:
            raise NotConnected(f"{self.url} is not connected")
        try:
            await self._connection.send(message)
        except ConnectionClosed as error:
            raise NotConnected(f"{self.url}: {error}") from None

    async def _run(self) -> None:
        pause_s = FIRST_RETRY_S
        while True:
            try:
                connection = await self._dial()
            except (OSError, WebSocketException, ValueError, NotPublic) as error:
                self.failures += 1
                self._listener.went_down(f"the relay cannot be reached: {error}")
            else:
                await self._listen(connection)
                pause_s = FIRST_RETRY_S
            # A relay that restarts is not met by all of its clients in one moment.
            await asyncio.sleep(pause_s * _random.uniform(0.5, 1.0))
            pause_s = min(2 * pause_s, LAST_RETRY_S)

    async def _dial(self) -> ClientConnection:
        relay = parse_uri(self.url)
        if self._hosts is None:
            return await self._connect(relay.host, _tls())
        tls = self._hosts.tls or _tls()
        *others, last = await self._hosts.addresses(relay.host, relay.port)
        for address in others:
            with contextlib.suppress(OSError):
                return await self._connect(address, tls)
        return await self._connect(last, tls)

    async def _connect(self, host: str, tls: ssl.SSLContext) -> ClientConnection:
        """Connect to the relay's host, or to one of its addresses.

        The `Host` header, SNI and the check of the certificate go by the URL in both cases.
        """
        return await _Dialled(
            self.url,
            host=host,
            ssl=tls if self.url.startswith("wss:") else None,
            compression=None,
            proxy=None,
            user_agent_header="Strom",
            open_timeout=OPEN_TIMEOUT_S,
            close_timeout=CLOSE_TIMEOUT_S,
            ping_interval=PING_INTERVAL_S,
            ping_timeout=PING_TIMEOUT_S,
            max_size=MAX_FRAME_BYTES,
            write_limit=WRITE_BUFFER_BYTES,
        )

    async def _listen(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._listener.came_up()
        try:
            while True:
                await self._listener.frame(await connection.recv(decode=False))
        except ConnectionClosed:
            pass
        finally:
            self._connection = None
            self._listener.went_down("the connection to the relay was lost")
            await connection.close()


@functools.cache
def _tls() -> ssl.SSLContext:
    """One for all connections: reading the system's certificates takes long."""
    return ssl.create_default_context()

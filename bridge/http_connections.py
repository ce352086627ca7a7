"""The connections to the HTTP server: how many there may be, and how long one may be waited for.

Who opens connections and says nothing, sends his request byte by byte or does not read the answer
would hold the places of others. He is sent away after a while, and at once where his place is
needed. Connections of a trusted proxy are those of many drivers: they count in all, and not for
its address.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import ip_address, ip_network
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from bridge.limits import network_of

_TOLD_EVERY_S = 60.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """What connections may take, and how long they may take.

    Attributes:
        patience_s: how long a request may take to be there, head and body, and an answer may
            wait for a reader who takes nothing of it.
        connections: so many at once.
        connections_per_address: so many of them, and of websockets, from one address.
        websockets: so many pages that stay live at once.
        request_bytes: the largest request, head and body.
        proxy_idle_s: how long a trusted proxy may keep a connection that it does not use; longer
            than proxies do, since one that ends under a request is an error for the driver.
    """

    patience_s: float = 20.0
    connections: int = 1_000
    connections_per_address: int = 100
    websockets: int = 5_100
    request_bytes: int = 1 << 16
    proxy_idle_s: int = 150

    def within(self, files: int) -> HttpLimits:
        """The same for a process that may have so many files open: a quarter stays for others."""
        return HttpLimits(
            self.patience_s,
            min(self.connections, files // 4),
            self.connections_per_address,
            min(self.websockets, files // 2),
            self.request_bytes,
            self.proxy_idle_s,
        )


class Connections(ServerState):
    """Who is connected.

    Args:
        limits: see there.
        trusted_proxies: addresses and networks.
        clock: seconds that only go up.

    Attributes:
        callers: those that speak HTTP, who was answered longest ago first.
        watchers: those that became websockets.
    """

    def __init__(
        self, limits: HttpLimits, trusted_proxies: Sequence[str], clock: Callable[[], float]
    ) -> None:
        super().__init__()
        self.limits = limits
        self.clock = clock
        self._trusted = [ip_network(proxy) for proxy in trusted_proxies]
        self.callers: dict[HttpConnection, None] = {}
        self.watchers: set[LiveConnection] = set()
        self._per_network = Counter[str]()
        self._owing: dict[Any, tuple[float, int]] = {}
        self._told_full_s = -math.inf
        self._told_proxy = False

    def network(self, peer: tuple[str, int] | None) -> str | None:
        """What a connection counts for; None where it is a trusted proxy's."""
        if peer is None:
            return None
        address = ip_address(peer[0])
        if any(address in network for network in self._trusted):
            return None
        return network_of(peer[0])

    def admit(self, caller: HttpConnection) -> bool:
        """Make room for a caller; False where there is none."""
        limits, network = self.limits, caller.network
        if network is not None and self._per_network[network] >= limits.connections_per_address:
            own = [one for one in self.callers if one.network == network]
            if not self._send_one_away(own):
                return False
        if len(self.callers) >= limits.connections:
            self._tell_full()
            if not self._send_one_away(self.callers):
                return False
        self.callers[caller] = None
        self._count(network, 1)
        return True

    def leave(self, caller: HttpConnection) -> None:
        """A caller is gone, or becomes a websocket."""
        if caller in self.callers:
            del self.callers[caller]
            self._count(caller.network, -1)

    def answered(self, caller: HttpConnection) -> None:
        """A caller was answered, and may ask again."""
        if caller in self.callers:
            del self.callers[caller]
            self.callers[caller] = None

    def admit_live(self) -> bool:
        """Whether there is room for one more websocket."""
        return len(self.watchers) < self.limits.websockets

    def live(self, watcher: LiveConnection) -> None:
        """A caller became a websocket."""
        self.watchers.add(watcher)
        self._count(watcher.network, 1)

    def live_no_more(self, watcher: LiveConnection) -> None:
        """A websocket is gone."""
        if watcher in self.watchers:
            self.watchers.remove(watcher)
            self._count(watcher.network, -1)

    def heard(self, caller: HttpConnection) -> None:
        """A caller sent all of a request."""
        self._owing.pop(caller, None)

    def end_overdue(self) -> None:
        """Cut off who was waited for too long; to be called about once a second."""
        now_s = self.clock()
        owing: dict[Any, tuple[float, int]] = {}
        for one in tuple(self.connections):
            transport: asyncio.Transport = one.transport
            if not transport.is_closing() and not (isinstance(one, HttpConnection) and one.owes):
                continue
            unsent = transport.get_write_buffer_size()
            since_s, unsent_before = self._owing.get(one, (now_s, unsent))
            if unsent < unsent_before:
                since_s = now_s
            owing[one] = (since_s, unsent)
            if now_s - since_s >= self.limits.patience_s:
                if isinstance(one, HttpConnection):
                    one.give_up()
                else:
                    transport.abort()
        self._owing = owing

    def tell_of_proxy(self, host: str) -> None:
        """A request from an address that is not trusted says for whom it comes."""
        if not self._told_proxy and ip_address(host).is_private:
            self._told_proxy = True
            log.warning(
                "requests come through a proxy at %s, which is not among trusted_proxies: "
                "all drivers behind it count as one, and share the limits of one",
                host,
            )

    def _send_one_away(self, among: Collection[HttpConnection]) -> bool:
        """End the connection that was waited for longest; False where all are being answered."""
        owing = (one for one in among if one.owes)
        longest = next(owing, None) or next((one for one in among if one.is_idle), None)
        if longest is None:
            return False
        self.leave(longest)
        longest.transport.abort()
        return True

    def _count(self, network: str | None, change: int) -> None:
        if network is None:
            return
        self._per_network[network] += change
        if not self._per_network[network]:
            del self._per_network[network]

    def _tell_full(self) -> None:
        now_s = self.clock()
        if now_s - self._told_full_s >= _TOLD_EVERY_S:
            self._told_full_s = now_s
            log.warning(
                "%d connections to http_listen at once: those that say nothing are ended",
                self.limits.connections,
            )


class HttpConnection(HttpToolsProtocol):
    """One connection, for as long as it speaks HTTP.

    Attributes:
        network: what it counts for; None where it is a trusted proxy's.
    """

    server_state: Connections
    network: str | None = None
    _unfinished_bytes = 0
    _in_head = True

    @property
    def is_idle(self) -> bool:
        """Whether it was answered, and says nothing since."""
        return self.timeout_keep_alive_task is not None

    @property
    def owes(self) -> bool:
        """Whether it is waited for: the rest of a request, or room for an answer."""
        if self.transport.is_closing() or self.flow.write_paused:
            return True
        if self.is_idle or self.pipeline:
            return False
        cycle = cast("Any", self.cycle)
        return cycle is None or cycle.response_complete or cycle.more_body

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Take it in where there is room."""
        super().connection_made(transport)
        self.network = self.server_state.network(self.client)
        if self.network is None:
            self.timeout_keep_alive = self.server_state.limits.proxy_idle_s
        if not self.server_state.admit(self):
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self.server_state.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless the request is too large."""
        self._unfinished_bytes += len(data)
        super().data_received(data)
        if self._unfinished_bytes > self.server_state.limits.request_bytes:
            self._refuse(
                HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
                if self._in_head
                else HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            )

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head of a request is there."""
        self._in_head = False
        if self.network is not None and any(name == b"x-forwarded-for" for name, _ in self.headers):
            self.server_state.tell_of_proxy(self.client[0] if self.client else self.network)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All of a request is there."""
        self._unfinished_bytes = 0
        self.server_state.heard(self)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """It was answered."""
        self.server_state.answered(self)
        super().on_response_complete()

    def handle_websocket_upgrade(self) -> None:
        """It becomes a websocket where there is room."""
        self.server_state.leave(self)
        if self.server_state.admit_live():
            super().handle_websocket_upgrade()
        else:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)

    def give_up(self) -> None:
        """End it, which was waited for too long."""
        if self.transport.is_closing() or self.flow.write_paused or not self._unfinished_bytes:
            self.transport.abort()
        else:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)

    def _refuse(self, status: HTTPStatus) -> None:
        if self.transport.is_closing():
            return
        cycle = cast("Any", self.cycle)
        if cycle is None or cycle.response_complete or not cycle.response_started:
            self.transport.write(
                b"HTTP/1.1 %d %s\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
                % (status, status.phrase.encode())
            )
        self.transport.close()


class LiveConnection(WebSocketsSansIOProtocol):
    """A connection that became a websocket.

    Attributes:
        network: what it counts for; None where it is a trusted proxy's.
    """

    network: str | None = None

    def __init__(
        self,
        config: Config,
        server_state: Connections,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._server_state = server_state

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It goes on as a websocket."""
        super().connection_made(transport)
        self.network = self._server_state.network(self.client)
        self._server_state.live(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._server_state.live_no_more(self)
        super().connection_lost(exc)

"""One connection to one relay: NIP-01's messages, NIP-42's authentication.

https://github.com/nostr-protocol/nips/blob/master/01.md
https://github.com/nostr-protocol/nips/blob/master/42.md
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from nips.errors import InvalidEvent, NotConnected
from nips.event import NostrEvent, UnverifiedEvent
from nips.filters import Filter
from nips.identity import Identity
from nips.public_hosts import PublicHosts
from nips.relay_socket import RelaySocket

KIND_AUTH = 22_242
AUTH_TIMEOUT_S = 3.0
MAX_WORDS = 300
EVENT_PARTS = 3
_EVENT = msgspec.Raw(b'"EVENT"')

_FRAME = msgspec.json.Decoder(list[msgspec.Raw])
_MESSAGE = msgspec.json.Decoder(list[object])
_TEXT = msgspec.json.Decoder(str)
_NO_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ack:
    """A relay's answer to an event; `reason` is its own words, or why there was no answer."""

    ok: bool
    reason: str = ""
    timed_out: bool = False

    @property
    def wants_auth(self) -> bool:
        """Whether the relay refused because it does not know who we are."""
        return not self.ok and self.reason.startswith(("auth-required", "restricted"))


class LinkListener(Protocol):
    """Who hears what comes over a link. A slow `heard` slows its own link only."""

    async def connected(self, link: RelayLink) -> None:
        """The relay is connected, for the first time or again: nothing is subscribed."""
        ...

    async def heard(self, link: RelayLink, request: str, heard: UnverifiedEvent) -> None:
        """An unverified event came for a request."""
        ...

    async def ended_stored(self, link: RelayLink, request: str) -> None:
        """All stored events of a request were sent (EOSE)."""
        ...

    async def closed(self, link: RelayLink, request: str, reason: str) -> None:
        """The relay ended a request (CLOSED)."""
        ...

    async def challenged(self, link: RelayLink) -> None:
        """The relay would like to know who we are (AUTH)."""
        ...


@dataclass(slots=True)
class Page:
    """Stored events of one question; `oldest` in Unix seconds. `reason` says why it broke off."""

    count: int = 0
    oldest: int | None = None
    complete: bool = False
    reason: str = ""


@dataclass(slots=True)
class _OpenPage:
    page: Page
    take: Callable[[UnverifiedEvent], Awaitable[None]]
    done: asyncio.Event = field(default_factory=asyncio.Event)


class RelayLink:
    """A connection that reconnects by itself. Nothing it does raises because of the relay.

    Args:
        url: the relay.
        listener: hears what is not the answer to a question asked here.
        identity: who this link speaks for, when it is not shared.
        hosts: where it may connect to, when a stranger named the relay.
    """

    def __init__(
        self,
        url: str,
        listener: LinkListener,
        *,
        identity: Identity | None = None,
        hosts: PublicHosts | None = None,
    ) -> None:
        self.url = url
        self.identity = identity
        self.challenge = ""
        self.authenticated: set[str] = set()
        self.last_event_at_ms: int | None = None
        self.notice = ""
        self.refusals = 0
        self.answers = False
        self.used_at = time.monotonic()
        self._listener = listener
        self._socket = RelaySocket(url, self, hosts)
        self._greeting: asyncio.Task[None] | None = None
        self._connected = asyncio.Event()
        self._acks: dict[str, asyncio.Future[Ack]] = {}
        self._pages: dict[str, _OpenPage] = {}
        self._asked = 0
        self._auth_lock = asyncio.Lock()
        self._challenged = asyncio.Event()

    @property
    def is_connected(self) -> bool:
        """Whether the relay is connected now."""
        return self._socket.is_connected

    @property
    def failures(self) -> int:
        """How often connecting failed."""
        return self._socket.failures

    def open(self) -> None:
        """Start to connect, and return at once.

        Raises:
            InvalidRelayUrl: the URL is none of a websocket.
        """
        self._socket.open()

    async def close(self) -> None:
        """Disconnect; whoever still waits for an answer gets none. Idempotent."""
        await self._socket.close()
        self.went_down("the connection was closed")

    def came_up(self) -> None:
        """The socket is connected (a `SocketListener`)."""
        self.refusals = 0
        self._connected.set()
        # Beside the reader: a relay may want to be read before it reads more.
        self._greeting = asyncio.create_task(self._listener.connected(self))

    def went_down(self, reason: str) -> None:
        """The socket is not connected (a `SocketListener`)."""
        if self._greeting is not None:
            self._greeting.cancel()
        self.answers = False
        self._connected.clear()
        self._challenged.clear()
        self.challenge = ""
        self.authenticated.clear()
        for waiting in self._acks.values():
            if not waiting.done():
                waiting.set_result(Ack(False, reason))
        for asked in self._pages.values():
            asked.page.reason = reason
            asked.done.set()

    async def wait_connected(self, timeout_s: float) -> bool:
        """Wait until the relay is connected; False when it takes too long."""
        if not self.is_connected:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._connected.wait(), timeout_s)
        return self.is_connected

    async def send(self, *message: object) -> None:
        """Send a client message.

        Raises:
            NotConnected: the relay is not connected now.
        """
        await self._send(msgspec.json.encode(message).decode())

    async def _send(self, message: str) -> None:
        self.used_at = time.monotonic()
        await self._socket.send(message)

    async def request(self, name: str, wanted: Filter) -> bool:
        """Ask for events under a name, instead of what that name asked before."""
        with contextlib.suppress(NotConnected):
            await self.send("REQ", name, wanted.to_wire())
            return True
        return False

    async def end_request(self, name: str) -> None:
        """Take a request back."""
        with contextlib.suppress(NotConnected):
            await self.send("CLOSE", name)

    async def publish(self, event: NostrEvent, timeout_s: float) -> Ack:
        """Send an event and wait for the relay's answer to it."""
        return await self._acknowledged(f'["EVENT",{event.to_json()}]', event.id, timeout_s)

    async def _acknowledged(self, message: str, name: str, timeout_s: float) -> Ack:
        waiting = self._acks.get(name)
        if waiting is None:
            waiting = asyncio.get_running_loop().create_future()
            self._acks[name] = waiting
        try:
            async with asyncio.timeout(timeout_s):
                await self._send(message)
                return await asyncio.shield(waiting)
        except NotConnected:
            return Ack(False, "the relay is not connected")
        except TimeoutError:
            return Ack(False, f"the relay did not answer within {timeout_s:g} s", timed_out=True)
        finally:
            if self._acks.get(name) is waiting:
                del self._acks[name]

    async def authenticate(self, identity: Identity, now_s: int, timeout_s: float) -> Ack:
        """Tell the relay who we are (NIP-42); waits for its challenge if there was none yet."""
        async with self._auth_lock:
            if identity.pubkey in self.authenticated:
                return Ack(True)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._challenged.wait(), timeout_s)
            if not self.challenge:
                return Ack(False, "the relay wants authentication but sent no challenge")
            tags = [["relay", self.url], ["challenge", self.challenge]]
            event = identity.sign(KIND_AUTH, "", tags, now_s)
            message = f'["AUTH",{event.to_json()}]'
            ack = await self._acknowledged(message, event.id, min(timeout_s, AUTH_TIMEOUT_S))
            if ack.timed_out:
                # Some relay programs take an AUTH and never answer to it.
                ack = Ack(True, "the relay did not say whether it believes us")
            if ack.ok:
                self.authenticated.add(identity.pubkey)
            return ack

    async def page(
        self, wanted: Filter, take: Callable[[UnverifiedEvent], Awaitable[None]], timeout_s: float
    ) -> Page:
        """Ask for stored events and hand each to `take`, unverified, until the relay's EOSE."""
        self._asked += 1
        name = f"page-{self._asked}"
        asked = _OpenPage(Page(), take)
        self._pages[name] = asked
        try:
            await self.send("REQ", name, wanted.to_wire())
            async with asyncio.timeout(timeout_s):
                await asked.done.wait()
        except NotConnected:
            asked.page.reason = "the relay is not connected"
        except TimeoutError:
            asked.page.reason = f"the relay did not answer within {timeout_s:g} s"
        finally:
            del self._pages[name]
        await self.end_request(name)
        return asked.page

    async def frame(self, frame: bytes) -> None:
        """Take a message of the relay (a `SocketListener`). What is none is passed over."""
        with contextlib.suppress(*_NO_JSON, InvalidEvent):
            if len(parts := _FRAME.decode(frame)) == EVENT_PARTS and parts[0] == _EVENT:
                event = UnverifiedEvent.parse(parts[2])
                await self._take_event(_TEXT.decode(parts[1]), event)
            else:
                await self._take(_MESSAGE.decode(frame))

    async def _take(self, message: list[object]) -> None:
        match message:
            case ["EOSE", str() as name]:
                self.answers = True
                asked = self._pages.get(name)
                if asked is None:
                    await self._listener.ended_stored(self, name)
                else:
                    asked.page.complete = True
                    asked.done.set()
            case ["OK", str() as name, bool() as ok, *said]:
                self.answers = True
                waiting = self._acks.get(name)
                if waiting is not None and not waiting.done():
                    waiting.set_result(Ack(ok, _words(said)))
            case ["CLOSED", str() as name, *said]:
                self.answers = True
                asked = self._pages.get(name)
                if asked is None:
                    await self._listener.closed(self, name, _words(said))
                else:
                    asked.page.reason = _words(said) or "the relay closed the request"
                    asked.done.set()
            case ["AUTH", str() as challenge]:
                self.challenge = challenge
                self.authenticated.clear()
                self._challenged.set()
                await self._listener.challenged(self)
            case ["NOTICE", *said]:
                self.notice = _words(said)
                _log.info("%s says: %s", self.url, self.notice)
            case _:
                pass

    async def _take_event(self, request: str, heard: UnverifiedEvent) -> None:
        self.last_event_at_ms = time.time_ns() // 1_000_000
        asked = self._pages.get(request)
        if asked is None:
            await self._listener.heard(self, request, heard)
            return
        asked.page.count += 1
        oldest = asked.page.oldest
        created_at = heard.created_at
        asked.page.oldest = created_at if oldest is None else min(oldest, created_at)
        await asked.take(heard)


def _words(said: list[object]) -> str:
    """A relay's own words at the end of a message, where it has any."""
    return said[0][:MAX_WORDS] if said and isinstance(said[0], str) else ""

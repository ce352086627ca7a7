"""One connection to one relay: NIP-01's messages, NIP-42's authentication.

https://github.com/nostr-protocol/nips/blob/master/01.md
https://github.com/nostr-protocol/nips/blob/master/42.md

nostr-sdk keeps the connection and parses what comes; requests are written here and not left
to its own subscriptions, which repeat their original filter after a reconnect and are lost
when the relay was not connected at first. Its NEW_EVENT notifications are not used: they
leave out events that this same client sent, and events that its cache has seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol, cast

from nostr_sdk import (
    Client,
    ClientBuilder,
    ClientMessage,
    ClientNotificationStream,
    NostrSdkError,
    Relay,
    RelayMessage,
    RelayMessageEnum,
    RelayOptions,
    RelayStatus,
    RelayUrl,
)

from nips.errors import InvalidEvent, InvalidRelayUrl, NotConnected
from nips.event import NostrEvent
from nips.filters import Filter
from nips.identity import Identity

KIND_AUTH = 22_242
RETRY_INTERVAL = timedelta(seconds=1)
CLOSE_TIMEOUT_S = 2.0
AUTH_TIMEOUT_S = 3.0

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


class Heard:
    """An event as a relay sent it: not verified yet."""

    __slots__ = ("_message", "_raw")

    def __init__(self, raw: dict[str, Any], message: RelayMessage) -> None:
        self._raw = raw
        self._message = message

    @property
    def id(self) -> str:
        """What it says its id is, hex."""
        return cast("str", self._raw["id"])

    @property
    def created_at(self) -> int:
        """What it says its time is, Unix seconds."""
        return cast("int", self._raw["created_at"])

    def verified(self) -> NostrEvent:
        """The event, if it is genuine.

        Raises:
            InvalidEvent: its id or its signature is wrong.
        """
        said = self._message.as_enum()
        if not isinstance(said, RelayMessageEnum.EVENT_MSG) or not said.event.verify():
            raise InvalidEvent("the event's id or signature is wrong")
        return NostrEvent.from_verified(self._raw)


class LinkListener(Protocol):
    """Who hears what comes over a link. A slow `heard` slows its own link only."""

    async def connected(self, link: RelayLink) -> None:
        """The relay is connected, for the first time or again: nothing is subscribed."""
        ...

    async def heard(self, link: RelayLink, request: str, heard: Heard) -> None:
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
    take: Callable[[Heard], Awaitable[None]]
    done: asyncio.Event = field(default_factory=asyncio.Event)


class RelayLink:
    """A connection that reconnects by itself. Nothing it does raises because of the relay.

    Args:
        url: the relay.
        listener: hears what is not the answer to a question asked here.
        identity: who this link speaks for, when it is not shared.
        channel_size: notifications that nostr-sdk keeps for us; it drops more silently.
    """

    def __init__(
        self,
        url: str,
        listener: LinkListener,
        *,
        identity: Identity | None = None,
        channel_size: int = 65_536,
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
        self._channel_size = channel_size
        self._client: Client | None = None
        self._relay: Relay | None = None
        self._reader: asyncio.Task[None] | None = None
        self._generation = 0
        self._connected = asyncio.Event()
        self._acks: dict[str, asyncio.Future[Ack]] = {}
        self._pages: dict[str, _OpenPage] = {}
        self._asked = 0
        self._auth_lock = asyncio.Lock()
        self._challenged = asyncio.Event()

    @property
    def is_connected(self) -> bool:
        """Whether the relay is connected, as of the last look."""
        return self._connected.is_set()

    @property
    def failures(self) -> int:
        """How often connecting failed."""
        if self._relay is None:
            return 0
        stats = self._relay.stats()
        return max(0, stats.attempts() - stats.success() - (0 if self.is_connected else 1))

    async def open(self) -> None:
        """Start to connect, and return at once.

        Raises:
            InvalidRelayUrl: nostr-sdk does not take this URL.
        """
        try:
            url = RelayUrl.parse(self.url)
        except NostrSdkError:
            raise InvalidRelayUrl(f'"{self.url[:80]}" is not the URL of a relay') from None
        options = RelayOptions().retry_interval(RETRY_INTERVAL).adjust_retry_interval(False)
        self._client = ClientBuilder().notification_channel_size(self._channel_size).build()
        await self._client.add_relay(url, opts=options)
        self._relay = await self._client.relay(url)
        stream = self._client.notifications()
        self._reader = asyncio.create_task(self._read(stream), name=f"relay {self.url}")
        await self._client.connect()

    async def close(self) -> None:
        """Disconnect; whoever still waits for an answer gets none. Idempotent."""
        client, reader = self._client, self._reader
        self._client = self._relay = self._reader = None
        self._lost("the connection was closed")
        if client is not None:
            await client.shutdown()
        if reader is not None:
            # Its stream ends with the client; cancelling is for the case that it does not.
            done, _ = await asyncio.wait([reader], timeout=CLOSE_TIMEOUT_S)
            if not done:
                reader.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await reader

    async def look(self) -> None:
        """Notice whether the connection came or went since the last look."""
        if self._relay is None:
            return
        up = self._relay.status() is RelayStatus.CONNECTED
        generation = self._relay.stats().success()
        if self.is_connected and (not up or generation != self._generation):
            self._lost("the connection to the relay was lost")
        if up and not self.is_connected:
            self._generation = generation
            self.refusals = 0
            self._connected.set()
            await self._listener.connected(self)

    async def wait_connected(self, timeout_s: float) -> bool:
        """Wait until the relay is connected; False when it takes too long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._connected.wait(), timeout_s)
        return self.is_connected

    async def send(self, *message: object) -> None:
        """Send a client message.

        Raises:
            NotConnected: the relay is not connected now.
        """
        await self._send(ClientMessage.from_json(json.dumps(message, ensure_ascii=False)))

    async def _send(self, message: ClientMessage) -> None:
        self.used_at = time.monotonic()
        # While it connects, nostr-sdk would keep the message and this call waiting.
        if self._relay is None or not self.is_connected:
            raise NotConnected(f"{self.url} is not connected")
        try:
            await self._relay.send_msg(message)
        except NostrSdkError as error:
            raise NotConnected(f"{self.url}: {error}") from None

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
        return await self._acknowledged(
            ClientMessage.from_json(f'["EVENT",{event.to_json()}]'), event.id, timeout_s
        )

    async def _acknowledged(self, message: ClientMessage, name: str, timeout_s: float) -> Ack:
        waiting = self._acks.get(name)
        if waiting is None:
            waiting = asyncio.get_running_loop().create_future()
            self._acks[name] = waiting
        try:
            await self._send(message)
            async with asyncio.timeout(timeout_s):
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
            message = ClientMessage.from_json(f'["AUTH",{event.to_json()}]')
            ack = await self._acknowledged(message, event.id, min(timeout_s, AUTH_TIMEOUT_S))
            if ack.timed_out:
                # Some relay programs take an AUTH and never answer to it.
                ack = Ack(True, "the relay did not say whether it believes us")
            if ack.ok:
                self.authenticated.add(identity.pubkey)
            return ack

    async def page(
        self, wanted: Filter, take: Callable[[Heard], Awaitable[None]], timeout_s: float
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

    def _lost(self, reason: str) -> None:
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

    async def _read(self, stream: ClientNotificationStream) -> None:
        """The only caller of `next`; it is never cancelled by a time-out, which loses events."""
        while (note := await stream.next()) is not None:
            if note.is_shutdown():
                return
            if note.is_message():
                await self._take(note.message)

    async def _take(self, message: RelayMessage) -> None:
        # One text is far cheaper than one call into Rust for every field. The SDK wrote it
        # from its own typed message: its shape is certain.
        said = cast("list[Any]", json.loads(message.as_json()))
        match said[0]:
            case "EVENT":
                await self._take_event(said[1], Heard(said[2], message))
            case "EOSE":
                self.answers = True
                asked = self._pages.get(said[1])
                if asked is None:
                    await self._listener.ended_stored(self, said[1])
                else:
                    asked.page.complete = True
                    asked.done.set()
            case "OK":
                self.answers = True
                waiting = self._acks.get(said[1])
                if waiting is not None and not waiting.done():
                    waiting.set_result(Ack(said[2], said[3][:300]))
            case "CLOSED":
                self.answers = True
                asked = self._pages.get(said[1])
                if asked is None:
                    await self._listener.closed(self, said[1], said[2])
                else:
                    asked.page.reason = said[2][:300] or "the relay closed the request"
                    asked.done.set()
            case "AUTH":
                # It comes right behind the connection, which may not have been noticed yet.
                await self.look()
                self.challenge = said[1]
                self.authenticated.clear()
                self._challenged.set()
                await self._listener.challenged(self)
            case "NOTICE":
                self.notice = said[1][:300]
                _log.info("%s says: %s", self.url, self.notice)
            case _:
                pass

    async def _take_event(self, request: str, heard: Heard) -> None:
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

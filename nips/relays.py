"""The relay pool: every word that this process says to relays or hears from them.

https://github.com/nostr-protocol/nips/blob/master/01.md
https://github.com/nostr-protocol/nips/blob/master/42.md (authentication)

Relays are strangers. Whatever one does (be silent, lie, flood, go away), the pool neither
raises nor keeps others waiting: publishing gets an answer per relay, and only verified
events that were asked for come in, each once.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from nostr_sdk import Event

from nips.errors import InvalidEvent, NostrError
from nips.event import NostrEvent
from nips.filters import Filter
from nips.identity import Identity
from nips.relay_link import Ack, RelayLink
from nips.relay_urls import check_relay_url, normalised, resolves_publicly

__all__ = ["Ack", "Cursor", "Filter", "Incoming", "RelayHealth", "RelayPool"]

REMEMBERED_IDS = 100_000
QUEUE_SIZE = 20_000
PAGE_HINT = 50
"""A relay that sent fewer stored events than this had no more: no cap is that low."""
PAGE_LIMIT = 500
MAX_PAGES = 400
MAX_VISITED_RELAYS = 32
VISIT_IDLE_S = 30.0
LAG_S = 5.0
PRIVATE_CHANNEL_SIZE = 1024

_log = logging.getLogger(__name__)


class Cursor(Protocol):
    """Where a subscription goes on after a break; the caller keeps it, for each relay."""

    def since(self, relay_url: str, subscription: str) -> int | None:
        """The oldest time to ask for, Unix seconds; None for all that the relay has."""
        ...

    def passed(self, relay_url: str, subscription: str, created_at: int) -> None:
        """All that this relay has up to that time was delivered and taken from the pool.

        Called while the consumer asks for its next event: so the ones before were handled
        if it handles one at a time. Never called with a time in the future.
        """
        ...


@dataclass(frozen=True, slots=True)
class Incoming:
    """A verified event that was asked for, for the first time.

    Attributes:
        subscription: the name that asked for it.
        live: False for what was stored at the relay before we asked.
    """

    relay_url: str
    event: NostrEvent
    subscription: str = ""
    live: bool = True


@dataclass(frozen=True, slots=True)
class RelayHealth:
    """How a relay is doing.

    Attributes:
        last_event_at_ms: when it last sent any event, Unix milliseconds.
        failures: failed attempts to connect.
        rejected_events: events it sent that were forged or not asked for.
        published: events it accepted.
        refused: events it did not accept, or not in time.
        notice: what it last said to its operator's attention.
        private_links: connections that speak for one identity each.
    """

    url: str
    connected: bool
    last_event_at_ms: int | None
    failures: int
    rejected_events: int
    published: int
    refused: int
    notice: str
    private_links: int


@dataclass(frozen=True, slots=True)
class _Subscription:
    name: str
    filters: tuple[Filter, ...]
    cursor: Cursor | None


@dataclass(frozen=True, slots=True)
class _Passed:
    """Goes through the queue behind the events that it speaks of."""

    relay_url: str
    subscription: _Subscription
    created_at: int


@dataclass(slots=True)
class _Request:
    """One filter on one link."""

    subscription: _Subscription
    wanted: Filter
    since: int | None
    count: int = 0
    oldest: int | None = None
    newest: int = 0
    live: bool = False


class _Relay:
    """One relay: a link shared by all identities, and one for each where it insists."""

    def __init__(self, link: RelayLink) -> None:
        self.link = link
        self.private: dict[str, RelayLink] = {}
        self.is_private = False
        self.published = 0
        self.refused = 0
        self.rejected = 0

    def links(self) -> list[RelayLink]:
        return [self.link, *self.private.values()]


class RelayPool:
    """All relays of this process.

    Args:
        clock: Unix time in milliseconds.
        allow_loopback: also visit ws:// relays on this machine that strangers name.
        publish_timeout_s: how long a relay may take to answer to an event.
    """

    def __init__(
        self,
        clock: Callable[[], int],
        *,
        allow_loopback: bool = False,
        publish_timeout_s: float = 10.0,
        queue_size: int = QUEUE_SIZE,
    ) -> None:
        self._clock = clock
        self._allow_loopback = allow_loopback
        self._publish_timeout_s = publish_timeout_s
        self._relays: dict[str, _Relay] = {}
        self._visited: OrderedDict[str, RelayLink] = OrderedDict()
        self._identities: dict[str, Identity] = {}
        self._subscriptions: dict[str, _Subscription] = {}
        self._requests: dict[RelayLink, dict[str, _Request]] = {}
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._queue: asyncio.Queue[Incoming | _Passed | None] = asyncio.Queue(queue_size)
        self._tasks: set[asyncio.Task[None]] = set()
        self._watcher: asyncio.Task[None] | None = None
        self._lagged: set[RelayLink] = set()

    async def open(self, relays: Iterable[str] = ()) -> None:
        """Start to watch the links, and connect to these relays without waiting for them.

        Raises:
            InvalidRelayUrl: one of them is no URL of a relay.
        """
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._watch(), name="relay pool")
        for url in relays:
            await self.add(url)

    async def close(self) -> None:
        """Disconnect from all relays and end `incoming`. Idempotent."""
        for task in [*self._tasks, *([self._watcher] if self._watcher else [])]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._watcher = None
        links = [link for relay in self._relays.values() for link in relay.links()]
        links += self._visited.values()
        self._relays.clear()
        self._visited.clear()
        self._requests.clear()
        # A reader may wait for room in the queue: nobody takes from it any more.
        while not self._queue.empty():
            self._queue.get_nowait()
        await asyncio.gather(*(link.close() for link in links))
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def add(self, url: str) -> None:
        """Connect to a relay, now and whenever the connection was lost.

        Raises:
            InvalidRelayUrl: it is no URL of a relay.
        """
        url = check_relay_url(url)
        if url not in self._relays:
            link = RelayLink(url, self)
            self._relays[url] = _Relay(link)
            await link.open()

    async def remove(self, url: str) -> None:
        """Disconnect from a relay for good."""
        relay = self._relays.pop(normalised(url), None)
        for link in relay.links() if relay else ():
            self._requests.pop(link, None)
            await link.close()

    @property
    def relays(self) -> tuple[str, ...]:
        """The relays that were added."""
        return tuple(self._relays)

    async def wait_connected(self, url: str, timeout_s: float) -> bool:
        """Wait until a relay that was added is connected; False when it takes too long."""
        relay = self._relays.get(normalised(url))
        return relay is not None and await relay.link.wait_connected(timeout_s)

    def health(self) -> dict[str, RelayHealth]:
        """How each relay is doing, by its URL."""
        return {
            url: RelayHealth(
                url=url,
                connected=relay.link.is_connected,
                last_event_at_ms=max(
                    (link.last_event_at_ms or 0 for link in relay.links()), default=0
                )
                or None,
                failures=relay.link.failures,
                rejected_events=relay.rejected,
                published=relay.published,
                refused=relay.refused,
                notice=relay.link.notice,
                private_links=len(relay.private),
            )
            for url, relay in self._relays.items()
        }

    def set_identities(self, identities: Iterable[Identity]) -> None:
        """The identities that authenticate to relays which insist on it (NIP-42)."""
        self._identities = {identity.pubkey: identity for identity in identities}

    async def publish(
        self, event: NostrEvent, relays: Sequence[str] | None = None, *, timeout_s: float = 0
    ) -> dict[str, Ack]:
        """Send an event to relays and report what each said; slow ones do not delay others.

        Nothing is queued: whoever must be heard tries again what was not acknowledged.

        Args:
            relays: None for all that were added; others are visited, if they are public.
            timeout_s: how long each relay may take; 0 for the pool's own limit.
        """
        timeout_s = timeout_s or self._publish_timeout_s
        urls = list(self._relays) if relays is None else [normalised(url) for url in relays]
        acks = await asyncio.gather(*(self._publish_to(url, event, timeout_s) for url in urls))
        return dict(zip(urls if relays is None else relays, acks, strict=True))

    async def _publish_to(self, url: str, event: NostrEvent, timeout_s: float) -> Ack:
        relay = self._relays.get(url)
        if relay is None:
            link = await self._visit(url)
            if link is None:
                return Ack(False, "not a public relay")
            if not await link.wait_connected(timeout_s):
                return Ack(False, f"the relay was not reached within {timeout_s:g} s")
            return await self._publish_on(link, event, timeout_s)
        link = relay.private.get(event.pubkey, relay.link)
        ack = await self._publish_on(link, event, timeout_s)
        if ack.wants_auth and link is relay.link and event.pubkey in self._identities:
            # One connection may only speak for one identity at many relays.
            link = await self._private_link(relay, self._identities[event.pubkey])
            if await link.wait_connected(timeout_s):
                ack = await self._publish_on(link, event, timeout_s)
        if ack.ok:
            relay.published += 1
        else:
            relay.refused += 1
        return ack

    async def _publish_on(self, link: RelayLink, event: NostrEvent, timeout_s: float) -> Ack:
        ack = await link.publish(event, timeout_s)
        identity = self._identities.get(event.pubkey)
        alone = link.identity is not None or len(self._identities) == 1
        if ack.wants_auth and identity is not None and alone:
            authenticated = await link.authenticate(identity, self._now_s(), timeout_s)
            if authenticated.ok:
                return await link.publish(event, timeout_s)
        return ack

    async def _visit(self, url: str) -> RelayLink | None:
        """A link to a relay that a stranger named; closed when it has been idle for a while."""
        link = self._visited.get(url)
        if link is None:
            if not await resolves_publicly(url, allow_loopback=self._allow_loopback):
                return None
            link = self._visited.get(url)
        if link is None:
            link = RelayLink(url, self, channel_size=PRIVATE_CHANNEL_SIZE)
            self._visited[url] = link
            try:
                await link.open()
            except NostrError:
                del self._visited[url]
                return None
            if len(self._visited) > MAX_VISITED_RELAYS:
                _, oldest = self._visited.popitem(last=False)
                self._spawn(oldest.close())
        self._visited.move_to_end(url)
        return link

    async def fetch(
        self,
        filters: Filter | Sequence[Filter],
        relays: Sequence[str] | None = None,
        *,
        timeout_s: float = 5.0,
        max_events: int = 10_000,
    ) -> list[NostrEvent]:
        """Ask relays for stored events, and return what came in time, newest first, each once.

        A filter without `limit` is asked page by page until nothing is left.

        Args:
            relays: None for all that were added; others are visited, if they are public.
            timeout_s: for all of it; what has come until then is returned.
        """
        wanted = [filters] if isinstance(filters, Filter) else list(filters)
        urls = list(self._relays) if relays is None else [normalised(url) for url in relays]
        found: dict[str, NostrEvent] = {}

        async def ask(url: str) -> None:
            relay = self._relays.get(url)
            link = await self._visit(url) if relay is None else relay.link
            if link is None or not await link.wait_connected(timeout_s):
                return
            for part in (chunk for item in wanted for chunk in item.chunks()):

                async def take(event: Event, part: Filter = part) -> None:
                    verified = self._verified(event, part) if len(found) < max_events else None
                    if verified is not None:
                        found[verified.id] = verified
                    elif relay is not None:
                        relay.rejected += 1

                if part.limit is not None:
                    await link.page(part, take, timeout_s)
                else:
                    await self._all_pages(link, part, take, timeout_s, part.until)

        tasks = [asyncio.create_task(ask(url)) for url in urls]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=timeout_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        return sorted(found.values(), key=lambda event: (-event.created_at, event.id))

    async def _all_pages(
        self,
        link: RelayLink,
        wanted: Filter,
        take: Callable[[Event], Awaitable[None]],
        timeout_s: float,
        until: int | None,
    ) -> bool:
        """Ask page by page, going back in time; False when it broke off before the end."""
        for _ in range(MAX_PAGES):
            question = replace(wanted, until=until, limit=PAGE_LIMIT)
            page = await link.page(question, take, timeout_s)
            if not page.complete:
                return False
            if page.oldest is None or page.count < PAGE_HINT:
                return True
            # Events of one second may be cut apart: the next page begins within that second,
            # and passes it when it brought nothing older.
            if until is None or page.oldest < until:
                until = page.oldest
            else:
                until -= 1
        _log.warning("%s has more stored events than are asked for", link.url)
        return False

    async def subscribe(
        self, name: str, filters: Filter | Sequence[Filter], cursor: Cursor | None = None
    ) -> None:
        """Ask all relays for events, now and after every reconnect, until `unsubscribe`.

        Calling it again under the same name changes the question; parts that stay the same
        are not asked again.

        Args:
            name: also `Incoming.subscription`.
            filters: of any number of values; they are cut to sizes that relays take.
            cursor: where to go on at each relay; without it, from `since` of the filters.
        """
        wanted = [filters] if isinstance(filters, Filter) else list(filters)
        chunks = tuple(chunk for item in wanted for chunk in item.chunks())
        self._subscriptions[name] = _Subscription(name, chunks, cursor)
        for relay in self._relays.values():
            if relay.is_private:
                await self._open_private_links(relay)
            for link in relay.links():
                await self._apply(link, only=name)

    async def unsubscribe(self, name: str) -> None:
        """End a subscription at all relays."""
        self._subscriptions.pop(name, None)
        for relay in self._relays.values():
            for link in relay.links():
                await self._apply(link, only=name)

    def incoming(self) -> AsyncIterator[Incoming]:
        """What the subscriptions bring, for one consumer; ends when the pool is closed."""
        return self._incoming()

    async def _incoming(self) -> AsyncIterator[Incoming]:
        while (item := await self._queue.get()) is not None:
            if isinstance(item, Incoming):
                yield item
            elif item.subscription.cursor is not None:
                item.subscription.cursor.passed(
                    item.relay_url, item.subscription.name, item.created_at
                )

    async def _apply(self, link: RelayLink, only: str | None = None) -> None:
        """Make the link's requests what the subscriptions say; asks only what is new."""
        relay = self._relays.get(link.url)
        current = self._requests.setdefault(link, {})
        if relay is None or (relay.is_private and link is relay.link):
            wanted: dict[str, tuple[_Subscription, Filter]] = {}
        else:
            wanted = self._wanted(link, only)
        for request in [key for key in current if only in (None, _name_of(key))]:
            if request not in wanted:
                del current[request]
                await link.end_request(request)
        for request, (subscription, part) in wanted.items():
            known = current.get(request)
            if known is not None and known.wanted == part:
                known.subscription = subscription
                continue
            since = part.since
            if subscription.cursor is not None:
                since = subscription.cursor.since(link.url, subscription.name)
            asked = _Request(subscription, part, since)
            current[request] = asked
            if not await link.request(request, replace(part, since=since)):
                current.pop(request, None)

    def _wanted(self, link: RelayLink, only: str | None) -> dict[str, tuple[_Subscription, Filter]]:
        wanted: dict[str, tuple[_Subscription, Filter]] = {}
        for subscription in self._subscriptions.values():
            if only not in (None, subscription.name):
                continue
            for place, chunk in enumerate(subscription.filters):
                part = chunk
                if link.identity is not None:
                    narrowed = chunk.narrowed_to(link.identity.pubkey)
                    if narrowed is None:
                        continue
                    part = narrowed
                wanted[f"{subscription.name}/{place}"] = (subscription, part)
        return wanted

    async def connected(self, link: RelayLink) -> None:
        """A link came up: ask again for everything."""
        self._requests.pop(link, None)
        if link.url in self._visited and self._visited[link.url] is link:
            return
        if link.identity is not None:
            self._spawn(self._introduce(link, link.identity))
        else:
            await self._apply(link)

    async def heard(self, link: RelayLink, request: str, event: Event) -> None:
        """An event came over a link: verify it, and pass it on if it is new."""
        asked = self._requests.get(link, {}).get(request)
        if asked is None:
            return
        identifier = event.id().to_hex()
        created_at = event.created_at().as_secs()
        if identifier not in self._seen:
            verified = self._verified(event, asked.wanted)
            if verified is None:
                relay = self._relays.get(link.url)
                if relay is not None:
                    relay.rejected += 1
                return
            self._remember(identifier)
            name = asked.subscription.name
            await self._put(link, Incoming(link.url, verified, name, asked.live))
        asked.newest = max(asked.newest, created_at)
        if asked.live:
            await self._put(link, self._passed(link, asked))
        else:
            asked.count += 1
            asked.oldest = min(created_at, asked.oldest or created_at)

    async def ended_stored(self, link: RelayLink, request: str) -> None:
        """The first page of stored events is complete: go on with the next, or be live."""
        asked = self._requests.get(link, {}).get(request)
        if asked is None or asked.live:
            return
        if asked.count >= PAGE_HINT and asked.wanted.limit is None:
            self._spawn(self._catch_up(link, request, asked))
        else:
            await self._now_live(link, asked)

    async def closed(self, link: RelayLink, request: str, reason: str) -> None:
        """A relay ended a request: introduce ourselves if that is what it wants."""
        asked = self._requests.get(link, {}).pop(request, None)
        relay = self._relays.get(link.url)
        if asked is None or relay is None:
            return
        if not Ack(False, reason).wants_auth or not self._identities:
            _log.warning("%s ended the request %s: %s", link.url, request, reason[:200])
            return
        if link.identity is None and len(self._identities) > 1:
            if not relay.is_private:
                relay.is_private = True
                self._spawn(self._go_private(relay))
            return
        identity = link.identity or next(iter(self._identities.values()))
        if identity.pubkey not in link.authenticated:
            self._spawn(self._introduce(link, identity))
        else:
            _log.warning("%s ended the request %s: %s", link.url, request, reason[:200])

    async def _introduce(self, link: RelayLink, identity: Identity) -> None:
        ack = await link.authenticate(identity, self._now_s(), self._publish_timeout_s)
        if not ack.ok:
            _log.info("%s: authentication failed: %s", link.url, ack.reason)
        await self._apply(link)

    async def _go_private(self, relay: _Relay) -> None:
        await self._open_private_links(relay)
        await self._apply(relay.link)

    async def _open_private_links(self, relay: _Relay) -> None:
        named: dict[str, None] = {}
        for subscription in self._subscriptions.values():
            for chunk in subscription.filters:
                named.update(dict.fromkeys(chunk.tags.get("p", ()) or chunk.authors))
        for pubkey in named:
            if pubkey in self._identities:
                await self._private_link(relay, self._identities[pubkey])

    async def _private_link(self, relay: _Relay, identity: Identity) -> RelayLink:
        link = relay.private.get(identity.pubkey)
        if link is None:
            link = RelayLink(
                relay.link.url, self, identity=identity, channel_size=PRIVATE_CHANNEL_SIZE
            )
            relay.private[identity.pubkey] = link
            await link.open()
        return link

    async def _catch_up(self, link: RelayLink, request: str, asked: _Request) -> None:
        async def take(event: Event) -> None:
            if self._requests.get(link, {}).get(request) is asked:
                await self.heard(link, request, event)

        wanted = replace(asked.wanted, since=asked.since)
        complete = await self._all_pages(link, wanted, take, self._publish_timeout_s, asked.oldest)
        # An incomplete backlog moves no cursor: the next connection asks for it again.
        if complete and self._requests.get(link, {}).get(request) is asked:
            await self._now_live(link, asked)

    async def _now_live(self, link: RelayLink, asked: _Request) -> None:
        asked.live = True
        if asked.newest:
            await self._put(link, self._passed(link, asked))

    def _passed(self, link: RelayLink, asked: _Request) -> _Passed:
        return _Passed(link.url, asked.subscription, min(asked.newest, self._now_s()))

    async def _put(self, link: RelayLink, item: Incoming | _Passed) -> None:
        began = time.monotonic()
        await self._queue.put(item)
        if time.monotonic() - began > LAG_S:
            # nostr-sdk may have dropped events meanwhile: ask again once there is room.
            self._lagged.add(link)

    def _verified(self, event: Event, wanted: Filter) -> NostrEvent | None:
        try:
            verified = NostrEvent.from_sdk(event)
        except InvalidEvent:
            return None
        return verified if wanted.matches(verified) else None

    def _remember(self, identifier: str) -> None:
        self._seen[identifier] = None
        if len(self._seen) > REMEMBERED_IDS:
            self._seen.popitem(last=False)

    async def _watch(self) -> None:
        while True:
            links = [link for relay in self._relays.values() for link in relay.links()]
            for link in [*links, *self._visited.values()]:
                await link.look()
            for url, link in list(self._visited.items()):
                if time.monotonic() - link.used_at > VISIT_IDLE_S:
                    del self._visited[url]
                    await link.close()
            for link in list(self._lagged):
                self._lagged.discard(link)
                _log.warning("%s: events came faster than they were handled", link.url)
                self._requests.pop(link, None)
                await self._apply(link)
            await asyncio.sleep(max(0.1, len(links) * 0.001))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a relay task failed", exc_info=task.exception())

    def _now_s(self) -> int:
        return self._clock() // 1000


def _name_of(request: str) -> str:
    return request.rpartition("/")[0]

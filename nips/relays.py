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
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from typing import Any

from nips.dms import KIND_GIFT_WRAP
from nips.event import NostrEvent, UnverifiedEvent
from nips.filters import Filter
from nips.identity import Identity
from nips.pooled_relay import PooledRelay, RelayHealth
from nips.public_hosts import PublicHosts
from nips.relay_link import Ack, RelayLink
from nips.relay_urls import check_relay_url, normalised
from nips.subscriptions import (
    QUEUE_SIZE,
    Cursor,
    Incoming,
    Subscriptions,
    all_pages,
    verified_match,
)
from nips.visits import Visits

__all__ = ["Ack", "Cursor", "Filter", "Incoming", "RelayHealth", "RelayPool"]

MAX_RETRY_S = 300.0
LATECOMERS_S = 0.3

_log = logging.getLogger(__name__)


class RelayPool:
    """All relays of this process.

    Args:
        clock: Unix time in milliseconds.
        allow_loopback: also visit ws:// relays on this machine that strangers name.
        publish_timeout_s: how long a relay may take to answer to an event.
        retry_s: when to ask again what a relay refused, doubled each time.
        queue_size: events that wait for the consumer before links have to wait.
    """

    def __init__(
        self,
        clock: Callable[[], int],
        *,
        allow_loopback: bool = False,
        publish_timeout_s: float = 10.0,
        retry_s: float = 2.0,
        queue_size: int = QUEUE_SIZE,
    ) -> None:
        self._clock = clock
        self._publish_timeout_s = publish_timeout_s
        self._retry_s = retry_s
        self._relays: dict[str, PooledRelay] = {}
        self._visits = Visits(self, self._spawn, PublicHosts(allow_loopback))
        self._identities: dict[str, Identity] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._watcher: asyncio.Task[None] | None = None
        self._on_connected: list[Callable[[str], None]] = []
        self._subscriptions = Subscriptions(
            now_s=self._now_s,
            page_timeout_s=publish_timeout_s,
            queue_size=queue_size,
            spawn=self._spawn,
            reject=self._count_rejected,
            links_of=self._asked_links,
        )

    async def open(self, relays: Iterable[str] = ()) -> None:
        """Start to visit other relays, and connect to these relays without waiting for them.

        Raises:
            InvalidRelayUrl: one of them is no URL of a relay.
        """
        if self._watcher is None:
            self._watcher = asyncio.create_task(self._visits.run(), name="relay pool")
        for url in relays:
            await self.add(url)

    async def close(self) -> None:
        """Disconnect from all relays and end `incoming`. Idempotent."""
        for task in [*self._tasks, *([self._watcher] if self._watcher else [])]:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._watcher = None
        links = [link for relay in self._relays.values() for link in relay.links()]
        links += self._visits.take_all()
        self._relays.clear()
        # A reader may wait for room in the queue: nobody takes from it any more.
        self._subscriptions.drain()
        await asyncio.gather(*(link.close() for link in links))
        await self._subscriptions.close()

    async def add(self, url: str) -> None:
        """Connect to a relay, now and whenever the connection was lost.

        Raises:
            InvalidRelayUrl: it is no URL of a relay.
        """
        url = check_relay_url(url)
        if url not in self._relays:
            link = RelayLink(url, self)
            self._relays[url] = PooledRelay(link)
            link.open()

    async def remove(self, url: str) -> None:
        """Disconnect from a relay for good."""
        relay = self._relays.pop(normalised(url), None)
        for link in relay.links() if relay else ():
            self._subscriptions.forget(link)
            await link.close()

    @property
    def relays(self) -> tuple[str, ...]:
        """The relays that were added."""
        return tuple(self._relays)

    async def wait_connected(self, url: str, timeout_s: float) -> bool:
        """Wait until a relay that was added is connected; False when it takes too long."""
        relay = self._relays.get(normalised(url))
        return relay is not None and await relay.link.wait_connected(timeout_s)

    def on_connected(self, call: Callable[[str], None]) -> None:
        """Call with a relay's URL whenever a relay that was added is connected, or is again."""
        self._on_connected.append(call)

    def health(self) -> dict[str, RelayHealth]:
        """How each relay is doing, by its URL."""
        return {url: relay.health() for url, relay in self._relays.items()}

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
            link = await self._visits.link(url)
            if link is None:
                return Ack(False, "not a public relay")
            if not await link.wait_connected(timeout_s):
                return Ack(False, f"the relay was not reached within {timeout_s:g} s")
            return await self._publish_on(link, event, timeout_s)
        speaker = self._speaker(event)
        link = relay.private.get(speaker.pubkey if speaker else "", relay.link)
        ack = await self._publish_on(link, event, timeout_s)
        unheard = ack.wants_auth or (ack.timed_out and link.challenge)
        if unheard and link is relay.link and len(self._identities) > 1 and speaker is not None:
            # One connection may only speak for one identity at many relays.
            link = await self._private_link(relay, speaker)
            if await link.wait_connected(timeout_s):
                ack = await self._publish_on(link, event, timeout_s)
        if ack.ok:
            relay.published += 1
        else:
            relay.refused += 1
        return ack

    async def _publish_on(self, link: RelayLink, event: NostrEvent, timeout_s: float) -> Ack:
        ack = await link.publish(event, timeout_s)
        identity = link.identity or self._speaker(event)
        alone = link.identity is not None or len(self._identities) == 1 or link in self._visits
        if ack.wants_auth and identity is not None and alone:
            authenticated = await link.authenticate(identity, self._now_s(), timeout_s)
            if authenticated.ok:
                return await link.publish(event, timeout_s)
        return ack

    def _speaker(self, event: NostrEvent) -> Identity | None:
        """Who of us answers to a relay for an event; None for what is by nobody of us.

        A gift wrap is signed by a key that is made for it alone (NIP-59): any of us may bring it.
        """
        identity = self._identities.get(event.pubkey)
        if identity is None and event.kind == KIND_GIFT_WRAP:
            return next(iter(self._identities.values()), None)
        return identity

    async def fetch(
        self,
        filters: Filter | Sequence[Filter],
        relays: Sequence[str] | None = None,
        *,
        timeout_s: float = 5.0,
        max_events: int = 10_000,
    ) -> list[NostrEvent]:
        """Ask relays for stored events, and return what came in time, newest first, each once.

        A filter without `limit` is asked page by page until nothing is left. A relay that is away,
        or has answered nothing yet, keeps nobody waiting for long while others answer.

        Args:
            relays: None for all that were added; others are visited, if they are public.
            timeout_s: for all of it; what has come until then is returned.
        """
        wanted = [filters] if isinstance(filters, Filter) else list(filters)
        urls = list(self._relays) if relays is None else [normalised(url) for url in relays]
        found: dict[str, NostrEvent] = {}

        async def ask(url: str) -> None:
            relay = self._relays.get(url)
            link = await self._visits.link(url) if relay is None else relay.reading_link
            if link is None or not await link.wait_connected(timeout_s):
                return
            for part in (chunk for item in wanted for chunk in item.chunks()):

                async def take(event: UnverifiedEvent, part: Filter = part) -> None:
                    verified = verified_match(event, part) if len(found) < max_events else None
                    if verified is not None:
                        found[verified.id] = verified
                    elif relay is not None:
                        relay.rejected += 1

                if part.limit is not None:
                    await link.page(part, take, timeout_s)
                else:
                    await all_pages(link, part, take, timeout_s, part.until)

        tasks = {asyncio.create_task(ask(url)): self._relays.get(url) for url in urls}
        trusted = [task for task, relay in tasks.items() if relay is None or relay.is_answering]
        if trusted and len(trusted) < len(tasks):
            began = time.monotonic()
            await asyncio.wait(trusted, timeout=timeout_s)
            timeout_s = min(LATECOMERS_S, max(0.0, timeout_s - (time.monotonic() - began)))
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=timeout_s)
            for task, relay in tasks.items():
                task.cancel()
                if relay is not None and task in late:
                    relay.link.answers = False
            await asyncio.gather(*late, return_exceptions=True)
        return sorted(found.values(), key=lambda event: (-event.created_at, event.id))

    async def missing(self, url: str, ids: Sequence[str], *, timeout_s: float = 5.0) -> list[str]:
        """Which of these events a relay that was added does not have.

        Args:
            ids: of events, hex; as many as relays send for one question, 500 at most.

        Returns:
            None of them when the relay does not answer.
        """
        relay = self._relays.get(normalised(url))
        found: set[str] = set()

        async def take(event: UnverifiedEvent) -> None:
            found.add(event.id)

        if relay is None:
            return []
        page = await relay.link.page(Filter(ids=tuple(ids)), take, timeout_s)
        return [identifier for identifier in ids if identifier not in found and page.complete]

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
        self._subscriptions.set(name, filters, cursor)
        for relay in list(self._relays.values()):
            if relay.is_private:
                await self._open_private_links(relay)
            for link in relay.links():
                await self._apply(link, only=name)

    async def unsubscribe(self, name: str) -> None:
        """End a subscription at all relays."""
        self._subscriptions.drop(name)
        for relay in list(self._relays.values()):
            for link in relay.links():
                await self._apply(link, only=name)

    def incoming(self) -> AsyncIterator[Incoming]:
        """What the subscriptions bring, for one consumer; ends when the pool is closed."""
        return self._subscriptions.incoming()

    async def _apply(self, link: RelayLink, only: str | None = None) -> None:
        relay = self._relays.get(link.url)
        muted = relay is None or (relay.is_private and link is relay.link)
        await self._subscriptions.apply(link, only, muted=muted)

    async def connected(self, link: RelayLink) -> None:
        """A link came up: ask again for everything."""
        self._subscriptions.forget(link)
        if link in self._visits:
            return
        if link.identity is not None:
            self._spawn(self._introduce(link, link.identity))
            return
        for call in self._on_connected:
            call(link.url)
        await self._apply(link)

    async def heard(self, link: RelayLink, request: str, heard: UnverifiedEvent) -> None:
        """An event came over a link."""
        await self._subscriptions.heard(link, request, heard)

    async def ended_stored(self, link: RelayLink, request: str) -> None:
        """The first page of stored events is complete."""
        await self._subscriptions.ended_stored(link, request)

    def _asked_links(self, url: str) -> Sequence[RelayLink]:
        relay = self._relays.get(url)
        if relay is None:
            return ()
        return tuple(relay.private.values()) if relay.is_private else (relay.link,)

    def _count_rejected(self, link: RelayLink) -> None:
        relay = self._relays.get(link.url)
        if relay is not None:
            relay.rejected += 1

    async def closed(self, link: RelayLink, request: str, reason: str) -> None:
        """A relay ended a request: introduce ourselves if that is what it wants."""
        name = self._subscriptions.ended(link, request)
        relay = self._relays.get(link.url)
        if name is None or relay is None:
            return
        relay.closed_requests += 1
        if not Ack(False, reason).wants_auth or not self._identities:
            self._spawn(self._ask_later(link, name, reason))
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
            self._spawn(self._ask_later(link, name, reason))

    async def _ask_later(self, link: RelayLink, name: str, reason: str) -> None:
        """A relay may refuse for a while and mean it well: rates, restarts."""
        link.refusals += 1
        delay_s = min(self._retry_s * 2 ** (link.refusals - 1), MAX_RETRY_S)
        _log.warning(
            "%s ended the request %s, asking again in %g s: %s",
            link.url,
            name,
            delay_s,
            reason[:200],
        )
        await asyncio.sleep(delay_s)
        if link.is_connected:
            await self._apply(link, only=name)

    async def challenged(self, link: RelayLink) -> None:
        """A relay would like to know who we are: say so where that is one identity only."""
        if link.identity is None and len(self._identities) == 1:
            self._spawn(self._introduce(link, next(iter(self._identities.values()))))

    async def _introduce(self, link: RelayLink, identity: Identity) -> None:
        ack = await link.authenticate(identity, self._now_s(), self._publish_timeout_s)
        if not ack.ok:
            _log.info("%s: authentication failed: %s", link.url, ack.reason)
        # Some relays neither answer nor end what they were asked by a stranger.
        self._subscriptions.forget(link)
        await self._apply(link)

    async def _go_private(self, relay: PooledRelay) -> None:
        await self._open_private_links(relay)
        await self._apply(relay.link)

    async def _open_private_links(self, relay: PooledRelay) -> None:
        for pubkey in self._subscriptions.pubkeys():
            if pubkey in self._identities:
                await self._private_link(relay, self._identities[pubkey])

    async def _private_link(self, relay: PooledRelay, identity: Identity) -> RelayLink:
        link = relay.private.get(identity.pubkey)
        if link is None:
            link = RelayLink(relay.link.url, self, identity=identity)
            relay.private[identity.pubkey] = link
            link.open()
        return link

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            _log.error("a relay task failed", exc_info=task.exception())

    def _now_s(self) -> int:
        return self._clock() // 1000

"""Subscriptions: what was asked of each relay, what came of it, and where to go on.

https://github.com/nostr-protocol/nips/blob/master/01.md

A subscription is asked for on every link, from the caller's cursor on. What a relay has
stored is fetched page by page; only when all of it was delivered does the cursor move.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from nips.errors import InvalidEvent
from nips.event import NostrEvent, UnverifiedEvent
from nips.filters import Filter
from nips.relay_link import RelayLink

REMEMBERED_IDS = 100_000
QUEUE_SIZE = 20_000
PAGE_HINT = 50
"""A relay that sent fewer stored events than this had no more: no cap is that low."""
PAGE_LIMIT = 500
MAX_PAGES = 400

_log = logging.getLogger(__name__)


class Cursor(Protocol):
    """Where a subscription goes on after a break; the caller keeps it, for each relay."""

    def since(self, relay_url: str, subscription: str) -> int | None:
        """The oldest time to ask for, Unix seconds; None for all that the relay has.

        Leave an overlap: clocks differ, events arrive late, and gift wraps are dated up to two
        days back (`dms.WRAP_BACKDATING_S`).
        """
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


class Subscriptions:
    """All subscriptions of a pool.

    Args:
        now_s: Unix seconds.
        page_timeout_s: how long a relay may take for a page of stored events.
        queue_size: events that wait for the consumer before links have to wait.
        spawn: runs work beside the link that reports.
        reject: told of each event that is forged or was not asked for.
        links_of: the links on which a relay is asked.
    """

    def __init__(
        self,
        *,
        now_s: Callable[[], int],
        page_timeout_s: float,
        queue_size: int,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        reject: Callable[[RelayLink], None],
        links_of: Callable[[str], Sequence[RelayLink]],
    ) -> None:
        self._now_s = now_s
        self._page_timeout_s = page_timeout_s
        self._spawn = spawn
        self._reject = reject
        self._links_of = links_of
        self._named: dict[str, _Subscription] = {}
        self._requests: dict[RelayLink, dict[str, _Request]] = {}
        self._caught_up: dict[tuple[str, str], int] = {}
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._queue: asyncio.Queue[Incoming | _Passed | None] = asyncio.Queue(queue_size)

    def set(self, name: str, filters: Filter | Sequence[Filter], cursor: Cursor | None) -> None:
        """Take a subscription in, or change it; `apply` asks the relays."""
        wanted = [filters] if isinstance(filters, Filter) else list(filters)
        chunks = tuple(chunk for item in wanted for chunk in item.chunks())
        self._named[name] = _Subscription(name, chunks, cursor)

    def drop(self, name: str) -> None:
        """Forget a subscription; `apply` tells the relays."""
        self._named.pop(name, None)

    def pubkeys(self) -> tuple[str, ...]:
        """Whom the subscriptions are about, hex."""
        named: dict[str, None] = {}
        for subscription in self._named.values():
            for chunk in subscription.filters:
                named.update(dict.fromkeys(chunk.tags.get("p", ()) or chunk.authors))
        return tuple(named)

    def forget(self, link: RelayLink) -> None:
        """Nothing is asked on this link any more, as after a reconnect."""
        self._requests.pop(link, None)
        self._fall_behind(link.url)

    def ended(self, link: RelayLink, request: str) -> str | None:
        """The relay ended a request; the name of its subscription."""
        asked = self._requests.get(link, {}).pop(request, None)
        if asked is None:
            return None
        self._fall_behind(link.url, asked.subscription.name)
        return asked.subscription.name

    async def close(self) -> None:
        """Forget everything and end `incoming`."""
        self._requests.clear()
        self.drain()
        self._queue.put_nowait(None)

    def drain(self) -> None:
        """Make room for links that wait to be heard while nobody takes from the queue."""
        while not self._queue.empty():
            self._queue.get_nowait()

    async def incoming(self) -> AsyncIterator[Incoming]:
        """What the subscriptions bring, for one consumer; ends with `close`."""
        while (item := await self._queue.get()) is not None:
            if isinstance(item, Incoming):
                yield item
            elif item.subscription.cursor is not None:
                item.subscription.cursor.passed(
                    item.relay_url, item.subscription.name, item.created_at
                )

    async def apply(self, link: RelayLink, only: str | None = None, *, muted: bool = False) -> None:
        """Make the link's requests what the subscriptions say; asks only what is new.

        Args:
            only: the one subscription to look at; None for all.
            muted: nothing is to be asked on this link.
        """
        current = self._requests.setdefault(link, {})
        wanted = {} if muted else self._wanted(link, only)
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
            self._fall_behind(link.url, subscription.name)
            if not await link.request(request, replace(part, since=since)):
                current.pop(request, None)

    def _wanted(self, link: RelayLink, only: str | None) -> dict[str, tuple[_Subscription, Filter]]:
        wanted: dict[str, tuple[_Subscription, Filter]] = {}
        for subscription in self._named.values():
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

    async def heard(self, link: RelayLink, request: str, heard: UnverifiedEvent) -> None:
        """An event came over a link: verify it, and pass it on if it is new."""
        asked = self._requests.get(link, {}).get(request)
        if asked is None:
            return
        identifier, created_at = heard.id, heard.created_at
        if identifier not in self._seen:
            verified = verified_match(heard, asked.wanted)
            if verified is None:
                self._reject(link)
                return
            self._remember(identifier)
            name = asked.subscription.name
            await self._queue.put(Incoming(link.url, verified, name, asked.live))
        asked.newest = max(asked.newest, created_at)
        if asked.live:
            await self._pass(link, asked)
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

    async def _catch_up(self, link: RelayLink, request: str, asked: _Request) -> None:
        async def take(event: UnverifiedEvent) -> None:
            if self._requests.get(link, {}).get(request) is asked:
                await self.heard(link, request, event)

        wanted = replace(asked.wanted, since=asked.since)
        complete = await all_pages(link, wanted, take, self._page_timeout_s, asked.oldest)
        # An incomplete backlog moves no cursor: the next connection asks for it again.
        if complete and self._requests.get(link, {}).get(request) is asked:
            await self._now_live(link, asked)

    async def _now_live(self, link: RelayLink, asked: _Request) -> None:
        asked.live = True
        await self._pass(link, asked)

    async def _pass(self, link: RelayLink, asked: _Request) -> None:
        """Let the cursor follow, if nothing older can still come from this relay.

        A subscription may be many requests, on many links: while one of them has not caught
        up, a cursor moved by another would skip what is still to come.
        """
        subscription = asked.subscription
        if subscription.cursor is None:
            return
        key = (link.url, subscription.name)
        newest = self._caught_up.get(key)
        if newest is None:
            newest = self._newest_if_caught_up(link.url, subscription.name)
        if newest is None:
            return
        newest = self._caught_up[key] = max(newest, asked.newest)
        if newest:
            # A time in the future would make the next connection miss what comes till then.
            at = min(newest, self._now_s())
            await self._queue.put(_Passed(link.url, subscription, at))

    def _newest_if_caught_up(self, url: str, name: str) -> int | None:
        newest = 0
        for link in self._links_of(url):
            requests = self._requests.get(link, {})
            for request in self._wanted(link, name):
                asked = requests.get(request)
                if asked is None or not asked.live:
                    return None
                newest = max(newest, asked.newest)
        return newest

    def _fall_behind(self, url: str, name: str | None = None) -> None:
        for key in [key for key in self._caught_up if key[0] == url and name in (None, key[1])]:
            del self._caught_up[key]

    def _remember(self, identifier: str) -> None:
        self._seen[identifier] = None
        if len(self._seen) > REMEMBERED_IDS:
            self._seen.popitem(last=False)


def verified_match(heard: UnverifiedEvent, wanted: Filter) -> NostrEvent | None:
    """The event, if it is genuine and was asked for."""
    try:
        verified = heard.verified()
    except InvalidEvent:
        return None
    return verified if wanted.matches(verified) else None


async def all_pages(
    link: RelayLink,
    wanted: Filter,
    take: Callable[[UnverifiedEvent], Awaitable[None]],
    timeout_s: float,
    until: int | None,
) -> bool:
    """Ask page by page, going back in time; False when the relay broke off before the end."""
    for _ in range(MAX_PAGES):
        question = replace(wanted, until=until, limit=PAGE_LIMIT)
        page = await link.page(question, take, timeout_s)
        if not page.complete:
            return False
        if page.oldest is None or page.count < PAGE_HINT:
            return True
        if until is not None and page.oldest > until:
            _log.warning("%s does not heed `until`: its backlog cannot be paged", link.url)
            return True
        # Events of one second may be cut apart: the next page begins within that second,
        # and passes it when it brought nothing older.
        if until is None or page.oldest < until:
            until = page.oldest
        else:
            until -= 1
    _log.warning("%s has more stored events than are asked for", link.url)
    return True


def _name_of(request: str) -> str:
    return request.rpartition("/")[0]

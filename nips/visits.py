"""Relays that strangers name: visited if they are public, and left when they have been idle."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

from nips.errors import NostrError, NotPublic
from nips.public_hosts import PublicHosts
from nips.relay_link import LinkListener, RelayLink
from nips.relay_urls import is_public_relay

MAX_VISITED_RELAYS = 32
VISIT_IDLE_S = 30.0
VISIT_LOOK_S = 1.0


class Visits:
    """Links to relays that are not ours.

    Args:
        listener: hears what comes over the links.
        spawn: runs work in the background.
        hosts: which servers may be visited.
    """

    def __init__(
        self,
        listener: LinkListener,
        spawn: Callable[[Coroutine[Any, Any, None]], None],
        hosts: PublicHosts,
    ) -> None:
        self._listener = listener
        self._spawn = spawn
        self._hosts = hosts
        self._links: OrderedDict[str, RelayLink] = OrderedDict()

    def __contains__(self, link: RelayLink) -> bool:
        return self._links.get(link.url) is link

    async def link(self, url: str) -> RelayLink | None:
        """A link to a relay, perhaps not connected yet; None when it must not be visited."""
        link = self._links.get(url)
        if link is None:
            if not await self._may_visit(url):
                return None
            link = self._links.get(url)
        if link is None:
            link = RelayLink(url, self._listener, hosts=self._hosts)
            self._links[url] = link
            try:
                link.open()
            except NostrError:
                del self._links[url]
                return None
            if len(self._links) > MAX_VISITED_RELAYS:
                _, oldest = self._links.popitem(last=False)
                self._spawn(oldest.close())
        self._links.move_to_end(url)
        return link

    async def _may_visit(self, url: str) -> bool:
        if not is_public_relay(url, allow_loopback=self._hosts.allow_loopback):
            return False
        parts = urlsplit(url)
        try:
            await self._hosts.addresses(parts.hostname or "", parts.port or 443)
        except NotPublic:
            return False
        return True

    async def run(self) -> None:
        """Leave relays that have been idle, until cancelled."""
        while True:
            await asyncio.sleep(VISIT_LOOK_S)
            for url, link in list(self._links.items()):
                if time.monotonic() - link.used_at > VISIT_IDLE_S:
                    del self._links[url]
                    await link.close()

    def take_all(self) -> list[RelayLink]:
        """All links, which are the caller's to close."""
        links = list(self._links.values())
        self._links.clear()
        return links

"""Visits to relays that strangers name: none that leads into our own network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from nips.event import UnverifiedEvent
from nips.public_hosts import PublicHosts
from nips.relay_link import RelayLink
from nips.visits import MAX_VISITED_RELAYS, Visits
from tests.far_names import Resolver
from tests.nips.support import serving, until


class Deaf:
    """Hears nothing of what its links tell."""

    async def connected(self, link: RelayLink) -> None: ...

    async def heard(self, link: RelayLink, request: str, heard: UnverifiedEvent) -> None: ...

    async def ended_stored(self, link: RelayLink, request: str) -> None: ...

    async def closed(self, link: RelayLink, request: str, reason: str) -> None: ...

    async def challenged(self, link: RelayLink) -> None: ...


@asynccontextmanager
async def visiting(hosts: PublicHosts) -> AsyncGenerator[Visits]:
    tasks: set[asyncio.Task[None]] = set()

    def spawn(work: Coroutine[Any, Any, None]) -> None:
        tasks.add(asyncio.create_task(work))

    visits = Visits(Deaf(), spawn, hosts)
    try:
        yield visits
    finally:
        await asyncio.gather(*tasks, *(link.close() for link in visits.take_all()))


async def test_a_relay_on_this_machine_is_visited_where_that_is_allowed() -> None:
    async with serving() as relay, visiting(PublicHosts(allow_loopback=True)) as visits:
        link = await visits.link(relay.url)
        assert link is not None
        assert await link.wait_connected(10)
        assert await visits.link(relay.url) is link


@pytest.mark.parametrize("answer", [[], ["10.0.0.1"], ["8.8.8.8", "::1"], ["::ffff:127.0.0.1"]])
async def test_a_name_that_means_no_public_server_is_not_visited(answer: list[str]) -> None:
    async with visiting(PublicHosts(lookup=Resolver([answer]))) as visits:
        assert await visits.link("wss://relay.example.com") is None


async def test_a_name_is_judged_again_when_it_is_dialled() -> None:
    """DNS rebinding: public for who asks whether it may be visited, then our own machine."""
    visitors = 0

    async def inside(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal visitors
        visitors += 1
        writer.close()

    server = await asyncio.start_server(inside, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    resolver = Resolver([["8.8.8.8"], ["127.0.0.1"]])
    async with server, visiting(PublicHosts(True, resolver)) as visits:
        link = await visits.link(f"wss://relay.example.com:{port}")
        assert link is not None
        await until(lambda: len(resolver.asked) >= 3)
        assert not link.is_connected
    assert set(resolver.asked) == {("relay.example.com", port)}
    assert visitors == 0


async def test_the_relay_visited_longest_ago_makes_room() -> None:
    once_public = Resolver([["8.8.8.8"]] * (MAX_VISITED_RELAYS + 1) + [["10.0.0.1"]])
    async with visiting(PublicHosts(lookup=once_public)) as visits:
        links = [
            await visits.link(f"wss://r{number}.example.com:9")
            for number in range(MAX_VISITED_RELAYS + 1)
        ]
        assert links[0] is not None
        assert links[0] not in visits
        assert all(link is not None and link in visits for link in links[1:])

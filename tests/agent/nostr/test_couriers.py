"""Couriers over real relays: what they bring when a relay was away, and what they leave alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from agent.journal.journal import Journal
from agent.nostr.couriers import Couriers
from nips.event import NostrEvent
from nips.filters import Filter
from nips.relays import RelayPool
from tests.nips.hostile import misbehaving
from tests.nips.support import clock_ms, key_of, now_s, pooling, serving, until

CHARGER = key_of("charger")
LONG_S = 600.0
"""A pause that no test outlasts."""


@asynccontextmanager
async def couriers(folder: Path, pool: RelayPool, *relays: str) -> AsyncGenerator[Couriers]:
    journal = Journal.open(folder / "journal.sqlite")
    async with anyio.create_task_group() as group:
        group.start_soon(journal.run)
        made = Couriers(journal, pool, clock_ms, first_retry_s=LONG_S)
        made.start(group, relays)
        yield made
        group.cancel_scope.cancel()
    journal.close()


def state(text: str, identifier: str = "CP001:1") -> NostrEvent:
    return CHARGER.sign(30_716, text, [["d", identifier]], now_s())


async def has(reader: RelayPool, *events: NostrEvent) -> None:
    """Return once the relay has these events."""
    await reader.subscribe("watched", Filter(authors=(CHARGER.pubkey,)))
    missing = {event.id for event in events}
    async for incoming in reader.incoming():
        missing.discard(incoming.event.id)
        if not missing:
            return


async def delivered(made: Couriers) -> None:
    await until(lambda: not any(made.depths().values()))


async def test_a_relay_that_is_back_gets_at_once_what_waits_for_it(tmp_path: Path) -> None:
    async with serving() as probe:
        url, port = probe.url, int(probe.url.rpartition(":")[2])
    async with pooling() as pool:
        await pool.add(url)
        async with couriers(tmp_path, pool, url) as made:
            message = CHARGER.sign(4, "hello", [["p", key_of("driver").pubkey]], now_s())
            await made.send([message])
            made.replace("state", state("Available"))
            await until(lambda: pool.health()[url].refused > 0)
            async with serving(port) as relay, pooling(relay.url) as reader:
                await has(reader, message)
                await delivered(made)


async def test_a_relay_that_forgot_gets_everything_again(tmp_path: Path) -> None:
    """Its events were in memory only, as with many small relays."""
    first, second = state("Available"), state("Charging", "CP001:2")
    async with (
        serving() as relay,
        pooling(relay.url) as pool,
        couriers(tmp_path, pool, relay.url) as made,
    ):
        made.replace("first", first)
        made.replace("second", second)
        await delivered(made)
        await relay.close()
        await relay.open()
        async with pooling(relay.url) as reader:
            await has(reader, first, second)


async def test_a_relay_that_forgot_nothing_gets_nothing_again(tmp_path: Path) -> None:
    async with (
        misbehaving() as relay,
        pooling(relay.url) as pool,
        couriers(tmp_path, pool, relay.url) as made,
    ):
        for number in range(300):
            made.replace(f"state {number}", state("Available", f"CP{number}:1"))
        await delivered(made)
        assert len(relay.stored) == 300
        connections, requests = relay.connections, relay.requests
        relay.drop_after_s = 0
        await until(lambda: relay.connections > connections)
        relay.drop_after_s = None
        await until(lambda: relay.requests > requests)
        made.replace("last", last := state("Charging", "last:1"))
        await delivered(made)
        assert [raw["id"] for raw in relay.stored[300:]] == [last.id]


async def test_a_relay_that_will_not_say_gets_nothing_again(tmp_path: Path) -> None:
    async with (
        misbehaving() as relay,
        pooling(relay.url) as pool,
        couriers(tmp_path, pool, relay.url) as made,
    ):
        made.replace("state", state("Available"))
        await delivered(made)
        relay.close_requests = 1_000
        connections, requests = relay.connections, relay.requests
        relay.drop_after_s = 0
        await until(lambda: relay.connections > connections)
        relay.drop_after_s = None
        await until(lambda: relay.requests > requests)
        made.replace("last", state("Charging", "last:1"))
        await delivered(made)
        assert len(relay.stored) == 2


async def test_a_relay_of_a_stranger_is_left_when_it_has_all(tmp_path: Path) -> None:
    """Each relay that a zap had ever named was kept in mind for ever."""
    async with (
        misbehaving() as ours,
        misbehaving() as his,
        pooling(ours.url, allow_loopback=True) as pool,
        couriers(tmp_path, pool, ours.url) as made,
    ):
        for number in (1, 2):
            await made.send([CHARGER.sign(9735, str(number), [], now_s())], [his.url])
            assert made.foreign == {his.url}
            await until(lambda: not made.foreign)
            assert len(his.stored) == len(ours.stored) == number


async def test_strangers_do_not_name_relays_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.nostr.couriers.MOST_FOREIGN", 3)
    async with (
        misbehaving() as ours,
        misbehaving(silent=True) as his,
        pooling(ours.url, allow_loopback=True, publish_timeout_s=0.5) as pool,
        couriers(tmp_path, pool, ours.url) as made,
    ):
        named = [f"{his.url}/{number}" for number in range(5)]
        await made.send([CHARGER.sign(9735, "", [], now_s())], named)
        assert made.foreign == set(named[:3])
        await until(lambda: len(ours.stored) == 1)
        await made.send([CHARGER.sign(9735, "again", [], now_s())], [ours.url, *named[2:]])
        assert made.foreign == set(named[:3])
        await until(lambda: len(ours.stored) == 2)

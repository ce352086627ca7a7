"""The pool against the embedded relay: publishing, subscriptions, cursors, reconnects."""

from __future__ import annotations

import asyncio

import pytest

from nips.dms import read_message, write_message
from nips.errors import InvalidRelayUrl
from nips.event import NostrEvent
from nips.filters import MAX_VALUES, Filter
from nips.identity import Identity
from nips.relays import RelayPool
from tests.nips.support import clock_ms, key_of, now_s, pooling, serving, take, until

ALICE = key_of("alice")
BOB = key_of("bob")


class Cursor:
    """Keeps what a subscription has passed, in memory."""

    def __init__(self, start: int | None = None) -> None:
        self.start = start
        self.at: dict[tuple[str, str], int] = {}

    def since(self, relay_url: str, subscription: str) -> int | None:
        return self.at.get((relay_url, subscription), self.start)

    def passed(self, relay_url: str, subscription: str, created_at: int) -> None:
        key = (relay_url, subscription)
        self.at[key] = max(self.at.get(key, 0), created_at)


def note(text: str, created_at: int, author: Identity = ALICE) -> NostrEvent:
    return author.sign(1, text, [["p", BOB.pubkey]], created_at)


async def test_an_event_is_acknowledged_and_arrives_once() -> None:
    async with serving() as one, serving() as two, pooling(one.url, two.url) as pool:
        await pool.subscribe("in", Filter(kinds=(1,), tags={"p": (BOB.pubkey,)}))
        incoming = pool.incoming()
        event = note("hello", now_s())
        acks = await pool.publish(event)
        assert {url: ack.ok for url, ack in acks.items()} == {one.url: True, two.url: True}
        other = note("second", now_s())
        await pool.publish(other)
        got = await take(incoming, 2)
        assert [item.event for item in got] == [event, other]


async def test_a_dead_relay_does_not_delay_a_live_one() -> None:
    async with serving() as relay, pooling(relay.url) as pool:
        await pool.add("ws://127.0.0.1:9")
        async with asyncio.timeout(5):
            acks = await pool.publish(note("x", now_s()), timeout_s=60)
        assert acks[relay.url].ok
        assert acks["ws://127.0.0.1:9"].reason == "the relay is not connected"


async def test_a_refused_event_says_why() -> None:
    async with serving() as relay, pooling(relay.url) as pool:
        too_large = ALICE.sign(1, "x" * 100_000, [], now_s())
        acks = await pool.publish(too_large, timeout_s=2)
        assert not acks[relay.url].ok
        assert acks[relay.url].reason


async def test_the_backlog_is_paged_past_500_and_then_the_cursor_moves() -> None:
    async with serving() as relay, pooling(relay.url) as writer:
        start = now_s() - 5000
        # Ten events in each second: pages are cut within a second.
        events = [note(str(number), start + number // 10) for number in range(1300)]
        for chunk in range(0, len(events), 100):
            acks = await asyncio.gather(
                *(writer.publish(event) for event in events[chunk : chunk + 100])
            )
            assert all(ack[relay.url].ok for ack in acks)
        cursor = Cursor(start + 10)
        async with pooling(relay.url) as pool:
            await pool.subscribe("in", Filter(kinds=(1,), tags={"p": (BOB.pubkey,)}), cursor)
            incoming = pool.incoming()
            got = await take(incoming, 1200)
            assert {item.event.id for item in got} == {event.id for event in events[100:]}
            assert not any(item.live for item in got)
            assert cursor.at == {}
            item = got[-1]
            while not item.live:
                await writer.publish(note(f"fresh {clock_ms()}", now_s()))
                (item,) = await take(incoming, 1)
            assert cursor.at[relay.url, "in"] >= start + 129


async def test_after_a_restart_of_the_relay_the_subscription_goes_on() -> None:
    async with serving() as relay, pooling(relay.url) as pool:
        port = int(relay.url.rpartition(":")[2])
        await pool.subscribe("in", Filter(kinds=(1,), tags={"p": (BOB.pubkey,)}))
        incoming = pool.incoming()
        await pool.publish(note("before", now_s()))
        await take(incoming, 1)
        await relay.close()
        await until(lambda: not pool.health()[relay_url(port)].connected)
        assert not (await pool.publish(note("lost", now_s())))[relay_url(port)].ok
        async with serving(port), pooling(relay_url(port)) as other:
            missed = note("while away", now_s())
            await other.publish(missed)
            assert await pool.wait_connected(relay_url(port), 10)
            (item,) = await take(incoming, 1)
            assert item.event == missed
            await other.publish(note("after", now_s()))
            (item,) = await take(incoming, 1)
            assert item.event.content == "after"


def relay_url(port: int) -> str:
    return f"ws://127.0.0.1:{port}"


async def test_a_subscription_grows_to_a_thousand_keys() -> None:
    identities = [key_of(f"cp{number}") for number in range(1000)]
    async with serving() as relay, pooling(relay.url) as pool, pooling(relay.url) as driver:
        incoming = pool.incoming()
        for size in (1, 400, 1000):
            keys = tuple(identity.pubkey for identity in identities[:size])
            await pool.subscribe("dm", Filter(kinds=(4,), tags={"p": keys}))
        for number in (0, 399, MAX_VALUES, 999):
            message = write_message(ALICE, identities[number].pubkey, "hi", "nip04", now_s())
            assert (await driver.publish(message))[relay.url].ok
            (item,) = await take(incoming, 1)
            assert read_message(identities[number], item.event).text == "hi"


async def test_fetch_asks_once_and_pages() -> None:
    async with serving() as relay, pooling(relay.url) as pool:
        start = now_s() - 5000
        events = [note(str(number), start + number) for number in range(600)]
        await asyncio.gather(*(pool.publish(event) for event in events))
        wanted = Filter(authors=(ALICE.pubkey,))
        assert len(await pool.fetch(wanted)) == 600
        newest = await pool.fetch(Filter(authors=(ALICE.pubkey,), limit=3))
        assert [event.content for event in newest] == ["599", "598", "597"]


async def test_fetch_visits_a_relay_that_was_not_added() -> None:
    async with (
        serving() as relay,
        pooling(relay.url) as writer,
        pooling(allow_loopback=True) as pool,
    ):
        event = note("elsewhere", now_s())
        await writer.publish(event)
        assert await pool.fetch(Filter(kinds=(1,)), [relay.url]) == [event]
        acks = await pool.publish(note("there", now_s()), [relay.url])
        assert acks[relay.url].ok


async def test_private_relays_of_strangers_are_not_visited() -> None:
    async with serving() as relay, pooling() as pool:
        event = note("x", now_s())
        for url in (relay.url, "wss://10.0.0.1", "wss://localhost", "http://example.com", "x"):
            assert (await pool.publish(event, [url]))[url].reason == "not a public relay"


async def test_unsubscribing_and_removing_end_the_stream_of_events() -> None:
    async with serving() as relay, pooling(relay.url) as pool, pooling(relay.url) as other:
        incoming = pool.incoming()
        await pool.subscribe("in", Filter(kinds=(1,)))
        await pool.subscribe("two", Filter(kinds=(2,)))
        await pool.unsubscribe("in")
        await other.publish(note("unheard", now_s()))
        await other.publish(ALICE.sign(2, "heard", [], now_s()))
        (item,) = await take(incoming, 1)
        assert item.event.content == "heard"
        await pool.remove(relay.url)
        assert pool.relays == ()
        assert pool.health() == {}


async def test_closing_ends_the_stream_and_is_idempotent() -> None:
    async with serving() as relay:
        pool = RelayPool(clock_ms)
        await pool.open([relay.url])
        incoming = pool.incoming()
        await pool.close()
        await pool.close()
        assert [item async for item in incoming] == []


@pytest.mark.parametrize("url", ["", "http://x", "wss://", "relay.example.com", "ws://[::1"])
async def test_a_bad_url_is_refused(url: str) -> None:
    async with pooling() as pool:
        with pytest.raises(InvalidRelayUrl):
            await pool.add(url)


async def test_a_crowd_of_messages_arrives_whole() -> None:
    async with serving() as relay, pooling(relay.url) as pool, pooling(relay.url) as driver:
        await pool.subscribe("dm", Filter(kinds=(4,), tags={"p": (BOB.pubkey,)}))
        incoming = pool.incoming()
        sent = [ALICE.sign(4, str(n), [["p", BOB.pubkey]], now_s()) for n in range(1000)]
        await asyncio.gather(*(driver.publish(event) for event in sent))
        got = await take(incoming, 1000)
        assert {item.event.id for item in got} == {event.id for event in sent}


async def test_what_one_identity_sends_another_of_this_process_receives() -> None:
    async with serving() as relay, pooling(relay.url) as pool:
        await pool.subscribe("dm", Filter(kinds=(1059,), tags={"p": (BOB.pubkey,)}))
        incoming = pool.incoming()
        await pool.publish(write_message(ALICE, BOB.pubkey, "hello", "nip17", now_s()))
        (item,) = await take(incoming, 1)
        assert read_message(BOB, item.event).sender == ALICE.pubkey

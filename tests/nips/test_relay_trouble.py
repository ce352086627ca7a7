"""Relays that are silent, lie, flood, drop, limit and insist: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from nips.dms import DmProtocol, read_message, write_message
from nips.event import NostrEvent
from nips.filters import MAX_VALUES, Filter
from nips.identity import Identity
from nips.relays import RelayPool
from tests.counterpart_relay import nostr_relay
from tests.nips.hostile import misbehaving
from tests.nips.support import clock_ms, key_of, now_s, pooling, serving, take, until
from tests.nips.test_relays import Cursor

ALICE = key_of("alice")
BOB = key_of("bob")
CAROL = key_of("carol")
TO_BOB = Filter(kinds=(1,), tags={"p": (BOB.pubkey,)})


def note(text: str, created_at: int | None = None, author: Identity = ALICE) -> NostrEvent:
    return author.sign(1, text, [["p", BOB.pubkey]], created_at or now_s())


async def test_a_silent_relay_gets_its_time_and_no_more() -> None:
    async with (
        misbehaving(silent=True) as mute,
        serving() as relay,
        pooling(mute.url, relay.url) as pool,
    ):
        event = note("hello")
        began = time.monotonic()
        acks = await pool.publish(event, timeout_s=0.3)
        assert acks[relay.url].ok
        assert acks[mute.url].reason == "the relay did not answer within 0.3 s"
        assert await pool.fetch(TO_BOB, timeout_s=0.3) == [event]
        assert time.monotonic() - began < 5
        assert pool.health()[mute.url].refused == 1


@pytest.mark.parametrize("trouble", ["silent", "away"])
async def test_who_did_not_answer_keeps_no_question_waiting(trouble: str) -> None:
    """Neither a relay that accepts and says nothing, nor one that is gone."""
    async with (
        misbehaving(silent=True) as mute,
        serving() as relay,
        pooling(relay.url) as pool,
    ):
        event = note("hello")
        await pool.publish(event)
        await pool.add(mute.url if trouble == "silent" else "ws://127.0.0.1:9")
        if trouble == "silent":
            assert await pool.wait_connected(mute.url, 10)
        began = time.monotonic()
        assert await pool.fetch(TO_BOB, timeout_s=30) == [event]
        assert time.monotonic() - began < 10
        # Alone, it gets all the time that there is.
        await pool.remove(relay.url)
        mute.silent = False
        if trouble == "silent":
            await mute.store(event)
            assert await pool.fetch(TO_BOB, timeout_s=5) == [event]


async def test_a_peer_that_speaks_no_websocket_is_not_connected() -> None:
    left = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        left.set()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    pool = RelayPool(clock_ms)
    await pool.open([url])
    assert not await pool.wait_connected(url, 0.3)
    assert not (await pool.publish(note("x"), timeout_s=0.3))[url].ok
    await pool.close()
    server.close()
    await asyncio.wait_for(left.wait(), 10)


async def test_forged_and_repeated_events_do_not_come_through() -> None:
    true = note("true")
    forged = [
        replace(true, content="forged"),
        replace(true, sig="0" * 128),
        replace(note("other"), pubkey=BOB.pubkey),
        replace(true, id="0" * 64),
    ]
    unasked = [
        ALICE.sign(1, "for carol", [["p", CAROL.pubkey]], now_s()),
        ALICE.sign(4, "another kind", [["p", BOB.pubkey]], now_s()),
    ]
    prelude = [f'["EVENT","$SUB",{event.to_json()}]' for event in [*forged, *unasked]]
    prelude.append(f'["EVENT","another request",{note("stray").to_json()}]')
    async with misbehaving(prelude=prelude, repeat=3) as liar, pooling(liar.url) as pool:
        await liar.store(true)
        incoming = pool.incoming()
        await pool.subscribe("in", TO_BOB)
        (item,) = await take(incoming, 1)
        assert item.event == true
        last = note("last")
        await liar.store(true, true, last)
        (item,) = await take(incoming, 1)
        assert item.event == last
        assert pool.health()[liar.url].rejected_events >= len([*forged, *unasked])


async def test_a_forged_copy_does_not_keep_the_true_event_out() -> None:
    true = note("true")
    forged = replace(true, content="forged")
    prelude = [f'["EVENT","$SUB",{forged.to_json()}]']
    async with (
        misbehaving(prelude=prelude) as liar,
        serving() as relay,
        pooling(liar.url, relay.url) as pool,
        pooling(relay.url) as writer,
    ):
        await liar.store(note("behind the forged one"))
        incoming = pool.incoming()
        await pool.subscribe("in", TO_BOB)
        await take(incoming, 1)
        await writer.publish(true)
        (item,) = await take(incoming, 1)
        assert item.event == true


async def test_garbage_does_not_end_the_connection() -> None:
    prelude: list[str | bytes] = [
        "",
        "{",
        "[]",
        '["EVENT"]',
        '["EVENT","$SUB"]',
        '["EVENT","$SUB",{}]',
        '["EVENT","$SUB",null]',
        '["OK",1,2,3]',
        '["EOSE"]',
        '["NONSENSE","x"]',
        '["NOTICE","mind the gap"]',
        "[" * 20_000,
        b"\x00\xff" * 100,
        json.dumps(["EVENT", "$SUB", {"tags": [["x" * 200_000]]}]),
    ]
    async with misbehaving(prelude=prelude) as liar, pooling(liar.url) as pool:
        true = note("true")
        await liar.store(true)
        incoming = pool.incoming()
        await pool.subscribe("in", TO_BOB)
        (item,) = await take(incoming, 1)
        assert item.event == true
        assert pool.health()[liar.url].notice == "mind the gap"


async def test_a_relay_that_keeps_dropping_us_loses_nothing_and_repeats_nothing() -> None:
    async with misbehaving(drop_after_s=0.4) as flaky, pooling(flaky.url) as pool:
        cursor = Cursor()
        incoming = pool.incoming()
        await pool.subscribe("in", TO_BOB, cursor)
        sent: list[NostrEvent] = []
        received: list[str] = []

        async def consume() -> None:
            async for item in incoming:
                received.append(item.event.id)  # noqa: PERF401 - the list is watched meanwhile

        consumer = asyncio.create_task(consume())
        drops = flaky.connections
        while flaky.connections < drops + 4:
            event = note(f"number {len(sent)}")
            sent.append(event)
            await flaky.store(event)
            # A steady stream, of which each connection brings some.
            await asyncio.sleep(0.02)
        flaky.drop_after_s = 60
        await until(lambda: len(received) >= len(sent), 20)
        consumer.cancel()
        assert sorted(received) == sorted(event.id for event in sent)


async def test_a_relay_that_ignores_until_is_not_asked_for_ever() -> None:
    async with misbehaving(ignore_until=True) as liar, pooling(liar.url) as pool:
        events = [note(str(number), now_s() - number) for number in range(80)]
        await liar.store(*events)
        cursor = Cursor()
        incoming = pool.incoming()
        await pool.subscribe("in", TO_BOB, cursor)
        assert len(await take(incoming, 80)) == 80
        await liar.store(note("live"))
        item = (await take(incoming, 1))[0]
        assert item.event.content == "live"
        assert liar.requests < 10
        assert len(await pool.fetch(TO_BOB)) == 81
        assert liar.requests < 20


@pytest.mark.parametrize("page", [60, 500])
async def test_pages_of_any_size_bring_the_whole_backlog(page: int) -> None:
    async with misbehaving(page=page) as relay, pooling(relay.url) as pool:
        start = now_s() - 1000
        events = [note(str(number), start + number // 20) for number in range(700)]
        await relay.store(*events)
        await pool.subscribe("in", TO_BOB)
        got = await take(pool.incoming(), 700)
        assert {item.event.id for item in got} == {event.id for event in events}


async def test_the_cursor_waits_for_every_part_of_a_large_subscription() -> None:
    keys = [key_of(f"cp{number}").pubkey for number in range(MAX_VALUES + 1)]
    start = now_s() - 1000
    async with misbehaving() as relay, pooling(relay.url) as pool:
        first = ALICE.sign(1, "to the first", [["p", keys[0]]], start + 500)
        await relay.store(first)
        relay.mute_after = 1
        cursor = Cursor(start)
        incoming = pool.incoming()
        await pool.subscribe("in", Filter(kinds=(1,), tags={"p": tuple(keys)}), cursor)
        (item,) = await take(incoming, 1)
        assert item.event == first
        # The second part was asked and not answered yet: the relay may still have more for it.
        await relay.store(ALICE.sign(1, "live", [["p", keys[0]]], now_s()))
        await take(incoming, 1)
        assert cursor.at == {}
        relay.mute_after = None
        last = ALICE.sign(1, "to the last", [["p", keys[-1]]], start + 100)
        await relay.store(last)
        await pool.unsubscribe("in")
        await pool.subscribe("in", Filter(kinds=(1,), tags={"p": tuple(keys)}), cursor)
        (item,) = await take(incoming, 1)
        assert item.event == last
        await relay.store(ALICE.sign(1, "live again", [["p", keys[-1]]], now_s()))
        while not cursor.at:
            await relay.store(ALICE.sign(1, str(clock_ms()), [["p", keys[0]]], now_s()))
            await take(incoming, 1)
        assert cursor.at[relay.url, "in"] >= start + 500


async def test_requests_that_a_relay_ends_are_asked_again() -> None:
    async with misbehaving(close_requests=3) as strict, pooling(strict.url, retry_s=0.05) as pool:
        await strict.store(note("after all"))
        await pool.subscribe("in", TO_BOB)
        (item,) = await take(pool.incoming(), 1)
        assert item.event.content == "after all"
        assert pool.health()[strict.url].closed_requests == 3


async def test_a_rate_limit_is_reported_in_the_relays_words() -> None:
    async with misbehaving(refuse="rate-limited: slow down") as strict, pooling(strict.url) as pool:
        ack = (await pool.publish(note("x")))[strict.url]
        assert (ack.ok, ack.reason) == (False, "rate-limited: slow down")


async def test_messages_behind_authentication_reach_each_identity() -> None:
    async with misbehaving(strict_auth=True) as strict, pooling(strict.url) as pool:
        pool.set_identities([BOB, CAROL])
        incoming = pool.incoming()
        await pool.subscribe("dm", Filter(kinds=(4, 1059), tags={"p": (BOB.pubkey, CAROL.pubkey)}))
        early = write_message(ALICE, BOB.pubkey, "early", "nip04", now_s())
        await strict.store(early)
        (item,) = await take(incoming, 1)
        assert read_message(BOB, item.event).text == "early"
        await strict.store(write_message(ALICE, CAROL.pubkey, "hi", "nip17", now_s()))
        (item,) = await take(incoming, 1)
        assert read_message(CAROL, item.event).text == "hi"
        assert pool.health()[strict.url].private_links == 2
        # After a reconnect each link introduces itself again.
        strict.drop_after_s = 0
        await until(lambda: strict.connections >= 4)
        strict.drop_after_s = None
        await strict.store(write_message(ALICE, BOB.pubkey, "late", "nip04", now_s()))
        (item,) = await take(incoming, 1)
        assert read_message(BOB, item.event).text == "late"


async def test_a_single_identity_authenticates_on_the_shared_link() -> None:
    async with misbehaving(strict_auth=True) as strict, pooling(strict.url) as pool:
        pool.set_identities([BOB])
        await pool.subscribe("dm", Filter(kinds=(4,), tags={"p": (BOB.pubkey,)}))
        await strict.store(write_message(ALICE, BOB.pubkey, "hi", "nip04", now_s()))
        (item,) = await take(pool.incoming(), 1)
        assert read_message(BOB, item.event).text == "hi"
        assert pool.health()[strict.url].private_links == 0


@pytest.mark.parametrize("ours", [True, False])
@pytest.mark.parametrize("protocol", ["nip04", "nip17"])
async def test_a_relay_that_takes_from_members_alone_gets_every_message(
    ours: bool, protocol: DmProtocol
) -> None:
    """A gift wrap is signed by a key of its own, which is no member anywhere."""
    async with (
        misbehaving(members_only=True) as closed,
        misbehaving() as other,
        pooling(closed.url if ours else other.url, allow_loopback=True) as pool,
    ):
        pool.set_identities([BOB, CAROL])
        for sender in (BOB, CAROL, BOB):
            event = write_message(sender, ALICE.pubkey, "hi", protocol, now_s())
            ack = (await pool.publish(event, [closed.url]))[closed.url]
            assert ack.ok, ack
        assert len(closed.stored) == 3


async def test_a_relay_that_tells_members_alone_is_asked_as_one() -> None:
    async with misbehaving(members_only=True) as closed, pooling(closed.url) as pool:
        await closed.store(ALICE.sign(0, "{}", [], now_s()))
        pool.set_identities([BOB, CAROL])
        await pool.subscribe("dm", Filter(kinds=(4,), tags={"p": (BOB.pubkey, CAROL.pubkey)}))
        await until(lambda: pool.health()[closed.url].private_links == 2)
        wanted = Filter(kinds=(0,), authors=(ALICE.pubkey,), limit=1)
        with anyio.fail_after(20):
            while not await pool.fetch(wanted, timeout_s=1):
                await anyio.sleep(0.01)


async def test_a_flood_from_one_relay_does_not_hold_up_another() -> None:
    junk = ALICE.sign(4, "junk", [["p", BOB.pubkey]], now_s()).to_json()
    prelude = [f'["EVENT","$SUB",{junk}]'] * 3000
    async with (
        misbehaving(prelude=prelude) as flooder,
        serving() as relay,
        pooling(flooder.url, relay.url) as pool,
        pooling(relay.url) as writer,
    ):
        incoming = pool.incoming()
        await pool.subscribe("in", TO_BOB)
        await writer.publish(note("calm"))
        began = time.monotonic()
        (item,) = await take(incoming, 1)
        assert item.event.content == "calm"
        assert time.monotonic() - began < 5


async def test_a_slow_consumer_holds_the_link_up_and_nothing_is_lost() -> None:
    async with (
        serving() as relay,
        pooling(relay.url, queue_size=10) as pool,
        pooling(relay.url) as writer,
    ):
        await pool.subscribe("in", TO_BOB)
        events = [note(str(number)) for number in range(500)]
        await asyncio.gather(*(writer.publish(event) for event in events))
        got = await take(pool.incoming(), 500)
        assert {item.event.id for item in got} == {event.id for event in events}


@pytest.mark.timeout(600)
async def test_the_pool_works_with_another_relay_program(
    nostr_relay_command: Path, tmp_path: Path
) -> None:
    async with nostr_relay(nostr_relay_command, tmp_path) as url, pooling(url) as pool:
        keys = (*(key_of(f"cp{number}").pubkey for number in range(999)), BOB.pubkey)
        await pool.subscribe("in", Filter(kinds=(1, 4, 1059), tags={"p": keys}))
        incoming = pool.incoming()
        events = [
            note("hello"),
            write_message(ALICE, BOB.pubkey, "hi", "nip04", now_s()),
            write_message(ALICE, BOB.pubkey, "hi", "nip17", now_s()),
        ]
        for event in events:
            assert (await pool.publish(event))[url].ok
        got = await take(incoming, 3)
        assert {item.event.id for item in got} == {event.id for event in events}
        assert await pool.fetch(Filter(kinds=(1,))) == [events[0]]
        port = int(url.rpartition(":")[2])
    async with pooling() as pool:
        await pool.add(url)
        await pool.subscribe("in", TO_BOB)
        incoming = pool.incoming()
        async with nostr_relay(nostr_relay_command, tmp_path, port):
            assert await pool.wait_connected(url, 20)
            (item,) = await take(incoming, 1)
            assert item.event == events[0]


@pytest.mark.timeout(600)
async def test_the_other_program_lets_in_who_authenticates(
    nostr_relay_command: Path, tmp_path: Path
) -> None:
    async with nostr_relay(nostr_relay_command, tmp_path, members=[BOB.pubkey]) as url:
        pool = RelayPool(clock_ms, publish_timeout_s=3)
        pool.set_identities([BOB])
        await pool.open([url])
        await pool.subscribe("in", TO_BOB)
        assert await pool.wait_connected(url, 10)
        event = note("who am I", author=BOB)
        while not (await pool.publish(event))[url].ok:
            assert pool.health()[url].connected
        (item,) = await take(pool.incoming(), 1)
        assert item.event == event
        async with pooling(url, publish_timeout_s=1) as stranger:
            assert not (await stranger.publish(note("let me in")))[url].ok
        await pool.close()

"""Looking people up: many at once, in few questions, and nobody waits for one who gave up."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack

import pytest

from agent.nostr.directory import LOOK_UPS_AT_ONCE, MOST_IN_ONE, REMEMBERED_MS, Directory
from agent.ports.errors import Refused
from nips.event import NostrEvent
from nips.identity import Identity
from nips.profile import Profile, dm_relays, profile
from tests.nips.hostile import misbehaving
from tests.nips.support import clock_ms, key_of, now_s, pooling, until

CROWD = [key_of(f"driver {number}") for number in range(2 * MOST_IN_ONE)]


def shown(identity: Identity, name: str = "Dora") -> list[NostrEvent]:
    templates = (
        profile(Profile(name=name, lud16=f"{name.lower()}@example.com")),
        dm_relays([f"wss://{identity.pubkey[:8]}.example.com"]),
    )
    return [identity.sign_template(template, now_s()) for template in templates]


async def test_a_crowd_is_looked_up_in_a_few_questions_and_each_is_himself() -> None:
    async with misbehaving() as relay, pooling(relay.url) as pool:
        for identity in CROWD:
            await relay.store(*shown(identity))
        directory = Directory(pool, clock_ms)
        found = await asyncio.gather(*(directory.peer(identity.pubkey) for identity in CROWD))
        for identity, peer in zip(CROWD, found, strict=True):
            assert peer.relays == (f"wss://{identity.pubkey[:8]}.example.com",)
            assert (peer.protocol, peer.lud16) == ("nip17", "dora@example.com")
        assert relay.requests == len(CROWD) // MOST_IN_ONE
        await asyncio.gather(*(directory.peer(identity.pubkey) for identity in CROWD))
        assert relay.requests == len(CROWD) // MOST_IN_ONE


async def test_who_gives_up_takes_nobody_with_him() -> None:
    ann, ben = CROWD[:2]
    async with misbehaving() as relay, pooling(relay.url) as pool:
        await relay.store(*shown(ben, "Ben"))
        relay.silent = True
        directory = Directory(pool, clock_ms)
        impatient = asyncio.create_task(directory.peer(ann.pubkey))
        patient = asyncio.create_task(directory.peer(ben.pubkey))
        # Both have asked.
        await asyncio.sleep(0)
        impatient.cancel()
        with pytest.raises(asyncio.CancelledError):
            await impatient
        assert (await patient).lud16 == ""
        relay.silent = False
        assert await directory.lightning_address(ben.pubkey) == "ben@example.com"


async def test_a_fresh_look_is_not_answered_by_a_question_that_was_asked_before() -> None:
    dora = CROWD[0]
    async with misbehaving(mute_after=0) as relay, pooling(relay.url) as pool:
        directory = Directory(pool, clock_ms)
        early = [
            asyncio.create_task(directory.peer(identity.pubkey))
            for identity in CROWD[:LOOK_UPS_AT_ONCE]
        ]
        await until(lambda: relay.requests > 0)
        relay.mute_after = None
        await relay.store(*shown(dora))
        assert await directory.lightning_address(dora.pubkey) == "dora@example.com"
        await asyncio.gather(*early)


async def test_who_says_nothing_is_written_to_by_nip04_and_paid_nowhere() -> None:
    async with misbehaving() as relay, pooling(relay.url) as pool:
        peer = await Directory(pool, clock_ms).peer(CROWD[0].pubkey)
        assert (peer.protocol, peer.relays, peer.lud16) == ("nip04", (), "")


async def test_an_answer_is_remembered_but_money_asks_again() -> None:
    dora, at = CROWD[0], now_s()

    def said(name: str, at_s: int) -> NostrEvent:
        words = profile(Profile(name=name, lud16=f"{name}@example.com"))
        return dora.sign_template(words, at_s)

    async with misbehaving() as relay, pooling(relay.url) as pool:
        now_ms = 0
        directory = Directory(pool, lambda: now_ms)
        await relay.store(said("a", at))
        assert (await directory.peer(dora.pubkey)).lud16 == "a@example.com"
        await relay.store(said("b", at + 1))
        assert (await directory.peer(dora.pubkey)).lud16 == "a@example.com"
        assert await directory.lightning_address(dora.pubkey) == "b@example.com"
        await relay.store(said("c", at + 2))
        assert (await directory.peer(dora.pubkey)).lud16 == "b@example.com"
        now_ms = REMEMBERED_MS
        assert (await directory.peer(dora.pubkey)).lud16 == "c@example.com"


async def test_a_lying_relay_cannot_redirect_money() -> None:
    dora, mallory = CROWD[:2]
    his = mallory.sign(0, json.dumps({"lud16": "mallory@example.com"}), [], now_s()).to_json()
    forged = json.dumps(json.loads(his) | {"pubkey": dora.pubkey})
    prelude = [f'["EVENT","$SUB",{event}]' for event in (his, forged)]
    async with misbehaving(prelude=prelude) as liar, pooling(liar.url) as pool:
        assert await Directory(pool, clock_ms).lightning_address(dora.pubkey) == ""
        assert pool.health()[liar.url].rejected_events == 2


async def test_the_newest_profile_counts_whichever_relay_has_it() -> None:
    dora, at = CROWD[0], now_s()
    old, new = (
        dora.sign(0, json.dumps({"lud16": f"{name}@example.com"}), [], at_s)
        for name, at_s in (("old", at - 100), ("new", at))
    )
    async with misbehaving() as one, misbehaving() as two, pooling(one.url, two.url) as pool:
        await one.store(old)
        await two.store(new)
        directory = Directory(pool, clock_ms)
        assert await directory.lightning_address(dora.pubkey) == "new@example.com"
        # What cannot be read is not a reason to pay to an address that he has given up.
        await one.store(dora.sign(0, "not json", [], at + 5))
        assert await directory.lightning_address(dora.pubkey) == ""


async def test_whom_ours_know_nothing_of_is_looked_for_where_he_says() -> None:
    dora, ann = CROWD[:2]
    async with (
        misbehaving() as ours,
        misbehaving() as his,
        pooling(ours.url, allow_loopback=True) as pool,
    ):
        await his.store(*shown(dora), *shown(ann, "Old"))
        await ours.store(*shown(ann, "Ann"))
        directory = Directory(pool, clock_ms)
        assert await directory.lightning_address(dora.pubkey) == ""
        directory.is_found_at(dora.pubkey, [his.url])
        # What was remembered of one who was not found is forgotten.
        assert (await directory.peer(dora.pubkey)).lud16 == "dora@example.com"
        asked = his.requests
        assert await directory.lightning_address(ann.pubkey, [his.url]) == "ann@example.com"
        assert his.requests == asked


async def test_who_is_found_nowhere_is_written_to_where_he_says() -> None:
    """Beside others, who do not wait for his relays."""
    dora, ann = CROWD[:2]
    async with (
        misbehaving() as ours,
        misbehaving(silent=True) as his,
        pooling(ours.url, allow_loopback=True) as pool,
    ):
        await ours.store(*shown(ann, "Ann"))
        directory = Directory(pool, clock_ms)
        directory.is_found_at(dora.pubkey, [his.url, "wss://10.0.0.1", his.url])
        slow = asyncio.create_task(directory.peer(dora.pubkey))
        assert (await directory.peer(ann.pubkey)).lud16 == "ann@example.com"
        assert not slow.done()
        peer = await slow
        assert (peer.relays, peer.protocol) == ((his.url, "wss://10.0.0.1"), "nip04")


async def test_while_relays_are_away_nobody_knows_whether_he_has_an_address() -> None:
    dora, ann, ben = CROWD[:3]
    async with misbehaving() as here, AsyncExitStack() as stack:
        away = await stack.enter_async_context(misbehaving())
        await here.store(*shown(ann), ben.sign(0, "{}", [], now_s()))
        async with pooling(here.url, away.url) as pool:
            directory = Directory(pool, clock_ms)
            await stack.aclose()
            await until(lambda: not pool.health()[away.url].connected)
            with pytest.raises(Refused) as refused:
                await directory.lightning_address(dora.pubkey)
            assert refused.value.passing
            assert await directory.lightning_address(ann.pubkey) == "dora@example.com"
            assert await directory.lightning_address(ben.pubkey) == ""

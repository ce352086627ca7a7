from __future__ import annotations

import json

from nips.peers import FRESH_MS, PeerDirectory
from nips.profile import Profile, dm_relays, profile, relay_list
from tests.nips.hostile import misbehaving
from tests.nips.support import key_of, now_s, pooling, serving

DRIVER = key_of("driver")
MALLORY = key_of("mallory")


async def test_a_driver_is_found_with_all_he_says() -> None:
    async with serving() as relay, pooling(relay.url) as pool:
        at = now_s()
        for template in (
            profile(Profile(name="Dora", lud16="dora@example.com")),
            relay_list(["wss://w.example.com"]),
            dm_relays(["wss://dm.example.com"]),
        ):
            await pool.publish(DRIVER.sign_template(template, at))
        peer = await PeerDirectory(pool, lambda: at * 1000).look_up(DRIVER.pubkey)
        assert peer.profile is not None
        assert peer.profile.name == "Dora"
        assert peer.lightning_address == "dora@example.com"
        assert peer.dm_relays == ("wss://dm.example.com",)
        assert peer.relays.read == ("wss://w.example.com",)
        assert peer.preferred_protocol == "nip17"


async def test_whoever_names_no_message_relays_is_written_to_by_nip04() -> None:
    async with serving() as relay, pooling(relay.url) as pool:
        directory = PeerDirectory(pool, lambda: 0)
        assert await directory.preferred_protocol(DRIVER.pubkey) == "nip04"
        assert await directory.lightning_address(DRIVER.pubkey) is None


async def test_an_answer_is_remembered_but_money_asks_again() -> None:
    async with serving() as relay, pooling(relay.url) as pool:
        now = [0]
        directory = PeerDirectory(pool, lambda: now[0])
        at = now_s()
        first = profile(Profile(name="a", lud16="a@example.com"))
        second = profile(Profile(name="b", lud16="b@example.com"))
        await pool.publish(DRIVER.sign_template(first, at))
        assert (await directory.look_up(DRIVER.pubkey)).lightning_address == "a@example.com"
        await pool.publish(DRIVER.sign_template(second, at + 1))
        assert (await directory.look_up(DRIVER.pubkey)).lightning_address == "a@example.com"
        assert await directory.lightning_address(DRIVER.pubkey) == "b@example.com"
        third = profile(Profile(name="c", lud16="c@example.com"))
        await pool.publish(DRIVER.sign_template(third, at + 2))
        now[0] += FRESH_MS
        assert (await directory.look_up(DRIVER.pubkey)).lightning_address == "c@example.com"


async def test_a_lying_relay_cannot_redirect_money() -> None:
    forged = json.loads(
        MALLORY.sign(0, json.dumps({"lud16": "mallory@example.com"}), [], now_s()).to_json()
    )
    forged["pubkey"] = DRIVER.pubkey
    others = MALLORY.sign(0, json.dumps({"lud16": "mallory@example.com"}), [], now_s())
    prelude = [
        f'["EVENT","$SUB",{json.dumps(forged)}]',
        f'["EVENT","$SUB",{others.to_json()}]',
    ]
    async with misbehaving(prelude=prelude) as liar, pooling(liar.url) as pool:
        directory = PeerDirectory(pool, lambda: 0)
        assert await directory.lightning_address(DRIVER.pubkey) is None
        assert pool.health()[liar.url].rejected_events == 2


async def test_the_newest_profile_counts_even_if_an_old_one_comes_first() -> None:
    old = DRIVER.sign(0, json.dumps({"lud16": "old@example.com"}), [], now_s() - 100)
    new = DRIVER.sign(0, json.dumps({"lud16": "new@example.com"}), [], now_s())
    broken = DRIVER.sign(0, "not json", [], now_s() + 5)
    async with misbehaving() as one, misbehaving() as two, pooling(one.url, two.url) as pool:
        await one.store(old, broken)
        await two.store(new)
        directory = PeerDirectory(pool, lambda: 0)
        assert await directory.lightning_address(DRIVER.pubkey) == "new@example.com"

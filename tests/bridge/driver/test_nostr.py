"""The driver's nostr client over relays that do not all work."""

from __future__ import annotations

import time

from bridge.driver.nostr import connected
from nips.dms import KIND_NIP04_MESSAGE
from nips.filters import Filter
from tests.nips.hostile import misbehaving
from tests.nips.support import clock_ms, key_of, pooling, serving


async def test_a_relay_that_answers_nothing_does_not_hold_up_a_message() -> None:
    async with (
        misbehaving(silent=True) as mute,
        serving() as relay,
        pooling(relay.url) as reader,
        connected(key_of("dora"), (mute.url, relay.url), clock_ms) as dora,
    ):
        await dora.introduce()
        began = time.monotonic()
        await dora.say(key_of("charger").pubkey, "status", "nip04")
        assert len(await reader.fetch(Filter(kinds=(KIND_NIP04_MESSAGE,)))) == 1
        assert time.monotonic() - began < 5

"""The driver's nostr client over relays that do not all work."""

from __future__ import annotations

import socket
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import anyio
import pytest

from bridge.driver.errors import DriverError
from bridge.driver.nostr import connected
from nips.dms import KIND_NIP04_MESSAGE, DmProtocol, write_message
from nips.filters import Filter
from nips.status import ConnectorState, connector_status
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


@contextmanager
def dead_relays(count: int) -> Generator[list[str]]:
    """Addresses where a connection is taken and nothing is said, as behind a broken network."""
    with ExitStack() as stack:
        urls: list[str] = []
        for _ in range(count):
            mute = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            urls.append(f"ws://127.0.0.1:{mute.getsockname()[1]}")
        yield urls


async def test_without_a_network_it_is_said_once_for_all_relays() -> None:
    """Each relay was waited for after the other: half a minute with three."""
    told = pytest.raises(DriverError, match="no relay can be reached: ws://127")
    with dead_relays(3) as urls, anyio.fail_after(2.5), told:
        async with connected(key_of("dora"), urls, clock_ms, patience_s=1):
            pass


async def test_relays_that_are_gone_do_not_keep_one_that_is_there() -> None:
    async with serving() as relay:
        with dead_relays(3) as urls, anyio.fail_after(20):
            async with connected(
                key_of("dora"), (*urls, relay.url), clock_ms, patience_s=60
            ) as dora:
                await dora.introduce()


@pytest.mark.parametrize("protocol", ["nip04", "nip17"])
async def test_an_answer_is_known_by_the_message_that_it_names(protocol: DmProtocol) -> None:
    charger, driver, now_s = key_of("charger"), key_of("dora"), clock_ms() // 1000

    async def say(text: str, answers: str = "") -> None:
        await relay.store(
            write_message(charger, driver.pubkey, text, protocol, now_s, answers=answers)
        )

    async with misbehaving() as relay, connected(driver, (relay.url,), clock_ms) as dora:
        await dora.listen(charger.pubkey)
        earlier = await dora.say(charger.pubkey, "price", protocol)
        asked = await dora.say(charger.pubkey, "status", protocol)
        await say("Charging has begun.")
        await say("300 sat/kWh", earlier)
        await say("Connector 1 is free.", asked)
        assert (await dora.answer(charger.pubkey, asked, 10)).text == "Connector 1 is free."
        others = [(await dora.message(charger.pubkey, lambda _: True, 10)).text for _ in range(2)]
        assert others == ["Charging has begun.", "300 sat/kWh"]


async def test_a_strom_that_names_no_message_is_heard_too() -> None:
    charger, driver, now_s = key_of("charger"), key_of("dora"), clock_ms() // 1000
    async with misbehaving() as relay, connected(driver, (relay.url,), clock_ms) as dora:
        await dora.listen(charger.pubkey)
        asked = await dora.say(charger.pubkey, "status", "nip17")
        await relay.store(write_message(charger, driver.pubkey, "free", "nip17", now_s))
        assert (await dora.answer(charger.pubkey, asked, 1)).text == "free"


async def test_an_older_state_never_counts_again() -> None:
    """Not even when the newest cannot be read: a relay may keep both."""
    charger, now_s = key_of("charger"), clock_ms() // 1000
    state = ConnectorState("CP001", 1, "Available", now_s, now_s + 300)
    older = charger.sign_template(connector_status(state), now_s - 10)
    broken = charger.sign(30_716, "", [*older.tags, ("power", "much")], now_s)
    other = charger.sign_template(connector_status(replace(state, connector=2)), now_s)
    async with (
        misbehaving() as relay,
        connected(key_of("dora"), (relay.url,), clock_ms) as dora,
    ):
        await relay.store(older, broken, other)
        ((coordinate, found),) = await dora.connectors()
        assert (coordinate.identifier, found.connector) == ("CP001:2", 2)

"""Relays in trouble under a whole Strom: no session is lost, nothing is done twice, and the
published state is right again within ten seconds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import anyio

from agent.machine.events import ConnectorStatus
from nips.dms import write_message
from nips.event import NostrEvent
from nips.status import KIND_CONNECTOR_STATUS
from tests.e2e.relay_process import RelayProcess
from tests.e2e.relay_world import Place, charging_place
from tests.nips.hostile import HostileRelay, misbehaving
from tests.nips.support import key_of, now_s, serving


async def forge(place: Place, liar: HostileRelay) -> NostrEvent:
    """Words of the driver's and of the charge point's that neither of them said, before they
    did; returns the driver's true word, which is still to come."""
    said = await place.say("status")
    await place.told("sat used")
    stop = write_message(place.driver.identity, place.point, "stop", "nip04", now_s())
    shown = next(raw for raw in reversed(liar.stored) if raw["kind"] == KIND_CONNECTOR_STATUS)
    true = NostrEvent.parse(json.dumps(shown))
    free = tuple(("status", "Available") if tag[0] == "status" else tag for tag in true.tags)
    later = now_s() + 60
    mallory = key_of("mallory")
    await liar.store(
        replace(stop, sig="0" * 128),
        replace(stop, sig=said.sig),
        replace(mallory.sign(4, stop.content, stop.tags, now_s()), pubkey=stop.pubkey),
        replace(true, tags=free, created_at=later),
        replace(mallory.sign(true.kind, "", free, later), pubkey=true.pubkey),
        # The driver's own words, over and over.
        *[said] * 20,
    )
    return stop


async def test_a_relay_that_is_killed_in_the_middle(tmp_path: Path) -> None:
    relay = RelayProcess(tmp_path)
    try:
        await relay.start(tmp_path / "first")
        async with charging_place(tmp_path, [relay.url], relay.url) as place:
            await place.starts_charging()
            await place.right_again()
            relay.kill()
            await place.charger.suspend()
            await place.becomes(ConnectorStatus.SUSPENDED_EV)
            await relay.start(tmp_path / "first")
            await place.right_again()
            await place.tops_up()
            # Killed again, and what it had is lost: all of it is there again, not only what
            # changes later.
            relay.kill()
            await relay.start(tmp_path / "second")
            await place.right_again()
            await place.charger.resume()
            await place.stops_and_takes_the_change()
            await place.right_again()
            await place.all_happened_once()
    finally:
        relay.close()


async def test_a_relay_that_answers_nothing_beside_a_good_one(tmp_path: Path) -> None:
    async with (
        misbehaving(silent=True) as mute,
        serving() as good,
        charging_place(tmp_path, [mute.url, good.url], good.url) as place,
    ):
        await place.starts_charging()
        await place.right_again()
        await place.tops_up()
        await place.stops_and_takes_the_change()
        await place.right_again()
        await place.all_happened_once()


async def test_a_relay_that_sends_everything_twice_and_forges(tmp_path: Path) -> None:
    async with (
        misbehaving(repeat=3) as liar,
        charging_place(tmp_path, [liar.url], liar.url) as place,
    ):
        await place.starts_charging()
        stop = await forge(place, liar)
        await place.right_again()
        await place.tops_up()
        assert len(place.texts("sat used")) == 1
        await place.stops_and_takes_the_change(stop)
        await place.right_again()
        await place.all_happened_once()


async def test_a_relay_that_drops_everybody_every_five_seconds(tmp_path: Path) -> None:
    async with (
        misbehaving(drop_after_s=5) as flaky,
        charging_place(tmp_path, [flaky.url], flaky.url) as place,
    ):
        await place.starts_charging()
        await place.right_again()
        await place.tops_up()
        dropped = flaky.connections
        while flaky.connections < dropped + 4:
            await anyio.sleep(0.02)
        await place.right_again()
        await place.stops_and_takes_the_change()
        await place.right_again()
        await place.all_happened_once()

"""What relays have of a charge point, and what is taken back when that is gone: over a relay."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.config.tables import Config, checked
from bridge.app import App
from nips.embedded_relay import EmbeddedRelay
from nips.event import NostrEvent
from nips.filters import Filter
from nips.identity import Identity
from nips.relays import RelayPool
from nips.status import KIND_DELETION
from tests.bridge.ocpp.wire import now_ms
from tests.nips.support import until

POINT: dict[str, Any] = {
    "name": "Old Mill",
    "tariff": "day",
    "location": {"latitude": 52.52, "longitude": 13.405, "address": "Mill Lane 1"},
}
TWO = [{**POINT, "id": "CP001", "connectors": [{"id": 1}, {"id": 2}]}, {**POINT, "id": "CP002"}]


def config(folder: Path, relay: str, points: list[dict[str, Any]], **nostr: Any) -> Config:
    raw: dict[str, object] = {
        "strom": {"http_listen": "127.0.0.1:0", "ocpp_listen": "127.0.0.1:0"},
        "nostr": {"relays": [relay], **nostr},
        "tariffs": {"day": {"energy_per_kwh": 300}},
        "charge_points": points,
    }
    return checked(raw, folder / "strom.toml")


class Reader:
    """Somebody who reads the relay."""

    def __init__(self, pool: RelayPool) -> None:
        self._pool = pool
        self._incoming = pool.incoming()

    async def of(self, pubkey: str, *kinds: int) -> list[NostrEvent]:
        return await self._pool.fetch(Filter(kinds=kinds, authors=(pubkey,)))

    async def until(
        self, pubkey: str, kinds: tuple[int, ...], fits: Callable[[list[NostrEvent]], bool]
    ) -> list[NostrEvent]:
        """What the relay has of somebody once that fits."""
        await self._pool.subscribe("watched", Filter(kinds=kinds, authors=(pubkey,)))
        while not fits(found := await self.of(pubkey, *kinds)):
            await anext(self._incoming)
        return found


@asynccontextmanager
async def relay_and_reader(folder: Path) -> AsyncGenerator[tuple[str, Reader]]:
    relay = EmbeddedRelay("127.0.0.1", 0, folder / "relay")
    await relay.open()
    pool = RelayPool(now_ms, allow_loopback=True)
    pool.set_identities([Identity.generate()])
    await pool.open([relay.url])
    try:
        await pool.wait_connected(relay.url, 5)
        yield relay.url, Reader(pool)
    finally:
        await pool.close()
        await relay.close()


@asynccontextmanager
async def served(settings: Config) -> AsyncGenerator[App]:
    async with App.open(settings, now_ms) as app:
        yield app


async def test_a_charge_point_that_left_the_file_is_taken_back(tmp_path: Path) -> None:
    """Also when Strom was not running while the file was edited."""
    async with relay_and_reader(tmp_path) as (url, reader):
        async with served(config(tmp_path, url, TWO)) as app:
            gone, stays = (app.identities[name].pubkey for name in ("CP002", "CP001"))
            await reader.until(gone, (0, 30_716), lambda found: len(found) == 2)
            await reader.until(stays, (30_716,), lambda found: len(found) == 2)
        one = [{**POINT, "id": "CP001", "connectors": [{"id": 1}]}]
        async with served(config(tmp_path, url, one)):
            (deletion,) = await reader.until(gone, (KIND_DELETION,), bool)
            named = {tag[1] for tag in deletion.tags_named("a")}
            assert {f"0:{gone}:", f"30716:{gone}:CP002:1", f"30315:{gone}:general"} <= named
            assert {tag[1] for tag in deletion.tags_named("k")} >= {"0", "30315", "30402", "30716"}
            left_over = await reader.of(gone, 0, 30_315, 30_402, 30_716)
            assert left_over == []
            # Of the one that stays only the connector that is gone was taken back.
            (partly,) = await reader.until(stays, (KIND_DELETION,), bool)
            assert {tag[1] for tag in partly.tags_named("a")} == {
                f"30402:{stays}:CP001:2",
                f"30716:{stays}:CP001:2",
            }
            left = await reader.of(stays, 0, 30_716)
            assert sorted(event.kind for event in left) == [0, 30_716]
        async with served(config(tmp_path, url, one)):
            await reader.until(stays, (0,), bool)
            assert len(await reader.of(gone, KIND_DELETION)) == 1


async def test_a_charge_point_whose_key_is_gone_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    (tmp_path / "own").touch(mode=0o600)
    (tmp_path / "own").write_text(Identity.generate().nsec)
    own = [TWO[0], {**TWO[1], "nsec_file": "own"}]
    async with relay_and_reader(tmp_path) as (url, reader):
        async with served(config(tmp_path, url, own)) as app:
            gone = app.identities["CP002"].pubkey
            await reader.until(gone, (30_716,), bool)
        (tmp_path / "own").unlink()
        async with served(config(tmp_path, url, [TWO[0]])) as app:
            await reader.until(app.identities["CP001"].pubkey, (30_716,), bool)
            await until(lambda: "CP002: the key under which it published is gone" in caplog.text)


async def test_places_in_two_drafts_where_they_are_wanted(tmp_path: Path) -> None:
    kinds = [37_515, 4326]
    async with relay_and_reader(tmp_path) as (url, reader):
        async with served(config(tmp_path, url, TWO, place_kinds=kinds)) as app:
            pubkey = app.identities["CP001"].pubkey
            first = await reader.until(pubkey, (37_515, 4326), lambda found: len(found) == 2)
        place, geometry = sorted(first, key=lambda event: -event.kind)
        feature = json.loads(place.content)
        assert feature["properties"]["name"] == "Old Mill"
        longitude, latitude = json.loads(geometry.content)["coordinates"]
        # A geohash of five characters: as exact as that, and no more.
        assert (latitude, longitude) != (52.52, 13.405)
        assert abs(latitude - 52.52) < 0.05
        async with served(config(tmp_path, url, TWO, place_kinds=kinds)):
            await reader.until(pubkey, (0,), bool)
            again = await reader.until(pubkey, (4326,), bool)
            assert [event.id for event in again] == [geometry.id]
        # The second start may have published its place anew.
        (place,) = await reader.of(pubkey, 37_515)
        async with served(config(tmp_path, url, TWO)):
            (deletion,) = await reader.until(pubkey, (KIND_DELETION,), bool)
            named = {tag[1] for tag in deletion.tags if tag[0] in "ea"}
            assert named == {geometry.id, place.id, f"37515:{pubkey}:CP001"}
            assert await reader.of(pubkey, *kinds) == []

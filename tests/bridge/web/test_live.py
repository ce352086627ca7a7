"""The live session page's websocket, over real sockets."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from bridge.web.live import MAX_VIEWERS_PER_SESSION
from bridge.web.parts import CLOSE_OVER, CLOSE_TOO_MANY, CLOSE_UNKNOWN
from tests.bridge.http_world import HttpWorld


def live(world: HttpWorld, secret: str, **headers: str) -> connect:
    url = world.url.replace("http", "ws", 1)
    return connect(f"{url}/s/{secret}/live", additional_headers=headers)


async def parts(socket: ClientConnection) -> dict[str, str]:
    return json.loads(await socket.recv())


async def close_code(socket: ClientConnection) -> int | None:
    with suppress(ConnectionClosed):
        while True:
            await socket.recv()
    return socket.close_code


async def test_all_parts_first_then_what_changed(world: HttpWorld) -> None:
    view = await world.charging(sats=1000, energy_wh=1000)
    async with live(world, view.secret) as socket:
        first = await parts(socket)
        assert set(first) == {"now", "curve", "actions", "account"}
        assert "1.00" in first["now"]
        await world.meter(view, 1500)
        second = await parts(socket)
        assert "1.50" in second["now"]
        assert "actions" not in second


async def test_catches_up_after_a_gap(world: HttpWorld) -> None:
    view = await world.charging(sats=1000, energy_wh=1000)
    async with live(world, view.secret) as socket:
        await parts(socket)
    await world.meter(view, 2000)
    async with live(world, view.secret) as socket:
        assert "2.00" in (await parts(socket))["now"]


async def test_ends_when_nothing_can_change_any_more(world: HttpWorld) -> None:
    view = await world.charging(sats=300, energy_wh=500)
    async with live(world, view.secret) as socket:
        await parts(socket)
        await world.end(view, 1000)
        assert await close_code(socket) == CLOSE_OVER


async def test_speaks_the_drivers_language(world: HttpWorld) -> None:
    view = await world.charging(energy_wh=1500)
    async with live(world, view.secret, **{"Accept-Language": "de"}) as socket:
        assert "1,50" in (await parts(socket))["now"]


async def test_a_charge_point_at_the_wrong_port_is_told_so_and_the_operator_too(
    world: HttpWorld, caplog: pytest.LogCaptureFixture
) -> None:
    url = world.url.replace("http", "ws", 1)
    with pytest.raises(InvalidStatus) as caught:
        async with connect(f"{url}/ocpp/CP001", subprotocols=[Subprotocol("ocpp1.6")]):
            pass
    assert caught.value.response.status_code == 404
    assert b"the port of ocpp_listen" in caught.value.response.body
    assert "a charge point came to http_listen" in caplog.text


async def test_an_unknown_secret_is_told_to_stay_away(world: HttpWorld) -> None:
    async with live(world, "a" * 22) as socket:
        assert await close_code(socket) == CLOSE_UNKNOWN


async def test_a_page_of_another_site_hears_nothing(world: HttpWorld) -> None:
    view = await world.charging()
    with pytest.raises(InvalidStatus, match="403"):
        async with live(world, view.secret, Origin="https://evil.example"):
            pass


async def test_viewers_of_one_session_are_bounded(world: HttpWorld) -> None:
    view = await world.charging()
    sockets = [await live(world, view.secret) for _ in range(MAX_VIEWERS_PER_SESSION)]
    async with live(world, view.secret) as socket:
        assert await close_code(socket) == CLOSE_TOO_MANY
    for socket in sockets:
        await socket.close()

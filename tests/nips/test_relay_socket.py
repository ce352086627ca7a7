"""The socket alone: where it connects to, what it says of it, and that it comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from nips.errors import InvalidRelayUrl, NotConnected
from nips.relay_socket import MAX_FRAME_BYTES, RelaySocket
from tests.nips.support import until


@dataclass
class Ear:
    """Remembers what a socket told."""

    ups: int = 0
    downs: list[str] = field(default_factory=list[str])
    frames: list[bytes] = field(default_factory=list[bytes])

    def came_up(self) -> None:
        self.ups += 1

    def went_down(self, reason: str) -> None:
        self.downs.append(reason)

    async def frame(self, frame: bytes) -> None:
        self.frames.append(frame)


@asynccontextmanager
async def listening(url: str) -> AsyncGenerator[tuple[RelaySocket, Ear]]:
    ear = Ear()
    socket = RelaySocket(url, ear)
    socket.open()
    try:
        yield socket, ear
    finally:
        await socket.close()


async def _echo(connection: ServerConnection) -> None:
    async for frame in connection:
        await connection.send(frame)


def _url(server: Server) -> str:
    return f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


async def test_what_is_sent_and_what_comes_back() -> None:
    async with (
        serve(_echo, "127.0.0.1", 0) as server,
        listening(_url(server)) as (socket, ear),
    ):
        await until(lambda: socket.is_connected)
        await socket.send('["REQ"]')
        await until(lambda: ear.frames == [b'["REQ"]'])
    assert not socket.is_connected
    with pytest.raises(NotConnected):
        await socket.send("late")


async def test_a_relay_that_is_not_there_yet_is_found_when_it_comes() -> None:
    async with serve(_echo, "127.0.0.1", 0) as server:
        url = _url(server)
    async with listening(url) as (socket, ear):
        await until(lambda: bool(ear.downs))
        assert "cannot be reached" in ear.downs[0]
        assert socket.failures >= 1
        async with serve(_echo, "127.0.0.1", int(url.rpartition(":")[2])):
            await until(lambda: ear.ups == 1)
        await until(lambda: ear.downs[-1] == "the connection to the relay was lost")


async def test_a_relay_does_not_send_us_elsewhere() -> None:
    visitors = 0

    async def elsewhere(connection: ServerConnection) -> None:
        nonlocal visitors
        visitors += 1
        await connection.wait_closed()

    async with serve(elsewhere, "127.0.0.1", 0) as target:

        def redirect(connection: ServerConnection, request: Request) -> Response:
            del connection, request
            return Response(HTTPStatus.FOUND, "Found", Headers({"Location": _url(target)}))

        async with (
            serve(_echo, "127.0.0.1", 0, process_request=redirect) as server,
            listening(_url(server)) as (socket, ear),
        ):
            await until(lambda: socket.failures >= 2)
            assert ear.ups == 0
    assert visitors == 0


async def test_a_frame_too_large_costs_the_relay_its_connection_and_us_no_memory() -> None:
    async def boast(connection: ServerConnection) -> None:
        await connection.send("x" * (MAX_FRAME_BYTES + 1))
        await connection.wait_closed()

    async with (
        serve(boast, "127.0.0.1", 0) as server,
        listening(_url(server)) as (_, ear),
    ):
        await until(lambda: ear.ups == 2)
        assert ear.frames == []


async def test_a_slow_listener_slows_the_relay_down_and_loses_nothing() -> None:
    sent = 0

    async def talk(connection: ServerConnection) -> None:
        nonlocal sent
        for number in range(200):
            await connection.send(f"{number} {'x' * 50_000}")
            sent += 1
        await connection.wait_closed()

    class Slow(Ear):
        def __init__(self) -> None:
            super().__init__()
            self.may_go_on = asyncio.Event()

        async def frame(self, frame: bytes) -> None:
            await self.may_go_on.wait()
            await super().frame(frame)

    ear = Slow()
    async with serve(talk, "127.0.0.1", 0, compression=None) as server:
        socket = RelaySocket(_url(server), ear)
        socket.open()
        await until(lambda: sent > 0)
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.2)
        assert sent < 200
        ear.may_go_on.set()
        await until(lambda: len(ear.frames) == 200)
        assert [int(frame.split()[0]) for frame in ear.frames] == list(range(200))
        await socket.close()


@pytest.mark.parametrize("url", ["", "http://x", "ws://[::1"])
async def test_what_is_no_websocket_is_refused(url: str) -> None:
    with pytest.raises(InvalidRelayUrl):
        RelaySocket(url, Ear()).open()

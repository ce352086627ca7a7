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
from nips.public_hosts import PublicHosts
from nips.relay_socket import MAX_FRAME_BYTES, RelaySocket
from tests.far_names import Certified, Resolver
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
async def listening(
    url: str, hosts: PublicHosts | None = None
) -> AsyncGenerator[tuple[RelaySocket, Ear]]:
    ear = Ear()
    socket = RelaySocket(url, ear, hosts)
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
            # Nothing tells that it is held up: it is where it comes no further for a while.
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


async def test_a_name_that_means_this_machine_the_next_time_is_not_connected_to() -> None:
    """DNS rebinding: public when it is asked for first, private when it is connected to."""
    visitors = 0

    async def inside(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal visitors
        visitors += 1
        writer.close()

    server = await asyncio.start_server(inside, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        for private in ("127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"):
            resolver = Resolver([["8.8.8.8"], [private]])
            hosts = PublicHosts(allow_loopback=True, lookup=resolver)
            assert await hosts.addresses("relay.example.com", port) == ("8.8.8.8",)
            async with listening(f"wss://relay.example.com:{port}", hosts) as (socket, ear):
                await until(lambda: socket.failures >= 2)
                assert "relay.example.com is not a public server" in ear.downs[0]
                assert ear.ups == 0
            assert len(resolver.asked) >= 3
    assert visitors == 0


async def test_the_address_that_was_judged_is_connected_to_under_the_relay_s_name() -> None:
    paths: list[str | None] = []

    async def note(connection: ServerConnection) -> None:
        assert connection.request is not None
        paths.append(connection.request.headers["Host"])
        await connection.wait_closed()

    tls, resolver = Certified("localhost"), Resolver([["::1", "127.0.0.2"]])
    # Nobody listens at ::1, and the system's resolver knows nothing of 127.0.0.2.
    async with serve(note, "127.0.0.2", 0, ssl=tls.server) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        hosts = PublicHosts(True, resolver, tls.client)
        async with listening(f"wss://localhost:{port}", hosts) as (_, ear):
            await until(lambda: ear.ups == 1)
            await until(lambda: paths == [f"localhost:{port}"])
    assert resolver.asked == [("localhost", port)]
    assert tls.wanted == ["localhost"]


async def test_a_certificate_counts_for_the_name_and_not_for_the_address() -> None:
    tls = Certified("127.0.0.2")
    async with serve(_echo, "127.0.0.2", 0, ssl=tls.server) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        hosts = PublicHosts(True, Resolver([["127.0.0.2"]]), tls.client)
        async with listening(f"wss://localhost:{port}", hosts) as (socket, ear):
            await until(lambda: socket.failures >= 1)
            assert "certificate" in ear.downs[0]
            assert ear.ups == 0


async def test_a_relay_that_comes_back_elsewhere_is_judged_again() -> None:
    resolver = Resolver([["127.0.0.2"], ["10.0.0.1"]])

    async def leave(connection: ServerConnection) -> None:
        await connection.close()

    async with serve(leave, "127.0.0.2", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        hosts = PublicHosts(True, resolver)
        async with listening(f"ws://localhost:{port}", hosts) as (socket, ear):
            await until(lambda: socket.failures >= 1)
            assert ear.ups == 1
            assert "not a public server" in ear.downs[-1]

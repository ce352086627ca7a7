"""A charger's websocket: on none of its ways is a message lost, or overtaken by another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

from bridge.ocpp.heard_connection import HeardConnection


@asynccontextmanager
async def connected() -> AsyncGenerator[tuple[HeardConnection, ClientConnection]]:
    """Both ends of a connection."""
    met: asyncio.Future[HeardConnection] = asyncio.get_running_loop().create_future()

    async def keep(socket: ServerConnection) -> None:
        assert isinstance(socket, HeardConnection)
        met.set_result(socket)
        await socket.wait_closed()

    async with (
        serve(keep, "127.0.0.1", 0, create_connection=HeardConnection, max_size=1 << 21) as server,
        connect(
            f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}",
            max_size=1 << 21,
            proxy=None,
        ) as client,
    ):
        yield await met, client


@pytest.mark.parametrize("length", [0, 1, 125, 126, 127, 65_535, 65_536, 1_000_000])
async def test_a_text_of_any_length_arrives_whole(length: int) -> None:
    async with connected() as (socket, client):
        text = "x" * length
        await socket.tell(text.encode())
        assert await client.recv() == text


@pytest.mark.parametrize(
    "sent",
    [
        ["one", "two", "three"],
        ["one", ["frag", "men", "ted"], "two"],
        [["frag", "mented"], "one", b"two", ["again", "", "in parts"]],
        ["", "x" * 70_000, "y"],
    ],
)
async def test_messages_are_heard_in_their_order(sent: Sequence[str | bytes | list[str]]) -> None:
    async with connected() as (socket, client):
        said = ["".join(one) if isinstance(one, list) else one for one in sent]
        expected = [one.encode() if isinstance(one, str) else one for one in said]

        async def speak() -> None:
            for one in sent:
                await client.send(one)
                await client.ping()

        # Once as they come, and once when all are there.
        heard = asyncio.gather(*[asyncio.create_task(in_turn(socket, len(sent)))])
        await speak()
        assert await heard == [expected]
        await speak()
        await (await client.ping())
        assert await in_turn(socket, len(sent)) == expected


async def in_turn(socket: HeardConnection, count: int) -> list[bytes]:
    return [await socket.hear() for _ in range(count)]


async def test_a_message_that_comes_as_nobody_waits_any_more_is_heard_next() -> None:
    async with connected() as (socket, client):
        waiting = asyncio.create_task(socket.hear())
        await (await client.ping())
        socket.process_event(Frame(Opcode.TEXT, b"first"))
        socket.process_event(Frame(Opcode.TEXT, b"second"))
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting
        assert await in_turn(socket, 2) == [b"first", b"second"]


async def test_who_waits_hears_of_the_end() -> None:
    async with connected() as (socket, client):
        waiting = asyncio.create_task(socket.hear())
        await client.send("last")
        assert await waiting == b"last"
        waiting = asyncio.create_task(socket.hear())
        await client.close()
        with pytest.raises(ConnectionClosed):
            await waiting
        with pytest.raises(ConnectionClosed):
            await socket.hear()
        with pytest.raises(ConnectionClosed):
            await socket.tell(b"nobody")

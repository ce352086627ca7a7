"""A charger's websocket: on none of its ways is a message lost, or overtaken by another."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import pairwise

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import Event

from bridge.ocpp.heard_connection import HeardConnection


@asynccontextmanager
async def connected(
    kind: type[HeardConnection] = HeardConnection,
) -> AsyncGenerator[tuple[HeardConnection, ClientConnection]]:
    """Both ends of a connection."""
    met: asyncio.Future[HeardConnection] = asyncio.get_running_loop().create_future()

    async def keep(socket: ServerConnection) -> None:
        assert isinstance(socket, HeardConnection)
        met.set_result(socket)
        await socket.wait_closed()

    async with (
        serve(
            keep, "127.0.0.1", 0, create_connection=kind, compression=None, max_size=1 << 21
        ) as server,
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


class Watched(HeardConnection):
    """Counts the frames that the library read."""

    parsed = 0

    def process_event(self, event: Event) -> None:
        """A frame came that the library read."""
        self.parsed += 1
        super().process_event(event)


def masked(opcode: Opcode, data: bytes, fin: bool = True) -> bytes:
    """A frame as a charger sends it."""
    return Frame(opcode, data, fin).serialize(mask=True)


async def test_a_text_that_comes_whole_to_who_waits_is_not_read_by_the_library() -> None:
    async with connected(Watched) as (socket, client):
        assert isinstance(socket, Watched)
        for length in (0, 1, 125, 126, 127, 9_000, 65_535):
            before = socket.parsed
            for _ in range(2):
                waiting = asyncio.create_task(socket.hear())
                # It waits before anything comes.
                await asyncio.sleep(0)
                client.transport.write(masked(Opcode.TEXT, b"x" * length))
                assert await waiting == b"x" * length
            if length <= 9_000:
                # A socket may hand a longer one over in parts.
                assert socket.parsed <= before + (length == 0)


@pytest.mark.parametrize("seed", range(40))
async def test_frames_are_heard_whole_wherever_their_bytes_are_cut(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311  no secret
    async with connected() as (socket, client):
        expected: list[bytes] = []
        heard: list[bytes] = []

        async def hear() -> None:
            while True:
                heard.append(await socket.hear())

        hearing = asyncio.create_task(hear())
        for _ in range(60):
            wire, texts = random_frames(chance)
            expected += texts
            cuts = sorted(chance.sample(range(len(wire)), min(len(wire), chance.randrange(4))))
            for begin, end in pairwise([0, *cuts, len(wire)]):
                # As the socket would hand them over: each part by itself.
                socket.data_received(wire[begin:end])
                if chance.random() < 0.7:
                    # Whoever hears has his turn in between.
                    await asyncio.sleep(0)
        await (await client.ping())
        assert heard + await in_turn(socket, len(expected) - len(heard)) == expected
        hearing.cancel()


def random_frames(chance: random.Random) -> tuple[bytes, list[bytes]]:
    """Some frames in a row, and the messages in them."""
    wire, messages = b"", list[bytes]()
    for _ in range(chance.randrange(1, 4)):
        text = chance.randbytes(chance.choice((0, 1, 5, 125, 126, 127, 600, 65_536)))
        kind = chance.choice(("whole", "whole", "binary", "parts", "ping", "parts with a ping"))
        if kind == "ping":
            wire += masked(Opcode.PING, text[:125])
            continue
        messages.append(text)
        if kind.startswith("parts"):
            middle = masked(Opcode.PING, b"there?") if "ping" in kind else b""
            at = chance.randrange(len(text) + 1)
            wire += masked(Opcode.TEXT, text[:at], fin=False) + middle
            wire += masked(Opcode.CONT, text[at:])
        else:
            wire += masked(Opcode.BINARY if kind == "binary" else Opcode.TEXT, text)
    return wire, messages


async def test_what_looks_like_a_frame_within_another_is_a_part_of_that() -> None:
    async with connected() as (socket, client):
        inner = masked(Opcode.TEXT, b"not a message")
        # A mask of zeros leaves what is masked as it is.
        outer = b"\x81" + bytes([0x80 | (len(inner) * 2 + 1)]) + bytes(4) + inner + inner + b"."
        await client.send("first")
        assert await socket.hear() == b"first"
        waiting = asyncio.create_task(socket.hear())
        # It waits before anything comes.
        await asyncio.sleep(0)
        parts = (outer[:2], outer[2 : -2 * len(inner) - 1], inner, inner, b".")
        for part in parts:
            socket.data_received(part)
            # Whoever hears has his turn in between.
            await asyncio.sleep(0)
        assert await waiting == inner * 2 + b"."


async def test_a_text_within_another_is_a_breach_of_the_protocol() -> None:
    async with connected() as (socket, client):
        await client.send("first")
        assert await socket.hear() == b"first"
        waiting = asyncio.create_task(socket.hear())
        # It waits before anything comes.
        await asyncio.sleep(0)
        socket.data_received(masked(Opcode.TEXT, b"begun", fin=False))
        # Whoever hears has his turn in between.
        await asyncio.sleep(0)
        socket.data_received(masked(Opcode.TEXT, b"whole"))
        with pytest.raises(ConnectionClosed) as ended:
            await waiting
        assert ended.value.sent is not None
        assert ended.value.sent.code == CloseCode.PROTOCOL_ERROR


async def test_a_text_that_is_larger_than_allowed_ends_the_connection() -> None:
    async with connected() as (socket, client):
        socket.frame_bytes = 100
        socket.protocol.max_message_size = 100
        waiting = asyncio.create_task(socket.hear())
        await client.send("x" * 100)
        assert await waiting == b"x" * 100
        waiting = asyncio.create_task(socket.hear())
        await client.send("x" * 101)
        with pytest.raises(ConnectionClosed) as ended:
            await waiting
        assert ended.value.sent is not None
        assert ended.value.sent.code == CloseCode.MESSAGE_TOO_BIG

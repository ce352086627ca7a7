"""Clients that keep the web server waiting: they are sent away, and nobody else notices them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from bridge.http_connections import HttpLimits
from bridge.http_server import HttpServer, listening

GET = b"GET / HTTP/1.1\r\nHost: mill\r\n\r\n"
HEAD = b"POST /form HTTP/1.1\r\nHost: mill\r\nContent-Length: 7\r\n\r\n"
PROXY = ("127.0.0.1",)
LARGE = 8_000_000


@dataclass
class Client:
    """A connection by hand."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def asks(self, data: bytes = GET) -> str:
        """The status and the body of what is answered."""
        self.writer.write(data)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
        return f"{head.split()[1]} {(await self.reader.readexactly(length)).decode()}"

    async def ended(self) -> bytes:
        """What was still sent, once the server has ended the connection."""
        try:
            return await self.reader.read()
        except ConnectionResetError:
            return b""


@dataclass
class Shop:
    """A server, and what its handlers saw."""

    stack: AsyncExitStack
    port: int
    server: HttpServer = field(init=False)
    gate: anyio.Event = field(default_factory=anyio.Event)
    gone: anyio.Event = field(default_factory=anyio.Event)
    waiting: int = 0
    now_s: float = 0

    def clock(self) -> float:
        return self.now_s

    async def comes(self, host: str = "127.0.0.1") -> Client:
        """A client that has said nothing yet."""
        reader, writer = await asyncio.open_connection(host, self.port)
        self.stack.callback(writer.close)
        return Client(reader, writer)

    async def with_connections(self, count: int) -> None:
        """Return once the server has so many."""
        with anyio.fail_after(10):
            while len(self.server.connections.connections) != count:
                await anyio.sleep(0.002)

    def later(self, seconds: float) -> None:
        """So much time goes by: first it is seen who is waited for, then how long."""
        self.server.connections.end_overdue()
        self.now_s += seconds
        self.server.connections.end_overdue()

    async def waits_for(self, count: int) -> None:
        """Return once the server waits for so many."""
        with anyio.fail_after(10):
            while sum(one.owes for one in self.server.connections.callers) != count:
                await anyio.sleep(0.002)


@asynccontextmanager
async def shop(limits: HttpLimits, proxies: tuple[str, ...] = ()) -> AsyncGenerator[Shop]:
    async def hello(request: Request) -> Response:
        return PlainTextResponse("hello")

    async def form(request: Request) -> Response:
        try:
            return PlainTextResponse((await request.body()).decode())
        except ClientDisconnect:
            here.gone.set()
            raise

    async def slow(request: Request) -> Response:
        here.waiting += 1
        await here.gate.wait()
        return PlainTextResponse("done")

    async def large(request: Request) -> Response:
        return PlainTextResponse("x" * LARGE)

    async def live(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("here")
        await websocket.receive()

    app = Starlette(
        routes=[
            Route("/", hello),
            Route("/form", form, methods=["POST"]),
            Route("/slow", slow),
            Route("/large", large),
            WebSocketRoute("/live", live),
        ]
    )
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(listening("strom.http_listen", "127.0.0.1:0"))
        group = await stack.enter_async_context(anyio.create_task_group())
        stack.callback(group.cancel_scope.cancel)
        here = Shop(await stack.enter_async_context(AsyncExitStack()), listener.getsockname()[1])
        here.server = HttpServer(app, proxies, limits, here.clock)
        await group.start(here.server.run, listener)
        yield here


async def test_half_a_request_is_waited_for_and_no_longer() -> None:
    """Its sender held his place for ever."""
    async with shop(HttpLimits(patience_s=20)) as here:
        silent, slow, half = [await here.comes() for _ in range(3)]
        slow.writer.write(GET[:-10])
        half.writer.write(HEAD + b"sat")
        await here.with_connections(3)
        # The handler of the half form is at work already.
        while not here.server.connections.tasks:
            await anyio.sleep(0.002)
        here.later(19)
        assert await slow.asks(GET[-10:]) == "200 hello"
        # Byte by byte is no request either: what counts is when all of it is there.
        slow.writer.write(GET[:5])
        await here.with_connections(3)
        await here.waits_for(3)
        here.later(20)
        assert await silent.ended() == b""
        assert (await slow.ended()).startswith(b"HTTP/1.1 408 ")
        assert (await half.ended()).startswith(b"HTTP/1.1 408 ")
        with anyio.fail_after(5):
            await here.gone.wait()
        assert await (await here.comes()).asks() == "200 hello"


async def test_the_server_itself_looks_at_the_time() -> None:
    async with shop(HttpLimits(patience_s=0)) as here:
        silent = await here.comes()
        with anyio.fail_after(10):
            assert await silent.ended() == b""


async def test_an_answer_that_takes_long_and_a_connection_at_rest_are_left_alone() -> None:
    async with shop(HttpLimits(patience_s=20), PROXY) as here:
        at_rest, waits = await here.comes(), await here.comes()
        assert await at_rest.asks() == "200 hello"
        waits.writer.write(GET.replace(b"/", b"/slow", 1))
        while not here.waiting:
            await anyio.sleep(0.002)
        here.later(3600)
        here.gate.set()
        assert await waits.asks(b"") == "200 done"
        assert await at_rest.asks() == "200 hello"


async def test_an_answer_that_nobody_reads_is_kept_no_longer() -> None:
    async with shop(HttpLimits(patience_s=20)) as here:
        deaf = await here.comes()
        deaf.writer.write(GET.replace(b"/", b"/large", 1))
        await here.waits_for(1)
        here.later(20)
        await here.with_connections(0)
        assert len(await deaf.ended()) < LARGE


async def test_a_reader_who_is_slow_gets_all_of_it() -> None:
    async with shop(HttpLimits(patience_s=20)) as here:
        slow = await here.comes()
        slow.writer.write(
            GET.replace(b"/", b"/large", 1).replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        )
        await here.waits_for(1)
        (writing,) = [one.transport for one in here.server.connections.callers]
        got, looks, unsent = 0, 0, LARGE
        while data := await slow.reader.read(1 << 16):
            got += len(data)
            if writing.get_write_buffer_size() < unsent:
                unsent = writing.get_write_buffer_size()
                looks += 1
                here.later(15)
        assert got > LARGE
        assert looks * 15 > 20


async def test_who_says_nothing_makes_room_for_who_does(caplog: pytest.LogCaptureFixture) -> None:
    async with shop(HttpLimits(connections=20), PROXY) as here:
        silent = [await here.comes() for _ in range(50)]
        await here.with_connections(20)
        for one in silent[:30]:
            assert await one.ended() == b""
        for one in silent[30:]:
            assert await one.asks() == "200 hello"
        for _ in range(30):
            assert await (await here.comes()).asks() == "200 hello"
        told = [line for line in caplog.messages if "those that say nothing are ended" in line]
        assert told == ["20 connections to http_listen at once: those that say nothing are ended"]


async def test_who_is_being_answered_keeps_his_place() -> None:
    async with shop(HttpLimits(connections=3), PROXY) as here:
        drivers = [await here.comes() for _ in range(3)]
        for driver in drivers:
            driver.writer.write(GET.replace(b"/", b"/slow", 1))
        while here.waiting < 3:
            await anyio.sleep(0.002)
        assert (await (await here.comes()).ended()).startswith(b"HTTP/1.1 503 ")
        here.gate.set()
        for driver in drivers:
            assert await driver.asks(b"") == "200 done"
        assert await (await here.comes()).asks() == "200 hello"


async def test_one_address_takes_its_own_places_and_not_those_of_others() -> None:
    async with shop(HttpLimits(connections_per_address=5), ("127.0.0.2",)) as here:
        silent = [await here.comes() for _ in range(12)]
        await here.with_connections(5)
        for one in silent[:7]:
            assert await one.ended() == b""
        for one in silent[7:]:
            assert await one.asks() == "200 hello"


async def test_a_trusted_proxy_comes_for_many() -> None:
    async with shop(HttpLimits(connections_per_address=5), PROXY) as here:
        proxied = [await here.comes() for _ in range(12)]
        for one in proxied:
            assert await one.asks() == "200 hello"
        assert len(here.server.connections.connections) == 12


async def test_a_proxy_that_is_not_trusted_is_told_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Where Strom is in a container, its proxy comes from 172.17.0.1 and not from this machine."""
    forwarded = GET.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n")
    async with shop(HttpLimits(), PROXY) as here:
        assert await (await here.comes()).asks(forwarded) == "200 hello"
        assert not caplog.messages
    async with shop(HttpLimits()) as here:
        for _ in range(2):
            assert await (await here.comes()).asks(forwarded) == "200 hello"
    assert caplog.messages == [
        "requests come through a proxy at 127.0.0.1, which is not among trusted_proxies: "
        "all drivers behind it count as one, and share the limits of one"
    ]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: mill\r\n" + b"X: " + b"y" * 5_000, b"431"),
        (b"GET / HTTP/1.1\r\nHost: mill\r\n" + b"X: y\r\n" * 1_000, b"431"),
        (HEAD.replace(b"7", b"9000") + b"y" * 5_000, b"413"),
    ],
)
async def test_a_request_has_a_largest_size(data: bytes, status: bytes) -> None:
    """A head without an end was kept in memory for as long as it came."""
    async with shop(HttpLimits(request_bytes=4_096)) as here:
        client = await here.comes()
        client.writer.write(data)
        assert (await client.ended()).startswith(b"HTTP/1.1 " + status)


async def test_many_small_requests_on_one_connection_are_not_one_large_one() -> None:
    async with shop(HttpLimits(request_bytes=100)) as here:
        client = await here.comes()
        for _ in range(20):
            assert await client.asks() == "200 hello"
            assert await client.asks(HEAD + b"sat=100") == "200 sat=100"


async def test_live_pages_have_places_of_their_own() -> None:
    async with shop(HttpLimits(connections=2, websockets=3, patience_s=20), PROXY) as here:
        url = f"ws://127.0.0.1:{here.port}/live"
        async with AsyncExitStack() as pages:
            for _ in range(3):
                page = await pages.enter_async_context(connect(url, proxy=None))
                assert await page.recv() == "here"
            with pytest.raises(InvalidStatus, match="503"):
                await connect(url, proxy=None)
            here.later(3600)
            for _ in range(3):
                assert await (await here.comes()).asks() == "200 hello"
        while here.server.connections.watchers:
            await anyio.sleep(0.002)
        async with connect(url, proxy=None) as page:
            assert await page.recv() == "here"


async def test_live_pages_count_for_their_address() -> None:
    async with shop(HttpLimits(connections_per_address=2)) as here:
        url = f"ws://127.0.0.1:{here.port}/live"
        async with connect(url, proxy=None) as first, connect(url, proxy=None) as second:
            assert (await first.recv(), await second.recv()) == ("here", "here")
            assert (await (await here.comes()).ended()).startswith(b"HTTP/1.1 503 ")
        await here.with_connections(0)
        assert await (await here.comes()).asks() == "200 hello"


def test_a_process_that_may_open_few_files_keeps_some_for_chargers() -> None:
    limits = HttpLimits().within(1024)
    assert (limits.connections, limits.websockets) == (256, 512)
    assert HttpLimits().within(65_536) == HttpLimits()

"""Who comes and does not let go: the server closes in its time, whatever is still open."""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bridge.ocpp.limits import Limits
from bridge.ocpp.security.tls import server_context
from bridge.ocpp.server import AuthPolicy, OcppServer, TlsListener
from tests.bridge.ocpp.pki import Authority
from tests.bridge.ocpp.recorder import RecordingSite
from tests.bridge.ocpp.wire import now_ms, serving

LIMITS = Limits(goodbye_s=0.2)
IN_TIME_S = 5
"""Less than what a handshake may take (10 s), and what is silent (60 s)."""

HELLO = (
    "GET /ocpp/CP001 HTTP/1.1\r\n"
    "Host: strom.example\r\n"
    "Connection: Upgrade\r\n"
    "Upgrade: websocket\r\n"
    f"Sec-WebSocket-Key: {b64encode(b'0123456789abcdef').decode()}\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Protocol: ocpp1.6\r\n"
    "\r\n"
).encode()
_CODE = (1000).to_bytes(2, "big")
GOODBYE = b"\x88\x82\x00\x00\x00\x00" + _CODE
"""A close frame with code 1000, masked with zeros (RFC 6455 section 5.5.1)."""
ANSWER = b"\x88\x02" + _CODE


class Stranger:
    """A socket of which nothing is closed, whatever the server does."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def open(self) -> None:
        """Become a websocket."""
        self._writer.write(HELLO)
        assert b" 101 " in await self._reader.readuntil(b"\r\n\r\n")

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def say_goodbye(self) -> None:
        """Close the websocket, and nothing else."""
        self._writer.write(GOODBYE)
        await self._reader.readuntil(ANSWER)

    async def rest(self) -> bytes:
        """All that comes until the server has closed its end or cut the connection."""
        try:
            return await self._reader.read()
        except ConnectionResetError:
            return b""


@asynccontextmanager
async def stranger(port: int) -> AsyncGenerator[Stranger]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Stranger(reader, writer)
    finally:
        writer.transport.abort()


async def test_a_charger_that_says_goodbye_and_stays_is_gone() -> None:
    """Some close the websocket and keep the socket: it counts as connected no longer."""
    site = RecordingSite("CP001")
    point = site.points["CP001"]
    async with serving(site, limits=LIMITS) as server, stranger(server.port) as charger:
        await charger.open()
        await point.until(lambda: bool(point.chargers))
        async with asyncio.timeout(IN_TIME_S):
            await charger.say_goodbye()
            await point.until(lambda: not point.chargers)
            assert await charger.rest() == b""


@pytest.mark.parametrize("said", ["nothing", "half a request", "a websocket", "goodbye"])
async def test_the_server_closes_while_somebody_does_not(said: str) -> None:
    async with (
        serving(RecordingSite("CP001"), limits=LIMITS) as server,
        stranger(server.port) as charger,
        asyncio.timeout(IN_TIME_S),
    ):
        if said == "half a request":
            charger.send(HELLO[:40])
        elif said != "nothing":
            await charger.open()
        if said == "goodbye":
            await charger.say_goodbye()
        await server.close()
        await charger.rest()
        assert server.connected() == ()


async def test_the_server_closes_in_the_middle_of_a_tls_handshake(tmp_path: Path) -> None:
    context: ssl.SSLContext = server_context(Authority(tmp_path).server())
    server = OcppServer(
        RecordingSite("CP001"),
        "127.0.0.1:0",
        lambda _: AuthPolicy(),
        now_ms,
        limits=LIMITS,
        tls=TlsListener("127.0.0.1:0", context),
    )
    await server.start()
    async with stranger(server.tls_port) as charger:
        charger.send(b"\x16\x03\x01")
        async with asyncio.timeout(IN_TIME_S):
            await server.close()

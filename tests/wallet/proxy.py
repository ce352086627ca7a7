"""A TCP proxy that misbehaves on demand: it holds answers back, cuts connections, or asks for
something else."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.stapled import MultiListener


class Proxy:
    """Between a wallet and its backend on loopback."""

    def __init__(self, upstream_port: int) -> None:
        self._upstream_port = upstream_port
        self._answers_flow = anyio.Event()
        self._answers_flow.set()
        self._scopes: set[anyio.CancelScope] = set()
        self._hold_from: bytes | None = None
        self._replaced: tuple[bytes, bytes] | None = None
        self.port = 0

    def hold_from(self, request: bytes) -> None:
        """From the next request with these bytes in it on, requests arrive but stay unanswered."""
        self._hold_from = request

    def replace(self, words: bytes, others: bytes) -> None:
        """From now on, requests arrive with other words in the place of these."""
        self._replaced = words, others

    def release_answers(self) -> None:
        """Let all answers through again."""
        self._answers_flow.set()

    def cut(self) -> None:
        """Break all connections."""
        for scope in tuple(self._scopes):
            scope.cancel()

    async def serve(self, client: SocketStream) -> None:
        """One connection."""
        with anyio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                async with (
                    client,
                    await anyio.connect_tcp("127.0.0.1", self._upstream_port) as server,
                    anyio.create_task_group() as group,
                ):
                    group.start_soon(self._requests, client, server)
                    await self._answers(server, client)
                    group.cancel_scope.cancel()
            except* (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
                pass
            finally:
                self._scopes.discard(scope)

    async def _requests(self, client: SocketStream, server: SocketStream) -> None:
        async for chunk in client:
            if self._hold_from is not None and self._hold_from in chunk:
                self._hold_from = None
                self._answers_flow = anyio.Event()
            await server.send(chunk.replace(*self._replaced) if self._replaced else chunk)
        await server.send_eof()

    async def _answers(self, server: SocketStream, client: SocketStream) -> None:
        async for chunk in server:
            await self._answers_flow.wait()
            await client.send(chunk)


@asynccontextmanager
async def proxy(upstream_port: int, port: int = 0) -> AsyncGenerator[Proxy]:
    """A running proxy, on a port of its own unless one is given."""
    between = Proxy(upstream_port)
    listener = await anyio.create_tcp_listener(
        local_host="127.0.0.1", local_port=port, reuse_port=False
    )
    between.port = _port(listener)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, between.serve)
        yield between
        group.cancel_scope.cancel()


@asynccontextmanager
async def one_answer(
    status: int,
    headers: dict[str, str],
    body: str,
    to_post: bytes | None = None,
    drips: bytes = b"",
) -> AsyncGenerator[str]:
    """A web server that gives the same answer to everything, or another one to POST; its address.

    Args:
        to_post: what it says to POST, from its first line on; None for the same.
        drips: the method whose answers come byte after byte and never end.
    """
    answer = http_answer(status, headers, body)

    async def serve(client: SocketStream) -> None:
        async with client:
            asked = await client.receive()
            if drips and asked.startswith(drips):
                await drip(client)
            is_post = asked.startswith(b"POST")
            await client.send(to_post if is_post and to_post is not None else answer)

    async def drip(client: SocketStream) -> None:
        await client.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
        with suppress(anyio.BrokenResourceError):
            while True:
                await client.send(b" ")
                await anyio.sleep(0.02)

    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    async with listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, serve)
        yield f"http://127.0.0.1:{_port(listener)}"
        group.cancel_scope.cancel()


def http_answer(status: int, headers: dict[str, str], body: str) -> bytes:
    """An answer of a web server."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def _port(listener: MultiListener[SocketStream]) -> int:
    port = listener.extra_attributes[SocketAttribute.local_port]()
    assert isinstance(port, int)
    return port

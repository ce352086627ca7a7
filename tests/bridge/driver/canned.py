"""A web server that answers with what a test put there, and remembers what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import parse_qs, urlsplit


@dataclass
class Canned:
    """Its answers by path: a text, or what becomes JSON; with a status other than 200 a pair."""

    port: int = 0
    answers: dict[str, object] = field(default_factory=dict[str, object])
    asked: list[tuple[str, dict[str, list[str]]]] = field(
        default_factory=list[tuple[str, dict[str, list[str]]]]
    )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        target = urlsplit(head.split(" ")[1])
        self.asked.append((target.path, parse_qs(target.query)))
        found = self.answers.get(target.path, (404, "nothing here"))
        status, content = (
            cast("tuple[int, object]", found) if isinstance(found, tuple) else (200, found)
        )
        body = (content if isinstance(content, str) else json.dumps(content)).encode()
        extra = f"Location: {content}\r\n" if status == 302 else ""
        writer.write(
            f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{extra}"
            "Connection: close\r\n\r\n".encode()
            + body
        )
        await writer.drain()
        writer.close()


@asynccontextmanager
async def canned() -> AsyncGenerator[Canned]:
    web = Canned()
    server = await asyncio.start_server(web.answer, "127.0.0.1", 0)
    web.port = server.sockets[0].getsockname()[1]
    try:
        yield web
    finally:
        server.close()
        await server.wait_closed()

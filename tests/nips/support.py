"""What this room's tests share: identities with known keys, a clock, relays and waiting."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager

from nips.embedded_relay import EmbeddedRelay
from nips.identity import Identity
from nips.relays import Incoming, RelayPool

NOW_S = 1_790_000_000


def key_of(name: str) -> Identity:
    """The same name always has the same key."""
    return Identity.from_nsec(hashlib.sha256(name.encode()).hexdigest())


def clock_ms() -> int:
    """The real time in Unix milliseconds."""
    return time.time_ns() // 1_000_000


def now_s() -> int:
    return clock_ms() // 1000


@asynccontextmanager
async def serving(port: int = 0) -> AsyncGenerator[EmbeddedRelay, None]:
    """An embedded relay on a free port."""
    relay = EmbeddedRelay("127.0.0.1", port)
    await relay.open()
    try:
        yield relay
    finally:
        await relay.close()


@asynccontextmanager
async def pooling(*urls: str, **options: object) -> AsyncGenerator[RelayPool, None]:
    """A pool that is connected to these relays."""
    pool = RelayPool(clock_ms, **options)  # pyright: ignore[reportArgumentType]
    await pool.open(urls)
    try:
        for url in urls:
            assert await pool.wait_connected(url, 10), url
        yield pool
    finally:
        await pool.close()


async def until(condition: Callable[[], bool], timeout_s: float = 60) -> None:
    """Wait for something to become true, on a busy machine too."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


async def take(incoming: AsyncIterator[Incoming], count: int) -> list[Incoming]:
    """The next `count` events."""
    async with asyncio.timeout(10):
        return [await anext(incoming) for _ in range(count)]

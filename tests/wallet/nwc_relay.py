"""A relay between a wallet and its service that ends subscriptions, or forgets them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import anyio
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed


class FickleRelay:
    """Passes on what is said to and by another relay, except where a test wants otherwise.

    Attributes:
        refusal: with these words it ends each subscription that is asked for; "" for none.
        asked: how many subscriptions were asked for.
        connections: how many there were.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._deaf: dict[ServerConnection, set[str]] = {}
        self.url = ""
        self.refusal = ""
        self.asked = 0
        self.connections = 0

    async def end(self, name: str, reason: str) -> None:
        """End a subscription on all connections, with words or, where there are none, without."""
        for client, deaf in self._deaf.items():
            deaf.add(name)
            if reason:
                await client.send(json.dumps(["CLOSED", name, reason]))

    async def say(self, *frames: str | bytes) -> None:
        """Say something on all connections."""
        for client in self._deaf:
            for frame in frames:
                await client.send(frame)

    async def handle(self, client: ServerConnection) -> None:
        """One connection."""
        self.connections += 1
        self._deaf[client] = set()
        try:
            async with (
                websocket(self._upstream, proxy=None) as relay,
                anyio.create_task_group() as group,
            ):
                group.start_soon(self._answers, relay, client)
                async for frame in client:
                    if not await self._refused(client, json.loads(frame)):
                        await relay.send(frame)
                group.cancel_scope.cancel()
        finally:
            del self._deaf[client]

    async def _refused(self, client: ServerConnection, message: list[object]) -> bool:
        if message[0] != "REQ":
            return False
        self.asked += 1
        self._deaf[client].discard(str(message[1]))
        if self.refusal:
            await client.send(json.dumps(["CLOSED", message[1], self.refusal]))
        return bool(self.refusal)

    async def _answers(self, relay: ClientConnection, client: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            async for frame in relay:
                message = json.loads(frame)
                if message[0] != "EVENT" or message[1] not in self._deaf[client]:
                    await client.send(frame)


@asynccontextmanager
async def fickle_relay(upstream: str) -> AsyncGenerator[FickleRelay]:
    """Such a relay in front of the one with this URL."""
    relay = FickleRelay(upstream)
    async with serve(relay.handle, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        relay.url = f"ws://127.0.0.1:{port}"
        yield relay

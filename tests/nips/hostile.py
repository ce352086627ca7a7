"""A relay that misbehaves in every way a test asks for."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from nips.event import NostrEvent

PRIVATE_KINDS = {4, 1059}


@dataclass
class HostileRelay:
    """What it does is set by its fields, at any time.

    Attributes:
        silent: read everything and answer nothing.
        drop_after_s: close each connection after that time.
        refuse: the reason with which every event is refused.
        close_requests: end that many requests with CLOSED.
        prelude: raw frames sent before the stored events of each request; `$SUB` stands for
            the request's name.
        repeat: how often each event is sent.
        ignore_until: answer every request with everything.
        strict_auth: like strfry: private messages only for the one key that the connection
            authenticated first.
        members_only: nothing is taken or told before somebody has authenticated.
        page: most events sent for a request.
        mute_after: answer no more requests after that many; None to answer all.
    """

    silent: bool = False
    drop_after_s: float | None = None
    refuse: str = ""
    close_requests: int = 0
    close_reason: str = "error: too many requests"
    prelude: list[str | bytes] = field(default_factory=list[str | bytes])
    repeat: int = 1
    ignore_until: bool = False
    strict_auth: bool = False
    members_only: bool = False
    page: int = 500
    mute_after: int | None = None
    url: str = ""
    stored: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    connections: int = 0
    requests: int = 0
    _open: dict[ServerConnection, dict[str, list[dict[str, Any]]]] = field(
        default_factory=dict[ServerConnection, dict[str, list[dict[str, Any]]]]
    )
    _who: dict[ServerConnection, str] = field(default_factory=dict[ServerConnection, str])

    async def store(self, *events: NostrEvent) -> None:
        """Take events in, and send them to whoever asked for them."""
        for event in events:
            raw = json.loads(event.to_json())
            self.stored.append(raw)
            for connection, requests in list(self._open.items()):
                for name, filters in list(requests.items()):
                    if any(self._matches(raw, wanted) for wanted in filters):
                        for _ in range(self.repeat):
                            await self._say(connection, "EVENT", name, raw)

    async def handle(self, connection: ServerConnection) -> None:
        """One connection."""
        self.connections += 1
        self._open[connection] = {}
        challenge = secrets.token_hex(8)
        dropper = asyncio.create_task(self._drop(connection))
        try:
            if self.strict_auth or self.members_only:
                await self._say(connection, "AUTH", challenge)
            async for frame in connection:
                if not self.silent:
                    await self._answer(connection, json.loads(frame), challenge)
        except ConnectionClosed:
            pass
        finally:
            dropper.cancel()
            del self._open[connection]

    async def _drop(self, connection: ServerConnection) -> None:
        while self.drop_after_s is None:
            await asyncio.sleep(0.05)
        await asyncio.sleep(self.drop_after_s)
        connection.transport.abort()

    async def _answer(
        self, connection: ServerConnection, message: list[Any], challenge: str
    ) -> None:
        match message:
            case ["EVENT", raw]:
                event = NostrEvent.parse(json.dumps(raw))
                refusal = self.refuse
                if self.members_only and connection not in self._who:
                    refusal = "auth-required: who are you?"
                if refusal:
                    await self._say(connection, "OK", event.id, False, refusal)
                    return
                await self._say(connection, "OK", event.id, True, "")
                await self.store(event)
            case ["AUTH", raw]:
                event = NostrEvent.parse(json.dumps(raw))
                sound = event.kind == 22242 and event.tag("challenge") == challenge
                first = self._who.setdefault(connection, event.pubkey) == event.pubkey
                reason = "" if sound and first else "restricted: already authenticated"
                await self._say(connection, "OK", event.id, sound and first, reason)
            case ["REQ", str() as name, *filters]:
                await self._request(connection, name, filters)
            case ["CLOSE", str() as name]:
                self._open[connection].pop(name, None)
            case _:
                await self._say(connection, "NOTICE", "what?")

    async def _request(
        self, connection: ServerConnection, name: str, filters: list[dict[str, Any]]
    ) -> None:
        self.requests += 1
        if self.mute_after is not None and self.requests > self.mute_after:
            return
        if self.close_requests > 0:
            self.close_requests -= 1
            await self._say(connection, "CLOSED", name, self.close_reason)
            return
        if self.members_only and connection not in self._who:
            await self._say(connection, "CLOSED", name, "auth-required: who are you?")
            return
        if self.strict_auth and not self._may_read(connection, filters):
            await self._say(connection, "CLOSED", name, "auth-required: whose messages?")
            return
        self._open[connection][name] = filters
        for frame in self.prelude:
            text = frame.replace("$SUB", name) if isinstance(frame, str) else frame
            await connection.send(text)
        for wanted in filters:
            found = [
                raw
                for raw in sorted(self.stored, key=lambda raw: -raw["created_at"])
                if self._matches(raw, wanted)
                and (
                    self.ignore_until
                    or wanted.get("since", 0) <= raw["created_at"] <= wanted.get("until", 2**60)
                )
            ]
            for raw in found[: min(self.page, wanted.get("limit", self.page))]:
                for _ in range(self.repeat):
                    await self._say(connection, "EVENT", name, raw)
        await self._say(connection, "EOSE", name)

    def _may_read(self, connection: ServerConnection, filters: list[dict[str, Any]]) -> bool:
        return all(
            not PRIVATE_KINDS & set(wanted.get("kinds", PRIVATE_KINDS))
            or wanted.get("#p") == [self._who.get(connection)]
            for wanted in filters
        )

    def _matches(self, raw: dict[str, Any], wanted: dict[str, Any]) -> bool:
        if "kinds" in wanted and raw["kind"] not in wanted["kinds"]:
            return False
        if "ids" in wanted and raw["id"] not in wanted["ids"]:
            return False
        if "authors" in wanted and raw["pubkey"] not in wanted["authors"]:
            return False
        named = {tag[1] for tag in raw["tags"] if tag[0] == "p" and len(tag) > 1}
        return "#p" not in wanted or bool(named & set(wanted["#p"]))

    async def _say(self, connection: ServerConnection, *message: object) -> None:
        with suppress(ConnectionClosed):
            await connection.send(json.dumps(message))


@asynccontextmanager
async def misbehaving(**how: Any) -> AsyncGenerator[HostileRelay, None]:
    """A hostile relay on a free port."""
    relay = HostileRelay(**how)
    server: Server
    async with serve(relay.handle, "127.0.0.1", 0, max_size=2**22, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        relay.url = f"ws://127.0.0.1:{port}"
        yield relay

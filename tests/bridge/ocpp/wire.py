"""Raw OCPP-J frames over a real socket: the test is the charger."""

from __future__ import annotations

import json
import time
from base64 import b64encode
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import anyio
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from agent.ports.site import ChargePoints
from bridge.ocpp.connection import FrameLog
from bridge.ocpp.limits import Limits
from bridge.ocpp.server import AuthPolicy, OcppServer


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def serving(
    site: ChargePoints,
    *,
    policy: AuthPolicy | None = None,
    limits: Limits | None = None,
    clock: Callable[[], int] | None = None,
    log: FrameLog | None = None,
    called: Mapping[str, str] | None = None,
) -> AsyncGenerator[OcppServer]:
    """A server for the site on a port of the system's choice."""
    server = OcppServer(
        site,
        "127.0.0.1:0",
        lambda _: policy or AuthPolicy(),
        clock or now_ms,
        limits=limits,
        log=log,
        called=called,
    )
    await server.start()
    try:
        yield server
    finally:
        await server.close()


class RawCharger:
    """Sends frames as they are given and reads what comes back."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self._calls = 0
        self._asked: deque[list[Any]] = deque()

    async def send(self, frame: object) -> None:
        text = frame if isinstance(frame, str | bytes) else json.dumps(frame)
        await self.socket.send(text, text=True)

    async def receive(self) -> Any:
        with anyio.fail_after(20):
            return json.loads(await self.socket.recv())

    async def call(self, action: str, payload: object) -> Any:
        """Send a call, return the payload of its answer."""
        answer = await self.exchange(action, payload)
        assert answer[0] == 3, answer
        return answer[2]

    async def exchange(self, action: str, payload: object) -> Any:
        """Send a call, return the whole answer."""
        self._calls += 1
        await self.send([2, f"c{self._calls}", action, payload])
        while True:
            frame = await self.receive()
            if frame[0] != 2:
                assert frame[1] == f"c{self._calls}"
                return frame
            self._asked.append(frame)

    @property
    def waiting(self) -> int:
        """Calls of the central system that came before the last answer and wait here."""
        return len(self._asked)

    async def asked(self) -> list[Any]:
        """The next call of the central system."""
        return self._asked.popleft() if self._asked else await self.receive()

    async def accept(self, action: str, status: str = "Accepted") -> Any:
        """Answer the next call, which must be of this action; returns its payload."""
        frame = await self.asked()
        assert frame[2] == action, frame
        await self.send([3, frame[1], {"status": status}])
        return frame[3]

    async def boot(self) -> Any:
        return await self.call(
            "BootNotification", {"chargePointVendor": "Raw", "chargePointModel": "Frames"}
        )


@asynccontextmanager
async def charger(
    server: OcppServer,
    path: str = "/ocpp/CP001",
    *,
    port: int | None = None,
    subprotocols: Sequence[str] | None = ("ocpp1.6",),
    credentials: bytes | None = None,
) -> AsyncGenerator[RawCharger]:
    """A connected charger; `port` is that of a proxy where one stands between."""
    headers: dict[str, str] = {}
    if credentials is not None:
        headers["Authorization"] = f"Basic {b64encode(credentials).decode()}"
    offered = [Subprotocol(name) for name in subprotocols] if subprotocols else None
    async with connect(
        f"ws://127.0.0.1:{port or server.port}{path}",
        subprotocols=offered,
        additional_headers=headers,
        proxy=None,
        close_timeout=1,
    ) as socket:
        yield RawCharger(socket)

"""The simulated charger's side of an OCPP-J connection (OCPP-J 1.6 specification, section 4)."""

from __future__ import annotations

import json
import ssl
from base64 import b64encode
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import anyio
from anyio.abc import TaskGroup
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode
from websockets.typing import Subprotocol

_GOODBYE_S = 1.0

Payload = dict[str, Any]
Trace = Callable[[bool, str, Payload], None]
"""Told each request: whether the charge point sent it, its action and its payload."""


class CallFailed(Exception):
    """The central system answered with an error; `code` is its errorCode."""

    def __init__(self, action: str, code: str) -> None:
        super().__init__(f"{action} was answered with {code}")
        self.code = code


class NotConnected(Exception):
    """There is no connection, or it was lost before the answer came."""


class Wire:
    """One connection to a central system.

    Args:
        socket: the open websocket.
        answer: called with each request; returns the answer and what to do after it was
            sent, or None for an action that is not known.
        trace: told each request, either way.
    """

    def __init__(
        self,
        socket: ClientConnection,
        answer: Callable[
            [str, Payload], tuple[Payload, Callable[[], Awaitable[None]] | None] | None
        ],
        trace: Trace,
    ) -> None:
        self._socket = socket
        self._answer = answer
        self._trace = trace
        self._calls = 0
        self._calling = anyio.Lock()
        self._pending: dict[str, tuple[anyio.Event, list[Any]]] = {}

    async def receive(self) -> None:
        """Take what comes until the connection ends."""
        async with anyio.create_task_group() as after:
            try:
                async for text in self._socket:
                    await self._take(json.loads(text), after)
            except ConnectionClosed:
                pass
            finally:
                for arrived, _ in self._pending.values():
                    arrived.set()
                after.cancel_scope.cancel()

    async def call(self, action: str, payload: Payload, timeout_s: float = 30.0) -> Payload:
        """Send a request and wait for its answer; one is under way at a time.

        Raises:
            CallFailed: it was answered with an error.
            NotConnected: no answer came.
        """
        async with self._calling:
            self._calls += 1
            message_id = f"{self._calls}"
            arrived, box = anyio.Event(), list[Any]()
            self._pending[message_id] = (arrived, box)
            self._trace(True, action, payload)
            try:
                with anyio.fail_after(timeout_s):
                    await self._socket.send(json.dumps([2, message_id, action, payload]))
                    await arrived.wait()
            except (ConnectionClosed, TimeoutError):
                raise NotConnected(f"{action} was not answered") from None
            finally:
                del self._pending[message_id]
        if not box:
            raise NotConnected(f"{action} was not answered")
        message = cast(list[Any], box[0])
        if message[0] == 4:
            raise CallFailed(action, str(message[2]))
        return cast(Payload, message[2])

    async def close(self) -> None:
        """Close the connection in good order."""
        await self._socket.close()

    def break_off(self) -> None:
        """Lose the connection as a cut cable does: without a word."""
        self._socket.transport.abort()

    async def _take(self, message: list[Any], after: TaskGroup) -> None:
        if message[0] != 2:
            waiting = self._pending.get(message[1])
            if waiting is not None:
                waiting[1].append(message)
                waiting[0].set()
            return
        self._trace(False, message[2], message[3])
        answer = self._answer(message[2], message[3])
        if answer is None:
            error: list[Any] = [
                4,
                message[1],
                "NotImplemented",
                "This charger does not know it",
                {},
            ]
            await self._socket.send(json.dumps(error))
            return
        payload, then = answer
        await self._socket.send(json.dumps([3, message[1], payload]))
        if then is not None:
            after.start_soon(self._do, then)

    async def _do(self, then: Callable[[], Awaitable[None]]) -> None:
        """What follows an answer fails quietly: it was promised, not awaited."""
        with suppress(NotConnected, CallFailed):
            await then()


@asynccontextmanager
async def open_wire(
    url: str, charge_point_id: str, password: str | None, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[ClientConnection]:
    """A connection, with HTTP Basic authentication where there is a password.

    `tls` is for wss://, in place of what this machine trusts.
    """
    headers: dict[str, str] = {}
    if password is not None:
        credentials = b64encode(f"{charge_point_id}:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {credentials}"
    address = url.rstrip("/")
    if address.rsplit("/", 1)[-1] != charge_point_id:
        address = f"{address}/{charge_point_id}"
    async with connect(
        address,
        subprotocols=[Subprotocol("ocpp1.6")],
        additional_headers=headers,
        ssl=tls if address.startswith("wss:") else None,
        compression=None,
        open_timeout=10,
        close_timeout=2,
        ping_interval=20,
        proxy=None,
    ) as socket:
        try:
            yield socket
        except anyio.get_cancelled_exc_class():
            # Who is told to end is no accident, which the library would call it.
            with anyio.move_on_after(_GOODBYE_S, shield=True):
                await socket.close(CloseCode.GOING_AWAY)
            raise

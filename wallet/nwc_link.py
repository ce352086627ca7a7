"""NIP-47, Nostr Wallet Connect: the encrypted conversation with a wallet service.

https://github.com/nostr-protocol/nips/blob/master/47.md

Requests and answers are ephemeral events on a relay that the wallet chose. This module
speaks to that relay itself (NIP-01, NIP-42): nostr-sdk knows neither notifications nor hold
invoices, and its client hides whether an event was ever sent, which decides about money.
Keys and ciphers are in `wallet.nwc_events`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import anyio
import msgspec
from nostr_sdk import NostrSdkError
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket
from websockets.exceptions import WebSocketException

from wallet.base import WalletRefused, WalletUnavailable
from wallet.nwc_connection import Connection
from wallet.nwc_events import Seal, is_genuine

INFO, REQUEST, RESPONSE, NOTIFICATION_NIP04, NOTIFICATION = 13194, 23194, 23195, 23196, 23197
AUTH = 22242
CONNECT_S = 10
# So often a relay may ask who we are before it tells us something.
MOST_AUTHENTICATIONS = 3
# How far the wallet's clock may be behind ours before its answers are missed.
CLOCK_SKEW_S = 600

_ANSWERS, _INFO = "answers", "info"
_UNREADABLE = (
    ValueError,
    LookupError,
    TypeError,
    RecursionError,
    NostrSdkError,
    msgspec.MsgspecError,
)


class NwcError(WalletRefused):
    """The wallet service answered with an error; `code` is one of NIP-47's."""

    def __init__(self, method: str, code: str, message: str) -> None:
        super().__init__(f"the wallet refused {method}: {message or code}")
        self.code = code
        self.message = message


class AnswerLost(WalletUnavailable):
    """The request went out, and no answer came: the wallet may have acted on it or not."""


@dataclass(frozen=True)
class ServiceInfo:
    """What the wallet service says that it can do (kind 13194)."""

    methods: frozenset[str]
    notifications: frozenset[str]
    nip44: bool


class _Error(msgspec.Struct):
    code: str | None = None
    message: str | None = None


class _Answer(msgspec.Struct):
    result: dict[str, Any] | None = None
    error: _Error | None = None


class Notification(msgspec.Struct):
    """What the wallet tells unasked: `notification` is a transaction of NIP-47."""

    notification_type: str
    notification: dict[str, Any]


class NwcLink:
    """One connection to a relay of the wallet's, made when it is needed.

    Args:
        connection: the wallet connection.
        clock: gives the time in Unix milliseconds.
    """

    def __init__(self, connection: Connection, clock: Callable[[], int]) -> None:
        self._connection = connection
        self._clock = clock
        self._seal = Seal(connection)
        self._connecting = anyio.Lock()
        self._open = False
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._pending: dict[str, asyncio.Future[_Answer]] = {}
        self._listeners: set[asyncio.Queue[Notification | None]] = set()
        self._subscribed: dict[str, asyncio.Event] = {}
        self._refused = 0
        self._info: ServiceInfo | None = None

    async def open(self) -> ServiceInfo:
        """Connect, and tell what the wallet service can do."""
        self._open = True
        await self._connect()
        if self._info is None:
            await self.drop()
            raise WalletUnavailable(
                "the wallet service has published nothing on its relay: is it running?"
            )
        return self._info

    async def close(self) -> None:
        """End the connection; idempotent."""
        self._open = False
        await self.drop()

    async def drop(self) -> None:
        """End the connection; the next request makes a new one."""
        socket, reader = self._socket, self._reader
        self._socket = self._reader = None
        if socket is not None:
            await socket.close()
        if reader is not None:
            with suppress(asyncio.CancelledError):
                await reader

    async def request(
        self, method: str, params: dict[str, Any], *, timeout_s: float
    ) -> dict[str, Any]:
        """Ask the wallet service something.

        Returns:
            The `result` of its answer.

        Raises:
            NwcError: it said no.
            AnswerLost: the request went out, and nothing came back in time.
            WalletUnavailable: the request did not go out.
        """
        socket = await self._connect()
        nip44 = self._info is not None and self._info.nip44
        now_s = self._clock() // 1000
        tags = [["p", self._connection.wallet], ["expiration", str(now_s + int(timeout_s) + 1)]]
        if nip44:
            tags.append(["encryption", "nip44_v2"])
        content = self._seal.encrypt(json.dumps({"method": method, "params": params}), nip44=nip44)
        event = self._seal.event(REQUEST, tags, content, now_s)
        answer: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._pending[event["id"]] = answer
        try:
            with anyio.fail_after(timeout_s):
                await socket.send(json.dumps(["EVENT", event]))
                body = await answer
        except TimeoutError:
            if len(self._pending) == 1:
                # Nobody else waits: a relay that has forgotten what we asked for is asked anew.
                await socket.close()
            raise AnswerLost(f"the wallet did not answer {method} in time") from None
        except (OSError, WebSocketException):
            raise AnswerLost(f"the relay of the wallet was lost during {method}") from None
        finally:
            self._pending.pop(event["id"], None)
        if body.error is not None:
            code, message = body.error.code or "OTHER", body.error.message or ""
            raise NwcError(method, code, message[:200])
        return body.result or {}

    @asynccontextmanager
    async def notifications(self) -> AsyncGenerator[asyncio.Queue[Notification | None]]:
        """A queue of notifications while the block lasts; None ends it when the relay is lost."""
        await self._connect()
        queue: asyncio.Queue[Notification | None] = asyncio.Queue()
        self._listeners.add(queue)
        try:
            yield queue
        finally:
            self._listeners.discard(queue)

    async def _connect(self) -> ClientConnection:
        if not self._open:
            raise WalletUnavailable("the wallet connection is not open")
        async with self._connecting:
            if self._socket is not None and self._reader is not None and not self._reader.done():
                return self._socket
            for relay in self._connection.relays:
                # A redirect to what is no address is a ValueError.
                with suppress(OSError, WebSocketException, TimeoutError, ValueError):
                    return await self._connect_to(relay)
        relays = ", ".join(self._connection.relays)
        raise WalletUnavailable(f"no relay of the wallet answers ({relays})")

    async def _connect_to(self, relay: str) -> ClientConnection:
        socket = await websocket(relay, proxy=None, open_timeout=CONNECT_S, max_size=2**20)
        self._socket = socket
        self._refused = 0
        self._subscribed = {_ANSWERS: asyncio.Event(), _INFO: asyncio.Event()}
        self._reader = asyncio.create_task(self._read(socket, relay, self._subscribed))
        try:
            with anyio.fail_after(CONNECT_S):
                await self._subscribe(socket)
                for subscribed in self._subscribed.values():
                    await subscribed.wait()
            if self._reader.done():
                raise ConnectionResetError
        except BaseException:
            self._reader.cancel()
            await socket.close()
            raise
        return socket

    async def _subscribe(self, socket: ClientConnection) -> None:
        wallet = self._connection.wallet
        answers = {
            "kinds": [RESPONSE, NOTIFICATION_NIP04, NOTIFICATION],
            "authors": [wallet],
            "#p": [self._seal.pubkey],
            "since": self._clock() // 1000 - CLOCK_SKEW_S,
        }
        info = {"kinds": [INFO], "authors": [wallet], "limit": 1}
        await socket.send(json.dumps(["REQ", _ANSWERS, answers]))
        await socket.send(json.dumps(["REQ", _INFO, info]))

    async def _read(
        self, socket: ClientConnection, relay: str, subscribed: dict[str, asyncio.Event]
    ) -> None:
        """The only reader of the socket; ends with it."""
        try:
            async for text in socket:
                await self._take(socket, relay, text)
        except (OSError, WebSocketException):
            pass
        finally:
            for answer in self._pending.values():
                _fail(answer, AnswerLost("the relay of the wallet was lost"))
            for queue in self._listeners:
                queue.put_nowait(None)
            for waiting in subscribed.values():
                waiting.set()

    async def _take(self, socket: ClientConnection, relay: str, text: str | bytes) -> None:
        try:
            message: Any = json.loads(text)
            match message:
                case ["EVENT", str(), {"kind": int()} as event]:
                    self._take_event(event)
                case ["OK", str(event_id), False, str(reason)]:
                    self._rejected(event_id, reason)
                case ["EOSE", str(name)] if name in self._subscribed:
                    self._subscribed[name].set()
                case ["AUTH", str(challenge)]:
                    tags = [["relay", relay], ["challenge", challenge]]
                    proof = self._seal.event(AUTH, tags, "", self._clock() // 1000)
                    await socket.send(json.dumps(["AUTH", proof]))
                case ["CLOSED", str(name), *said] if name in self._subscribed:
                    await self._closed(socket, name, str(said[0]) if said else "")
                case _:
                    pass
        except _UNREADABLE:
            # What cannot be read is nobody's answer: the request behind it times out.
            return

    async def _closed(self, socket: ClientConnection, name: str, reason: str) -> None:
        """The relay ended a subscription. Without answers it is of no use: it is left, and the
        next request connects anew."""
        self._refused += 1
        if reason.startswith("auth-required") and self._refused <= 2 * MOST_AUTHENTICATIONS:
            await self._subscribe(socket)
        elif name == _ANSWERS:
            await socket.close()
        else:
            self._subscribed[name].set()

    def _take_event(self, event: dict[str, Any]) -> None:
        if event["pubkey"] != self._connection.wallet or not is_genuine(event):
            return
        match event["kind"]:
            case 13194:
                self._info = _service_info(event)
            case 23195:
                answered = next((tag[1] for tag in event["tags"] if tag[0] == "e"), "")
                future = self._pending.get(answered)
                if future is not None and not future.done():
                    content = self._seal.decrypt(event["content"])
                    future.set_result(msgspec.convert(_parsed(content), _Answer))
            case 23196 | 23197:
                content = self._seal.decrypt(event["content"])
                notification = msgspec.convert(_parsed(content), Notification)
                for queue in self._listeners:
                    queue.put_nowait(notification)
            case _:
                pass

    def _rejected(self, event_id: str, reason: str) -> None:
        """The relay did not take an event, so nobody has seen it."""
        future = self._pending.get(event_id)
        if future is not None:
            sentence = f"the relay of the wallet takes no requests: {reason[:100]}"
            _fail(future, WalletUnavailable(sentence))


def _parsed(content: str) -> Any:
    """What a wallet says, of whose times and amounts some have fractions: NIP-47 knows none."""
    return json.loads(content, parse_float=lambda number: int(Decimal(number)))


def _fail(answer: asyncio.Future[_Answer], error: WalletUnavailable) -> None:
    """Give an error to who waits for an answer, if anybody still does: he may have gone before
    he got to wait, and asyncio complains of errors that nobody took.
    """
    if not answer.done():
        answer.set_exception(error)
        answer.exception()


def _service_info(event: dict[str, Any]) -> ServiceInfo:
    tags = {tag[0]: " ".join(tag[1:]).split() for tag in event["tags"] if tag}
    return ServiceInfo(
        methods=frozenset(str(event["content"]).split()),
        notifications=frozenset(tags.get("notifications", ())),
        nip44="nip44_v2" in tags.get("encryption", ()),
    )

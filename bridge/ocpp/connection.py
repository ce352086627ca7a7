"""One charger's connection: its frames in order, calls to it, and the bounds it keeps to."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from agent.journal.errors import JournalError
from agent.ports.errors import AgentError
from bridge.ocpp import frames
from bridge.ocpp.errors import CallRefused, InvalidFrame, NoAnswer, NotSupported
from bridge.ocpp.heard_connection import HeardConnection
from bridge.ocpp.limits import Limits
from bridge.ocpp.liveness import Liveness
from bridge.ocpp.schemas import Payload

logger = logging.getLogger(__name__)

_URGENT = frozenset(
    {
        "RemoteStartTransaction",
        "RemoteStopTransaction",
        "RequestStartTransaction",
        "RequestStopTransaction",
    }
)
"""Money hangs on these: some chargers never answer what they do not know, and no stop waits for
that as long as an answer may take."""

_USUAL_CODES = frozenset({CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, CloseCode.NO_STATUS_RCVD})


class Handlers(Protocol):
    """Answers to what a charger says."""

    @property
    def error_codes(self) -> Mapping[str, str]:
        """Error codes that this version of OCPP spells otherwise than Strom."""
        ...

    @property
    def nameless(self) -> str | None:
        """The id to answer a frame under whose own cannot be read; None for no answer."""
        ...

    def decode(self, frame: bytes) -> frames.Message:
        """Read a frame; raises InvalidFrame for one that is no message."""
        ...

    def answer(self, action: str, payload: Payload) -> Awaitable[bytes] | None:
        """The answer to a call, as JSON, or None where there is none to such an action; awaiting
        it raises AgentError where the call could not be stored."""
        ...


class FrameLog(Protocol):
    """Keeps what went over the wire."""

    def received(self, charge_point_id: str, frame: bytes, *, is_plain: bool = False) -> None:
        """A frame came in; one that `is_plain` was read whole, and has no place for a secret."""
        ...

    def sent(self, charge_point_id: str, frame: bytes) -> None:
        """A frame went out."""
        ...


class NoLog:
    """Keeps nothing."""

    def received(self, charge_point_id: str, frame: bytes, *, is_plain: bool = False) -> None:
        """Do nothing."""

    def sent(self, charge_point_id: str, frame: bytes) -> None:
        """Do nothing."""


class Connection:
    """One charger's connection.

    Frames are handled one after the other, so answers have the order of the calls; calls of
    ours are answered while none of the handlers waits for them. `on_ready` is told once, when
    the first call of the charger was answered or it stayed silent: from then on it may be
    called (some chargers restart when they are called before their boot was accepted).
    """

    def __init__(
        self,
        socket: HeardConnection,
        charge_point_id: str,
        handlers: Handlers,
        limits: Limits,
        log: FrameLog,
        liveness: Liveness,
        on_ready: Callable[[], None],
    ) -> None:
        self.charge_point_id = charge_point_id
        self._socket = socket
        self._handlers = handlers
        self._limits = limits
        self._log = log
        self._liveness = liveness
        self._on_ready = on_ready
        self._ready = asyncio.Event()
        self._calls = 0
        self._calling = asyncio.Lock()
        self._pending: dict[str, asyncio.Future[frames.CallResult | frames.CallError]] = {}
        self._allowance = float(limits.burst_frames)
        self._allowance_at = 0.0
        self._complained = False
        self._closed = False
        self._is_answering = False
        self._dismissed = ""

    @property
    def answers(self) -> bool:
        """Whether the charger answers; see `bridge.ocpp.liveness`."""
        return self._liveness.answers

    async def run(self) -> None:
        """Serve the charger until the connection ends; never raises for what it sends."""
        self._liveness.start()
        try:
            try:
                async with asyncio.timeout(self._limits.silence_s):
                    frame = await self._socket.hear()
            except TimeoutError:
                self._is_ready()
                frame = await self._socket.hear()
            while True:
                self._is_answering = True
                await self._take(frame)
                self._is_answering = False
                if self._dismissed:
                    await self.close(self._dismissed)
                pause_s = self._owed_s()
                if pause_s > 0:
                    await asyncio.sleep(pause_s)
                frame = await self._socket.hear()
        except ConnectionClosed as closed:
            logger.info("%s: the connection ended: %s", self.charge_point_id, _ending(closed))
        finally:
            self._closed = True
            self._liveness.stop()
            for future in self._pending.values():
                if not future.done():
                    future.set_exception(NoAnswer("the connection was lost"))
                    # Whoever waited may be gone too: then nobody else would look at it.
                    future.exception()
            self._ready.set()

    async def close(self, reason: str) -> None:
        """End the connection from our side."""
        await self._socket.close(1000, reason)

    async def dismiss(self, reason: str) -> None:
        """End the connection from our side, once what the charger said is answered: it would say
        it again otherwise."""
        self._dismissed = reason
        if not self._is_answering:
            await self.close(reason)

    async def call(self, action: str, payload: Payload, timeout_s: float | None = None) -> Payload:
        """Ask the charger for something and wait for its answer.

        One call at a time is under way, as OCPP-J section 4.1.1 demands. A call that waited
        for as long as an answer may take goes out all the same, a start or a stop sooner.

        Raises:
            NoAnswer: none came in time, or the connection was lost.
            CallRefused: the charger answered with an error.
        """
        limit = self._limits.call_timeout_s if timeout_s is None else timeout_s
        held = False
        try:
            async with asyncio.timeout(limit) as waiting:
                await self._ready.wait()
                if action in _URGENT:
                    waiting.reschedule(
                        self._socket.loop.time() + min(limit, self._limits.patience_s)
                    )
                held = await self._calling.acquire()
        except TimeoutError:
            pass
        try:
            return await self._call(action, payload, limit)
        finally:
            if held:
                self._calling.release()

    async def _call(self, action: str, payload: Payload, timeout_s: float) -> Payload:
        if self._closed:
            raise NoAnswer(f"{action}: the connection was lost")
        self._calls += 1
        message_id = f"strom-{id(self) & 0xFFFFFF:x}-{self._calls}"
        frame = frames.encode_call(message_id, action, payload)
        future = asyncio.get_running_loop().create_future()
        self._pending[message_id] = future
        try:
            async with asyncio.timeout(timeout_s):
                await self._send(frame)
                answer = await future
        except TimeoutError:
            self._liveness.did_not_answer()
            raise NoAnswer(f"{action}: no answer within {timeout_s:g} s") from None
        except ConnectionClosed:
            raise NoAnswer(f"{action}: the connection was lost") from None
        finally:
            del self._pending[message_id]
        if isinstance(answer, frames.CallError):
            code = answer.code or "with an error that has no code"
            sentence = f"{action}: the charger answered {code}"
            raise CallRefused(sentence, answer.code, answer.description)
        return answer.payload

    async def _take(self, frame: bytes) -> None:
        self._liveness.spoke()
        if len(frame) > self._limits.message_bytes and not frames.may_be_large(frame):
            self._log.received(self.charge_point_id, frame)
            self._complain("it is too large")
            await self._socket.close(1009, "message too big")
            return
        try:
            message = self._handlers.decode(frame)
        except InvalidFrame as invalid:
            self._log.received(self.charge_point_id, frame)
            self._complain(str(invalid))
            message_id = invalid.message_id
            message_id = self._handlers.nameless if message_id is None else message_id
            if message_id is not None:
                code = self._handlers.error_codes.get(invalid.code, invalid.code)
                await self._reply(frames.encode_error(message_id, code, str(invalid)))
            return
        if not isinstance(message, frames.Call):
            self._log.received(self.charge_point_id, frame)
            future = self._pending.get(message.message_id)
            if future is not None and not future.done():
                future.set_result(message)
            return
        is_plain = not isinstance(message.payload, dict)
        self._log.received(self.charge_point_id, frame, is_plain=is_plain)
        answered = await self._reply(await self._answer(message))
        if answered and not self._ready.is_set():
            self._is_ready()

    async def _answer(self, call: frames.Call) -> bytes:
        try:
            answer = self._handlers.answer(call.action, call.payload)
            if answer is not None:
                return frames.encode_result(call.message_id, await answer)
            self._complain(f"Strom does not know the action {call.action[:50]!r}")
            return frames.encode_error(
                call.message_id, frames.NOT_IMPLEMENTED, "Strom does not know this action"
            )
        except NotSupported as reason:
            return frames.encode_error(call.message_id, frames.NOT_SUPPORTED, str(reason))
        except (AgentError, JournalError) as error:
            logger.warning("%s: %s was not stored: %s", self.charge_point_id, call.action, error)
        except Exception:
            # What Strom does wrong with one message must not cost the charger its connection.
            logger.exception("%s: %s could not be handled", self.charge_point_id, call.action)
        return frames.encode_error(
            call.message_id, frames.INTERNAL_ERROR, "could not be stored, please send it again"
        )

    async def _reply(self, frame: bytes) -> bool:
        """Send an answer; False where the charger has gone: what it said before still counts."""
        try:
            await self._send(frame)
        except ConnectionClosed as closed:
            if closed.sent is not None and not closed.rcvd_then_sent:
                raise
            return False
        return True

    async def _send(self, frame: bytes) -> None:
        self._log.sent(self.charge_point_id, frame)
        await self._socket.tell(frame)

    def _is_ready(self) -> None:
        self._ready.set()
        self._on_ready()

    def _complain(self, sentence: str) -> None:
        """Log the first broken frame of a connection; the rest is in the message log."""
        level = logging.DEBUG if self._complained else logging.WARNING
        self._complained = True
        logger.log(
            level, "%s sent a message that cannot be used: %s", self.charge_point_id, sentence
        )

    def _owed_s(self) -> float:
        """How long to wait before the next frame of a charger that sends faster than it may."""
        now, limits = self._socket.loop.time(), self._limits
        earned = (now - self._allowance_at) * limits.frames_per_s
        allowance = self._allowance + earned
        self._allowance = (
            allowance if allowance < limits.burst_frames else limits.burst_frames
        ) - 1
        self._allowance_at = now
        return -self._allowance / limits.frames_per_s


def _ending(closed: ConnectionClosed) -> str:
    """Who ended a connection, and how."""
    if closed.rcvd is not None and closed.rcvd_then_sent is not False:
        frame, who = closed.rcvd, "the charger closed it"
    elif closed.sent is not None:
        frame, who = closed.sent, "it was closed here"
    else:
        return "it was lost without a word"
    code = "" if frame.code in _USUAL_CODES else f", code {int(frame.code)}"
    return f"{who}{code}{f': {frame.reason[:100]!r}' if frame.reason else ''}"

"""A charger's websocket, as the server has it: when its peer was heard, and no detours.

What a charger and Strom say to each other is nearly always one frame at a time, and the one that
the other waits for: such a frame goes to who waits for it, past the library's parser and queues.
All that is anything else, or comes in pieces, is the library's.

Websocket frames, pings and pongs: RFC 6455 section 5, https://www.rfc-editor.org/rfc/rfc6455
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from types import GeneratorType

from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State
from websockets.streams import StreamReader

try:
    from websockets.speedups import apply_mask
except ImportError:
    from websockets.utils import apply_mask

logger = logging.getLogger(__name__)

_PING = b"Strom"
_TLS_HELLO = b"\x16\x03"
"""With this a TLS connection begins (RFC 8446 section 5.1)."""
_OPEN, _CLOSING = State.OPEN, State.CLOSING
_TEXT, _BINARY = Opcode.TEXT, Opcode.BINARY
_SHORT, _LONG = 126, 1 << 16
_WHOLE_TEXT, _MASKED = 0x81, 0x80
_MASK_BYTES = 4


class HeardConnection(ServerConnection):
    """A connection that knows when its peer was heard last, be it a part of a frame or a pong.

    Attributes:
        heard_at: when a byte last came, by the event loop's clock.
        pongs: whether it ever answered a ping.
        pinged_at: when a ping was last sent that has no answer yet; 0 for none.
        ping_s: seconds that the last ping which was answered took there and back; None while
            none was.
        on_heard: called at the next byte, once.
        version: the one subprotocol that is spoken on it; "" for any.
        admitted: the charge point as which it was let in.
        frame_bytes: the largest frame that it takes, as its server was told.
    """

    heard_at = 0.0
    pongs = False
    pinged_at = 0.0
    ping_s: float | None = None
    on_heard: Callable[[], None] | None = None
    version = ""
    admitted = ""
    frame_bytes = 3 << 20
    _waiting: asyncio.Future[None] | None = None
    _message: bytes | None = None
    _is_at_next_frame = False
    _ends = False

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if not self.heard_at and data.startswith(_TLS_HELLO):
            logger.warning(
                "somebody (from %s) speaks TLS where there is none: a charger there needs a URL "
                "with ws://, or the port of tls_listen",
                (self.remote_address or "?")[0],
            )
            self.transport.abort()
            return
        self.heard_at = self.loop.time()
        if not self._handed_over(data):
            self._parse(data)
        if self.on_heard is not None:
            told, self.on_heard = self.on_heard, None
            told()

    def _handed_over(self, data: bytes) -> bool:
        """Whether what came is a message, and no more, for who waits for it; then he has it."""
        waiting = self._waiting
        # Nobody waits here while a message is there in part: it is waited for in the queue.
        if waiting is None or waiting.done() or not self._is_at_next_frame:
            return False
        text = _whole_text(data) if self.state is _OPEN else None
        if text is None or len(text) > self.frame_bytes:
            return False
        self._message = text
        waiting.set_result(None)
        return True

    def _parse(self, data: bytes) -> None:
        """Have the library read what came, and see where it stands then."""
        super().data_received(data)
        protocol = self.protocol
        self._is_at_next_frame = not protocol.extensions and _is_at_next_frame(protocol.parser)
        if self.state is _CLOSING and not self._ends:
            # The peer may leave its end open for ever, and nobody else may be waiting for it.
            self._ends = True
            self.loop.call_later(self.close_timeout or 0, self.transport.abort)

    async def hear(self) -> bytes:
        """The next message, whose text is not decoded: `recv` for one that is waited for.

        Raises:
            ConnectionClosed: the connection has ended.
        """
        if self._message is None and self.state is _OPEN and not len(self.recv_messages.frames):
            self._waiting = self.loop.create_future()
            try:
                await self._waiting
            finally:
                self._waiting = None
        message, self._message = self._message, None
        return await self.recv(decode=False) if message is None else message

    def process_event(self, event: Event) -> None:
        """A frame came."""
        waiting = self._waiting
        if waiting is None or waiting.done() or not isinstance(event, Frame):
            super().process_event(event)
            return
        if event.opcode is _TEXT or event.opcode is _BINARY:
            waiting.set_result(None)
            if event.fin:
                self._message = bytes(event.data)
                return
        super().process_event(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection has ended."""
        super().connection_lost(exc)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def tell(self, frame: bytes) -> None:
        """Send a text frame: `send` without what answers of a line have no need for.

        Raises:
            ConnectionClosed: the connection has ended.
        """
        if self.state is not _OPEN:
            await self.send(frame, text=True)
            return
        try:
            self.transport.write(_text_frame(frame))
        except (OSError, RuntimeError):
            # The socket is gone and nobody has said so yet: this waits for it, and raises.
            await self.send(frame, text=True)
        if self.paused:
            await self.drain()

    def send_ping(self) -> None:
        """Ask for a pong; `pongs` and `ping_s` tell what came of it."""
        if self.state is _OPEN:
            self.pinged_at = self.pinged_at or self.loop.time()
            self.protocol.send_ping(_PING)
            self.send_data()

    def acknowledge_pings(self, data: bytes) -> None:
        """A pong came."""
        self.pongs = True
        if self.pinged_at and data == _PING:
            self.ping_s = self.loop.time() - self.pinged_at
            self.pinged_at = 0.0
        super().acknowledge_pings(data)


def _is_at_next_frame(parser: object) -> bool:
    """Whether the library's parser waits for the first byte of a frame."""
    waits_in = parser
    while (inner := getattr(waits_in, "gi_yieldfrom", None)) is not None:
        waits_in = inner
    return isinstance(waits_in, GeneratorType) and waits_in.gi_code is StreamReader.at_eof.__code__


def _whole_text(data: bytes) -> bytes | None:
    """The text where this is one frame, of one short text and nothing more, as chargers send it
    (RFC 6455 sections 5.2 and 5.3); None where it is anything else."""
    if len(data) < 2 + _MASK_BYTES or data[0] != _WHOLE_TEXT or not data[1] & _MASKED:
        return None
    length, at = data[1] - _MASKED, 2
    if length == _SHORT:
        length, at = int.from_bytes(data[2:4], "big"), 4
    elif length > _SHORT:
        return None
    begin = at + _MASK_BYTES
    if len(data) != begin + length:
        return None
    return apply_mask(data[begin:], data[at:begin])


def _text_frame(text: bytes) -> bytes:
    """A text in one frame, as servers send it (RFC 6455 section 5.2)."""
    length = len(text)
    if length < _SHORT:
        return b"\x81%c%b" % (length, text)
    if length < _LONG:
        return b"\x81\x7e%b%b" % (length.to_bytes(2, "big"), text)
    return b"\x81\x7f%b%b" % (length.to_bytes(8, "big"), text)

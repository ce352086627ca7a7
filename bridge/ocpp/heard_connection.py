"""A charger's websocket, as the server has it: when its peer was heard, and no detours.

What a charger and Strom say to each other is nearly always one frame at a time, and the one that
the other waits for: such a frame goes to who waits for it, past the library's queues.

Websocket frames, pings and pongs: RFC 6455 section 5, https://www.rfc-editor.org/rfc/rfc6455
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from websockets.asyncio.server import ServerConnection
from websockets.frames import Frame, Opcode
from websockets.protocol import Event, State

logger = logging.getLogger(__name__)

_PING = b"Strom"
_TLS_HELLO = b"\x16\x03"
"""With this a TLS connection begins (RFC 8446 section 5.1)."""
_OPEN, _CLOSING = State.OPEN, State.CLOSING
_TEXT, _BINARY = Opcode.TEXT, Opcode.BINARY
_SHORT, _LONG = 126, 1 << 16


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
    """

    heard_at = 0.0
    pongs = False
    pinged_at = 0.0
    ping_s: float | None = None
    on_heard: Callable[[], None] | None = None
    version = ""
    _waiting: asyncio.Future[None] | None = None
    _message: bytes | None = None
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
        super().data_received(data)
        if self.state is _CLOSING and not self._ends:
            # The peer may leave its end open for ever, and nobody else may be waiting for it.
            self._ends = True
            self.loop.call_later(self.close_timeout or 0, self.transport.abort)
        if self.on_heard is not None:
            told, self.on_heard = self.on_heard, None
            told()

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


def _text_frame(text: bytes) -> bytes:
    """A text in one frame, as servers send it (RFC 6455 section 5.2)."""
    length = len(text)
    if length < _SHORT:
        return b"\x81%c%b" % (length, text)
    if length < _LONG:
        return b"\x81\x7e%b%b" % (length.to_bytes(2, "big"), text)
    return b"\x81\x7f%b%b" % (length.to_bytes(8, "big"), text)

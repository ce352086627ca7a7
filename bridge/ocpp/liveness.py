"""Whether a charger is still there, and still answers.

TCP tells of a peer that vanished only after many minutes, and nothing at all of a program that
hangs behind a living socket. So a charger that was not heard for a while is sent a ping, and one
whose program says nothing is asked for a heartbeat. Three verdicts follow, none of them from
the heartbeat alone, since many chargers send none and are well:

- it does not answer: no byte came, also after a ping, or two calls in a row went unanswered.
  No payment is taken for it; whatever it says next makes it well again.
- it is lost: no byte came for much longer. The connection is closed.
- it never answers pings, as some do: then only its own word counts, within three intervals of
  the heartbeat.

Websocket pings and pongs: RFC 6455 section 5.5.2, https://www.rfc-editor.org/rfc/rfc6455
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from bridge.ocpp.limits import Limits

logger = logging.getLogger(__name__)

ASK_AFTER = 2
"""After so many intervals of the heartbeat without a word a charger is asked for one."""

LOST_AFTER = 3
"""After so many it is lost, where it answers no pings; fewer drop chargers that are only late."""

UNANSWERED = 2
"""So many calls in a row may go unanswered."""

_PING = b"Strom"
_OPEN = State.OPEN


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

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self.heard_at = self.loop.time()
        super().data_received(data)
        if self.on_heard is not None:
            told, self.on_heard = self.on_heard, None
            told()

    async def tell(self, frame: bytes) -> None:
        """Send a text frame: `send` without what answers of a line have no need for.

        Raises:
            ConnectionClosed: the connection has ended.
        """
        if self.state is not _OPEN:
            await self.send(frame, text=True)
            return
        self.protocol.send_text(frame)
        try:
            self.send_data()
        except (OSError, RuntimeError):
            # The socket is gone and nobody has said so yet: this waits for it, and raises.
            await self.send(frame, text=True)
        if self.paused:
            await self.drain()

    def acknowledge_pings(self, data: bytes) -> None:
        """A pong came."""
        self.pongs = True
        if self.pinged_at and data == _PING:
            self.ping_s = self.loop.time() - self.pinged_at
            self.pinged_at = 0.0
        super().acknowledge_pings(data)


class Liveness:
    """Watches over one connection.

    Args:
        name: the charge point's id.
        socket: its connection.
        limits: how long its silences may be.
        on_change: told when the charger begins or ceases to answer; it answers at first.
        probe: makes a call that any charger answers.
    """

    __slots__ = (
        "_answers",
        "_limits",
        "_name",
        "_on_change",
        "_probe",
        "_probed_at",
        "_socket",
        "_spoke_at",
        "_timer",
        "_unanswered",
    )

    def __init__(
        self,
        name: str,
        socket: HeardConnection,
        limits: Limits,
        on_change: Callable[[bool], None],
        probe: Callable[[], None],
    ) -> None:
        self._name = name
        self._socket = socket
        self._limits = limits
        self._on_change = on_change
        self._probe = probe
        self._answers = True
        self._unanswered = 0
        self._spoke_at = socket.loop.time()
        self._probed_at = self._spoke_at
        self._timer: asyncio.TimerHandle | None = None

    @property
    def answers(self) -> bool:
        """Whether the charger answers."""
        return self._answers

    def start(self) -> None:
        """Begin to watch."""
        interval_s = self._limits.ping_interval_s
        if interval_s is not None:
            self._ping()
            self._timer = self._socket.loop.call_later(interval_s, self._look, interval_s)

    def stop(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()
        self._socket.on_heard = None

    def spoke(self) -> None:
        """A frame of OCPP came: the charger's program lives."""
        self._spoke_at = self._socket.loop.time()
        if self._unanswered:
            self._unanswered = 0
            self._judge()

    def did_not_answer(self) -> None:
        """A call went unanswered for as long as an answer may take."""
        self._unanswered += 1
        if self._unanswered < UNANSWERED:
            self._ask()
        self._judge()

    def _look(self, interval_s: float) -> None:
        """See how long the charger has been silent, and look again when that matters."""
        socket, limits = self._socket, self._limits
        now = socket.loop.time()
        silent_s = now - max(socket.heard_at, self._spoke_at)
        if silent_s >= self._lost_after_s():
            logger.warning("%s is lost: nothing was heard for %.0f s", self._name, silent_s)
            socket.transport.abort()
            return
        if silent_s < interval_s:
            next_s = interval_s - silent_s
        else:
            self._ping()
            next_s = min(interval_s, limits.ping_timeout_s)
        if now - max(self._spoke_at, self._probed_at) >= ASK_AFTER * limits.heartbeat_s:
            self._ask()
        self._judge()
        self._timer = socket.loop.call_later(next_s, self._look, interval_s)

    def _lost_after_s(self) -> float:
        if not self._socket.pongs:
            return LOST_AFTER * self._limits.heartbeat_s
        return self._limits.lost_after_s

    def _judge(self) -> None:
        """Tell when the charger begins or ceases to answer."""
        socket, limits = self._socket, self._limits
        answers = self._unanswered < UNANSWERED
        if answers and socket.pongs and limits.ping_interval_s is not None:
            silent_s = socket.loop.time() - max(socket.heard_at, self._spoke_at)
            answers = silent_s < limits.ping_interval_s + limits.ping_timeout_s
            socket.on_heard = None if answers else self._judge
        if answers is not self._answers:
            self._answers = answers
            logger.log(
                logging.INFO if answers else logging.WARNING,
                "%s %s",
                self._name,
                "answers again" if answers else "does not answer: no payment is taken for it",
            )
            self._on_change(answers)

    def _ping(self) -> None:
        if self._socket.state is State.OPEN:
            self._socket.pinged_at = self._socket.pinged_at or self._socket.loop.time()
            self._socket.protocol.send_ping(_PING)
            self._socket.send_data()

    def _ask(self) -> None:
        self._probed_at = self._socket.loop.time()
        self._probe()

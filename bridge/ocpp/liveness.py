"""Whether a charger is still there, and still answers.

TCP tells of a peer that vanished only after many minutes, and nothing at all of a program that
hangs behind a living socket. So a charger that was not heard for a while is sent a ping, and one
whose program says nothing is asked for a heartbeat. Three verdicts follow, none of them from
the heartbeat alone, since many chargers send none and are well:

- it does not answer: no byte came, also after a ping, or two calls in a row went unanswered, or
  the first one where it has not said a word yet. No payment is taken for it; whatever it says
  next makes it well again.
- it is lost: no byte came for much longer. The connection is closed.
- it never answers pings, as some do: then only its own word counts, within three intervals of
  the heartbeat.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from bridge.ocpp.heard_connection import HeardConnection
from bridge.ocpp.limits import Limits

logger = logging.getLogger(__name__)

ASK_AFTER = 2
"""After so many intervals of the heartbeat without a word a charger is asked for one."""

LOST_AFTER = 3
"""After so many it is lost, where it answers no pings; fewer drop chargers that are only late."""

UNANSWERED = 2
"""So many calls in a row may go unanswered."""


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
        "_spoke",
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
        self._spoke = False
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
            self._socket.send_ping()
            self._timer = self._socket.loop.call_later(interval_s, self._look, interval_s)

    def stop(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()
        self._socket.on_heard = None

    def spoke(self) -> None:
        """A frame of OCPP came: the charger's program lives."""
        self._spoke = True
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
            self._socket.send_ping()
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
        answers = self._unanswered < (UNANSWERED if self._spoke else 1)
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

    def _ask(self) -> None:
        self._probed_at = self._socket.loop.time()
        self._probe()

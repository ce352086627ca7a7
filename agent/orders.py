"""What a charge point's sessions want of its charger, asked for until it is done."""

from __future__ import annotations

import asyncio
import logging

from agent.commons import Commons
from agent.connectors import Connectors
from agent.journal.journal import Task
from agent.machine.effects import (
    CutPower,
    StartCharging,
    StopCharging,
    WatchAsUsual,
    WatchClosely,
)
from agent.machine.events import Obstacle, StartRejected
from agent.machine.model import SessionState
from agent.machine.statuses import RESTART_AFTER_MS
from agent.outbox import Retry
from agent.ports.charger import Charger, StartOutcome, StopOutcome
from agent.sessions import Sessions

STOP_ATTEMPTS = 5

IGNORED_STOPS = 3
"""When so many had no effect, an operator must see to it."""

_ACCEPTED_KEPT = 20

log = logging.getLogger(__name__)


class Orders:
    """Delivers the effects that are meant for the charger of one charge point.

    Args:
        charge_point_id: whose.
        sessions: those that want something.
        connectors: told of stops without effect.
        commons: what all charge points share.
    """

    def __init__(
        self, charge_point_id: str, sessions: Sessions, connectors: Connectors, commons: Commons
    ) -> None:
        self._id = charge_point_id
        self._sessions = sessions
        self._connectors = connectors
        self._commons = commons
        self._charger: Charger | None = None
        self._attached = asyncio.Event()
        self._accepted_at_ms: dict[str, int] = {}
        self._stopping: dict[int, asyncio.Task[None]] = {}

    @property
    def charger(self) -> Charger | None:
        """The charger that is connected now."""
        return self._charger

    def attach(self, charger: Charger) -> None:
        """From now on this is the charger; what waits for one goes on."""
        self._charger = charger
        self._attached.set()

    def detach(self) -> None:
        """No charger is connected; starts and stops wait for the next one."""
        self._charger = None
        self._attached.clear()

    async def deliver(self, task: Task, recovered: bool) -> None:
        """Carry out an effect that is meant for the charger (an outbox handler)."""
        match task.effect:
            case StartCharging(attempt):
                await self._start(task.session_id, attempt, recovered)
            case StopCharging(transaction_id):
                await self._stop(task.session_id, transaction_id)
            case WatchClosely() | WatchAsUsual() | CutPower():
                await self._look(task, recovered)
            case other:
                raise TypeError(f"not for a charger: {other}")

    async def _start(self, session_id: str, attempt: int, recovered: bool) -> None:
        charger = await self._connected()
        session = self._sessions.get(session_id)
        if session.state is not SessionState.STARTING:
            return
        if self._commons.clock() - self._accepted_at_ms.get(session_id, 0) < RESTART_AFTER_MS:
            # Its answer came late, behind an outage: asked again it might begin twice.
            return
        outcome = await charger.start(session.connector, session.id)
        log.info("%s: start of connector %d: %s", self._id, session.connector, outcome)
        if outcome is StartOutcome.ACCEPTED:
            self._accepted_at_ms[session_id] = self._commons.clock()
            if len(self._accepted_at_ms) > _ACCEPTED_KEPT:
                del self._accepted_at_ms[next(iter(self._accepted_at_ms))]
        if outcome is StartOutcome.UNKNOWN and charger is not self._charger:
            raise Retry("the charger was lost while it was asked to start")
        if outcome is StartOutcome.REJECTED and not recovered:
            now_ms = self._commons.clock()
            plugged = self._connectors.waits_for_unplug(session.connector)
            reason = Obstacle.STILL_PLUGGED_IN if plugged else Obstacle.REJECTED
            event = StartRejected(f"rejected:{session_id}:{attempt}", now_ms, reason)
            await self._sessions.submit(session_id, [event])

    async def _stop(self, session_id: str, transaction_id: int) -> None:
        """Ask for a stop; the session repeats it until the transaction has ended.

        Nobody repeats it for a transaction that began after its session had ended: then the
        charger is asked a few times here, and has been told that its tag is invalid.
        """
        charger = await self._connected()
        session = self._sessions.get(session_id)
        own = session.transaction_id == transaction_id
        over = session.state is SessionState.CLOSED and not own
        if own and session.transaction_ended:
            return
        if own and session.stop_attempts > IGNORED_STOPS:
            self._connectors.ignores_stop(session.connector)
        for attempt in range(STOP_ATTEMPTS if over else 1):
            outcome = await charger.stop(transaction_id)
            log.info("%s: stop of transaction %d: %s", self._id, transaction_id, outcome)
            if outcome is StopOutcome.ACCEPTED:
                return
            if over and attempt + 1 < STOP_ATTEMPTS:
                await asyncio.sleep(2**attempt)

    def stop_now(self, transaction_id: int) -> bool:
        """Ask the charger for a stop without storing that, unless it is being asked already;
        nobody waits for its answer. False where none is connected."""
        charger = self._charger
        if charger is None:
            return False
        if transaction_id in self._stopping:
            return True

        async def stop() -> None:
            outcome = await charger.stop(transaction_id)
            log.warning("%s: stop of transaction %d: %s", self._id, transaction_id, outcome)

        asked = asyncio.get_running_loop().create_task(stop())
        self._stopping[transaction_id] = asked
        asked.add_done_callback(lambda _: self._stopping.pop(transaction_id, None))
        return True

    async def _look(self, task: Task, recovered: bool) -> None:
        """Carry out what helps to stop in time; nothing of it is worth waiting for a charger."""
        charger = self._charger
        if charger is None:
            return
        session = self._sessions.get(task.session_id)
        closed = session.state is SessionState.CLOSED
        match task.effect:
            case WatchClosely() if not (closed or recovered):
                outcome = await charger.watch(session.connector)
                log.debug(
                    "%s: watching connector %d: %s",
                    self._id,
                    session.connector,
                    outcome,
                )
            case WatchAsUsual():
                await charger.watch_as_usual(session.connector)
            case CutPower(transaction_id) if not closed:
                done = await charger.cut_power(session.connector, transaction_id)
                how = "is cut" if done else "was not cut: the charger takes no limit"
                log.info("%s: the power of transaction %d %s", self._id, transaction_id, how)
            case _:
                return

    async def _connected(self) -> Charger:
        while self._charger is None:
            await self._attached.wait()
        return self._charger

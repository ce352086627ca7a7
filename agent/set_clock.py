"""What follows for the sessions when the machine's clock is set, or begins anew in the past.

A clock without a battery begins anew with each start of its machine: in 1970, or with what was
last written down. So what it showed is kept in the journal, and a start before that is seen.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from agent.all_sessions import AllSessions
from agent.clock_watch import LEAST_STEP_MS
from agent.commons import Commons
from agent.journal.errors import JournalUnusable
from agent.machine.events import ClockSet
from agent.machine.model import Session, SessionState

SEEN = "clock:seen"
"""The setting that tells what the clock last showed, Unix ms."""
SEEN_EVERY_S = 60.0

log = logging.getLogger(__name__)


class SetClock:
    """Moves the sessions with the clock: no time has passed for anybody.

    Args:
        commons: clock, journal and alerts.
        sessions: those of all charge points.
    """

    def __init__(self, commons: Commons, sessions: AllSessions) -> None:
        self._commons = commons
        self._sessions = sessions

    async def run(self) -> None:
        """Keep what the clock shows, until cancelled."""
        while True:
            await asyncio.sleep(SEEN_EVERY_S)
            await self._keep()

    async def _keep(self) -> None:
        await self._commons.journal.set_setting(SEEN, str(self._commons.clock()))

    async def was_set(self, by_ms: int) -> None:
        """What is open goes on as if it had always been so late.

        Args:
            by_ms: by how much the clock was set, forward or (below zero) back.
        """
        sentence = (
            f"the clock of this machine was set {'forward' if by_ms > 0 else 'back'} by "
            f"{abs(by_ms) // 1000:,} s; charges that run are counted as before"
        )
        log.warning("%s", sentence)
        self._commons.alerts.happened("clock", sentence)
        self._commons.started_at_ms += by_ms
        now_ms = self._commons.clock()
        for session in self._sessions.open():
            event = ClockSet(f"clock:{session.id}:{now_ms}", now_ms, by_ms)
            try:
                await self._sessions.of(session.charge_point).clock_set(session.id, event)
            except JournalUnusable as error:
                log.error("session %s goes on by the clock of before: %s", session.id, error)
        with suppress(JournalUnusable):
            await self._keep()

    async def resume(self, live: Sequence[Session]) -> tuple[list[Session], int]:
        """Begin with what the journal holds; a clock that is behind it has moved it back.

        Otherwise what is open would wait for a time that is long to come, and be moved further
        still once the clock is set.

        Args:
            live: the sessions of which anything can still come.

        Returns:
            The same as they are by the clock of now, and by how much that is behind, in ms.

        Raises:
            JournalUnusable: what was moved cannot be stored.
        """
        seen_ms, now_ms = int(self._commons.journal.setting(SEEN) or 0), self._commons.clock()
        behind_ms = seen_ms - now_ms
        moved = list(live)
        if behind_ms < LEAST_STEP_MS:
            behind_ms = 0
        else:
            self._tell_behind(behind_ms)
            moved = [await self._moved_back(one, behind_ms, seen_ms, now_ms) for one in live]
        with suppress(JournalUnusable):
            await self._keep()
        return moved, behind_ms

    def _tell_behind(self, behind_ms: int) -> None:
        sentence = (
            f"the clock of this machine is {behind_ms // 1000:,} s behind what it showed when "
            "Strom was last at work: until it is set, receipts have wrong dates, and wallet and "
            "relays may not be reached"
        )
        log.warning("%s", sentence)
        self._commons.alerts.happened("clock behind", sentence)

    async def _moved_back(
        self, session: Session, behind_ms: int, seen_ms: int, now_ms: int
    ) -> Session:
        if session.state is SessionState.CLOSED:
            return session
        sessions = self._sessions.of(session.charge_point)
        sessions.load(session)
        # Its key is known where Strom died in the middle of this: nothing moves twice.
        event = ClockSet(f"clock:{session.id}:behind:{seen_ms}", now_ms, -behind_ms)
        return await sessions.clock_set(session.id, event)

"""How long a charger takes from being asked to stop until it has: learned, and planned with."""

from __future__ import annotations

from agent.journal.journal import Journal
from agent.machine.events import TransactionStopped
from agent.machine.model import Ending, Session
from agent.sessions import Sessions

STOPS_KEPT = 3
"""Of so many stops the slowest says how early the next one is asked for."""

MOST_STOP_MS = 20_000
"""A stop that took longer was not obeyed at first: such a one is cut off and not planned for."""


_SAID_SO = (Ending.STOPPED, Ending.NO_REGISTER)
"""The charger said that it stopped, with a register or without."""


class StopTimes:
    """What the last stops of one charger took; they survive a restart.

    Args:
        charge_point_id: whose.
        sessions: new ones are planned with what was learned.
        journal: where it is kept.
    """

    def __init__(self, charge_point_id: str, sessions: Sessions, journal: Journal) -> None:
        self._setting = f"stops:{charge_point_id}"
        self._sessions = sessions
        self._journal = journal
        self._took_ms: list[int] = []

    def resume(self) -> None:
        """Take up what the journal knows."""
        stops = self._journal.setting(self._setting) or ""
        self._took_ms = [int(value) for value in stops.split(",") if value]
        self._sessions.stop_lead_ms = max(self._took_ms, default=None)

    async def note(self, session: Session, event: TransactionStopped) -> None:
        """A transaction ended; learn from it when that was asked for and obeyed."""
        mine = session.transaction_id == event.transaction_id and session.stop_by is not None
        obeyed = session.stop_sent_at_ms == session.stopping_since_ms > 0
        if not mine or not obeyed or session.ending not in _SAID_SO:
            return
        took_ms = event.at_ms - session.stopping_since_ms
        if 0 <= took_ms <= MOST_STOP_MS:
            self._took_ms = [*self._took_ms, took_ms][-STOPS_KEPT:]
            self._sessions.stop_lead_ms = max(self._took_ms)
            values = ",".join(str(value) for value in self._took_ms)
            await self._journal.set_setting(self._setting, values)

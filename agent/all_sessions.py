"""The sessions of all charge points, also of those that have left the operator's file."""

from __future__ import annotations

from collections.abc import Mapping

from agent.commons import Commons
from agent.journal.journal import Journal
from agent.machine.events import Event
from agent.machine.model import Session, SessionState
from agent.ports.errors import UnknownSession
from agent.sessions import Sessions


class AllSessions:
    """Finds sessions, and takes what happens to them where they are kept.

    Args:
        journal: knows all that ever were.
        present: those of each charge point whose charger is let in, by its id.
        commons: for those of the others.
    """

    def __init__(self, journal: Journal, present: Mapping[str, Sessions], commons: Commons) -> None:
        self._journal = journal
        self._present = present
        self._commons = commons
        self._retired: dict[str, Sessions] = {}

    def of(self, charge_point_id: str) -> Sessions:
        """The sessions of a charge point."""
        present = self._present.get(charge_point_id)
        if present is not None:
            return present
        return self._retired.setdefault(charge_point_id, Sessions(charge_point_id, self._commons))

    def get(self, session_id: str) -> Session:
        """A session as it is now, live or past; raises UnknownSession."""
        stored = self._journal.sessions.get(session_id)
        if stored is None:
            raise UnknownSession("there is no such session")
        return self.of(stored.charge_point).get(session_id)

    def of_secret(self, secret: str) -> Session:
        """The session that a secret owns; raises UnknownSession."""
        for quote in self._journal.quotes.by_secret(secret):
            stored = self._journal.sessions.get(quote.session_id)
            if stored is not None:
                return self.of(stored.charge_point).get(stored.id)
        raise UnknownSession("this link belongs to no session here")

    async def submit(self, session: Session, event: Event) -> Session:
        """Take an event into a session; see `agent.sessions.Sessions.submit`."""
        return await self.of(session.charge_point).submit(session.id, [event])

    def open(self) -> list[Session]:
        """All that have not ended."""
        return [
            session
            for sessions in (*self._present.values(), *self._retired.values())
            for session in sessions.open()
        ]

    def bound_msat(self) -> int:
        """What may have to go back: what is owed, and what open sessions have left."""
        return sum(
            session.owed_msat if session.state is SessionState.CLOSED else session.left_msat
            for sessions in (*self._present.values(), *self._retired.values())
            for session in sessions.live()
        )

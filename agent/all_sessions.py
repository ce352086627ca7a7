"""The sessions of all charge points, for those who know a session by its id alone."""

from __future__ import annotations

from collections.abc import Callable

from agent.journal.sessions import SessionBook
from agent.machine.events import Event
from agent.machine.model import Session
from agent.ports.errors import UnknownSession
from agent.sessions import Sessions


class AllSessions:
    """Finds sessions, and takes what happens to them where they are kept.

    Args:
        book: the sessions on the disk.
        sessions_of: those of a charge point by its id, also of one that has left the file.
    """

    def __init__(self, book: SessionBook, sessions_of: Callable[[str], Sessions]) -> None:
        self._book = book
        self._sessions_of = sessions_of

    def get(self, session_id: str) -> Session:
        """A session as it is now, live or past; raises UnknownSession."""
        stored = self._book.get(session_id)
        if stored is None:
            raise UnknownSession("there is no such session")
        return self._sessions_of(stored.charge_point).get(session_id)

    async def submit(self, session: Session, event: Event) -> Session:
        """Take an event into a session; see `agent.sessions.Sessions.submit`."""
        return await self._sessions_of(session.charge_point).submit(session.id, [event])

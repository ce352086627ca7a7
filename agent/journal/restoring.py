"""Sessions as the journal has them: the last snapshot, and the readings that came after it.

A reading of the meter is by far the most frequent event and changes nothing that others look
for, so it is stored alone. The machine is pure: stepping the snapshot through the readings again
gives the session that was in memory.
"""

from __future__ import annotations

import sqlite3

from agent.journal import codec
from agent.machine.model import Session
from agent.machine.session import step

MOST_READINGS = 32
"""So many readings are stored after a snapshot before the next one is."""

_SINCE = "SELECT kind, body FROM events WHERE session_id = ? AND seq > ? ORDER BY seq"


def restored(reading: sqlite3.Connection, snapshot: bytes, snapshot_seq: int) -> Session:
    """A session from its snapshot.

    Args:
        reading: a connection to the database.
        snapshot: as it was stored.
        snapshot_seq: the number of the last event that is in it.
    """
    session = codec.decode_session(snapshot)
    for kind, body in reading.execute(_SINCE, (session.id, snapshot_seq)):
        session, _ = step(session, codec.decode_event(kind, body))
    return session


class Tails:
    """How many readings each session has stored since its snapshot."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def take(self, session_id: str, readings: int) -> bool:
        """Whether so many more may be stored without a snapshot; they are counted then."""
        count = self._counts.get(session_id, 0) + readings
        if count > MOST_READINGS:
            return False
        self._counts[session_id] = count
        return True

    def cut(self, session_id: str) -> None:
        """A snapshot was stored."""
        self._counts.pop(session_id, None)

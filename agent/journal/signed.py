"""The journal's pages of signed meter values: bounded for each session, first and last kept."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from agent.journal import codec
from agent.journal.writer import Writer
from agent.signed_values import SignedValue

KEPT = 32
"""So many are kept of a session."""
KEPT_FIRST = 2
"""So many of them are its first ones, the rest its latest."""


class SignedBook:
    """Signed meter values by session; part of the journal, on its connections."""

    def __init__(self, writer: Writer, reading: sqlite3.Connection) -> None:
        self._writer = writer
        self._reading = reading

    async def keep(self, session_id: str, values: Sequence[SignedValue]) -> None:
        """Store values; those known already change nothing."""
        rows = [(session_id, value.sha256, codec.encode(value)) for value in values]

        def unit(db: sqlite3.Connection) -> None:
            db.executemany(
                "INSERT OR IGNORE INTO signed_values(session_id, sha256, body) VALUES(?, ?, ?)",
                rows,
            )
            db.execute(
                "DELETE FROM signed_values WHERE session_id = ?1 AND seq NOT IN"
                " (SELECT seq FROM (SELECT seq FROM signed_values WHERE session_id = ?1"
                " ORDER BY seq LIMIT ?2)) AND seq NOT IN"
                " (SELECT seq FROM (SELECT seq FROM signed_values WHERE session_id = ?1"
                " ORDER BY seq DESC LIMIT ?3))",
                (session_id, KEPT_FIRST, KEPT - KEPT_FIRST),
            )

        await self._writer.write(unit)

    def of(self, session_id: str) -> list[SignedValue]:
        """The values of a session, in the order in which they came."""
        rows = self._reading.execute(
            "SELECT body FROM signed_values WHERE session_id = ? ORDER BY seq", (session_id,)
        )
        return [codec.decode(body, SignedValue) for (body,) in rows]

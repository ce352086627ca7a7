"""Reading a database that may be damaged: that is told as what it is, in a sentence."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self, cast

from agent.journal.errors import JournalUnusable

_DAMAGED = frozenset(
    {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}
)
"""What is wrong with the file, and not with the question (https://www.sqlite.org/rescode.html)."""


class Reading(sqlite3.Connection):
    """A connection that raises JournalUnusable where the file is damaged.

    Attributes:
        path: of the database.
        on_damage: called with the sentence then.
    """

    path = Path()
    on_damage: Callable[[str], None] | None = None

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """As in sqlite3."""
        return self.cursor(_Rows).execute(sql, parameters)

    def refusal(self, error: sqlite3.DatabaseError) -> Exception:
        """What to raise for an error."""
        # An extended code has its primary one in its lowest byte.
        if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _DAMAGED:
            return error
        sentence = (
            f"{self.path} is damaged: {error}; stop Strom, keep a copy of the file, and restore a "
            "backup or let sqlite3's .recover write a new one"
        )
        if self.on_damage is not None:
            self.on_damage(sentence)
        return JournalUnusable(sentence)


class _Rows(sqlite3.Cursor):
    """The answer to a question; rows are read one after the other, and each may be the damaged."""

    def execute(self, sql: str, parameters: Any = (), /) -> Self:
        try:
            return super().execute(sql, parameters)
        except sqlite3.DatabaseError as error:
            raise self._refusal(error) from error

    def fetchone(self) -> Any:
        try:
            return super().fetchone()
        except sqlite3.DatabaseError as error:
            raise self._refusal(error) from error

    def fetchall(self) -> list[Any]:
        try:
            return super().fetchall()
        except sqlite3.DatabaseError as error:
            raise self._refusal(error) from error

    def __next__(self) -> Sequence[Any]:
        try:
            return super().__next__()
        except sqlite3.DatabaseError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: sqlite3.DatabaseError) -> Exception:
        return cast("Reading", self.connection).refusal(error)

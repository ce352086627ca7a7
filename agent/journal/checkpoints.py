"""What is committed moves from the write-ahead log into the database beside the commits
(SQLite, https://www.sqlite.org/wal.html#ckpt).

By itself SQLite does that within a COMMIT, each 1,000 pages, and all who wait for that COMMIT wait
for some ten milliseconds more. Here a thread does nearly all of it; only what was committed
meanwhile is left to a COMMIT, after which the log begins anew.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Event, Thread

COMMITS = 250
"""So many, and what they wrote is moved."""
MOST_PAGES = 10_000
"""With a log of so many a COMMIT moves them itself: 40 MB."""

log = logging.getLogger(__name__)


def leave_to_thread(writing: sqlite3.Connection) -> None:
    """Keep the commits of a connection from moving pages themselves while the log is short."""
    writing.execute(f"PRAGMA wal_autocheckpoint = {MOST_PAGES}")


class Checkpoints:
    """Moves what is committed.

    Args:
        connection: one of its own to the same database; only this uses it.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._since = 0
        self._asked: SimpleQueue[bool] = SimpleQueue()
        self._moved = Event()

    @contextmanager
    def running(self) -> Generator[None]:
        """The thread that moves."""
        thread = Thread(target=self._work, name="checkpoints", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._asked.put(False)
            thread.join()

    def committed(self, writing: sqlite3.Connection) -> None:
        """A COMMIT is done; called where it was done, before anything else is written there."""
        self._since += 1
        if self._moved.is_set():
            self._moved.clear()
            _move(writing)
            self._since = 0
        elif self._since == COMMITS:
            self._asked.put(True)

    def _work(self) -> None:
        while self._asked.get():
            _move(self._connection)
            self._moved.set()


def _move(connection: sqlite3.Connection) -> None:
    """Move what no reader needs in the log; what was committed stays safe if that fails."""
    try:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    except sqlite3.Error as error:
        log.warning("the journal's write-ahead log cannot be moved into it: %s", error)

"""Group commit: units of many charge points share one transaction and one fsync.

Statements run on the event loop, where they cost microseconds; only the COMMIT, which waits
for the disk, runs in a thread. What arrives meanwhile makes up the next group.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import anyio

from agent.journal.errors import JournalClosed, JournalUnusable

T = TypeVar("T")
Unit = Callable[[sqlite3.Connection], Any]


class Rows(NamedTuple):
    """Rows for one statement. Those of a whole group are written at once, after its units."""

    statement: str
    rows: Sequence[tuple[Any, ...]]


class Writer:
    """The one writer of the database.

    `run()` must be running for `write()` to return. A unit that raises takes nothing with
    it: the others of its group are stored all the same.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._waiting: list[tuple[Unit | Rows, asyncio.Future[Any]]] = []
        self._wake = asyncio.Event()
        self._closing = False
        self.commits = 0

    async def write(self, unit: Callable[[sqlite3.Connection], T]) -> T:
        """Run a unit in the next group; returns its result once the group is on the disk.

        Raises:
            JournalUnusable: the database refused; nothing of the unit is stored.
            JournalClosed: the journal is closing.
        """
        return await self._queue(unit)

    def insert(self, statement: str, rows: Sequence[tuple[Any, ...]]) -> Awaitable[None]:
        """Write rows that nothing of the same group depends on; raises as `write`."""
        return self._queue(Rows(statement, rows))

    def _queue(self, work: Unit | Rows) -> asyncio.Future[Any]:
        if self._closing:
            raise JournalClosed("the journal is closed")
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((work, future))
        self._wake.set()
        return future

    def close(self) -> None:
        """Let `run()` store what waits, and end."""
        self._closing = True
        self._wake.set()

    async def run(self) -> None:
        """Store group after group until closed."""
        while self._waiting or not self._closing:
            await self._wake.wait()
            self._wake.clear()
            group, self._waiting = self._waiting, []
            if group:
                await self._store(group)

    async def _store(self, group: list[tuple[Unit | Rows, asyncio.Future[Any]]]) -> None:
        results: list[Any] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            batches: dict[str, list[tuple[Any, ...]]] = {}
            for work, _ in group:
                if isinstance(work, Rows):
                    batches.setdefault(work.statement, []).extend(work.rows)
                    results.append(None)
                else:
                    results.append(work(self._connection))
            for statement, rows in batches.items():
                self._connection.executemany(statement, rows)
            await self._commit()
        except sqlite3.Error as error:
            self._roll_back()
            if len(group) > 1:
                for single in group:
                    await self._store([single])
                return
            _refuse(group[0][1], JournalUnusable(f"the database refused to store: {error}"))
            return
        for (_, future), result in zip(group, results, strict=True):
            if not future.done():
                future.set_result(result)

    async def _commit(self) -> None:
        """COMMIT in a thread; a cancellation waits for the disk's answer first."""
        commit = asyncio.get_running_loop().run_in_executor(
            None, self._connection.execute, "COMMIT"
        )
        try:
            await asyncio.shield(commit)
        except asyncio.CancelledError:
            # A cancelled scope cancels whatever waits again and again, and the connection must
            # not be closed under a thread that uses it.
            with anyio.CancelScope(shield=True):
                await commit
            raise
        self.commits += 1

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def _refuse(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)

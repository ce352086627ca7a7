"""Group commit: units of many charge points share one transaction and one fsync.

Statements run on the event loop, where they cost microseconds; only the COMMIT, which waits
for the disk, runs in a thread. What arrives meanwhile makes up the next group. A COMMIT takes as
much of the processor as several readings do: readings wait a few milliseconds for more of them,
and what somebody decided on never waits.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, TypeVar

from agent.journal.checkpoints import Checkpoints
from agent.journal.committing import Committing
from agent.journal.errors import JournalClosed, JournalUnusable

T = TypeVar("T")
Unit = Callable[[sqlite3.Connection], Any]
Rows = Sequence[tuple[Any, ...]]

_REFUSED = (sqlite3.Error, ArithmeticError, TypeError, ValueError)
"""What the database and the values for it raise: numbers too large, text that has no UTF-8."""

_OF_THE_DISK = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CORRUPT,
    }
)
"""What is wrong with the disk or the file, and not with what was to be stored
(https://www.sqlite.org/rescode.html)."""

_LONGEST_TOLD = 40

GATHER_S = 0.003
"""Rows alone are stored so long after the last group at the earliest, counted from its begin.

With 50 chargers that each wait for an answer before they tell more, longer lets the processor idle:
after 4 ms all of them had told, and a tenth less came through; after 2 ms the commits took it."""

log = logging.getLogger(__name__)


@dataclass
class _Group:
    """What one transaction stores.

    Attributes:
        units: each with who waits for its result.
        inserts: the rows for each statement, each with who waits; written after the units.
    """

    units: list[tuple[Unit, asyncio.Future[Any]]] = field(default_factory=list[Any])
    inserts: dict[str, list[tuple[Rows, asyncio.Future[None]]]] = field(
        default_factory=dict[str, Any]
    )

    def waiting(self) -> list[asyncio.Future[Any]]:
        """All who wait, in the order of what they wait for."""
        unit_futures = [future for _, future in self.units]
        return unit_futures + [future for many in self.inserts.values() for _, future in many]

    def singly(self) -> Iterator[_Group]:
        """The same as groups of one."""
        for unit in self.units:
            yield _Group(units=[unit])
        for statement, many in self.inserts.items():
            for one in many:
                yield _Group(inserts={statement: [one]})

    def named(self) -> str:
        """What a group of one would store, by who made the unit, or by its table and first row."""
        for unit, _ in self.units:
            return f"what {_maker(unit)} writes"
        for statement, ((rows, _), *_) in self.inserts.items():
            first = ", ".join(_in_short(value) for value in rows[0]) if rows else ""
            return f"{len(rows)} of {_table(statement)}, the first with {first}"
        return "nothing"


class Writer:
    """The one writer of the database.

    `run()` must be running for `write()` to return. A unit that raises takes nothing with
    it: the others of its group are stored all the same.

    Args:
        connection: what nobody else writes to.
        checkpoints: move what was committed into the database.
        gather_s: seconds from the begin of one group to the next, where that is rows alone.

    Attributes:
        commits: how many groups were committed so far.
        on_trouble: see `Journal.on_trouble`.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        checkpoints: Checkpoints,
        gather_s: float = GATHER_S,
    ) -> None:
        self._gather_s = gather_s
        self._connection = connection
        self._committing = Committing(connection, checkpoints)
        self._next = _Group()
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._began_s = -math.inf
        self._closing = False
        self._is_refused = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self.commits = 0
        self.on_trouble: Callable[[str], None] | None = None

    async def write(self, unit: Callable[[sqlite3.Connection], T]) -> T:
        """Run a unit in the next group; returns its result once the group is on the disk.

        Raises:
            JournalUnusable: the database refused; nothing of the unit is stored.
            JournalClosed: the journal is closing.
        """
        future = self._asked()
        self._next.units.append((unit, future))
        self._urgent.set()
        return await future

    def insert(self, statement: str, rows: Rows) -> Awaitable[None]:
        """Write rows that nothing of the same group depends on; raises as `write`."""
        future = self._asked()
        inserts = self._next.inserts
        many = inserts.get(statement)
        if many is None:
            inserts[statement] = [(rows, future)]
        else:
            many.append((rows, future))
        return future

    def _asked(self) -> asyncio.Future[Any]:
        if self._closing:
            raise JournalClosed("the journal is closed")
        self._wake.set()
        return (self._loop or asyncio.get_running_loop()).create_future()

    def close(self) -> None:
        """Let `run()` store what waits, and end."""
        self._closing = True
        self._wake.set()
        self._urgent.set()

    async def run(self) -> None:
        """Store group after group until closed."""
        # Asking for the loop asks the system for the process, for each reading anew.
        self._loop = asyncio.get_running_loop()
        with self._committing.running():
            await self._run()

    async def _run(self) -> None:
        while True:
            while self._next.units or self._next.inserts:
                await self._gather()
                group, self._next = self._next, _Group()
                await self._store(group)
            if self._closing:
                return
            self._wake.clear()
            await self._wake.wait()

    async def _gather(self) -> None:
        loop = asyncio.get_running_loop()
        due_s = self._began_s + self._gather_s
        if loop.time() < due_s and not self._next.units and not self._closing:
            self._urgent.clear()
            timer = loop.call_at(due_s, self._urgent.set)
            try:
                await self._urgent.wait()
            finally:
                timer.cancel()
        self._began_s = loop.time()

    async def _store(self, group: _Group) -> None:
        waiting = group.waiting()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            results = [unit(self._connection) for unit, _ in group.units]
            for statement, many in group.inserts.items():
                rows = chain.from_iterable([rows for rows, _ in many])
                self._connection.executemany(statement, rows)
            await self._committing.commit()
            self.commits += 1
        except _REFUSED as error:
            self._roll_back()
            self._disk_refused(error)
            if len(waiting) > 1:
                for single in group.singly():
                    await self._store(single)
                return
            sentence = f"the database refused {group.named()}: {error}"
            if not isinstance(error, sqlite3.Error):
                # Not the disk's fault: a value that nobody should have let through to here.
                log.error("%s (%s)", sentence, type(error).__name__)
            _refuse(waiting[0], JournalUnusable(sentence))
            return
        if self._is_refused:
            self._is_refused = False
            self._tell("")
        results += [None] * (len(waiting) - len(results))
        for future, result in zip(waiting, results, strict=True):
            if not future.done():
                future.set_result(result)

    def _disk_refused(self, error: Exception) -> None:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
        # An extended code has its primary one in its lowest byte.
        if not self._is_refused and code & 0xFF in _OF_THE_DISK:
            self._is_refused = True
            self._tell(str(error))

    def _tell(self, reason: str) -> None:
        if self.on_trouble is not None:
            self.on_trouble(reason)

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def _maker(unit: Unit) -> str:
    """The method that made a unit, such as `Journal.set_setting`."""
    return getattr(unit, "__qualname__", type(unit).__name__).partition(".<locals>")[0]


def _table(statement: str) -> str:
    return statement.partition("(")[0].split()[-1]


def _in_short(value: object) -> str:
    """What a value is, without telling a long one: it may be somebody's secret."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    text = ascii(value)
    return text if len(text) <= _LONGEST_TOLD else f"{text[:_LONGEST_TOLD]}…"


def _refuse(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)

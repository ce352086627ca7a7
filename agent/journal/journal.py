"""The journal: typed questions and answers over the database; no SQL stands anywhere else.

What concerns one subject alone is in a book of its own: sessions, quotes, transactions and more.
One transaction holds an event, the snapshot it led to and the effects it asks for. Reads go
over a connection of their own and see what is committed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from msgspec import Struct
from sqlite_utils import Database

from agent.journal import codec
from agent.journal.checkpoints import Checkpoints, leave_to_thread
from agent.journal.errors import JournalUnusable
from agent.journal.nostr_book import NostrBook
from agent.journal.outside import OutsideBook
from agent.journal.pruning import Pruning
from agent.journal.quotes import QuoteBook
from agent.journal.reading import Reading
from agent.journal.restoring import Tails
from agent.journal.schema import MIGRATIONS, unknown_migrations
from agent.journal.sessions import SessionBook
from agent.journal.signed import SignedBook
from agent.journal.transactions import TransactionBook, store_transaction
from agent.journal.writer import Writer
from agent.machine.effects import Effect
from agent.machine.events import ConnectorStatus, Event, MeterSampled
from agent.machine.model import CLOSED, Session
from agent.machine.refund import RefundState
from agent.ports.charger import StartReport


@dataclass(frozen=True, slots=True)
class Task:
    """A stored effect that waits for its delivery to a target."""

    seq: int
    session_id: str
    target: str
    effect: Effect


_READINGS = {MeterSampled}


class Step(Struct, frozen=True):
    """What one commit stores.

    Attributes:
        session: the snapshot after the events.
        events: the events that led to it, oldest first; all new or none of it is stored.
        tasks: effects to be delivered, each with its target.
        quote_settled: the payment hash of the quote that an event settled.
        transaction: the transaction that began, with the charger's report of it.
        withdraw_key: a key that now stands for a refund: (k1, refund number).
    """

    session: Session
    events: Sequence[Event]
    tasks: Sequence[tuple[str, Effect]] = ()
    quote_settled: tuple[str, int] | None = None
    transaction: tuple[int, StartReport] | None = None
    withdraw_key: tuple[str, int] | None = None

    @property
    def only_sampled(self) -> bool:
        """Whether nothing but readings of a known session's meter is stored."""
        more = self.quote_settled or self.transaction or self.withdraw_key
        return not self.tasks and not more and set(map(type, self.events)) == _READINGS


JOURNAL_FILE = "strom.sqlite"
"""What the database is called in the data folder."""

_EVENT = (
    "INSERT INTO events(key, session_id, at_ms, kind, body) VALUES(?, ?, ?, ?, ?)"
    " ON CONFLICT(key) WHERE kind != 'MeterSampled' DO NOTHING"
)
_READING = (
    "INSERT INTO events(key, session_id, at_ms, kind, body) VALUES('', ?, ?, 'MeterSampled', ?)"
)
_SESSION = (
    "INSERT INTO sessions(id, charge_point, connector, state, owner_pubkey, live, opened_at_ms,"
    " snapshot, snapshot_seq) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8,"
    " (SELECT ifnull(max(seq), 0) FROM events WHERE session_id = ?1))"
    " ON CONFLICT(id) DO UPDATE SET"
    " connector = excluded.connector, state = excluded.state, live = excluded.live,"
    " owner_pubkey = excluded.owner_pubkey, snapshot = excluded.snapshot,"
    " snapshot_seq = excluded.snapshot_seq"
)
_OUTBOX = "INSERT INTO outbox(session_id, target, kind, body) VALUES(?, ?, ?, ?)"


_Connection = TypeVar("_Connection", bound=sqlite3.Connection)


def _connect(path: Path, kind: type[_Connection]) -> _Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=kind)
    connection.execute("PRAGMA busy_timeout = 5000")
    # Of a checkpoint too: the database has to be on the disk before the log begins anew.
    connection.execute("PRAGMA synchronous = FULL")
    return connection


class Journal:
    """The database of one Strom; see `open()`."""

    def __init__(
        self,
        path: Path,
        writing: sqlite3.Connection,
        reading: Reading,
        moving: sqlite3.Connection,
    ) -> None:
        self.path = path
        self._writing = writing
        self._reading = reading
        self._moving = moving
        self._writer = Writer(writing, Checkpoints(moving))
        self._tails = Tails()
        self.outside = OutsideBook(self._writer, reading)
        self.nostr = NostrBook(self._writer, reading)
        self.pruning = Pruning(self._writer, reading)
        self.quotes = QuoteBook(self._writer, reading)
        self.sessions = SessionBook(reading)
        self.signed = SignedBook(self._writer, reading)
        self.transactions = TransactionBook(self._writer, reading)

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Open or create the database at `path` and bring its tables up to date.

        Raises:
            JournalUnusable: it cannot be created, written or read; the text says why.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.touch(mode=0o600)
            writing = _connect(path, sqlite3.Connection)
            writing.execute("PRAGMA journal_mode = WAL")
            leave_to_thread(writing)
            database = Database(writing)
            if unknown := unknown_migrations(database):
                raise JournalUnusable(
                    f"{path} was written by a newer Strom ({unknown[-1]}): use that version, or "
                    "the backup that was made before it"
                )
            MIGRATIONS.apply(database)
            reading = _connect(path, Reading)
            reading.path = path
            return cls(path, writing, reading, _connect(path, sqlite3.Connection))
        except OSError as error:
            raise JournalUnusable(f"{path} cannot be written: {error.strerror}") from None
        except sqlite3.Error as error:
            raise JournalUnusable(f"{path} cannot be used as a database: {error}") from None

    async def run(self) -> None:
        """Store what is written until `close()`; run it beside everything that writes."""
        await self._writer.run()

    def stop(self) -> None:
        """Let `run()` store what waits, and end."""
        self._writer.close()

    def close(self) -> None:
        """Let go of the database; call it when `run()` has ended."""
        self._reading.close()
        self._moving.close()
        self._writing.close()

    def on_trouble(self, call: Callable[[str], None]) -> None:
        """Call this with the database's reason when its disk does not take anything any more, and
        with "" when it does again."""
        self._writer.on_trouble = call

    def on_damage(self, call: Callable[[str], None]) -> None:
        """Call this with a sentence when something in the database cannot be read any more."""
        self._reading.on_damage = call

    @property
    def commits(self) -> int:
        """How many groups were committed so far."""
        return self._writer.commits

    async def commit(self, step: Step) -> list[Task] | None:
        """Store events, snapshot and effects in one transaction; of readings only themselves.

        Returns:
            The stored effects, for delivery; None when one of the events, other than a
            reading, is known already by its key: then nothing is stored.
        """
        session = step.session
        if step.only_sampled and self._tails.take(session.id, len(step.events)):
            readings = [(session.id, event.at_ms, codec.encode(event)) for event in step.events]
            await self._writer.insert(_READING, readings)
            return []
        body = codec.encode(session)
        events = [
            (event.key, session.id, event.at_ms, type(event).__name__, codec.encode(event))
            for event in step.events
        ]

        def unit(db: sqlite3.Connection) -> list[Task] | None:
            stored: list[tuple[int | None]] = []
            for event in events:
                row = db.execute(_EVENT, event)
                if not row.rowcount:
                    db.executemany("DELETE FROM events WHERE seq = ?", stored)
                    return None
                stored.append((row.lastrowid,))
            db.execute(
                _SESSION,
                (
                    session.id,
                    session.charge_point,
                    session.connector,
                    session.state,
                    session.payer.pubkey,
                    int(is_live(session)),
                    session.opened_at_ms,
                    body,
                ),
            )
            tasks: list[Task] = []
            for target, effect in step.tasks:
                kind = type(effect).__name__
                row = db.execute(_OUTBOX, (session.id, target, kind, codec.encode(effect)))
                tasks.append(Task(row.lastrowid or 0, session.id, target, effect))
            if step.quote_settled is not None:
                db.execute(
                    "UPDATE quotes SET settled_at_ms = ?2 WHERE payment_hash = ?1",
                    step.quote_settled,
                )
            if step.transaction is not None:
                store_transaction(db, session.charge_point, session.id, *step.transaction)
            if step.withdraw_key is not None:
                k1, refund_no = step.withdraw_key
                db.execute(
                    "INSERT OR IGNORE INTO withdraw_keys(k1, session_id, refund_no)"
                    " VALUES(?, ?, ?)",
                    (k1, session.id, refund_no),
                )
            return tasks

        tasks = await self._writer.write(unit)
        if tasks is not None:
            self._tails.cut(session.id)
        return tasks

    async def acknowledge(self, seq: int) -> None:
        """A stored effect was delivered."""
        await self._writer.write(lambda db: db.execute("DELETE FROM outbox WHERE seq = ?", (seq,)))

    def undelivered(self) -> list[Task]:
        """All stored effects that still wait, oldest first."""
        rows = self._reading.execute(
            "SELECT seq, session_id, target, kind, body FROM outbox ORDER BY seq"
        )
        return [
            Task(seq, session_id, target, codec.decode_effect(kind, body))
            for seq, session_id, target, kind, body in rows
        ]

    async def post(self, target: str, effects: Sequence[Effect]) -> list[Task]:
        """Store effects that belong to no session; they are delivered like all others."""

        def unit(db: sqlite3.Connection) -> list[Task]:
            tasks: list[Task] = []
            for effect in effects:
                body = codec.encode(effect)
                row = db.execute(_OUTBOX, ("", target, type(effect).__name__, body))
                tasks.append(Task(row.lastrowid or 0, "", target, effect))
            return tasks

        return await self._writer.write(unit)

    async def keep(self, charge_point: str, at_ms: int, report: object) -> None:
        """Keep what a charger said and nothing could be done with, as evidence."""
        values = (charge_point, at_ms, type(report).__name__, codec.encode(report))
        await self._writer.write(
            lambda db: db.execute(
                "INSERT INTO evidence(charge_point, at_ms, kind, body) VALUES(?, ?, ?, ?)", values
            )
        )

    async def set_connector(
        self, charge_point: str, connector: int, status: ConnectorStatus, at_ms: int
    ) -> None:
        """Remember the last state that a connector reported."""
        await self._writer.write(
            lambda db: db.execute(
                "INSERT INTO connectors(charge_point, connector, status, at_ms)"
                " VALUES(?, ?, ?, ?) ON CONFLICT(charge_point, connector)"
                " DO UPDATE SET status = excluded.status, at_ms = excluded.at_ms",
                (charge_point, connector, status, at_ms),
            )
        )

    def connectors(self, charge_point: str) -> dict[int, ConnectorStatus]:
        """The last state that each connector reported."""
        rows = self._reading.execute(
            "SELECT connector, status FROM connectors WHERE charge_point = ?", (charge_point,)
        )
        return {connector: ConnectorStatus(status) for connector, status in rows}

    async def set_setting(self, name: str, value: str) -> None:
        """Remember a value by name: a stream's cursor, an operator's switch."""
        await self._writer.write(
            lambda db: db.execute(
                "INSERT INTO settings(name, value) VALUES(?, ?)"
                " ON CONFLICT(name) DO UPDATE SET value = excluded.value",
                (name, value),
            )
        )

    def setting(self, name: str) -> str | None:
        """A remembered value."""
        row = self._reading.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def settings(self, prefix: str) -> dict[str, str]:
        """All remembered values whose name starts with a prefix, without it."""
        rows = self._reading.execute(
            "SELECT name, value FROM settings WHERE substr(name, 1, ?) = ?", (len(prefix), prefix)
        )
        return {name[len(prefix) :]: value for name, value in rows}


def is_live(session: Session) -> bool:
    """Whether anything can still come of a session: it is open, or money is to go back."""
    if session.state is not CLOSED or session.held:
        return True
    return any(refund.state is not RefundState.PAID for refund in session.refunds)

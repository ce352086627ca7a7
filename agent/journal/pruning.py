"""What the journal forgets, so that it does not grow for ever; money is never forgotten.

Ids of messages are remembered so that none is acted on twice. Relays can bring a message again
for long: a stored cursor goes back two days and more for gift wraps, further at a relay that was
away, and a message may be dated ahead. So an id is kept until `MESSAGES_MS` after it was handled
and after the message's own date; from then on its age alone keeps it from being acted on (see
`agent.nostr.ears.OLDEST_LIVE_MS`). Zap requests that were paid, payment hashes, quotes and
sessions stay, and of a session every event but the readings of its meter. Of these a settled
session keeps all for as long as the operator wants, then some, then those that decided its bill
(see `agent.journal.thinning`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

import anyio

from agent.clock import Clock
from agent.journal import codec
from agent.journal.thinning import Row, Thinning
from agent.journal.writer import Writer
from agent.machine.model import Session

DAY_MS = 86_400_000
MESSAGES_MS = 7 * DAY_MS
EVIDENCE_MS = 400 * DAY_MS
"""What could not be made sense of, and readings that decided nothing: more than a year."""
KEPT_READINGS = 60
"""So many readings of a settled session's meter stay until then, besides those that decided."""

UNSOLD_KEPT = 100_000
"""Of so many transactions, counted from the last, those that nobody paid for are remembered too:
a charger that has every start refused begins thousands in a day. Not by their age, since that is
the charger's own word."""

EVERY_S = 3600.0
AT_ONCE = 200
"""Rows of one step: what runs on the event loop stays short."""
SESSIONS_AT_ONCE = 20
PAUSE_S = 0.002
"""Between two steps: who pays now does not wait for what is long past."""

_MESSAGES = (
    "DELETE FROM handled WHERE event_id IN (SELECT event_id FROM handled"
    " WHERE guards_money = 0 AND at_ms < ? LIMIT ?)"
)
_EVIDENCE = (
    "DELETE FROM evidence WHERE seq IN (SELECT seq FROM evidence WHERE seq <="
    " (SELECT min(seq) + ?2 FROM evidence) AND at_ms < ?1)"
)
_NEWEST_CURSOR = (
    "SELECT max(CAST(value AS INTEGER)) FROM settings"
    " WHERE name LIKE 'cursor:messages:%' OR name LIKE 'cursor:wraps:%'"
)
_LAST_EVENT = "SELECT at_ms FROM events ORDER BY seq DESC LIMIT 1"
_SETTLED = (
    "SELECT rowid, opened_at_ms, snapshot_seq, snapshot FROM sessions WHERE live = 0"
    " AND thinned = ? AND (opened_at_ms, rowid) > (?, ?) AND opened_at_ms < ?"
    " ORDER BY opened_at_ms, rowid LIMIT ?"
)
# A session's snapshot is restored by the readings after it: those stay.
_READINGS = (
    "SELECT seq, at_ms FROM events WHERE session_id = ? AND seq > ? AND seq <= ?"
    " AND kind = 'MeterSampled' ORDER BY seq LIMIT ?"
)
_UNSOLD_SEEN = "pruned:transactions"
_UNSOLD = "DELETE FROM transactions WHERE id > ? AND id <= ? AND session_id = ''"
_SEEN = (
    "INSERT INTO settings(name, value) VALUES(?, ?)"
    " ON CONFLICT(name) DO UPDATE SET value = excluded.value"
)
_FORGET = "DELETE FROM events WHERE seq = ? AND kind = 'MeterSampled'"
_THINNED = "UPDATE sessions SET thinned = ? WHERE rowid = ?"


@dataclass(frozen=True, slots=True)
class _Settled:
    """A session that is over, with its place in the journal."""

    rowid: int
    opened_at_ms: int
    snapshot_seq: int
    session: Session


class Pruning:
    """Part of the journal, on its connections."""

    def __init__(self, writer: Writer, reading: sqlite3.Connection) -> None:
        self._writer = writer
        self._reading = reading

    async def run(self, clock: Clock, keep_readings_ms: int) -> None:
        """Prune now and then until cancelled; see `prune`."""
        while True:
            await self.prune(clock(), keep_readings_ms)
            await anyio.sleep(EVERY_S)

    async def prune(self, now_ms: int, keep_readings_ms: int) -> int:
        """Forget what is too old to matter, a few rows at a time.

        Args:
            now_ms: Unix milliseconds.
            keep_readings_ms: for so long after a session closed all readings of its meter stay.

        Returns:
            How many rows are gone.
        """
        gone = 0
        newest_s = self._reading.execute(_NEWEST_CURSOR).fetchone()[0] or 0
        # By the time of messages where the clock runs ahead of it: a clock that is wrong for a
        # while must not make everything seem old.
        messages_ms = min(now_ms, newest_s * 1000) - MESSAGES_MS
        for statement, before_ms in ((_MESSAGES, messages_ms), (_EVIDENCE, now_ms - EVIDENCE_MS)):
            while count := await self._delete(statement, before_ms):
                gone += count
        while (count := await self._prune_unsold()) is not None:
            gone += count
        now_ms = min(now_ms, self._last_event_ms())
        gone += await self._thin(0, now_ms - keep_readings_ms, KEPT_READINGS)
        return gone + await self._thin(1, now_ms - max(EVIDENCE_MS, keep_readings_ms), 0)

    def _last_event_ms(self) -> int:
        """When something last happened: a Strom in which nothing does need not forget."""
        row = self._reading.execute(_LAST_EVENT).fetchone()
        return row[0] if row else 0

    async def _prune_unsold(self) -> int | None:
        """Forget what was refused among the next few transactions; None at those to be kept."""
        after = self._setting(_UNSOLD_SEEN)
        last = self._reading.execute("SELECT max(id) FROM transactions").fetchone()[0] or 0
        until = min(after + AT_ONCE, last - UNSOLD_KEPT)
        if until <= after:
            return None

        def unit(db: sqlite3.Connection) -> int:
            db.execute(_SEEN, (_UNSOLD_SEEN, str(until)))
            return db.execute(_UNSOLD, (after, until)).rowcount

        return await self._writer.write(unit)

    def _setting(self, name: str) -> int:
        row = self._reading.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return int((row or ("0",))[0])

    async def _delete(self, statement: str, before_ms: int) -> int:
        return await self._writer.write(
            lambda db: db.execute(statement, (before_ms, AT_ONCE)).rowcount
        )

    async def _thin(self, stage: int, before_ms: int, others: int) -> int:
        """Thin the readings of sessions that closed before a time.

        Args:
            stage: how often theirs were thinned before.
            before_ms: the time, Unix ms.
            others: how many readings stay besides those that decided.
        """
        gone, after = 0, (0, 0)
        while some := self._settled(stage, after, before_ms):
            after = some[-1].opened_at_ms, some[-1].rowid
            # One that was open for long may have closed after that.
            due = [one for one in some if (one.session.closed_at_ms or before_ms) < before_ms]
            for one in due:
                gone += await self._thin_one(one, others)
            done = [(stage + 1, one.rowid) for one in due]
            await self._writer.write(lambda db, done=done: db.executemany(_THINNED, done))
        return gone

    def _settled(self, stage: int, after: tuple[int, int], before_ms: int) -> list[_Settled]:
        rows = self._reading.execute(_SETTLED, (stage, *after, before_ms, SESSIONS_AT_ONCE))
        return [
            _Settled(rowid, opened_at_ms, seq, codec.decode_session(body))
            for rowid, opened_at_ms, seq, body in rows
        ]

    async def _thin_one(self, one: _Settled, others: int) -> int:
        """Thin the readings of one session; whoever is interrupted begins with it anew."""
        thinning = Thinning(one.session, others)
        count, after = 0, 0
        while rows := self._readings(one, after):
            after = rows[-1][0]
            gone = [(seq,) for seq in thinning.gone(rows)]
            if gone:
                await self._writer.write(lambda db, gone=gone: db.executemany(_FORGET, gone))
                count += len(gone)
            await anyio.sleep(PAUSE_S)
        return count

    def _readings(self, one: _Settled, after: int) -> Sequence[Row]:
        values = (one.session.id, after, one.snapshot_seq, AT_ONCE)
        return self._reading.execute(_READINGS, values).fetchall()

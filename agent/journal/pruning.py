"""What the journal forgets, so that it does not grow for ever; money is never forgotten.

Ids of messages are remembered so that none is acted on twice. Relays can bring a message again
for long: a stored cursor goes back two days and more for gift wraps, further at a relay that was
away, and a message may be dated ahead. So an id is kept until `MESSAGES_MS` after it was handled
and after the message's own date; from then on its age alone keeps it from being acted on (see
`agent.nostr.ears.OLDEST_MESSAGE_MS`). Zap requests that were paid, payment hashes, quotes and
sessions stay.
"""

from __future__ import annotations

import sqlite3

import anyio

from agent.clock import Clock
from agent.journal.writer import Writer

MESSAGES_MS = 7 * 86_400_000
SAMPLES_MS = 400 * 86_400_000
"""Meter samples of ended sessions, and what could not be made sense of: more than a year."""

EVERY_S = 3600.0
AT_ONCE = 500
"""Rows of one step: what runs on the event loop stays short."""

_SAMPLES_SEEN = "pruned:samples"

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
_OLD_EVENTS = "SELECT seq, at_ms FROM events WHERE seq > ? ORDER BY seq LIMIT ?"
_SAMPLES = (
    "DELETE FROM events WHERE seq > ? AND seq <= ? AND kind = 'MeterSampled'"
    " AND session_id IN (SELECT id FROM sessions WHERE live = 0)"
)
_SEEN = (
    "INSERT INTO settings(name, value) VALUES(?, ?)"
    " ON CONFLICT(name) DO UPDATE SET value = excluded.value"
)


class Pruning:
    """Part of the journal, on its connections."""

    def __init__(self, writer: Writer, reading: sqlite3.Connection) -> None:
        self._writer = writer
        self._reading = reading

    async def run(self, clock: Clock) -> None:
        """Prune now and then until cancelled."""
        while True:
            await self.prune(clock())
            await anyio.sleep(EVERY_S)

    async def prune(self, now_ms: int) -> int:
        """Forget what is too old to matter, a few rows at a time.

        Args:
            now_ms: Unix milliseconds.

        Returns:
            How many rows are gone.
        """
        gone = 0
        newest_s = self._reading.execute(_NEWEST_CURSOR).fetchone()[0] or 0
        # By the time of messages where the clock runs ahead of it: a clock that is wrong for a
        # while must not make everything seem old.
        messages_ms = min(now_ms, newest_s * 1000) - MESSAGES_MS
        for statement, before_ms in ((_MESSAGES, messages_ms), (_EVIDENCE, now_ms - SAMPLES_MS)):
            while count := await self._delete(statement, before_ms):
                gone += count
        while (count := await self._prune_samples(now_ms - SAMPLES_MS)) is not None:
            gone += count
        return gone

    async def _delete(self, statement: str, before_ms: int) -> int:
        return await self._writer.write(
            lambda db: db.execute(statement, (before_ms, AT_ONCE)).rowcount
        )

    async def _prune_samples(self, before_ms: int) -> int | None:
        """Forget the samples among the next few events; None when those are too new."""
        seen = self._reading.execute("SELECT value FROM settings WHERE name = ?", (_SAMPLES_SEEN,))
        after = int((seen.fetchone() or ("0",))[0])
        last = after
        for seq, at_ms in self._reading.execute(_OLD_EVENTS, (after, AT_ONCE)):
            if at_ms >= before_ms:
                break
            last = seq
        if last == after:
            return None

        def unit(db: sqlite3.Connection) -> int:
            db.execute(_SEEN, (_SAMPLES_SEEN, str(last)))
            return db.execute(_SAMPLES, (after, last)).rowcount

        return await self._writer.write(unit)

"""The journal's pages about nostr: what was heard, what is being done about it, what waits."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from agent.journal.writer import Writer


@dataclass(frozen=True, slots=True)
class Publication:
    """A signed event that one relay has not acknowledged yet."""

    seq: int
    event_id: str
    relay: str
    body: str
    created_at_ms: int


@dataclass(frozen=True, slots=True)
class Handled:
    """An event that is dealt with.

    Attributes:
        event_id: hex; of a message its own, not that of its gift wrap.
        at_ms: now, or the event's own time where that is later: until well after both, no
            relay may bring it again without being seen to.
        guards_money: it is never forgotten: what it paid for must not be paid for again.
    """

    event_id: str
    at_ms: int
    guards_money: bool = False


@dataclass(frozen=True, slots=True)
class Begun:
    """A message that is being acted on, and is not answered yet.

    Attributes:
        message_id: hex.
        charge_point: to whom it was said.
        subject: what it turned out to be about when it was first read, such as a session.
        body: the message.
    """

    message_id: str
    charge_point: str
    subject: str
    body: bytes


_PUBLICATION = (
    "INSERT INTO publications(event_id, relay, body, created_at_ms)"
    " VALUES(?, ?, ?, ?) ON CONFLICT(event_id, relay) DO NOTHING"
)
_HANDLED = (
    "INSERT INTO handled(event_id, at_ms, guards_money) VALUES(?, ?, ?)"
    " ON CONFLICT(event_id) DO UPDATE SET at_ms = max(at_ms, excluded.at_ms),"
    " guards_money = max(guards_money, excluded.guards_money)"
)


class NostrBook:
    """Part of the journal, on its connections."""

    def __init__(self, writer: Writer, reading: sqlite3.Connection) -> None:
        self._writer = writer
        self._reading = reading

    def is_handled(self, event_id: str) -> bool:
        """Whether a nostr event was dealt with before."""
        row = self._reading.execute("SELECT 1 FROM handled WHERE event_id = ?", (event_id,))
        return row.fetchone() is not None

    async def set_handled(self, *handled: Handled) -> None:
        """Mark nostr events as dealt with."""
        await self.publish((), 0, handled=handled)

    async def begin(self, begun: Begun) -> None:
        """Note, before acting on a message, that this is begun; its being handled ends that."""
        values = (begun.message_id, begun.charge_point, begun.subject, begun.body)
        await self._writer.write(
            lambda db: db.execute(
                "INSERT OR IGNORE INTO begun(message_id, charge_point, subject, body)"
                " VALUES(?, ?, ?, ?)",
                values,
            )
        )

    def begun(self) -> list[Begun]:
        """The messages that were being acted on when Strom last stopped, oldest first."""
        rows = self._reading.execute(
            "SELECT message_id, charge_point, subject, body FROM begun ORDER BY rowid"
        )
        return [Begun(*row) for row in rows]

    async def publish(
        self,
        publications: Sequence[tuple[str, str, str]],
        at_ms: int,
        *,
        delivered: int | None = None,
        handled: Sequence[Handled] = (),
    ) -> None:
        """Store signed events until their relays acknowledge them.

        Args:
            publications: (event id, relay, JSON).
            at_ms: now.
            delivered: the stored effect that these events carry out: it is acknowledged in
                the same transaction, so that it is worded exactly once.
            handled: the events that they answer: they are marked as dealt with in the same
                transaction.
        """

        def unit(db: sqlite3.Connection) -> None:
            for event_id, relay, body in publications:
                db.execute(_PUBLICATION, (event_id, relay, body, at_ms))
            if delivered is not None:
                db.execute("DELETE FROM outbox WHERE seq = ?", (delivered,))
            for one in handled:
                store_handled(db, one)

        await self._writer.write(unit)

    def publication_relays(self) -> list[str]:
        """The relays for which stored events wait."""
        return list(self.publication_depths())

    def publication_depths(self) -> dict[str, int]:
        """How many stored events wait for each relay."""
        rows = self._reading.execute("SELECT relay, count(*) FROM publications GROUP BY relay")
        return dict(rows.fetchall())

    def publications(self, relay: str, after_seq: int = 0, most: int = 500) -> list[Publication]:
        """What a relay has not acknowledged yet, oldest first."""
        rows = self._reading.execute(
            "SELECT seq, event_id, relay, body, created_at_ms FROM publications"
            " WHERE relay = ? AND seq > ? ORDER BY seq LIMIT ?",
            (relay, after_seq, most),
        )
        return [Publication(*row) for row in rows]

    async def published(self, seqs: Sequence[int]) -> None:
        """A relay acknowledged events, or refused them for good."""
        values = [(seq,) for seq in seqs]
        await self._writer.write(
            lambda db: db.executemany("DELETE FROM publications WHERE seq = ?", values)
        )


def store_handled(db: sqlite3.Connection, handled: Handled) -> None:
    """Mark an event as dealt with, within a transaction."""
    db.execute(_HANDLED, (handled.event_id, handled.at_ms, int(handled.guards_money)))
    db.execute("DELETE FROM begun WHERE message_id = ?", (handled.event_id,))

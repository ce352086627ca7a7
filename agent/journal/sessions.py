"""The journal's pages of sessions: what they are, and the events that led there.

They are written by `Journal.commit` alone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from agent.journal import codec
from agent.journal.restoring import restored
from agent.machine.events import Event
from agent.machine.model import Session

_LAST_EVENTS = 200


class SessionBook:
    """Part of the journal, on its reading connection."""

    def __init__(self, reading: sqlite3.Connection) -> None:
        self._reading = reading

    def live(self) -> list[Session]:
        """Every session that is open or whose money has not all gone back."""
        return self._where("live = 1")

    def closed(self, most: int, charge_point: str = "") -> list[Session]:
        """The sessions that closed, the latest opened first; of one charge point where named."""
        latest = "ORDER BY opened_at_ms DESC, rowid DESC LIMIT ?"
        if charge_point:
            where = f"charge_point = ? AND state = 'CLOSED' {latest}"
            return self._where(where, charge_point, most)
        return self._where(f"state = 'CLOSED' {latest}", most)

    def get(self, session_id: str) -> Session | None:
        """A session as it is on the disk."""
        return next(iter(self._where("id = ?", session_id)), None)

    def of_payer(self, charge_point: str, pubkey: str, most: int = 5) -> list[Session]:
        """The latest sessions that a nostr identity paid for here, newest first."""
        return self._where(
            "charge_point = ? AND owner_pubkey = ? ORDER BY opened_at_ms DESC LIMIT ?",
            charge_point,
            pubkey,
            most,
        )

    def of_linking_key(self, linking_key: str) -> Session | None:
        """The latest session that a linking key owns. Looks at all of them: few ask for it."""
        found = self._where(
            "instr(CAST(snapshot AS TEXT), ?) ORDER BY opened_at_ms DESC LIMIT 1",
            f'"{linking_key}"',
        )
        return found[0] if found else None

    def events(
        self, session_id: str, *, without: Iterable[str] = (), only: type[Event] | None = None
    ) -> list[Event]:
        """The events of a session, oldest first.

        Args:
            session_id: whose.
            without: names of classes to leave out.
            only: the one class that is wanted; None for all.
        """
        left_out = set(without)
        kind = only.__name__ if only else ""
        rows = self._reading.execute(
            "SELECT kind, body FROM events WHERE session_id = ?1 AND (?2 = '' OR kind = ?2)"
            " ORDER BY seq",
            (session_id, kind),
        )
        return [codec.decode_event(kind, body) for kind, body in rows if kind not in left_out]

    def alive_ms(self) -> int:
        """When Strom was certainly still at work before it stopped, Unix ms; 0 for unknown.

        Of the last events, since chargers tell of what they kept: none is later than its storing.
        """
        row = self._reading.execute(
            "SELECT max(at_ms) FROM (SELECT at_ms FROM events ORDER BY seq DESC LIMIT ?)",
            (_LAST_EVENTS,),
        ).fetchone()
        return row[0] or 0

    def has_event(self, key: str) -> bool:
        """Whether an event of this key is stored; readings of meters have none."""
        row = self._reading.execute(
            "SELECT 1 FROM events WHERE key = ? AND kind != 'MeterSampled'", (key,)
        )
        return row.fetchone() is not None

    def refund_of_key(self, k1: str) -> tuple[str, int] | None:
        """Session and refund number that a withdraw key stands for."""
        row = self._reading.execute(
            "SELECT session_id, refund_no FROM withdraw_keys WHERE k1 = ?", (k1,)
        ).fetchone()
        return (row[0], row[1]) if row else None

    def _where(self, where: str, *values: str | int) -> list[Session]:
        rows = self._reading.execute(
            f"SELECT snapshot, snapshot_seq FROM sessions WHERE {where}",  # noqa: S608  constant
            values,
        ).fetchall()
        return [restored(self._reading, snapshot, seq) for snapshot, seq in rows]

"""The journal's pages of quotes: what was offered, to whom, and when it was paid."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from agent.journal import codec
from agent.journal.writer import Writer
from agent.ports.quotes import Quote


class QuoteBook:
    """Part of the journal, on its connections."""

    def __init__(self, writer: Writer, reading: sqlite3.Connection) -> None:
        self._writer = writer
        self._reading = reading

    async def add(self, quote: Quote) -> None:
        """Store a quote before its invoice is shown to anyone."""
        await self._writer.write(lambda db: store_quote(db, quote))

    def get(self, payment_hash: str) -> Quote | None:
        """The quote behind an invoice."""
        quotes = self._where("payment_hash = ?", (payment_hash,))
        return quotes[0] if quotes else None

    def of_session(self, session_id: str) -> list[Quote]:
        """All quotes of a session, oldest first."""
        return self._where("session_id = ? ORDER BY rowid", (session_id,))

    def by_secret(self, secret: str) -> list[Quote]:
        """All quotes that carry a session's secret, oldest first."""
        return self._where("secret = ? ORDER BY rowid", (secret,))

    def unsettled(self, expired_after_ms: int) -> list[Quote]:
        """Unpaid quotes that expired after the given time, or have not expired."""
        return self._where("settled_at_ms IS NULL AND expires_at_ms > ?", (expired_after_ms,))

    def _where(self, where: str, values: tuple[str | int, ...]) -> list[Quote]:
        rows = self._reading.execute(
            f"SELECT body, settled_at_ms FROM quotes WHERE {where}",  # noqa: S608  constant text
            values,
        )
        return [replace(codec.decode(body, Quote), settled_at_ms=at_ms) for body, at_ms in rows]


def store_quote(db: sqlite3.Connection, quote: Quote) -> None:
    """Insert a quote; raises sqlite3.IntegrityError when its payment hash is known."""
    db.execute(
        "INSERT INTO quotes(payment_hash, session_id, secret, expires_at_ms, body)"
        " VALUES(?, ?, ?, ?, ?)",
        (
            quote.payment_hash,
            quote.session_id,
            quote.secret,
            quote.expires_at_ms,
            codec.encode(quote),
        ),
    )

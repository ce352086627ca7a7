"""The journal's pages about lightning addresses elsewhere: receipts heard, payments taken."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from agent.journal import codec
from agent.journal.nostr_book import Handled, store_handled
from agent.journal.quotes import store_quote
from agent.journal.writer import Writer
from agent.ports.quotes import Quote
from agent.tariff.model import Tariff


@dataclass(frozen=True, slots=True)
class HeardReceipt:
    """A zap receipt that is not dealt with yet: `body` is the event in JSON."""

    receipt_id: str
    charge_point: str
    heard_at_ms: int
    body: str


@dataclass(frozen=True, slots=True)
class Unattributed:
    """Money that reached the wallet and belongs to no charge that is known.

    Attributes:
        reason: why it belongs to none.
        told: whether the operator has been told.
    """

    payment_hash: str
    amount_msat: int
    settled_at_ms: int
    reason: str
    told: bool = False


class OutsideBook:
    """See `agent.outside`; part of the journal, on its connections."""

    def __init__(self, writer: Writer, reading: sqlite3.Connection) -> None:
        self._writer = writer
        self._reading = reading

    async def hear(self, receipt: HeardReceipt) -> None:
        """Keep a receipt until it is dealt with; one that is kept already changes nothing."""
        values = (receipt.receipt_id, receipt.charge_point, receipt.heard_at_ms, receipt.body)
        await self._writer.write(
            lambda db: db.execute(
                "INSERT OR IGNORE INTO outside_receipts(receipt_id, charge_point, heard_at_ms,"
                " body) VALUES(?, ?, ?, ?)",
                values,
            )
        )

    def waiting(self) -> list[HeardReceipt]:
        """The receipts that are not dealt with, oldest first."""
        rows = self._reading.execute(
            "SELECT receipt_id, charge_point, heard_at_ms, body FROM outside_receipts"
            " ORDER BY heard_at_ms, rowid"
        )
        return [HeardReceipt(*row) for row in rows]

    def waiting_count(self) -> int:
        """How many receipts are not dealt with."""
        return self._reading.execute("SELECT count(*) FROM outside_receipts").fetchone()[0]

    async def dismiss(self, receipt_id: str, at_ms: int) -> None:
        """A receipt is dealt with, and is not looked at again."""

        def unit(db: sqlite3.Connection) -> None:
            _done(db, receipt_id, at_ms)

        await self._writer.write(unit)

    async def take(self, quote: Quote, request_id: str, receipt_id: str, at_ms: int) -> bool:
        """Store the quote of a payment that the wallet confirmed, and that its receipt is done.

        Returns:
            False when its payment hash, zap request or receipt was taken before: then nothing
            is stored.
        """

        def unit(db: sqlite3.Connection) -> bool:
            names = (quote.payment_hash, request_id, receipt_id)
            taken = db.execute(
                "SELECT 1 FROM outside_payments WHERE payment_hash = ?1 OR request_id = ?2"
                " OR receipt_id = ?3 UNION SELECT 1 FROM quotes WHERE payment_hash = ?1",
                names,
            )
            if taken.fetchone() is not None:
                return False
            db.execute(
                "INSERT INTO outside_payments(payment_hash, request_id, receipt_id)"
                " VALUES(?, ?, ?)",
                names,
            )
            store_quote(db, quote)
            db.execute("DELETE FROM unattributed WHERE payment_hash = ?", (quote.payment_hash,))
            _done(db, receipt_id, at_ms)
            return True

        return await self._writer.write(unit)

    async def book(self, payment: Unattributed) -> None:
        """Book a payment that belongs to no charge, if it does not by now.

        A later reason replaces an earlier one.
        """
        values = (
            payment.payment_hash,
            payment.amount_msat,
            payment.settled_at_ms,
            payment.reason,
            int(payment.told),
        )
        await self._writer.write(
            lambda db: db.execute(
                "INSERT INTO unattributed(payment_hash, amount_msat, settled_at_ms, reason, told)"
                " SELECT ?1, ?2, ?3, ?4, ?5"
                " WHERE NOT EXISTS (SELECT 1 FROM quotes WHERE payment_hash = ?1)"
                " ON CONFLICT(payment_hash)"
                " DO UPDATE SET reason = excluded.reason, told = max(told, excluded.told)",
                values,
            )
        )

    def unattributed(self) -> list[Unattributed]:
        """Such payments, oldest first."""
        rows = self._reading.execute(
            "SELECT payment_hash, amount_msat, settled_at_ms, reason, told FROM unattributed"
            " ORDER BY settled_at_ms"
        )
        return [Unattributed(*row[:4], told=bool(row[4])) for row in rows]

    async def publish_tariff(self, charge_point: str, since_ms: int, tariff: Tariff) -> None:
        """A charge point sells by a tariff from now on."""
        if self.tariff_at(charge_point, since_ms) == tariff:
            return
        values = (charge_point, since_ms, codec.encode(tariff))
        await self._writer.write(
            lambda db: db.execute(
                "INSERT OR REPLACE INTO published_tariffs(charge_point, since_ms, body)"
                " VALUES(?, ?, ?)",
                values,
            )
        )

    def tariff_at(self, charge_point: str, at_ms: int) -> Tariff | None:
        """By which tariff a charge point sold at a time; None before it sold at all."""
        row = self._reading.execute(
            "SELECT body FROM published_tariffs WHERE charge_point = ? AND since_ms <= ?"
            " ORDER BY since_ms DESC LIMIT 1",
            (charge_point, at_ms),
        ).fetchone()
        return codec.decode(row[0], Tariff) if row else None


def _done(db: sqlite3.Connection, receipt_id: str, at_ms: int) -> None:
    db.execute("DELETE FROM outside_receipts WHERE receipt_id = ?", (receipt_id,))
    # Payment hash, zap request and receipt are in `outside_payments` for ever.
    store_handled(db, Handled(receipt_id, at_ms))

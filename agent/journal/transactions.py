"""The journal's pages of chargers' transactions: each with the words that it began with."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from agent.journal.writer import Writer
from agent.ports.charger import StartReport


@dataclass(frozen=True, slots=True)
class Transaction:
    """A charger's transaction; `session_id` is "" when nobody paid for it.

    `register_wh` is where its meter began, None for unknown.
    """

    id: int
    charge_point: str
    connector: int
    session_id: str
    register_wh: int | None = None


_TRANSACTIONS = "SELECT id, charge_point, connector, session_id, register_wh FROM transactions"
_TRANSACTION = (
    "INSERT INTO transactions(id, charge_point, connector, id_tag, started_at_ms, register_wh,"
    " session_id) VALUES(?, ?, ?, ?, ?, ?, ?)"
)
_LAST = "SELECT max(id) FROM transactions WHERE charge_point = ? AND connector = ?"
_NO_REGISTER = -1
"""Stands for a register that the charger did not name."""


class TransactionBook:
    """Part of the journal, on its connections."""

    def __init__(self, writer: Writer, reading: sqlite3.Connection) -> None:
        self._writer = writer
        self._reading = reading
        row = reading.execute("SELECT coalesce(max(id), 0) FROM transactions").fetchone()
        self._last_id: int = row[0]

    def next_id(self) -> int:
        """An id that no transaction of this Strom has had."""
        self._last_id += 1
        return self._last_id

    def find(self, charge_point: str, report: StartReport) -> Transaction | None:
        """The transaction that a charger reported before in the same words."""
        row = self._reading.execute(
            f"{_TRANSACTIONS} WHERE charge_point = ? AND connector = ? AND id_tag = ?"
            " AND started_at_ms = ? AND register_wh = ?",
            (
                charge_point,
                report.connector,
                report.id_tag,
                report.started_at_ms,
                _stored(report.register_wh),
            ),
        ).fetchone()
        return _transaction(row)

    def get(self, transaction_id: int) -> Transaction | None:
        """A transaction by its id."""
        row = self._reading.execute(f"{_TRANSACTIONS} WHERE id = ?", (transaction_id,)).fetchone()
        return _transaction(row)

    def last_on(self, charge_point: str, connector: int) -> Transaction | None:
        """The transaction that began last on a connector, by the charger's name of it."""
        row = self._reading.execute(
            f"{_TRANSACTIONS} WHERE id = ({_LAST})", (charge_point, connector)
        ).fetchone()
        return _transaction(row)

    async def add(self, charge_point: str, transaction_id: int, report: StartReport) -> None:
        """Store a transaction that nobody paid for."""
        await self._writer.write(
            lambda db: store_transaction(db, charge_point, "", transaction_id, report)
        )


def store_transaction(
    db: sqlite3.Connection,
    charge_point: str,
    session_id: str,
    transaction_id: int,
    report: StartReport,
) -> None:
    """Insert a transaction as part of a commit; `session_id` is "" when nobody paid for it."""
    db.execute(
        _TRANSACTION,
        (
            transaction_id,
            charge_point,
            report.connector,
            report.id_tag,
            report.started_at_ms,
            _stored(report.register_wh),
            session_id,
        ),
    )


def _stored(register_wh: int | None) -> int:
    return _NO_REGISTER if register_wh is None else register_wh


def _transaction(row: tuple[int, str, int, str, int] | None) -> Transaction | None:
    if row is None:
        return None
    number, charge_point, connector, session_id, stored = row
    register_wh = None if stored == _NO_REGISTER else stored
    return Transaction(number, charge_point, connector, session_id, register_wh)

"""The ledger of the play-money network: two nodes, their invoices and payments, in SQLite.

Synchronous, and owned by one process at a time: `wallet.dev` calls it from a thread. Every
method is one transaction that is on disk when it returns, so a crash leaves a payment
either not begun or done.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from coincurve import PrivateKey

from wallet import bolt11, ledger_file
from wallet.base import (
    Invoice,
    InvoiceState,
    PaymentState,
    WalletRefused,
)

NETWORK = "regtest"


class Purse(StrEnum):
    """The two nodes of the network: who takes the money, and who pays."""

    OPERATOR = "operator"
    DRIVER = "driver"


_FUNDS_MSAT: dict[str, int] = {Purse.OPERATOR: 0, Purse.DRIVER: 1_000_000 * 100_000_000_000}


@dataclass(frozen=True, slots=True)
class InvoiceRow:
    """An invoice as stored; `settle_index` counts the operator's settlements from 1."""

    bolt11: str
    payment_hash: str
    amount_msat: int
    state: InvoiceState
    preimage: bytes | None
    settled_at_ms: int
    settle_index: int


@dataclass(frozen=True, slots=True)
class PaymentRow:
    """A payment as stored; the preimage is there when it is SETTLED."""

    payment_hash: str
    state: PaymentState
    reason: str = ""
    preimage: bytes | None = None


class Ledger:
    """Invoices and payments between an operator's and a driver's node; no money comes or goes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        keys = dict(self._db.execute("SELECT purse, private_key FROM nodes").fetchall())
        self._keys: dict[Purse, bytes] = {purse: keys[purse] for purse in Purse}
        self._node_ids = {
            purse: PrivateKey(key).public_key.format().hex() for purse, key in self._keys.items()
        }

    @classmethod
    def open(cls, path: Path) -> Ledger:
        """Open the ledger, made with its nodes' keys at the first time; nobody else may use it.

        Raises:
            WalletConfigError: the file cannot be used, or another process does.
        """
        connection = ledger_file.opened(path, _FUNDS_MSAT)
        try:
            return cls(connection)
        except (sqlite3.Error, KeyError, ValueError) as error:
            connection.close()
            raise ledger_file.unusable(path, error) from None

    def close(self) -> None:
        """Let go of the file; idempotent."""
        self._db.close()

    def node_id(self, purse: Purse) -> str:
        """The public key of a node, hex."""
        return self._node_ids[purse]

    def balance_msat(self, purse: Purse) -> int:
        """What a node can spend."""
        query = "SELECT balance_msat FROM nodes WHERE purse = ?"
        (balance,) = self._db.execute(query, (purse,)).fetchone()
        return balance

    def add_invoice(
        self,
        purse: Purse,
        amount_msat: int | None,
        *,
        description: str | bytes,
        expiry_s: int,
        now_ms: int,
        hold_hash: str | None = None,
    ) -> Invoice:
        """Make an invoice of a node; with `hold_hash` (hex) one that holds its payment.

        Raises:
            InvalidInvoice: no invoice can ask for this amount.
            WalletRefused: there is an invoice of that hash already.
        """
        preimage = secrets.token_bytes(32) if hold_hash is None else None
        payment_hash = hold_hash or _sha256(preimage or b"")
        expires_at_ms = (now_ms // 1000 + expiry_s) * 1000
        text = bolt11.sign(
            self._keys[purse],
            network=NETWORK,
            payment_hash=payment_hash,
            payment_secret=secrets.token_bytes(32),
            amount_msat=amount_msat,
            description=description,
            timestamp_s=now_ms // 1000,
            expiry_s=expiry_s,
        )
        try:
            with self._transaction():
                self._db.execute(
                    "INSERT INTO invoices (payment_hash, purse, bolt11, amount_msat,"
                    " expires_at_ms, preimage, hold, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        payment_hash,
                        purse,
                        text,
                        amount_msat,
                        expires_at_ms,
                        preimage,
                        hold_hash is not None,
                        InvoiceState.OPEN,
                    ),
                )
        except sqlite3.IntegrityError:
            raise WalletRefused(f"there is an invoice of the hash {payment_hash} already") from None
        known = "" if preimage is None else preimage.hex()
        return Invoice(text, payment_hash, amount_msat or 0, expires_at_ms, known)

    def invoice(self, purse: Purse, payment_hash: str) -> InvoiceRow | None:
        """An invoice of a node; None when it has none of that hash."""
        row = self._db.execute(
            f"{_SELECT_INVOICE} WHERE payment_hash = ? AND purse = ?", (payment_hash, purse)
        ).fetchone()
        return _invoice_row(row) if row else None

    def settled_after(self, settle_index: int, limit: int) -> list[InvoiceRow]:
        """The operator's settled invoices behind an index, oldest first."""
        rows = self._db.execute(
            f"{_SELECT_INVOICE} WHERE settle_index > ? ORDER BY settle_index LIMIT ?",
            (settle_index, limit),
        )
        return [_invoice_row(row) for row in rows]

    def pay(self, purse: Purse, request: str, now_ms: int) -> PaymentRow:
        """Pay an invoice from a node; a hash that was paid or is held is not paid again.

        Raises:
            InvalidInvoice: it is malformed or for another network.
        """
        invoice = bolt11.decode(request, network=NETWORK)
        with self._transaction():
            before = self.payment(purse, invoice.payment_hash)
            if before and before.state in (PaymentState.SETTLED, PaymentState.PENDING):
                return before
            reason = self._obstacle(purse, invoice, now_ms)
            if reason:
                return self._record(purse, invoice, PaymentState.FAILED, reason)
            self._move(purse, -(invoice.amount_msat or 0))
            held = self._is_hold(invoice.payment_hash)
            if held:
                self._set_state(invoice.payment_hash, InvoiceState.HELD)
            else:
                self._settle(invoice.payment_hash, now_ms)
            state = PaymentState.PENDING if held else PaymentState.SETTLED
            return self._record(purse, invoice, state, "")

    def payment(self, purse: Purse, payment_hash: str) -> PaymentRow | None:
        """A payment of a node; None when it has none of that hash."""
        row = self._db.execute(
            "SELECT payments.state, reason, preimage FROM payments"
            " LEFT JOIN invoices USING (payment_hash)"
            " WHERE payment_hash = ? AND payments.purse = ?",
            (payment_hash, purse),
        ).fetchone()
        if row is None:
            return None
        state = PaymentState(row[0])
        preimage = row[2] if state is PaymentState.SETTLED else None
        return PaymentRow(payment_hash, state, row[1], preimage)

    def sent(self) -> list[tuple[str, int]]:
        """Payment hash and amount of all that the operator has paid, or is about to."""
        return self._db.execute(
            "SELECT payment_hash, amount_msat FROM payments WHERE purse = ? AND state != ?",
            (Purse.OPERATOR, PaymentState.FAILED),
        ).fetchall()

    def settle_held(self, preimage: bytes, now_ms: int) -> None:
        """Take a held payment; raises WalletRefused when nothing is held under the preimage."""
        payment_hash = _sha256(preimage)
        with self._transaction():
            row = self.invoice(Purse.OPERATOR, payment_hash)
            if row and row.state is InvoiceState.SETTLED:
                return
            if row is None or row.state is not InvoiceState.HELD:
                raise WalletRefused("no payment is held under the hash of this preimage")
            self._db.execute(
                "UPDATE invoices SET preimage = ? WHERE payment_hash = ?", (preimage, payment_hash)
            )
            self._settle(payment_hash, now_ms)
            self._finish_payment(payment_hash, PaymentState.SETTLED, "")

    def cancel_held(self, payment_hash: str) -> None:
        """Cancel an open or held hold invoice; raises WalletRefused when it is settled."""
        with self._transaction():
            row = self.invoice(Purse.OPERATOR, payment_hash)
            if row is None or not self._is_hold(payment_hash):
                raise WalletRefused("there is no hold invoice of this hash")
            if row.state is InvoiceState.SETTLED:
                raise WalletRefused("the invoice is settled and cannot be canceled any more")
            if row.state is InvoiceState.HELD:
                self._move(Purse.DRIVER, row.amount_msat)
                self._finish_payment(payment_hash, PaymentState.FAILED, "the payee canceled it")
            self._set_state(payment_hash, InvoiceState.CANCELED)

    def _obstacle(self, purse: Purse, invoice: bolt11.Bolt11, now_ms: int) -> str:
        """Why a node cannot pay an invoice; "" when it can."""
        if now_ms > invoice.expires_at_ms:
            return "the invoice has expired"
        if invoice.amount_msat is None:
            return "the invoice names no amount"
        if invoice.payee == self._node_ids[purse]:
            return "the invoice is this wallet's own, and self-payments are not allowed"
        if invoice.payee not in self._node_ids.values():
            return "no route: the invoice is not of this play-money wallet, which knows no other"
        payee = Purse.DRIVER if purse is Purse.OPERATOR else Purse.OPERATOR
        row = self.invoice(payee, invoice.payment_hash)
        if row is None or row.bolt11 != invoice.text:
            return "the payee does not know this invoice"
        if row.state is not InvoiceState.OPEN:
            return f"the invoice is {row.state} already"
        balance_msat = self.balance_msat(purse)
        if balance_msat < invoice.amount_msat:
            return f"insufficient balance: {balance_msat} of {invoice.amount_msat} msat"
        return ""

    def _record(
        self, purse: Purse, invoice: bolt11.Bolt11, state: PaymentState, reason: str
    ) -> PaymentRow:
        self._db.execute(
            "INSERT OR REPLACE INTO payments (payment_hash, purse, amount_msat, state, reason)"
            " VALUES (?, ?, ?, ?, ?)",
            (invoice.payment_hash, purse, invoice.amount_msat or 0, state, reason),
        )
        row = self.payment(purse, invoice.payment_hash)
        return row or PaymentRow(invoice.payment_hash, state, reason)

    def _settle(self, payment_hash: str, now_ms: int) -> None:
        purse, amount_msat = self._db.execute(
            "SELECT purse, amount_msat FROM invoices WHERE payment_hash = ?", (payment_hash,)
        ).fetchone()
        self._move(Purse(purse), amount_msat)
        self._db.execute(
            "UPDATE invoices SET state = ?, settled_at_ms = ?, settle_index ="
            " CASE WHEN purse = ? THEN"
            " (SELECT coalesce(max(settle_index), 0) + 1 FROM invoices) END"
            " WHERE payment_hash = ?",
            (InvoiceState.SETTLED, now_ms, Purse.OPERATOR, payment_hash),
        )

    def _move(self, purse: Purse, amount_msat: int) -> None:
        self._db.execute(
            "UPDATE nodes SET balance_msat = balance_msat + ? WHERE purse = ?",
            (amount_msat, purse),
        )

    def _set_state(self, payment_hash: str, state: InvoiceState) -> None:
        self._db.execute(
            "UPDATE invoices SET state = ? WHERE payment_hash = ?", (state, payment_hash)
        )

    def _finish_payment(self, payment_hash: str, state: PaymentState, reason: str) -> None:
        self._db.execute(
            "UPDATE payments SET state = ?, reason = ? WHERE payment_hash = ?",
            (state, reason, payment_hash),
        )

    def _is_hold(self, payment_hash: str) -> bool:
        row = self._db.execute(
            "SELECT hold FROM invoices WHERE payment_hash = ?", (payment_hash,)
        ).fetchone()
        return bool(row and row[0])

    @contextmanager
    def _transaction(self) -> Generator[None]:
        with ledger_file.immediate(self._db):
            yield


_SELECT_INVOICE = (
    "SELECT bolt11, payment_hash, amount_msat, state, preimage, settled_at_ms, settle_index"
    " FROM invoices"
)


def _invoice_row(row: tuple[str, str, int | None, str, bytes | None, int, int]) -> InvoiceRow:
    return InvoiceRow(
        bolt11=row[0],
        payment_hash=row[1],
        amount_msat=row[2] or 0,
        state=InvoiceState(row[3]),
        preimage=row[4],
        settled_at_ms=row[5] or 0,
        settle_index=row[6] or 0,
    )


def _sha256(preimage: bytes) -> str:
    return hashlib.sha256(preimage).hexdigest()

"""The play-money wallet: real signed invoices on a network of two nodes, worth nothing.

One process owns its file. It plays the operator's node, and that of a driver for demos
and tests. Receipts fund refunds: the operator's node starts empty.
"""

from __future__ import annotations

import hashlib
import logging
import sqlite3
from collections.abc import AsyncGenerator, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
from anyio import to_thread

from wallet import cursors
from wallet.base import (
    Invoice,
    InvoiceState,
    PaymentOutcome,
    PaymentState,
    Sent,
    Settlement,
    WalletInfo,
    WalletRefused,
    WalletUnavailable,
)
from wallet.bolt11 import InvalidInvoice
from wallet.ledger import NETWORK, InvoiceRow, Ledger, PaymentRow, Purse

FILE_NAME = "dev-wallet.sqlite"
NAME = "play money (built-in dev wallet)"

_PAGE = 100

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class DevWallet:
    """The operator's node of the play-money network; a HoldWallet.

    Args:
        data_dir: where its file is kept.
        clock: gives the time in Unix milliseconds.
    """

    def __init__(self, data_dir: Path, clock: Callable[[], int]) -> None:
        self._path = data_dir / FILE_NAME
        self._clock = clock
        self._ledger: Ledger | None = None
        self._turn = anyio.Lock()
        self._changed = anyio.Event()

    async def open(self) -> None:
        """Open or make the file; raises WalletConfigError when it cannot be used."""
        self._ledger = await to_thread.run_sync(Ledger.open, self._path)
        _log.warning(
            "PLAY MONEY: the built-in dev wallet is in use; its invoices are worth nothing. "
            "Set [wallet] url to take real payments."
        )

    async def close(self) -> None:
        """Let go of the file; streams end with WalletUnavailable. Idempotent."""
        async with self._turn:
            ledger, self._ledger = self._ledger, None
            if ledger is not None:
                await to_thread.run_sync(ledger.close)
        self._wake()

    async def info(self) -> WalletInfo:
        """What the operator's node has, and that it is play money."""
        balance_msat = await self._call(lambda ledger: ledger.balance_msat(Purse.OPERATOR))
        inbound_msat = await self._call(lambda ledger: ledger.balance_msat(Purse.DRIVER))
        return WalletInfo(
            name=NAME,
            network=NETWORK,
            balance_msat=balance_msat,
            inbound_msat=inbound_msat,
            play_money=True,
            holds=True,
        )

    async def source(self) -> str:
        """As in `Wallet`: the operator's node."""
        return self._source()

    async def create_invoice(
        self, amount_msat: int, *, memo: str, description: bytes | None, expiry_s: int
    ) -> Invoice:
        """As in `Wallet`; any whole amount of msat."""
        return await self._add_invoice(amount_msat, memo, description, expiry_s, None)

    async def lookup_invoice(self, payment_hash: str) -> tuple[InvoiceState, Settlement | None]:
        """As in `Wallet`."""
        row = await self._call(lambda ledger: ledger.invoice(Purse.OPERATOR, payment_hash))
        if row is None:
            return InvoiceState.UNKNOWN, None
        settled = row.state is InvoiceState.SETTLED
        return row.state, self._settlement(row) if settled else None

    async def settlements(self, cursor: str) -> AsyncGenerator[Settlement]:
        """As in `Wallet`; nothing is ever skipped or repeated."""
        index = cursors.read(self._source(), cursor)
        while True:
            changed = self._changed
            rows = await self._call(partial(Ledger.settled_after, settle_index=index, limit=_PAGE))
            for row in rows:
                index = row.settle_index
                yield self._settlement(row)
            if not rows:
                await changed.wait()

    async def pay(self, bolt11: str, *, fee_limit_msat: int, timeout_s: int) -> PaymentOutcome:
        """As in `Wallet`: the driver's invoices only, without fees."""
        del fee_limit_msat, timeout_s
        try:
            row = await self._pay(Purse.OPERATOR, bolt11)
        except InvalidInvoice as error:
            return PaymentOutcome(PaymentState.FAILED, reason=str(error))
        return PaymentOutcome(row.state, reason=row.reason)

    async def lookup_payment(self, payment_hash: str) -> PaymentOutcome:
        """As in `Wallet`."""
        row = await self._call(lambda ledger: ledger.payment(Purse.OPERATOR, payment_hash))
        if row is None:
            return PaymentOutcome(PaymentState.NO_RECORD)
        return PaymentOutcome(row.state, reason=row.reason)

    async def sent_since(self, at_ms: int) -> list[Sent]:
        """As in `Wallet`: all that ever was, since it is not written down when."""
        del at_ms
        return [Sent(*row) for row in await self._call(Ledger.sent)]

    async def create_hold_invoice(
        self,
        payment_hash: str,
        amount_msat: int,
        *,
        memo: str,
        description: bytes | None,
        expiry_s: int,
    ) -> Invoice:
        """As in `HoldWallet`."""
        return await self._add_invoice(amount_msat, memo, description, expiry_s, payment_hash)

    async def await_held(self, payment_hash: str) -> InvoiceState:
        """As in `HoldWallet`."""
        while True:
            changed = self._changed
            state, _ = await self.lookup_invoice(payment_hash)
            if state is InvoiceState.UNKNOWN:
                raise WalletRefused("there is no invoice of this hash")
            if state is not InvoiceState.OPEN:
                return state
            await changed.wait()

    async def settle_held(self, preimage: bytes) -> None:
        """As in `HoldWallet`."""
        await self._call(partial(Ledger.settle_held, preimage=preimage, now_ms=self._clock()))
        self._wake()

    async def cancel_held(self, payment_hash: str) -> None:
        """As in `HoldWallet`."""
        await self._call(partial(Ledger.cancel_held, payment_hash=payment_hash))
        self._wake()

    async def driver_pay(self, bolt11: str) -> str:
        """Pay as the driver; waits while the payment is held.

        Returns:
            The preimage, hex. Paying an invoice again gives the same one.

        Raises:
            WalletRefused: the payment failed, and why.
            InvalidInvoice: this is no invoice of the play-money network.
        """
        row = await self._pay(Purse.DRIVER, bolt11)
        while row.state is PaymentState.PENDING:
            changed = self._changed
            find = partial(Ledger.payment, purse=Purse.DRIVER, payment_hash=row.payment_hash)
            row = await self._call(find) or row
            if row.state is PaymentState.PENDING:
                await changed.wait()
        if row.preimage is None:
            raise WalletRefused(f"the payment failed: {row.reason}")
        return row.preimage.hex()

    async def driver_invoice(
        self,
        amount_msat: int | None,
        *,
        memo: str = "refund to the driver",
        expiry_s: int = 3600,
    ) -> tuple[str, str]:
        """An invoice of the driver's node, to be refunded to; None leaves the amount open.

        Returns:
            The payment request and its payment hash (hex).
        """
        invoice = await self._call(
            partial(
                Ledger.add_invoice,
                purse=Purse.DRIVER,
                amount_msat=amount_msat,
                description=memo,
                expiry_s=expiry_s,
                now_ms=self._clock(),
            )
        )
        return invoice.bolt11, invoice.payment_hash

    async def driver_invoice_paid(self, payment_hash: str) -> bool:
        """Whether an invoice of the driver's was paid.

        Raises:
            WalletRefused: it has none of that hash.
        """
        row = await self._call(lambda ledger: ledger.invoice(Purse.DRIVER, payment_hash))
        if row is None:
            raise WalletRefused("the driver's wallet has no invoice of this hash")
        return row.state is InvoiceState.SETTLED

    async def _add_invoice(
        self,
        amount_msat: int,
        memo: str,
        description: bytes | None,
        expiry_s: int,
        hold_hash: str | None,
    ) -> Invoice:
        if expiry_s < 1:
            raise WalletRefused(f"an invoice cannot expire after {expiry_s} seconds")
        try:
            return await self._call(
                partial(
                    Ledger.add_invoice,
                    purse=Purse.OPERATOR,
                    amount_msat=amount_msat,
                    description=memo
                    if description is None
                    else hashlib.sha256(description).digest(),
                    expiry_s=expiry_s,
                    now_ms=self._clock(),
                    hold_hash=hold_hash,
                )
            )
        except InvalidInvoice as error:
            raise WalletRefused(str(error)) from None

    async def _pay(self, purse: Purse, request: str) -> PaymentRow:
        try:
            return await self._call(
                partial(Ledger.pay, purse=purse, request=request, now_ms=self._clock())
            )
        finally:
            self._wake()

    def _settlement(self, row: InvoiceRow) -> Settlement:
        return Settlement(
            payment_hash=row.payment_hash,
            amount_msat=row.amount_msat,
            settled_at_ms=row.settled_at_ms,
            cursor=cursors.write(self._source(), row.settle_index),
        )

    def _source(self) -> str:
        return f"dev-{self._opened().node_id(Purse.OPERATOR)[:16]}"

    def _opened(self) -> Ledger:
        if self._ledger is None:
            raise WalletUnavailable("the play-money wallet is not open")
        return self._ledger

    async def _call(self, work: Callable[[Ledger], _T]) -> _T:
        """Run one ledger call in a thread, one at a time."""
        async with self._turn:
            ledger = self._opened()
            try:
                return await to_thread.run_sync(work, ledger)
            except sqlite3.Error as error:
                raise WalletUnavailable(f"the play-money wallet's file failed: {error}") from None

    def _wake(self) -> None:
        """Let streams and waiting payers look again."""
        self._changed.set()
        self._changed = anyio.Event()

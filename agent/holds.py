"""Payments that the wallet holds (hold invoices): noticed, then taken or let go.

What is held locks the driver's money, so it is taken when charging begins, or let go within
minutes: never held for a whole session. Only the wallet's word says what became of it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Literal

import anyio
import anyio.abc

from agent.clock import Clock
from agent.journal.journal import Journal, Task
from agent.machine.effects import CancelPayment, SettlePayment
from agent.machine.events import PaymentCanceled
from agent.outbox import Retry
from agent.ports.quotes import Quote
from wallet.base import (
    HoldWallet,
    InvoiceState,
    Settlement,
    Wallet,
    WalletError,
    WalletRefused,
    WalletUnavailable,
)

PATIENCE_S = 60
"""How long after its expiry an invoice is still watched; wallets and clocks are not exact."""

FIRST_RETRY_S = 0.5
LAST_RETRY_S = 30.0

HoldMode = Literal["off", "auto", "always"]

log = logging.getLogger(__name__)


class Holds:
    """Watches hold invoices, and carries out what the sessions decide about them.

    Args:
        journal: where the quotes are.
        wallet: who holds.
        clock: Unix milliseconds.
        mode: whether to use hold invoices where the wallet has them; "auto" leaves out play
            money, of which nothing has to be held.
        hold: a payment for a quote is held; must bear repetition.
        credit: a quote was settled; must bear repetition.
        cancel: a held payment went back; must bear repetition.
    """

    def __init__(
        self,
        journal: Journal,
        wallet: Wallet,
        clock: Clock,
        mode: HoldMode,
        *,
        hold: Callable[[Quote], Awaitable[object]],
        credit: Callable[[Quote, Settlement], Awaitable[object]],
        cancel: Callable[[Quote, PaymentCanceled], Awaitable[object]],
    ) -> None:
        self._journal = journal
        self._wallet = wallet
        self._clock = clock
        self._mode = mode
        self._hold = hold
        self._credit = credit
        self._cancel = cancel
        self._works = False
        self._asked = False
        self._group: anyio.abc.TaskGroup | None = None

    async def wallet(self) -> HoldWallet | None:
        """The wallet, where new payments shall be held; None where they shall not."""
        wallet = self._wallet
        if self._mode == "off" or not isinstance(wallet, HoldWallet):
            return None
        if not self._asked:
            try:
                info = await wallet.info()
            except WalletError:
                return None
            self._works = info.holds and (self._mode == "always" or not info.play_money)
            self._asked = True
        return wallet if self._works else None

    async def run(self) -> None:
        """Watch every hold invoice that may still be paid, until cancelled."""
        async with anyio.create_task_group() as group:
            self._group = group
            now_ms = self._clock()
            for quote in self._journal.quotes.unsettled(now_ms - PATIENCE_S * 1000):
                self.watch(quote)
            await anyio.sleep_forever()

    def watch(self, quote: Quote) -> None:
        """Notice when a payment for this quote is held; nothing for a quote that holds none."""
        if quote.hold and self._group is not None:
            self._group.start_soon(self._watch, quote, name=f"hold {quote.payment_hash[:8]}")

    async def _watch(self, quote: Quote) -> None:
        wallet = self._wallet
        if not isinstance(wallet, HoldWallet):
            return
        # The end of the watch may cut off the waiting, and nothing of what follows from it.
        if await self._awaited(wallet, quote) is InvoiceState.HELD:
            await self._hold(quote)

    async def _awaited(self, wallet: HoldWallet, quote: Quote) -> InvoiceState:
        """What an invoice is that is not open any more, or was not paid in its time."""
        left_s = max(0, quote.expires_at_ms - self._clock()) / 1000 + PATIENCE_S
        pause_s = FIRST_RETRY_S
        with anyio.move_on_after(left_s):
            while True:
                try:
                    return await wallet.await_held(quote.payment_hash)
                except WalletUnavailable:
                    await anyio.sleep(pause_s)
                    pause_s = min(2 * pause_s, LAST_RETRY_S)
                except WalletRefused as error:
                    log.warning("a hold invoice cannot be watched: %s", error)
                    return InvoiceState.UNKNOWN
        try:
            # It may have been paid in this moment.
            state, _ = await wallet.lookup_invoice(quote.payment_hash)
        except WalletError:
            return InvoiceState.UNKNOWN
        return state

    async def deliver(self, task: Task, recovered: bool) -> None:
        """Take or let go a payment that is held (an outbox handler)."""
        del recovered
        match task.effect:
            case SettlePayment(payment_hash):
                await self._end(payment_hash, take=True)
            case CancelPayment(payment_hash):
                await self._end(payment_hash, take=False)
            case other:
                raise TypeError(f"not about a held payment: {other}")

    async def _end(self, payment_hash: str, *, take: bool) -> None:
        """Bring a held payment to its end; raises Retry while the wallet does not say which."""
        quote = self._journal.quotes.get(payment_hash)
        wallet = self._wallet
        if quote is None or not isinstance(wallet, HoldWallet):
            return
        try:
            try:
                if take:
                    await wallet.settle_held(bytes.fromhex(quote.preimage))
                else:
                    await wallet.cancel_held(payment_hash)
            except WalletRefused as refusal:
                log.warning("payment %s: %s", payment_hash, refusal)
            state, settlement = await wallet.lookup_invoice(payment_hash)
        except WalletUnavailable as error:
            raise Retry(f"the wallet does not answer: {error}") from None
        if settlement is not None:
            await self._credit(quote, settlement)
        elif state in (InvoiceState.CANCELED, InvoiceState.UNKNOWN):
            if take:
                log.error(
                    "payment %s over %d msat was withdrawn before it could be taken",
                    payment_hash,
                    quote.amount_msat,
                )
            now_ms = self._clock()
            await self._cancel(quote, PaymentCanceled(f"gone:{payment_hash}", now_ms, payment_hash))
        else:
            raise Retry("the wallet has not ended the held payment yet")

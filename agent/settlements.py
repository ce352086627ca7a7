"""Money in: every settlement of the wallet reaches its charge point, once.

The wallet's stream is followed from a stored cursor. A stream is only a hint, so at each
connection and now and then all open invoices are looked up as well.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable

import anyio

from agent.commons import Commons
from agent.journal.errors import JournalError, JournalUnusable
from agent.ports.quotes import Quote
from wallet.base import InvoiceState, Settlement, WalletError, WalletUnavailable

CURSOR = "cursor:settlements"
LOOK_BACK_MS = 86_400_000
"""How long after its expiry an invoice is still looked up: some backends let it be paid."""

LOOK_UP_EVERY_S = 60.0
SELDOM = 30
"""Invoices that have expired are looked up in every so many rounds only."""

JUST_EXPIRED_MS = 300_000
AT_ONCE = 8
FIRST_RETRY_S = 0.5
LAST_RETRY_S = 30.0
ALERT = "wallet"

log = logging.getLogger(__name__)


class Settlements:
    """Follows the wallet.

    Args:
        commons: wallet, journal, clock and alerts.
        credit: credits a quote with a settlement; must bear repetition.
        hold: opens the session of a payment that is held; must bear repetition.
        recovered: called when the wallet answers again after it was lost.
        unexplained: told of a settlement that no quote of ours asked for.
    """

    def __init__(
        self,
        commons: Commons,
        credit: Callable[[Quote, Settlement], Awaitable[object]],
        *,
        hold: Callable[[Quote], Awaitable[object]],
        recovered: Callable[[], None],
        unexplained: Callable[[Settlement], Awaitable[None]],
    ) -> None:
        self._unexplained = unexplained
        self._commons = commons
        self._credit = credit
        self._hold = hold
        self._recovered = recovered
        self._trouble: str | None = None

    @property
    def trouble(self) -> str | None:
        """Why nothing can be received now; None while the wallet is followed."""
        return self._trouble

    async def run(self) -> None:
        """Follow the wallet until cancelled, through all of its troubles."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._follow)
            group.start_soon(self._look_up_regularly)

    async def _follow(self) -> None:
        pause_s = FIRST_RETRY_S
        while True:
            try:
                await self._ask_how_it_is()
                await self.look_up_open()
                cursor = self._commons.journal.setting(CURSOR) or ""
                async for settlement in self._commons.wallet.settlements(cursor):
                    self._is_well()
                    pause_s = FIRST_RETRY_S
                    await self.take(settlement)
                    if settlement.cursor:
                        await self._commons.journal.set_setting(CURSOR, settlement.cursor)
            except WalletError as error:
                self._is_lost(error)
            except JournalUnusable as error:
                log.error("a payment waits until it can be stored: %s", error)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LAST_RETRY_S)

    def _is_lost(self, error: WalletError) -> None:
        self._trouble = str(error)
        self._commons.alerts.raised(
            ALERT, f"the wallet is lost, so new payments are refused: {error}"
        )

    def _is_well(self) -> None:
        if self._trouble is None:
            return
        self._trouble = None
        self._commons.alerts.cleared(ALERT, "the wallet answers again: payments are taken")
        self._recovered()

    async def _ask_how_it_is(self) -> None:
        """Let the wallet show that it is there; raises WalletError."""
        await self._commons.wallet.info()
        self._is_well()

    async def _look_up_regularly(self) -> None:
        for round_no in itertools.count(1):
            await asyncio.sleep(LOOK_UP_EVERY_S)
            try:
                seldom = round_no % SELDOM == 0
                await self.look_up_open(LOOK_BACK_MS if seldom else JUST_EXPIRED_MS)
                await self._ask_how_it_is()
            except WalletError as error:
                self._is_lost(error)
            except JournalUnusable as error:
                log.error("a payment waits until it can be stored: %s", error)

    async def look_up_open(self, look_back_ms: int = LOOK_BACK_MS) -> None:
        """Ask the wallet about every invoice that is not known to be paid, a few at a time.

        Args:
            look_back_ms: how long ago the invoices may have expired.

        Raises:
            WalletUnavailable: the wallet does not answer.
            JournalUnusable: what was paid cannot be stored.
        """
        now_ms = self._commons.clock()
        waiting = iter(self._commons.journal.quotes.unsettled(now_ms - look_back_ms))
        lost: list[WalletUnavailable | JournalUnusable] = []

        async def ask() -> None:
            for quote in waiting:
                if lost:
                    return
                try:
                    await self._look_up(quote)
                except (WalletUnavailable, JournalUnusable) as error:
                    lost.append(error)
                except WalletError as error:
                    # One invoice that the wallet will not talk about hides no other.
                    log.warning("invoice %s cannot be looked up: %s", quote.payment_hash, error)

        async with anyio.create_task_group() as group:
            for _ in range(AT_ONCE):
                group.start_soon(ask)
        if lost:
            raise lost[0]

    async def _look_up(self, quote: Quote) -> None:
        state, settlement = await self._commons.wallet.lookup_invoice(quote.payment_hash)
        if settlement is not None:
            await self._dealt_with(quote, self._credit(quote, settlement))
        elif state is InvoiceState.HELD:
            await self._dealt_with(quote, self._hold(quote))

    async def take(self, settlement: Settlement) -> None:
        """Credit one settlement, if a quote of ours asked for it."""
        quote = self._commons.journal.quotes.get(settlement.payment_hash)
        if quote is None:
            await self._unexplained(settlement)
        elif quote.settled_at_ms is None:
            await self._dealt_with(quote, self._credit(quote, settlement))

    async def _dealt_with(self, quote: Quote, dealing: Awaitable[object]) -> None:
        """Let a payment be dealt with; what Strom does wrong with one must not keep it from all
        others, and is tried again as long as invoices are looked up."""
        try:
            await dealing
        except (WalletError, JournalError):
            raise
        except Exception:
            sentence = f"{quote.charge_point}: the payment {quote.payment_hash} went wrong"
            log.exception("%s, which is Strom's own fault", sentence)
            self._commons.alerts.happened("payment", f"{sentence}; Strom's log says why")

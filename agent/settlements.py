"""Money in: every settlement of the wallet reaches its charge point, once.

The wallet's stream is followed from a stored cursor. A stream is only a hint, so at each
connection and now and then all open invoices are looked up as well.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import anyio

from agent.commons import Commons
from agent.ports import Quote
from wallet.base import Settlement, WalletError

CURSOR = "cursor:settlements"
LOOK_BACK_MS = 86_400_000
"""How long after its expiry an invoice is still looked up: some backends let it be paid."""

LOOK_UP_EVERY_S = 60.0
FIRST_RETRY_S = 0.5
LAST_RETRY_S = 30.0

log = logging.getLogger(__name__)


class Settlements:
    """Follows the wallet.

    Args:
        commons: wallet, journal and clock.
        credit: credits a quote with a settlement; must bear repetition.
        unexplained: told of a settlement that no quote of ours asked for.
    """

    def __init__(
        self,
        commons: Commons,
        credit: Callable[[Quote, Settlement], Awaitable[object]],
        unexplained: Callable[[Settlement], Awaitable[None]],
    ) -> None:
        self._unexplained = unexplained
        self._commons = commons
        self._credit = credit
        self._trouble: str | None = "the wallet has not been reached yet"

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
                await self.look_up_open()
                cursor = self._commons.journal.setting(CURSOR) or ""
                async for settlement in self._commons.wallet.settlements(cursor):
                    self._trouble = None
                    pause_s = FIRST_RETRY_S
                    await self.take(settlement)
                    if settlement.cursor:
                        await self._commons.journal.set_setting(CURSOR, settlement.cursor)
            except WalletError as error:
                if self._trouble is None:
                    log.warning("the wallet was lost: %s", error)
                self._trouble = str(error)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LAST_RETRY_S)

    async def _look_up_regularly(self) -> None:
        while True:
            await asyncio.sleep(LOOK_UP_EVERY_S)
            try:
                await self.look_up_open()
            except WalletError as error:
                self._trouble = str(error)

    async def look_up_open(self) -> None:
        """Ask the wallet about every invoice that is not known to be paid.

        Raises:
            WalletError: the wallet does not answer.
        """
        now_ms = self._commons.clock()
        for quote in self._commons.journal.unsettled_quotes(now_ms - LOOK_BACK_MS):
            _, settlement = await self._commons.wallet.lookup_invoice(quote.payment_hash)
            if settlement is not None:
                await self._credit(quote, settlement)
        self._trouble = None

    async def take(self, settlement: Settlement) -> None:
        """Credit one settlement, if a quote of ours asked for it."""
        quote = self._commons.journal.quote(settlement.payment_hash)
        if quote is None:
            await self._unexplained(settlement)
        elif quote.settled_at_ms is None:
            await self._credit(quote, settlement)

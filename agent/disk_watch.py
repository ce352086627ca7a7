"""A disk that takes nothing any more: operators are told, and what works in the background waits.

To end would leave every charger alone, and there may be room again at any moment.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from agent.alerts import Alerts
from agent.journal.errors import JournalError, JournalUnusable
from agent.journal.journal import Journal

TRY_AGAIN_S = 10.0

BEGIN_AGAIN_S = 5.0

_NAME = "journal"
_DAMAGE = "journal damaged"
_TRIED = "disk:tried"

log = logging.getLogger(__name__)


class DiskWatch:
    """Watches the disk of one journal.

    Args:
        journal: what is written to it.
        alerts: who tells the operators; they hear of it once that can be stored.
        try_again_s: seconds between two tries.
    """

    def __init__(
        self, journal: Journal, alerts: Alerts, *, try_again_s: float = TRY_AGAIN_S
    ) -> None:
        self._journal = journal
        self._alerts = alerts
        self._try_again_s = try_again_s
        self._lost = asyncio.Event()
        journal.on_trouble(self._is_told)
        journal.on_damage(partial(alerts.raised, _DAMAGE))

    def _is_told(self, reason: str) -> None:
        if reason:
            self._alerts.raised(
                _NAME,
                f"nothing can be stored in {self._journal.path}: {reason}; until that is mended no "
                "payment is taken, and charges end with their credit",
            )
            self._lost.set()
        else:
            self._lost.clear()
            self._alerts.cleared(_NAME, f"{self._journal.path} can be written again")

    async def run(self) -> None:
        """Try, while nothing can be stored and perhaps nobody else does, until cancelled."""
        while True:
            await self._lost.wait()
            await asyncio.sleep(self._try_again_s)
            with suppress(JournalError):
                await self._journal.set_setting(_TRIED, "")


async def outlasting(work: Callable[[], Awaitable[None]], what: str) -> None:
    """Work until it is done or cancelled, from its beginning again whenever the disk stopped it.

    Args:
        work: what can begin again at any time.
        what: what it does, for the log.
    """
    while True:
        try:
            await work()
            return
        except* JournalUnusable as refusals:
            log.error("%s waits: %s", what, refusals.exceptions[0])
        await asyncio.sleep(BEGIN_AGAIN_S)

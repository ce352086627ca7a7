"""Whether transactions go on of which their station says nothing (OCPP 2.0.1, use case E14).

A station that lost its power may have forgotten a transaction while the car stayed plugged in: it
tells of no end, and its plug stays occupied. So it is asked once it has booted, and where a
transaction is silent for longer than readings take to come. One that it knows nothing of, of
which nothing waits in it and which it cannot stop is over, at the last moment that was told of it.

Some stations say so of each transaction, whatever it does. One that then takes a stop of it tells
its end, and is billed by that; one that speaks of it again is never asked any more.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from agent.journal.errors import JournalError
from agent.ports.charge_point import ChargePoint
from agent.ports.errors import AgentError
from bridge.ocpp.configuration.billing import SLOWEST_SAMPLES_S
from bridge.ocpp.v201.transactions import Station, Transaction

logger = logging.getLogger(__name__)

SILENT_MS = 3 * SLOWEST_SAMPLES_S * 1000
"""A transaction that was not heard of for so long is asked after; so it is again after that."""
_LOOKS_MS = 20_000
"""Between two looks at which of them are silent."""


class Asked(Protocol):
    """Asks a station."""

    async def is_gone(self, name: str) -> bool:
        """Whether a transaction of which nothing is heard is over."""
        ...


class Whereabouts:
    """Asks after the transactions of one connection's station.

    Args:
        charge_point: whose sessions they are.
        station: what is known of its transactions.
        charger: asks it.
        clock: our time in Unix ms.
        on_gone: called with a transaction that is over.
    """

    def __init__(
        self,
        charge_point: ChargePoint,
        station: Station,
        charger: Asked,
        clock: Callable[[], int],
        on_gone: Callable[[str], Awaitable[None]],
    ) -> None:
        self._charge_point = charge_point
        self._station = station
        self._charger = charger
        self._clock = clock
        self._on_gone = on_gone
        self._since_ms = clock()
        self._looked_ms = self._since_ms
        self._asked_ms: dict[str, int] = {}

    def is_due(self) -> bool:
        """Whether it is time to look which transactions are silent."""
        now_ms = self._clock()
        if now_ms - self._looked_ms < _LOOKS_MS:
            return False
        self._looked_ms = now_ms
        return True

    async def after_silence(self) -> None:
        """Ask after the transactions that were not heard of for long."""
        await self._ask(SILENT_MS)

    async def after_booting(self) -> None:
        """Ask after the transactions that were not heard of since the station connected."""
        await self._ask(0)

    async def _ask(self, silent_ms: int) -> None:
        try:
            sold = (await self._charge_point.commitments()).transactions
            for known in self._station.all_sold():
                if known.number in sold and self._is_silent(known, silent_ms):
                    await self._ask_after(known)
        except (AgentError, JournalError) as error:
            # It is asked again, for nothing was stored.
            logger.warning("%s: %s", self._charge_point.id, error)

    def _is_silent(self, known: Transaction, silent_ms: int) -> bool:
        heard_ms = max(self._station.heard_ms(known.name), self._asked_ms.get(known.name, 0))
        if heard_ms < self._since_ms:
            # One that only lost its connection goes on to send readings.
            return self._clock() - self._since_ms >= min(silent_ms, SLOWEST_SAMPLES_S * 1000)
        return self._clock() - heard_ms >= silent_ms > 0

    async def _ask_after(self, known: Transaction) -> None:
        name = known.name
        self._asked_ms[name] = self._clock()
        if await self._charger.is_gone(name) and known.sold:
            logger.warning(
                "%s: the station knows nothing of transaction %s any more: it is over",
                self._charge_point.id,
                known.number,
            )
            await self._on_gone(name)

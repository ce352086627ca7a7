"""What is known of the clocks of all chargers; it survives a restart.

A charger that only lost its connection while Strom was away tells of what it kept before anything
shows how its clock is. Taken as it stands, a clock that is off dates a charge before it began or
after it ended, and its driver pays for that time.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

from agent.ports.charge_point import ChargePoint
from agent.ports.errors import AgentError
from bridge.ocpp.meters.readings import as_int
from bridge.ocpp.timestamps import Clock

logger = logging.getLogger(__name__)

_NOTE = "clock"


class Clocks:
    """The clocks of the chargers that connected to this process.

    Args:
        spawn: has something done beside everything else.
    """

    def __init__(self, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        self._spawn = spawn
        self._clocks: dict[str, Clock] = {}

    async def of(self, charge_point: ChargePoint) -> Clock:
        """The clock of a charge point's charger."""
        known = self._clocks.get(charge_point.id)
        if known is None:
            kept_ms = as_int(await charge_point.note(_NOTE))
            clock = Clock(kept_ms, lambda behind_ms: self._spawn(_keep(charge_point, behind_ms)))
            known = self._clocks.setdefault(charge_point.id, clock)
        return known

    def ours_was_set(self, by_ms: int) -> None:
        """Our clock was set, forward or (below zero) back."""
        for clock in self._clocks.values():
            clock.ours_was_set(by_ms)


async def _keep(charge_point: ChargePoint, behind_ms: int) -> None:
    try:
        await charge_point.keep_note(_NOTE, str(behind_ms))
    except AgentError as error:
        logger.warning("%s: how its clock is was not stored: %s", charge_point.id, error)

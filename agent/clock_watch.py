"""Whether somebody sets the machine's clock while Strom works: NTP after a start without a battery,
or a hand."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from agent.clock import Clock

LEAST_STEP_MS = 5_000
"""Less is no step: clocks are adjusted bit by bit."""


class ClockWatch:
    """Compares the clock with one that nobody can set.

    Args:
        clock: Unix milliseconds.
        steady: milliseconds since any moment, also while the machine sleeps.
        was_set: called with by how many ms the clock was set, forward or (below zero) back.
    """

    def __init__(
        self, clock: Clock, steady: Clock, was_set: Callable[[int], Awaitable[None]]
    ) -> None:
        self._clock = clock
        self._steady = steady
        self._was_set = was_set
        self._apart_ms = clock() - steady()
        self._looking = asyncio.Lock()

    def is_set(self) -> bool:
        """Whether it was set, and that is not dealt with yet."""
        return abs(self._clock() - self._steady() - self._apart_ms) >= LEAST_STEP_MS

    async def look(self) -> None:
        """Look whether it was set since the last look; returns once that is dealt with."""
        async with self._looking:
            apart_ms = self._clock() - self._steady()
            by_ms = apart_ms - self._apart_ms
            if abs(by_ms) >= LEAST_STEP_MS:
                await self._was_set(by_ms)
            self._apart_ms = apart_ms

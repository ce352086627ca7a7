"""Clocks for tests."""

from __future__ import annotations

import time


def now_ms() -> int:
    """The real time in Unix milliseconds, for backends that look at their own clock."""
    return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that stands until it is moved."""

    def __init__(self, at_ms: int = 1_790_000_000_000) -> None:
        self.at_ms = at_ms

    def __call__(self) -> int:
        return self.at_ms

    def advance_s(self, seconds: int) -> None:
        """Move the clock forwards."""
        self.at_ms += seconds * 1000

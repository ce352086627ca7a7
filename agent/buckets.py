"""How much each of many may do."""

from __future__ import annotations

from agent.clock import Clock

MOST_SENDERS = 10_000


class Buckets:
    """How much each of many may do: a token bucket for each, bounded in number."""

    def __init__(self, clock: Clock, burst: int, per_minute: int) -> None:
        self._clock = clock
        self._burst = burst
        self._per_ms = per_minute / 60_000
        self._levels: dict[str, tuple[float, int]] = {}

    def take(self, name: str) -> bool:
        """Take one token; False when there is none."""
        now_ms = self._clock()
        level, at_ms = self._levels.pop(name, (float(self._burst), now_ms))
        level = min(self._burst, level + max(0, now_ms - at_ms) * self._per_ms)
        allowed = level >= 1
        if len(self._levels) >= MOST_SENDERS:
            self._levels.pop(next(iter(self._levels)))
        self._levels[name] = (level - 1 if allowed else level, now_ms)
        return allowed

"""Whether the relays do their work: the operators are told of one that is away or behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import anyio

from agent.alerts import Alerts
from agent.clock import Clock
from nips.relays import RelayHealth

LOOK_EVERY_S = 10.0
AWAY_MS = 60_000
"""Relays restart: one that is back within this time is nobody's trouble."""

MOST_WAITING = 500


class Relays(Protocol):
    """What is watched."""

    def health(self) -> Mapping[str, RelayHealth]:
        """How each relay of ours is doing."""
        ...

    def depths(self) -> Mapping[str, int]:
        """How many events each relay still has to get."""
        ...


class Watch:
    """Looks at the relays now and then.

    Args:
        relays: what is watched.
        alerts: who tells the operators.
        clock: Unix milliseconds.
    """

    def __init__(self, relays: Relays, alerts: Alerts, clock: Clock) -> None:
        self._relays = relays
        self._alerts = alerts
        self._clock = clock
        self._away_since_ms: dict[str, int] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await anyio.sleep(LOOK_EVERY_S)

    def look(self) -> None:
        """Look once."""
        now_ms = self._clock()
        depths = self._relays.depths()
        for url, health in self._relays.health().items():
            away, behind = f"relay away {url}", f"relay behind {url}"
            if health.connected:
                self._away_since_ms.pop(url, None)
                self._alerts.cleared(away, f"the relay {url} is back")
            elif now_ms - self._away_since_ms.setdefault(url, now_ms) >= AWAY_MS:
                self._alerts.raised(
                    away,
                    f"the relay {url} has not been reached for {AWAY_MS // 1000} s"
                    + (f": {health.notice}" if health.notice else ""),
                )
            waiting = depths.get(url, 0)
            if waiting > MOST_WAITING:
                self._alerts.raised(behind, f"{waiting} events wait for the relay {url}")
            elif waiting < MOST_WAITING // 2:
                self._alerts.cleared(behind, f"the relay {url} has caught up")

"""Which readings of a settled session's meter stay: those that decided its bill, and a few others.

The bill itself stands in the session's snapshot, with the two readings between which it was
reckoned and what was corrected. The readings here are what that can be compared with. The choice
depends on the session alone, so that one who was interrupted chooses the same again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from agent.machine.model import Session

Row = tuple[int, int]
"""A stored reading: its number in the journal, and its time in Unix ms."""

MOST_OF_A_MOMENT = 4
"""So many readings of one moment stay where that moment decided something."""


class Thinning:
    """Goes through the readings of one session in the order in which they were stored.

    Stays what was read when the bill was decided, or when something was corrected, with the
    reading before it; the first and the last reading; and of each of `others` equal parts of the
    session the first.

    Args:
        session: it is closed.
        others: how many readings stay at most besides.
    """

    def __init__(self, session: Session, others: int) -> None:
        meter = session.meter
        self._deciding: set[int] = set()
        if meter is not None:
            self._deciding.add(meter.at_ms)
            self._deciding.update(fix.at_ms for fix in meter.past.corrections)
        self._others = others
        self._from_ms = session.started_at_ms or session.opened_at_ms
        self._span_ms = max(1, (session.closed_at_ms or self._from_ms) - self._from_ms)
        self._moments: Counter[int] = Counter()
        self._parts: set[int] = set()
        self._before: tuple[int, bool] | None = None

    def gone(self, rows: Iterable[Row]) -> list[int]:
        """The numbers of the readings that go, among these and the last one of those before."""
        gone: list[int] = []
        for seq, at_ms in rows:
            decides = at_ms in self._deciding and self._moments[at_ms] < MOST_OF_A_MOMENT
            if decides:
                self._moments[at_ms] += 1
            if self._before is not None and not (decides or self._before[1]):
                gone.append(self._before[0])
            # The first one has none before it.
            stays = self._is_first_of_its_part(at_ms) or decides or self._before is None
            self._before = seq, stays
        return gone

    def _is_first_of_its_part(self, at_ms: int) -> bool:
        if not self._others:
            return False
        part = (at_ms - self._from_ms) * self._others // self._span_ms
        part = min(max(part, 0), self._others - 1)
        if part in self._parts:
            return False
        self._parts.add(part)
        return True

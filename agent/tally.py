"""What the sessions that closed since this Strom started came to, for those who watch it."""

from __future__ import annotations

from collections import Counter

from agent.machine.model import Session

OVERSHOOT_BOUNDS_WH = (0, 1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000)
"""Upper bounds of the histogram of energy beyond the credit."""


class Tally:
    """Counts what closed.

    Attributes:
        charges: how many charges closed.
        overshoots: how many of them had at most so many Wh beyond their credit, by bound.
        overshoot_wh: energy beyond credits, which the operator bears.
        overshoot_msat: what that would have cost.
        unused_msat: what was left of credits whose stop was planned by them.
        endings: how often which word decided the energy.
        corrections: how often what was done to readings that did not fit.
    """

    def __init__(self) -> None:
        self.charges = 0
        self.overshoots = dict.fromkeys(OVERSHOOT_BOUNDS_WH, 0)
        self.overshoot_wh = 0
        self.overshoot_msat = 0
        self.unused_msat = 0
        self.endings: Counter[str] = Counter()
        self.corrections: Counter[str] = Counter()

    def closed(self, session: Session) -> None:
        """A session closed; one that never charged does not count."""
        if session.meter is None:
            return
        self.charges += 1
        for bound_wh in OVERSHOOT_BOUNDS_WH:
            self.overshoots[bound_wh] += session.overshoot_wh <= bound_wh
        self.overshoot_wh += session.overshoot_wh
        self.overshoot_msat += session.overshoot_msat
        if session.stop_by == "credit":
            self.unused_msat += max(0, session.credit_msat - session.cost_msat)
        if session.ending is not None:
            self.endings[session.ending] += 1
        for correction in session.meter.past.corrections:
            self.corrections[correction.fix] += correction.count

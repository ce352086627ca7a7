"""What intervals tell of one OCPP 1.6 transaction of which no register was read since it began.

Sections 7.31 (measurands), 7.32 (contexts) and 7.43 (what a value is that does not say). Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from bridge.ocpp.meters.intervals import CLOCK, PERIODIC, Interval, Row, Tally, contexts, in_order
from bridge.ocpp.meters.readings import Reading

RUNNING = {PERIODIC: Row.PERIODIC, CLOCK: Row.CLOCK, "": Row.PERIODIC}
"""The contexts of values that are counted while a transaction runs."""
ENDED = contexts("", ended=True)
"""The same of those that come with its end."""

WHOLE_PERCENT = 90
"""Values that were asked for and come after less of the usual time are of an interval that still
runs."""


class UnreadTransaction(Struct, frozen=True, omit_defaults=True):
    """One transaction.

    Attributes:
        connector: where it is; 0 for unknown.
        tally: what is counted of it, from the register of its start on.
        period_ms: the least time between two of its intervals; 0 while that is not known.
    """

    connector: int
    tally: Tally
    period_ms: int = 0

    @classmethod
    def begun(cls, connector: int, register_wh: int | None, written_ms: int) -> UnreadTransaction:
        """A transaction at its start.

        Args:
            connector: where; 0 for unknown.
            register_wh: with which register; None for none: it is counted from zero then.
            written_ms: when, by the charger's clock.
        """
        start_wh = register_wh or 0
        tally = Tally().anew(written_ms, start_wh, is_all_his=True)
        return cls(connector, tally.based_on(start_wh * 1000, written_ms))

    def after(self, intervals: Sequence[Interval], *, is_asked: bool = False) -> UnreadTransaction:
        """With what a message brought.

        Args:
            intervals: in any order.
            is_asked: whether the meter was asked for, so that some may still run: they are told
                again when they are over.
        """
        tally, period_ms = self.tally, self.period_ms
        for one in sorted(intervals, key=in_order):
            gap_ms = one.until_ms - tally.ends.get(one.row, tally.since_ms)
            is_whole = 0 < period_ms * WHOLE_PERCENT <= gap_ms * 100
            if one.row is Row.PERIODIC and is_asked and not is_whole:
                continue
            counted = tally.after([one], None)
            if one.row is Row.PERIODIC and counted.until_ms > tally.until_ms:
                period_ms = min(period_ms or gap_ms, gap_ms)
            tally = counted
        return UnreadTransaction(self.connector, tally, period_ms)

    @property
    def tells(self) -> bool:
        """Whether it tells intervals: a register of 0 is none then."""
        return self.tally.was_told

    @property
    def is_counted(self) -> bool:
        """Whether any of them was counted."""
        return self.tally.until_ms > self.tally.since_ms

    def summed_up(self, found: Sequence[Reading]) -> tuple[list[Reading], Reading]:
        """The sum as a reading, with the power that was read at its moment, and the readings that
        are left then."""
        return self.tally.summed_up(found)

"""Energy of stations that tell it by intervals alone (`Energy.Active.Import.Interval`).

OCPP 2.0.1 part 2, MeasurandEnumType and ReadingContextEnumType; OCPP 1.6 sections 7.31 and 7.35.

A value says how much flowed in an interval and its time when that was over; when it began is
nowhere. So it is reckoned to have begun where the one before it of its kind was over, and it is
added only where that is not before what is counted already: what may have been counted, or may
have flowed for somebody else, is never added. What was lost on the way is lost for the bill.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from itertools import islice
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from bridge.ocpp import timestamps
from bridge.ocpp.meters.readings import REGISTER, Reading, objects, reading_of
from bridge.ocpp.meters.samples import MAX_READINGS

INTERVAL = "Energy.Active.Import.Interval"
"""The measurand."""

PERIODIC, CLOCK, _END = "Sample.Periodic", "Sample.Clock", "Transaction.End"


class Row(StrEnum):
    """The rows of intervals: those of one follow each other without a gap.

    What a station tells with the end of a transaction has intervals of its own, and repeats what
    was told before (SampledDataCtrlr.TxEndedInterval, AlignedDataCtrlr.TxEndedInterval).
    """

    PERIODIC = "periodic"
    CLOCK = "clock"
    ENDED_PERIODIC = "ended periodic"
    ENDED_CLOCK = "ended clock"
    WHOLE = "whole"


_UPDATED = {PERIODIC: Row.PERIODIC, CLOCK: Row.CLOCK}
_ENDED = {PERIODIC: Row.ENDED_PERIODIC, CLOCK: Row.ENDED_CLOCK, _END: Row.WHOLE}
_OF_TRIGGERS = {"metervalueperiodic": PERIODIC, "metervalueclock": CLOCK}
_ORDER = tuple(Row)


def contexts(trigger: str, *, ended: bool) -> dict[str, Row]:
    """The contexts of values that may be counted in an event, and what they are then.

    A station that repeats its last values with every event would have them counted twice: but
    for the end of a transaction, they count only where they are why the event was sent.

    Args:
        trigger: why it was sent (TriggerReasonEnumType), in lower case.
        ended: whether it is the end of the transaction.
    """
    if ended:
        return _ENDED | {"": Row.WHOLE}
    context = _OF_TRIGGERS.get(trigger)
    return {context: _UPDATED[context], "": _UPDATED[context]} if context else {}


class Interval(Struct, frozen=True):
    """One value.

    Attributes:
        row: which row it belongs to.
        until_ms: when it was over, by the station's clock.
        energy_mwh: what flowed, in thousandths of a Wh.
    """

    row: Row
    until_ms: int
    energy_mwh: int


def told(
    meter_value: object,
    rows: Mapping[str, Row],
    sample_as_16: Callable[[dict[str, Any]], dict[str, Any]] = lambda sample: sample,
) -> list[Interval]:
    """The intervals in a `meterValue` list that may be counted.

    Args:
        meter_value: as the charger wrote it.
        rows: the contexts of values that may be, and what they are then.
        sample_as_16: a value that is written as OCPP 1.6 writes it.
    """
    found: list[Interval] = []
    for element in islice(objects(meter_value), MAX_READINGS if rows else 0):
        until_ms = timestamps.parse(element.get("timestamp")) or 0
        for context, row in rows.items():
            # As if they were registers, for their phases and places are told apart alike.
            chosen = [
                sample_as_16(sample | {"measurand": REGISTER})
                for sample in objects(element.get("sampledValue"))
                if sample.get("measurand") == INTERVAL and (sample.get("context") or "") == context
            ]
            reading = reading_of({"sampledValue": chosen}) if chosen else None
            if reading is not None and reading.register_wh is not None:
                energy_mwh = reading.register_wh * 1000 + reading.fraction_mwh
                found.append(Interval(row, until_ms, energy_mwh))
    return found


class Tally(Struct, frozen=True, omit_defaults=True):
    """What is counted of one transaction for one driver, as a register would show it.

    All times are the station's own.

    Attributes:
        energy_mwh: the register, in thousandths of a Wh.
        start_mwh: the same when the transaction began to be his.
        since_ms: when that was; 0 while it is nobody's.
        until_ms: up to when all is counted that ever will be.
        is_all_his: whether it is his from its beginning on.
        ends: when the last interval of each row was over.
        seq_no: the number of the last event with intervals; None for none.
        offset_mwh: what the meter's own register shows besides; None while it was not read.
        shown_mwh: the meter's own register as it was last read, where that is what is counted and
            intervals only tell what comes after it; None where they are all that there is.
    """

    energy_mwh: int = 0
    start_mwh: int = 0
    since_ms: int = 0
    until_ms: int = 0
    is_all_his: bool = False
    ends: dict[Row, int] = {}
    seq_no: int | None = None
    offset_mwh: int | None = None
    shown_mwh: int | None = None

    @property
    def register_wh(self) -> int:
        """The register in Wh, rounded down."""
        return self.energy_mwh // 1000

    @property
    def start_wh(self) -> int:
        """The same of the one that it began with."""
        return self.start_mwh // 1000

    @property
    def was_told(self) -> bool:
        """Whether the transaction has intervals at all."""
        return bool(self.ends) or self.energy_mwh > self.start_mwh

    def anew(self, since_ms: int, start_wh: int, *, is_all_his: bool) -> Tally:
        """For the next driver, who pays for nothing before that."""
        start_mwh = start_wh * 1000
        ends, seq_no = self.ends, self.seq_no
        return Tally(start_mwh, start_mwh, since_ms, since_ms, is_all_his, ends, seq_no)

    def based_on(self, register_mwh: int, since_ms: int) -> Tally:
        """From a meter's own register on, which intervals tell of where it is not read again.

        Args:
            register_mwh: the register with which the transaction began to be a driver's.
            since_ms: when that was read.
        """
        return replace(
            self,
            energy_mwh=register_mwh,
            start_mwh=register_mwh,
            until_ms=max(since_ms, self.until_ms),
            shown_mwh=register_mwh,
        )

    def shown(self, register_mwh: int, at_ms: int) -> Tally:
        """With such a register read again, which always counts. One that stands still says
        nothing of when the running interval began."""
        if at_ms < self.until_ms or register_mwh == self.energy_mwh:
            return self
        return replace(self, energy_mwh=register_mwh, until_ms=at_ms, shown_mwh=register_mwh)

    @property
    def beyond_register_wh(self) -> int | None:
        """The register as intervals tell it that came after the last one which was read; None
        where none did, or where intervals are all that there is."""
        told = self.shown_mwh is not None and self.energy_mwh > self.shown_mwh
        return self.register_wh if told else None

    def summed_up(self, found: Sequence[Reading]) -> tuple[list[Reading], Reading]:
        """The sum as a reading, with the power that was read at its moment, and the readings that
        are left then; none of them is of a register."""
        left: list[Reading] = []
        power_w: int | None = None
        for one in found:
            if timestamps.parse(one.written) != self.until_ms:
                left.append(one)
            elif one.power_w is not None:
                power_w = one.power_w
        return left, Reading(timestamps.render(self.until_ms), self.register_wh, power_w)

    def after(self, intervals: Sequence[Interval], seq_no: int | None) -> Tally:
        """With what an event brought.

        Args:
            intervals: in any order.
            seq_no: the number of the event; None where it has none. One that is not higher than
                the last is a repetition, whatever times it has now, or comes too late.
        """
        known = self.seq_no
        is_old = seq_no is not None and known is not None and seq_no <= known
        if is_old or not intervals:
            return self
        tally = self
        for one in sorted(intervals, key=in_order):
            tally = tally._with(one)
        return replace(tally, seq_no=known if seq_no is None else seq_no)

    def _with(self, one: Interval) -> Tally:
        if one.energy_mwh < 0 or one.until_ms <= 0:
            return self
        if one.row is Row.WHOLE:
            return self._ended(one)
        began_ms = self.ends.get(one.row, self._row_began_ms(one.row))
        ends = self.ends | {one.row: max(one.until_ms, self.ends.get(one.row, 0))}
        if not self.since_ms or began_ms < self.until_ms or one.until_ms <= self.until_ms:
            return replace(self, ends=ends)
        energy_mwh = self.energy_mwh + one.energy_mwh
        return replace(self, energy_mwh=energy_mwh, until_ms=one.until_ms, ends=ends)

    def _row_began_ms(self, row: Row) -> int:
        """When the first interval of a row began; 0 where that is not known, as of one between
        two strokes of the clock."""
        is_clock = row in (Row.CLOCK, Row.ENDED_CLOCK)
        return self.since_ms if self.is_all_his and not is_clock else 0

    def _ended(self, one: Interval) -> Tally:
        """The value of the end is of the whole transaction or of its last interval: that is
        believed which adds less."""
        if not self.is_all_his or one.until_ms < self.until_ms:
            return self
        energy_mwh = max(self.energy_mwh, self.start_mwh + one.energy_mwh)
        return replace(self, energy_mwh=energy_mwh, until_ms=one.until_ms)

    def read(self, register_mwh: int, at_ms: int) -> Tally:
        """With the meter's own register where that is read after all: what flowed between the
        last interval and the first such reading is not counted."""
        if not self.since_ms or at_ms < self.until_ms:
            return self
        offset_mwh = self.offset_mwh
        if offset_mwh is None:
            offset_mwh = register_mwh - self.energy_mwh
        energy_mwh = max(self.energy_mwh, register_mwh - offset_mwh)
        return replace(self, energy_mwh=energy_mwh, until_ms=at_ms, offset_mwh=offset_mwh)


def in_order(one: Interval) -> tuple[int, int]:
    """The key by which intervals are sorted to be counted."""
    return one.until_ms, _ORDER.index(one.row)

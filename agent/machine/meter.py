"""What is known of a meter: its register, the energy that it stands for, what was put right. Pure.

Always: energy = end - start + all corrections.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

MOST_CORRECTIONS = 12
"""So many corrections are kept one by one; what comes after them is added to the last."""


class Source(StrEnum):
    """Where a register was read; INTERVALS: it was not, but summed up from what a charger told of
    intervals of time, from the register at the start on (see `agent.machine.counting`)."""

    START = "start"
    SAMPLE = "sample"
    END_SAMPLE = "end_sample"
    STOP = "stop"
    INTERVALS = "intervals"


class Unit(StrEnum):
    """How the figures of the meter's samples are taken."""

    AS_WRITTEN = "as_written"
    KWH = "kwh"
    WH = "wh"


_AS_WRITTEN, _KWH = Unit.AS_WRITTEN, Unit.KWH
"""By names of their own: see `agent.machine.model`."""


class Fix(StrEnum):
    """What was done to a reading that did not fit."""

    RESTARTED = "restarted"
    FELL = "fell"
    LEAPT = "leapt"
    FROM_ZERO = "from_zero"
    TAKEN_AS_KWH = "taken_as_kwh"
    TAKEN_AS_WH = "taken_as_wh"
    MISREAD = "misread"
    BEGAN_AGAIN = "began_again"
    NOT_BELIEVED = "not_believed"
    ROUNDED = "rounded"


class Correction(Struct, frozen=True):
    """One thing that was done to the readings.

    Attributes:
        fix: what.
        at_ms: at which reading, Unix ms.
        before_wh: the register that was believed before it.
        reading_wh: the reading, in the unit that it is taken in.
        energy_wh: what is added to the difference of the registers; may be negative.
        count: how many corrections are added up here.
    """

    fix: Fix
    at_ms: int
    before_wh: int
    reading_wh: int
    energy_wh: int
    count: int = 1


class Past(Struct, frozen=True):
    """What is behind a meter, and changes seldom.

    Attributes:
        start_wh: the register when the session began; None where it was not kept.
        start_at_ms: when that was.
        began_at_ms: when the running transaction began.
        began_base_wh: energy counted before it.
        unit: how the samples' figures are taken.
        corrections: what was done to the readings so far.
        ways: the meter as it was before each reading that did not fit, the first of them always:
            a later one may tell that it was a misreading.
        read: the meter as it was when its register was last read, while it is summed up from
            intervals since; None where the register itself is what is known.
    """

    start_wh: int | None = None
    start_at_ms: int = 0
    began_at_ms: int = 0
    began_base_wh: int = 0
    unit: Unit = Unit.AS_WRITTEN
    corrections: tuple[Correction, ...] = ()
    ways: tuple[Meter, ...] = ()
    read: Meter | None = None


class Meter(Struct, frozen=True):
    """How the charger's register maps to the session's energy.

    Attributes:
        origin_wh: the register's reading that means `base_wh`.
        base_wh: energy counted before the register was last set anew.
        register_wh: the last reading that was believed, in the unit that it is taken in.
        at_ms: when that was, by the charger's corrected clock.
        source: where it was read.
        past: the rest.
    """

    origin_wh: int
    base_wh: int = 0
    register_wh: int = 0
    at_ms: int = 0
    source: Source = Source.START
    past: Past = Past()

    @classmethod
    def started(cls, register_wh: int, at_ms: int = 0, source: Source = Source.START) -> Meter:
        """A meter at the beginning of a session, or at its first reading since."""
        past = Past(register_wh, at_ms, at_ms)
        return cls(register_wh, 0, register_wh, at_ms, source, past)

    @property
    def energy_wh(self) -> int:
        """Energy of the session so far; it never falls but where a register that is read takes
        the place of what was summed up from intervals."""
        return self.base_wh + self.register_wh - self.origin_wh

    def began_again(self, register_wh: int, at_ms: int) -> Meter:
        """The meter of a further transaction of the same session.

        Where it begins at what this meter has counted already, readings of it came before its
        start did, or the start came once more: the meter goes on as it is. A start at zero tells
        nothing of that, some registers count from there in each transaction.
        """
        at_ms = max(at_ms, self.at_ms)
        goes_on = (
            register_wh > 0
            and self.origin_wh <= register_wh < self.register_wh
            and self.past.read is None
        )
        past = replace(
            self.past, began_at_ms=at_ms, began_base_wh=self.energy_wh, ways=(), read=None
        )
        if goes_on:
            note = Correction(Fix.BEGAN_AGAIN, at_ms, self.register_wh, register_wh, 0)
            corrections = noted(past.corrections, note)
            return replace(self, at_ms=at_ms, past=replace(past, corrections=corrections))
        corrections = corrected(self, Fix.BEGAN_AGAIN, at_ms, register_wh, gained_wh=0)
        past = replace(past, corrections=corrections, unit=Unit.AS_WRITTEN)
        return Meter(register_wh, self.energy_wh, register_wh, at_ms, past=past)


class Reading(Struct, frozen=True):
    """One reading of a register.

    Attributes:
        register_wh: as written, rounded to Wh.
        at_ms: when, by the charger's corrected clock.
        source: where it was read.
        fraction_mwh: what rounding took off or added, in thousandths of a Wh.
    """

    register_wh: int
    at_ms: int
    source: Source = Source.SAMPLE
    fraction_mwh: int = 0

    def taken(self, unit: Unit) -> int:
        """The register in Wh, its figure taken in a unit."""
        if unit is _AS_WRITTEN:
            return self.register_wh
        if unit is _KWH:
            return self.register_wh * 1000 + self.fraction_mwh
        return self.register_wh // 1000


def corrected(
    meter: Meter, fix: Fix, at_ms: int, value_wh: int, gained_wh: int
) -> tuple[Correction, ...]:
    """The corrections of a meter with one more, which makes the sum of all come out."""
    energy_wh = gained_wh - (value_wh - meter.register_wh)
    note = Correction(fix, at_ms, meter.register_wh, value_wh, energy_wh)
    return noted(meter.past.corrections, note)


def noted(corrections: tuple[Correction, ...], note: Correction) -> tuple[Correction, ...]:
    """Corrections with one more, which is added to the last where there are many."""
    if len(corrections) < MOST_CORRECTIONS:
        return (*corrections, note)
    last = corrections[-1]
    summed = replace(
        note,
        before_wh=last.before_wh,
        energy_wh=last.energy_wh + note.energy_wh,
        count=last.count + 1,
    )
    return (*corrections[:-1], summed)

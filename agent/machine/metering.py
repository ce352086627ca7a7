"""Energy of a session from a register that may lie: resets, restarts, relative counts. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

MOST_WH_PER_READING = 1_000_000
"""No car takes a megawatt-hour between two readings: such a leap is a register set anew."""


@dataclass(frozen=True, slots=True)
class Meter:
    """How the charger's register maps to the session's energy.

    Attributes:
        origin_wh: the register's reading that means `base_wh`.
        base_wh: energy counted before the register was last set anew.
        register_wh: the last reading that was believed.
        sampled: whether a reading after the start was believed yet.
        fallen_from: origin, base and register before the reading fell, until the next
            reading tells whether the register was set anew or only misread once.
    """

    origin_wh: int
    base_wh: int = 0
    register_wh: int = 0
    sampled: bool = False
    fallen_from: tuple[int, int, int] | None = None

    @classmethod
    def started(cls, register_wh: int, base_wh: int = 0) -> Meter:
        """A meter at the beginning of a transaction."""
        return cls(origin_wh=register_wh, base_wh=base_wh, register_wh=register_wh)

    @property
    def energy_wh(self) -> int:
        """Energy of the session so far; it never falls."""
        return self.base_wh + self.register_wh - self.origin_wh


def read(meter: Meter, register_wh: int) -> Meter:
    """The meter after one more reading.

    A first reading below the start means a register that counts from zero in each
    transaction while the start was reported as a lifetime value. A later fall means that
    the register was set anew: energy counted so far is kept, and counting goes on from
    the new reading, unless the very next reading is back where it was: then the fall was a
    misreading.
    """
    if meter.fallen_from is not None:
        origin_wh, base_wh, before_wh = meter.fallen_from
        if before_wh <= register_wh <= before_wh + MOST_WH_PER_READING:
            return Meter(origin_wh, base_wh, register_wh, sampled=True)
        meter = replace(meter, fallen_from=None)
    if meter.register_wh <= register_wh <= meter.register_wh + MOST_WH_PER_READING:
        return replace(meter, register_wh=register_wh, sampled=True)
    if register_wh < meter.register_wh and not meter.sampled:
        return replace(meter, origin_wh=0, register_wh=max(0, register_wh), sampled=True)
    before = (meter.origin_wh, meter.base_wh, meter.register_wh)
    return Meter(register_wh, meter.energy_wh, register_wh, sampled=True, fallen_from=before)

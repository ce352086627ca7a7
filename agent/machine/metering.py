"""Energy of a session from a register that may lie: resets, restarts, relative counts. Pure."""

from __future__ import annotations

from msgspec import Struct

MOST_WH_PER_READING = 1_000_000
"""No car takes a megawatt-hour between two readings: such a leap is a register set anew."""
MOST_BREAKS = 4
"""So many breaks in its readings are remembered of one meter."""


class Meter(Struct, frozen=True):
    """How the charger's register maps to the session's energy.

    Attributes:
        origin_wh: the register's reading that means `base_wh`.
        base_wh: energy counted before the register was last set anew.
        register_wh: the last reading that was believed.
        sampled: whether a reading after the start was believed yet.
        breaks: origin, base and register before each break in the readings: later ones may
            tell that the register was not set anew but misread.
    """

    origin_wh: int
    base_wh: int = 0
    register_wh: int = 0
    sampled: bool = False
    breaks: tuple[tuple[int, int, int], ...] = ()

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

    A first reading far below the start means a register that counts from zero in each
    transaction while the start was reported as a lifetime value. Any other fall, and any
    leap, means that the register was set anew: energy counted so far is kept, and counting
    goes on from the new reading. When a later reading fits the register as it was before
    such a break, the break was a misreading: of all ways to go on, that which adds the
    least energy is believed.
    """
    way = (meter.origin_wh, meter.base_wh, meter.register_wh)
    ways = (*meter.breaks, way)
    fitting: list[tuple[int, int]] = []
    for index, (origin_wh, base_wh, before_wh) in enumerate(ways):
        energy_wh = base_wh + register_wh - origin_wh
        goes_on = before_wh <= register_wh <= before_wh + MOST_WH_PER_READING
        if goes_on and energy_wh >= meter.energy_wh:
            fitting.append((energy_wh, index))
    if fitting:
        _, index = min(fitting)
        origin_wh, base_wh, _ = ways[index]
        return Meter(origin_wh, base_wh, register_wh, sampled=True, breaks=ways[:index])
    breaks = ways[-MOST_BREAKS:]
    from_zero = 0 <= register_wh <= min(meter.origin_wh // 2, MOST_WH_PER_READING)
    if from_zero and not meter.sampled:
        return Meter(0, meter.base_wh, register_wh, sampled=True, breaks=breaks)
    return Meter(register_wh, meter.energy_wh, register_wh, sampled=True, breaks=breaks)

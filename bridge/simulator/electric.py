"""The electric side of a simulated connector: a car's battery, power and the meter."""

from __future__ import annotations

from dataclasses import dataclass, field

MS_PER_HOUR = 3_600_000

_RAMP_MS = 5_000
_TAPER_FROM = 0.8
_TAPER_FLOOR = 0.1
_STEP_MS = 1_000


@dataclass(slots=True)
class Battery:
    """A car's battery.

    Attributes:
        capacity_wh: what it holds when full.
        charge_wh: what it holds now.
        max_power_w: what the car takes at most.
    """

    capacity_wh: float = 60_000
    charge_wh: float = 20_000
    max_power_w: int = 150_000

    @property
    def full(self) -> bool:
        """Whether nothing more goes in."""
        return self.charge_wh >= self.capacity_wh

    def accepts_w(self) -> float:
        """The power it takes now: less and less above four fifths, none when full."""
        if self.full:
            return 0.0
        level = self.charge_wh / self.capacity_wh
        if level <= _TAPER_FROM:
            return float(self.max_power_w)
        left = (1 - level) / (1 - _TAPER_FROM)
        return self.max_power_w * max(_TAPER_FLOOR, left)


@dataclass(slots=True)
class Meter:
    """A connector's meter and what flows through it.

    Attributes:
        register_wh: the lifetime energy register.
        max_power_w: what the connector gives at most.
        limit_w: a limit set over OCPP (a charging profile); None for no limit.
        flowing: whether the contactor is closed.
        power_w: the power that flows now.
    """

    max_power_w: int
    register_wh: float = 0.0
    limit_w: float | None = None
    flowing: bool = False
    power_w: float = 0.0
    battery: Battery = field(default_factory=Battery)
    _flowing_for_ms: float = 0.0

    def switch(self, on: bool) -> None:
        """Close or open the contactor."""
        self.flowing = on
        self._flowing_for_ms = 0.0
        if not on:
            self.power_w = 0.0

    def advance(self, elapsed_ms: float) -> None:
        """Let simulated time pass: power ramps up, tapers off, and fills the battery."""
        while self.flowing and elapsed_ms > 0:
            step_ms = min(elapsed_ms, _STEP_MS)
            elapsed_ms -= step_ms
            self._flowing_for_ms += step_ms
            offered_w = self.max_power_w if self.limit_w is None else self.limit_w
            ramp = min(1.0, self._flowing_for_ms / _RAMP_MS)
            self.power_w = min(offered_w, self.max_power_w, self.battery.accepts_w()) * ramp
            energy_wh = self.power_w * step_ms / MS_PER_HOUR
            self.register_wh += energy_wh
            self.battery.charge_wh += energy_wh
        if self.flowing and self.battery.full:
            self.power_w = 0.0

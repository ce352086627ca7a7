"""Tells the operator of a meter that his file cannot work well with.

Two things are looked for in what the charger measures: more power than the file says that the
connector gives, by which the stop is planned before the first reading and energy is believed; and
charges in which the energy was never read.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from statistics import median_low

from agent.alerts import Alerts
from agent.machine.meter import Source
from agent.machine.model import CLOSED, Ending, Session

MORE_PERCENT = 110
"""The grid's voltage may be a tenth above what a connector's power is reckoned with."""

INTERVALS = 10
"""So many intervals between readings in a row are looked at: one may hold a fault of the meter."""

LEAST_BETWEEN_MS = 5_000
"""Two readings this near to each other say little of the power."""

UNREAD_MS = 600_000
"""A charge so long has a reading of its energy, or the charger has none to give."""

RATINGS_W = (
    *(2_300, 3_700, 4_600, 7_400, 11_000, 22_000, 24_000, 30_000, 40_000, 43_000, 50_000, 60_000),
    *(75_000, 90_000, 100_000, 120_000, 150_000, 160_000, 180_000, 200_000, 240_000, 300_000),
    *(350_000, 400_000, 500_000, 600_000, 750_000, 1_000_000, 1_500_000, 2_000_000, 3_750_000),
)
"""What connectors are sold with."""

_MS_PER_HOUR = 3_600_000
_SAMPLE, _INTERVALS = Source.SAMPLE, Source.INTERVALS


class _Readings:
    """The last readings of a connector's register in one session."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self.last: tuple[int, int] | None = None
        self.intervals: deque[tuple[int, int]] = deque(maxlen=INTERVALS)

    def take(self, at_ms: int, register_wh: int) -> int:
        """One more reading; the power since the one before, in W, 0 where that says nothing."""
        if self.last is None:
            self.last = at_ms, register_wh
            return 0
        elapsed_ms, gained_wh = at_ms - self.last[0], register_wh - self.last[1]
        if elapsed_ms < LEAST_BETWEEN_MS and gained_wh >= 0:
            return 0
        self.last = at_ms, register_wh
        if gained_wh < 0:
            self.intervals.clear()
            return 0
        self.intervals.append((elapsed_ms, gained_wh))
        return gained_wh * _MS_PER_HOUR // elapsed_ms

    def lasting_w(self) -> int:
        """The power that all of the last intervals show, in W; 0 while there are too few.

        Their median, so that a register that leaps says nothing; and not more than is left
        without the largest of them, so that one which counts in whole kWh does not either.
        """
        if len(self.intervals) < INTERVALS:
            return 0
        typical_w = median_low(wh * _MS_PER_HOUR // ms for ms, wh in self.intervals)
        most = max(wh for _, wh in self.intervals)
        total_wh = sum(wh for _, wh in self.intervals) - most
        total_ms = sum(ms for ms, _ in self.intervals)
        least_w = total_wh * _MS_PER_HOUR // total_ms
        return typical_w if least_w * INTERVALS >= typical_w * (INTERVALS - 1) * 9 // 10 else 0


class MeterWatch:
    """Watches over the meters of one charge point.

    Args:
        charge_point_id: whose.
        max_power_w: what each connector gives at most by the operator's file.
        check_meter: whether energy beyond that may not be billed.
        alerts: who tells the operators.
    """

    def __init__(
        self,
        charge_point_id: str,
        max_power_w: Mapping[int, int],
        alerts: Alerts,
        *,
        check_meter: bool,
    ) -> None:
        self._id = charge_point_id
        self._max_power_w = max_power_w
        self._check_meter = check_meter
        self._alerts = alerts
        self._readings: dict[int, _Readings] = {}
        self._shown_w: dict[int, int] = {}

    def started(self, session: Session) -> None:
        """A charge began; one that goes on under another transaction is the same."""
        known = self._readings.get(session.connector)
        if known is None or known.session_id != session.id:
            self._readings[session.connector] = _Readings(session.id)

    def sampled(self, session: Session) -> None:
        """The meter was read, perhaps without its energy register, or summed up from intervals."""
        meter = session.meter
        if meter is None or (meter.source is not _SAMPLE and meter.source is not _INTERVALS):
            return
        if session.state is CLOSED:
            return
        connector = session.connector
        readings = self._readings.get(connector)
        if readings is None or readings.session_id != session.id:
            readings = self._readings[connector] = _Readings(session.id)
        power_w = readings.take(meter.at_ms, meter.register_wh)
        limit_w = self._max_power_w.get(connector, 0)
        if limit_w and power_w * 100 > limit_w * MORE_PERCENT:
            self._compare(connector, readings.lasting_w(), limit_w)

    def _compare(self, connector: int, shown_w: int, limit_w: int) -> None:
        """Tell of power beyond the file's; nothing new is told of about the same power again."""
        known_w = self._shown_w.get(connector, limit_w)
        if shown_w * 100 <= known_w * MORE_PERCENT:
            return
        self._shown_w[connector] = shown_w
        told = "; ".join(
            f"connectors.max_power_w of connector {number} is {self._max_power_w[number]}, and "
            f"its meter shows {power_w / 1000:.1f} kW: set {_rating_above(power_w)}, or what its "
            "nameplate says"
            for number, power_w in sorted(self._shown_w.items())
        )
        follows = (
            "energy beyond it is not billed (check_meter)"
            if self._check_meter
            else "a charge can go beyond its credit before its first reading"
        )
        self._alerts.raised(f"power {self._id}", f"{self._id}: {told}. Until then {follows}.")

    def stopped(self, session: Session) -> None:
        """A charge ended; nothing is said of one whose beginning was not seen."""
        readings = self._readings.pop(session.connector, None)
        if readings is None or readings.session_id != session.id or session.started_at_ms is None:
            return
        name = f"unread {self._id}"
        if readings.last is not None:
            self._alerts.cleared(name, f"{self._id}: its energy is read while it charges")
            return
        took_ms = (session.closed_at_ms or session.started_at_ms) - session.started_at_ms
        billed = session.ending is not Ending.NO_REGISTER
        if took_ms < UNREAD_MS and billed:
            return
        follows = (
            "only what it said at its stop is billed, and credits end by max_power_w alone"
            if billed
            else "nothing could be billed, for it named none at its stop either"
        )
        self._alerts.raised(
            name,
            f"{self._id}: in a charge of {took_ms // 60_000} min no energy was among its readings "
            f"(Energy.Active.Import.Register): {follows}. See to its MeterValuesSampledData and "
            f'MeterValueSampleInterval: "strom settings {self._id}" shows them',
        )


def _rating_above(power_w: int) -> int:
    """The next power that connectors are sold with; a twentieth more may be the grid's voltage."""
    return next((rating for rating in RATINGS_W if rating * 105 >= power_w * 100), power_w)

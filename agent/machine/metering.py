"""Energy of a session from a register that may lie: resets, restarts, wrong units, leaps. Pure.

Nothing is believed that the connector could not have given in the time, and of all ways to
understand a reading that which adds the least energy. What was done to the readings is kept as
corrections, so that always: energy = end - start + all corrections.
"""

from __future__ import annotations

from msgspec.structs import replace

from agent.machine.meter import (
    Correction,
    Fix,
    Meter,
    Past,
    Reading,
    Source,
    Unit,
    corrected,
    noted,
)

MOST_POWER_W = 3_750_000
"""What a connector gives at most whose power is not known (MCS, CharIN's megawatt system)."""
MARGIN_PERCENT = 150
"""Energy up to this share of what full power gives in the time is believed."""
MARGIN_MS = 60_000
"""Registers and clocks are not read at the same moment: so much time is added."""
WH_MS = 3_600_000 * 100
"""Watt times milliseconds times percent in one watt-hour."""
UNCHECKED_TIMES = 6
"""An operator's file may say too little of what a connector gives: not more than this often."""
FAR_WH = 1_000
"""So far from zero the same figure in another unit is no coincidence."""
COARSE_WH = (100, 10)
"""Samples with one or two decimals of a kWh are whole multiples of these."""
MOST_WAYS = 4
"""So many ways to go on are remembered of one meter."""

_AS_WRITTEN = Unit.AS_WRITTEN
"""By a name of its own: see `agent.machine.model`."""

_OTHER_UNITS = ((Unit.KWH, Fix.TAKEN_AS_KWH), (Unit.WH, Fix.TAKEN_AS_WH))


def possible_wh(elapsed_ms: int, max_power_w: int) -> int:
    """The most energy that is believed of a connector in a time."""
    power_w = max_power_w or MOST_POWER_W
    time_ms = elapsed_ms + MARGIN_MS if elapsed_ms > 0 else MARGIN_MS
    return power_w * time_ms * MARGIN_PERCENT // WH_MS


def read(
    meter: Meter,
    reading: Reading,
    max_power_w: int = 0,
    likely_power_w: int = 0,
    *,
    rebooted: bool = False,
) -> Meter:
    """The meter after one more reading.

    Of the ways to go on that are possible that which adds the least energy is believed. Where
    none is: a first reading may be written in the wrong unit, or count from zero while the
    start was a lifetime value. Anything else means that the register was set anew: energy
    counted so far is kept, and counting goes on from the new reading. The last word of a
    transaction is not believed then.

    Args:
        meter: the meter before.
        reading: what was read.
        max_power_w: what the connector gives at most; 0 for unknown.
        likely_power_w: what it likely gives at most: no guess at what a reading means may need
            more; 0 for the same.
        rebooted: whether the charger started anew since the last reading: its register may have
            lost a little then. Where it did not, a register that falls to what was counted
            already is an old reading that came late, or the one before was a mistake.
    """
    past = meter.past
    likely_power_w = likely_power_w or max_power_w
    if not past.ways and past.unit is _AS_WRITTEN:
        goes_on = _goes_on(meter, reading.register_wh, reading.at_ms, max_power_w)
        if goes_on and not _began_unread(meter, reading, likely_power_w):
            return _at(meter, reading.register_wh, reading, past)
        return _explained(meter, reading, likely_power_w, rebooted=rebooted)
    fitting: list[tuple[int, int, int]] = []
    ways = (*past.ways, meter)
    as_wh = _in_wh_all_along(meter, reading, likely_power_w)
    if as_wh is not None:
        return as_wh
    for index, way in enumerate(ways):
        # The last word of a transaction is in Wh whatever its samples are written in.
        last_word = reading.source is Source.STOP
        units = () if last_word or way.past.unit is Unit.AS_WRITTEN else (way.past.unit,)
        for unit in (*units, Unit.AS_WRITTEN):
            value_wh = reading.taken(unit)
            energy_wh = way.energy_wh + value_wh - way.register_wh
            enough = energy_wh >= meter.energy_wh
            if enough and _goes_on(way, value_wh, reading.at_ms, max_power_w):
                fitting.append((energy_wh, -index, value_wh))
    if not fitting:
        return _explained(meter, reading, likely_power_w, rebooted=rebooted)
    _, position, value_wh = min(fitting)
    way = ways[-position]
    if way is meter:
        return _at(meter, value_wh, reading, past)
    note = Correction(Fix.MISREAD, reading.at_ms, meter.register_wh, value_wh, 0)
    corrections = noted(way.past.corrections, note)
    kept = replace(way.past, corrections=corrections, ways=past.ways[:-position])
    return _at(way, value_wh, reading, kept)


def _at(meter: Meter, value_wh: int, reading: Reading, past: Past) -> Meter:
    """The meter at a reading that is believed."""
    return Meter(
        meter.origin_wh,
        meter.base_wh,
        value_wh,
        reading.at_ms if reading.at_ms > meter.at_ms else meter.at_ms,
        reading.source,
        past,
    )


def _goes_on(meter: Meter, value_wh: int, at_ms: int, max_power_w: int) -> bool:
    """Whether a connector of this power can have brought the register there."""
    gained_wh = value_wh - meter.register_wh
    if not 0 <= gained_wh <= possible_wh(at_ms - meter.at_ms, max_power_w):
        return False
    past = meter.past
    total_wh = meter.energy_wh + gained_wh - past.began_base_wh
    return total_wh <= possible_wh(at_ms - past.began_at_ms, max_power_w)


def _began_unread(meter: Meter, reading: Reading, likely_power_w: int) -> bool:
    """Whether a zero at the start was no register: some chargers write it where they read none
    (OCPP 1.6 section 6.45), and the first reading is all that the meter ever counted."""
    if meter.register_wh or not _is_fresh(meter):
        return False
    elapsed_ms = reading.at_ms - meter.at_ms
    return reading.register_wh > possible_wh(elapsed_ms, UNCHECKED_TIMES * likely_power_w)


def _is_fresh(meter: Meter) -> bool:
    """Whether nothing was counted of its transaction yet."""
    return meter.energy_wh == meter.past.began_base_wh


def _in_wh_all_along(meter: Meter, reading: Reading, likely_power_w: int) -> Meter | None:
    """The meter where the first two readings after a start near zero leapt, and both are possible
    in Wh: two such are no coincidence, and said to be kWh they are a thousand times too much."""
    past = meter.past
    if past.unit is not _AS_WRITTEN or reading.source is not Source.SAMPLE or not past.ways:
        return None
    way = past.ways[-1]
    if not _is_fresh(way) or past.corrections[-1].fix is not Fix.LEAPT:
        return None
    elapsed_ms, gained_wh = reading.at_ms - meter.at_ms, reading.register_wh - meter.register_wh
    if gained_wh <= possible_wh(elapsed_ms, UNCHECKED_TIMES * likely_power_w):
        return None
    first_wh, value_wh = meter.register_wh // 1000, reading.taken(Unit.WH)
    first = replace(way, register_wh=first_wh, at_ms=meter.at_ms)
    if not _goes_on(way, first_wh, meter.at_ms, likely_power_w):
        return None
    if not _goes_on(first, value_wh, reading.at_ms, likely_power_w):
        return None
    fix = Fix.TAKEN_AS_WH
    return _set_anew(way, reading, value_wh, fix, way.origin_wh, way.base_wh, Unit.WH)


def _explained(meter: Meter, reading: Reading, max_power_w: int, *, rebooted: bool) -> Meter:
    """The meter after a reading that fits none of the ways known: the rest is guessing."""
    past = meter.past
    since_start_wh = possible_wh(reading.at_ms - past.began_at_ms, max_power_w)
    first = meter.source is Source.START
    if first and reading.source is not Source.STOP and meter.register_wh >= FAR_WH:
        for unit, fix in _OTHER_UNITS:
            value_wh = reading.taken(unit)
            # Whole kWh may be rounded up.
            coarse = unit is Unit.KWH and not reading.fraction_mwh
            if not coarse and _goes_on(meter, value_wh, reading.at_ms, max_power_w):
                return _set_anew(
                    meter, reading, value_wh, fix, meter.origin_wh, meter.base_wh, unit
                )
    value_wh = reading.register_wh
    if first and 0 <= value_wh <= min(meter.origin_wh // 2, since_start_wh):
        return _set_anew(meter, reading, value_wh, Fix.FROM_ZERO, 0, meter.base_wh)
    if reading.source is Source.STOP:
        if _is_rounded(meter, value_wh):
            energy_wh = meter.energy_wh
            return _set_anew(meter, reading, value_wh, Fix.ROUNDED, value_wh, energy_wh, past.unit)
        return not_believed(meter, reading)
    value_wh = reading.taken(past.unit)
    if value_wh > meter.register_wh:
        fix = Fix.LEAPT
    elif reading.source is Source.END_SAMPLE:
        # The readings of a transaction come once more at its end, of some chargers with wrong
        # times: counted on from this one, all after it would be counted twice.
        return meter
    else:
        since_wh = possible_wh(reading.at_ms - meter.at_ms, max_power_w)
        fix = Fix.RESTARTED if 0 <= value_wh <= since_wh else Fix.FELL
        if fix is Fix.FELL and meter.origin_wh <= value_wh and not rebooted:
            return meter
        if value_wh < 0 <= meter.register_wh:
            # No register counts below zero: what rises from there has not flowed.
            return meter
    return _set_anew(meter, reading, value_wh, fix, value_wh, meter.energy_wh, past.unit)


def not_believed(meter: Meter, reading: Reading) -> Meter:
    """The meter after a last word that cannot be true, or cannot be compared with anything."""
    note = Correction(Fix.NOT_BELIEVED, reading.at_ms, meter.register_wh, reading.register_wh, 0)
    return replace(meter, past=replace(meter.past, corrections=noted(meter.past.corrections, note)))


def from_here_on(meter: Meter, reading: Reading) -> Meter:
    """The meter after a register that says nothing of the energy before it: what comes after it
    is added to what was counted."""
    value_wh = reading.register_wh
    fix = Fix.LEAPT if value_wh > meter.register_wh else Fix.FELL
    set_anew = _set_anew(meter, reading, value_wh, fix, value_wh, meter.energy_wh)
    return replace(set_anew, past=replace(set_anew.past, ways=()))


def _is_rounded(meter: Meter, value_wh: int) -> bool:
    """Whether the register at a stop is below the last sample by no more than rounding: samples
    have decimals, and may be rounded up, where a stop has whole Wh, cut off (OCPP 1.6, 6.49)."""
    below_wh = meter.register_wh - value_wh
    if below_wh <= 1:
        return below_wh == 1
    if meter.source is Source.START:
        return False
    return any(below_wh < coarse and meter.register_wh % coarse == 0 for coarse in COARSE_WH)


def _set_anew(
    meter: Meter,
    reading: Reading,
    value_wh: int,
    fix: Fix,
    origin_wh: int,
    base_wh: int,
    unit: Unit = Unit.AS_WRITTEN,
) -> Meter:
    """The meter reckoned from another origin, and how it was before kept as a way to go on."""
    past = meter.past
    gained_wh = base_wh + value_wh - origin_wh - meter.energy_wh
    before = replace(meter, past=replace(past, ways=())) if past.ways else meter
    behind = replace(
        past,
        unit=unit,
        corrections=corrected(meter, fix, reading.at_ms, value_wh, gained_wh),
        ways=_kept((*past.ways, before)),
    )
    at_ms = max(reading.at_ms, meter.at_ms)
    return Meter(origin_wh, base_wh, value_wh, at_ms, reading.source, behind)


def _kept(ways: tuple[Meter, ...]) -> tuple[Meter, ...]:
    """The first way, from before anything was doubted, and the latest."""
    return ways if len(ways) <= MOST_WAYS else (ways[0], *ways[1 - MOST_WAYS :])

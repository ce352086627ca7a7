"""Energy that is summed up from intervals while no register is read. Pure.

Some chargers tell how much flowed in an interval of time, and no register in between
(`Energy.Active.Import.Interval`, OCPP 1.6 section 7.31). The sums are readings of source INTERVALS:
registers that count on from the last that was read, or from zero where the charger named none at
the start. They are billed until a register is read that tells the energy since then: that is the
meter's own word, whether it is more or less. Where it tells nothing the sum stays.
"""

from __future__ import annotations

from msgspec.structs import replace

from agent.machine import metering
from agent.machine.meter import Fix, Meter, Reading, Source
from agent.machine.metering import FAR_WH

_INTERVALS = Source.INTERVALS
_SAYS_NOTHING = frozenset({Fix.RESTARTED, Fix.FELL, Fix.LEAPT, Fix.NOT_BELIEVED})
"""What is done to a register which does not tell the energy since the last one."""
_WH_PER_KWH = 1_000


def begun(reading: Reading, began_at_ms: int, max_power_w: int = 0) -> Meter:
    """The meter at its first sum, where the charger did not say with which register it began.

    Args:
        reading: the sum, which is from zero.
        began_at_ms: when the session began.
        max_power_w: as for `metering.read`.
    """
    return metering.read(Meter.started(0, began_at_ms, _INTERVALS), reading, max_power_w)


def read(meter: Meter, reading: Reading, max_power_w: int = 0, likely_power_w: int = 0) -> Meter:
    """The meter after a sum, or after a register that was read when there were sums before.

    Args:
        meter: the meter before.
        reading: either of them.
        max_power_w: as for `metering.read`.
        likely_power_w: as for `metering.read`.
    """
    if reading.source is _INTERVALS:
        if meter.source is not _INTERVALS:
            meter = replace(meter, past=replace(meter.past, read=meter))
        return metering.read(meter, reading, max_power_w, likely_power_w)
    known = meter.past.read
    if known is None:
        # A sum from zero has no register to compare with.
        is_last_word = reading.source is Source.STOP
        return (metering.not_believed if is_last_word else metering.from_here_on)(meter, reading)
    told = metering.read(known, reading, max_power_w, likely_power_w)
    if _tells(known, told) and not _is_the_sum_in_kwh(meter, reading.register_wh):
        return told
    after = metering.read(meter, reading, max_power_w, likely_power_w)
    if after.source is _INTERVALS:
        return after
    return replace(after, past=replace(after.past, read=None))


def _tells(known: Meter, told: Meter) -> bool:
    """Whether a register tells how much flowed since the one before it."""
    corrections = told.past.corrections
    is_corrected = corrections != known.past.corrections
    return not (is_corrected and corrections[-1].fix in _SAYS_NOTHING)


def _is_the_sum_in_kwh(meter: Meter, register_wh: int) -> bool:
    """Whether a register has the figure that the sum has in another unit: that is no coincidence,
    and in Wh it would be next to nothing."""
    sums_wh = (meter.register_wh, meter.energy_wh)
    near = (abs(register_wh * _WH_PER_KWH - wh) < _WH_PER_KWH for wh in sums_wh if wh >= FAR_WH)
    return any(near)

"""Meter values as chargers send them (OCPP 1.6 section 7.33), read with tolerance.

Nothing here raises: what cannot be understood is left out, the frame itself is kept in the
charge point's message log.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, cast

from msgspec import Struct

REGISTER = "Energy.Active.Import.Register"
POWER = "Power.Active.Import"

_SPELT = {name.lower(): name for name in (REGISTER, POWER)}

MAX_VALUE = 1e13
"""No meter shows as much."""

_LINE_PHASES = frozenset({"L1", "L2", "L3"})
_NEUTRAL_PHASES = frozenset({"L1-N", "L2-N", "L3-N"})
_CONTEXT_RANK = {
    "Sample.Periodic": 0,
    "Sample.Clock": 0,
    "Transaction.End": 1,
    "Trigger": 2,
    "Interruption.End": 2,
    "Interruption.Begin": 2,
    "Other": 2,
    "Transaction.Begin": 3,
}
_LOCATION_RANK = {"Outlet": 0, "Inlet": 4, "Cable": 8, "Body": 8, "EV": 12}
_KILO_UNITS = {"kwh": True, "kw": True, "kva": True, "wh": False, "w": False, "va": False}
_UNIT_IS_KILO: dict[object, bool] = {
    None: False,
    "": False,
    "Wh": False,
    "W": False,
    "kWh": True,
    "kW": True,
}


class Reading(Struct, frozen=True):
    """One element of a `meterValue` list.

    Attributes:
        written: the timestamp as the charger wrote it, of any type.
        register_wh: the energy register in Wh; None when there was none.
        power_w: the power in W; None when there was none.
        fraction_mwh: what rounding took off the register or added, in thousandths of a Wh.
    """

    written: object
    register_wh: int | None
    power_w: int | None
    fraction_mwh: int = 0


def reading_of(element: dict[str, Any]) -> Reading | None:
    """The reading in one element of a `meterValue` list; None for one without use."""
    register, power = _best(_samples(element))
    return reading_from(element.get("timestamp"), register, power)


def _samples(element: dict[str, Any]) -> object:
    """The samples of an element, which may be named as in OCPP 1.5, or be the element itself."""
    if "sampledValue" in element:
        return element["sampledValue"]
    return element.get("values") or (element if "value" in element else None)


def reading_from(written: object, register: float | None, power: float | None) -> Reading | None:
    """A reading of a register in Wh and a power in W; None where there is neither.

    Args:
        written: the timestamp as the charger wrote it.
        register: the register.
        power: the power.
    """
    power_w = None if power is None else round(power)
    if register is None:
        return None if power_w is None else Reading(written, None, power_w)
    register_wh = round(register)
    fraction_mwh = round((register - register_wh) * 1000)
    return Reading(written, register_wh, power_w, fraction_mwh)


def objects(value: object) -> Iterator[dict[str, Any]]:
    """The JSON objects in what should be a list of them; a lone one counts as a list of one."""
    if isinstance(value, dict):
        yield cast("dict[str, Any]", value)
    elif isinstance(value, list):
        for item in cast("list[object]", value):
            if isinstance(item, dict):
                yield cast("dict[str, Any]", item)


def _best(sampled: object) -> tuple[float | None, float | None]:
    """Register and power: without a phase before phases, the outlet before the inlet,
    periodic before the rest; phases are added where nothing else is there."""
    registers: dict[int, float] = {}
    powers: dict[int, float] = {}
    register_phases: dict[str, float] = {}
    power_phases: dict[str, float] = {}
    samples = cast("list[object]", sampled) if isinstance(sampled, list) else [sampled]
    for sample in samples:
        if not isinstance(sample, dict):
            if not isinstance(sample, str | int | float):
                continue
            # A bare figure is what OCPP takes a sample for that says no more (section 7.43).
            sample = {"value": sample}
        get = cast("dict[str, Any]", sample).get
        measurand = get("measurand") or REGISTER
        if measurand != REGISTER and measurand != POWER:
            if not isinstance(measurand, str):
                continue
            measurand = _SPELT.get(measurand.strip().lower())
            if measurand is None:
                continue
        if get("format") == "SignedData":
            continue
        value = quantity(get("value"), get("unit"))
        if value is None:
            continue
        is_register = measurand == REGISTER
        phase = get("phase")
        if phase:
            if isinstance(phase, str):
                (register_phases if is_register else power_phases).setdefault(phase, value)
            continue
        rank = _rank(get("location"), _LOCATION_RANK) + _rank(get("context"), _CONTEXT_RANK)
        (registers if is_register else powers).setdefault(rank, value)
    register = registers[min(registers)] if registers else _sum_of_phases(register_phases)
    power = powers[min(powers)] if powers else _sum_of_phases(power_phases)
    return register, power


def _rank(value: object, ranks: dict[str, int]) -> int:
    if not isinstance(value, str):
        return 0
    return ranks.get(value, 2)


def _sum_of_phases(phases: dict[str, float]) -> float | None:
    if not phases:
        return None
    for names in (_LINE_PHASES, _NEUTRAL_PHASES):
        values = [value for phase, value in phases.items() if phase in names]
        if values:
            return sum(values)
    # A lone value of some other phase is the whole: some name the neutral conductor.
    return next(iter(phases.values())) if len(phases) == 1 else None


def quantity(value: object, unit: object) -> float | None:
    """A number in Wh or W: a missing unit is the plain one (section 7.44), kilo is scaled."""
    number = as_number(value)
    if number is None:
        return None
    try:
        kilo = _UNIT_IS_KILO[unit]
    except (KeyError, TypeError):
        kilo = _KILO_UNITS.get(unit.strip().lower()) if isinstance(unit, str) else None
    if kilo is None:
        return None
    return number * 1000 if kilo else number


def as_number(value: object) -> float | None:
    """A finite number of a usable size, from a number or from text; a comma is a point."""
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            try:
                number = float(value.strip("\x00 ").replace(",", "."))
            except ValueError:
                return None
    elif isinstance(value, int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            return None
    else:
        return None
    return number if math.isfinite(number) and abs(number) < MAX_VALUE else None


def as_int(value: object) -> int | None:
    """A whole number, from 12, 12.0, "12" or "12.0"; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value if abs(value) < 1 << 63 else None
    number = as_number(value)
    return round(number) if number is not None else None


def register(value: object) -> int | None:
    """A register in Wh; None for what no meter shows: below zero, so some chargers say that they
    cannot read it, or beyond all measure."""
    number = as_int(value)
    return number if number is not None and 0 <= number < MAX_VALUE else None


def as_text(value: object, limit: int = 500) -> str:
    """Text of a bounded length; "" for null, numbers by their digits."""
    if value is None or isinstance(value, bool | dict | list):
        return ""
    return str(value)[:limit]


def id_tag(value: object) -> str:
    """An idTag without the junk that some chargers append to it: cut at the first
    character that is no printable ASCII."""
    text = as_text(value, 255).strip()
    for index, character in enumerate(text):
        if not " " <= character <= "~":
            return text[:index].strip()
    return text

"""MeterValues as nearly all chargers write them, read in one go.

OCPP 1.6 sections 5.6 and 7.33. Readings of meters are the bulk of all messages, so what is
written by the book is decoded straight into what is used of it. A message with anything else in
it is left to `bridge.ocpp.frames` and `bridge.ocpp.meters.readings`, which read with tolerance, and
read the same in what is read here.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from bridge.ocpp.frames import MAX_MESSAGE_ID, Call
from bridge.ocpp.meters.intervals import INTERVAL
from bridge.ocpp.meters.readings import MAX_VALUE, POWER, REGISTER, Reading, reading_from

METER_VALUES = "MeterValues"

MOST_READINGS = 200
"""Messages with more are rare, and read so that other chargers have their turn meanwhile."""

_MARK = b'"MeterValues"'
_NOT_READ = frozenset(
    {
        *("Current.Export", "Current.Import", "Current.Offered"),
        *("Energy.Active.Export.Interval", "Energy.Active.Export.Register"),
        *("Energy.Reactive.Export.Interval", "Energy.Reactive.Export.Register"),
        *("Energy.Reactive.Import.Interval", "Energy.Reactive.Import.Register"),
        *("Frequency", "Power.Active.Export", "Power.Factor", "Power.Offered"),
        *("Power.Reactive.Export", "Power.Reactive.Import", "RPM", "SoC", "Temperature", "Voltage"),
    }
)
"""The other measurands of section 7.31: a name that is none of them may be a misspelt one."""
_SCALES = {"Wh": 1, "W": 1, "": 1, "kWh": 1000, "kW": 1000}


class _Sample(Struct, forbid_unknown_fields=True, gc=False):
    value: str
    context: Literal["Sample.Periodic", "Sample.Clock"] = "Sample.Periodic"
    format: Literal["Raw"] = "Raw"
    measurand: Annotated[str, Meta(min_length=1)] = REGISTER
    phase: str = ""
    location: Literal["Outlet"] = "Outlet"
    unit: str = ""


class _Element(Struct, rename="camel", forbid_unknown_fields=True):
    timestamp: str
    sampled_value: list[_Sample]


class _Payload(Struct, rename="camel", forbid_unknown_fields=True):
    connector_id: Annotated[int, Meta(ge=0, le=1 << 31)]
    meter_value: list[_Element]
    transaction_id: Annotated[int, Meta(ge=-(1 << 31), le=1 << 53)] | None = None


class _Frame(Struct, array_like=True, forbid_unknown_fields=True):
    kind: Literal[2]
    message_id: Annotated[str, Meta(min_length=1, max_length=MAX_MESSAGE_ID)]
    action: Literal["MeterValues"]
    payload: _Payload


_DECODER = msgspec.json.Decoder(_Frame)


class PlainSamples(Struct, frozen=True):
    """The payload of such a message; `transaction_id` is None where it names none."""

    connector: int
    transaction_id: int | None
    readings: list[Reading]


def decode(frame: bytes) -> Call | None:
    """Such a message, its payload as PlainSamples; None for every other."""
    if frame.find(_MARK) < 0:
        return None
    try:
        message = _DECODER.decode(frame)
    except (ValueError, RecursionError):
        return None
    payload = message.payload
    if len(payload.meter_value) > MOST_READINGS:
        return None
    readings: list[Reading] = []
    for element in payload.meter_value:
        try:
            reading = _reading(element)
        except ValueError:
            return None
        if reading is not None:
            readings.append(reading)
    plain = PlainSamples(payload.connector_id, payload.transaction_id, readings)
    return Call(message.message_id, METER_VALUES, plain)


def _reading(element: _Element) -> Reading | None:
    """The reading in an element; raises ValueError for one that takes more to be read."""
    register: float | None = None
    power: float | None = None
    for sample in element.sampled_value:
        measurand = sample.measurand
        if measurand == REGISTER:
            value = _quantity(sample)
            register = value if register is None else register
        elif measurand == POWER:
            value = _quantity(sample)
            power = value if power is None else power
        elif measurand not in _NOT_READ and (measurand != INTERVAL or not register):
            raise ValueError
    return reading_from(element.timestamp, register, power)


def _quantity(sample: _Sample) -> float:
    scale = _SCALES.get(sample.unit)
    value = float(sample.value)
    if sample.phase or scale is None or not -MAX_VALUE < value < MAX_VALUE:
        raise ValueError
    return value * scale

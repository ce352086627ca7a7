"""Meter values in all the shapes that chargers give them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.ocpp.meters.readings import (
    Reading,
    as_int,
    as_number,
    id_tag,
    objects,
    quantity,
    reading_of,
    register,
)

REGISTER = "Energy.Active.Import.Register"
POWER = "Power.Active.Import"


def readings_in(meter_value: object) -> list[Reading]:
    """The readings in a `meterValue` list, those without use left out."""
    found = [reading_of(element) for element in objects(meter_value)]
    return [reading for reading in found if reading is not None]


def read(*sampled: dict[str, Any]) -> tuple[int | None, int | None]:
    found = readings_in([{"timestamp": "t", "sampledValue": list(sampled)}])
    return (found[0].register_wh, found[0].power_w) if found else (None, None)


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        ("1500", "Wh", 1500),
        ("1500", None, 1500),
        ("1500", "", 1500),
        ("1.5", "kWh", 1500),
        ("0.15003999999999998", "kWh", 150),
        ("1,5", "KWH", 1500),
        (1500, "Wh", 1500),
        (1500.4, "wh", 1500),
        (" 1500 ", "Wh", 1500),
        ("-3", "Wh", -3),
        ("many", "Wh", None),
        ("nan", "Wh", None),
        ("1e400", "Wh", None),
        ("-inf", "Wh", None),
        (10**400, "Wh", None),
        (None, "Wh", None),
        (True, "Wh", None),
        ("5", "Hz", None),
        ("5", {"x": 1}, None),
        ("5", 7, None),
    ],
)
def test_the_register_in_any_unit(value: object, unit: object, expected: int | None) -> None:
    sample: dict[str, Any] = {"value": value, "measurand": REGISTER}
    if unit is not None:
        sample["unit"] = unit
    assert read(sample) == (expected, None)


def test_the_measurand_is_the_register_where_none_is_named() -> None:
    assert read({"value": "7"}) == (7, None)
    assert read({"value": "7", "measurand": None}) == (7, None)


def test_watts_are_watts_without_a_unit() -> None:
    """Watts without a unit were shown as kilowatts: lbbrhzn/ocpp#1989."""
    assert read({"value": "7000", "measurand": POWER}) == (None, 7000)
    assert read({"value": "7", "measurand": POWER, "unit": "kW"}) == (None, 7000)


def test_phases_are_added_only_where_there_is_no_total() -> None:
    phases = [
        {"value": str(100 * n), "measurand": POWER, "phase": f"L{n}", "unit": "W"}
        for n in (1, 2, 3)
    ]
    assert read(*phases) == (None, 600)
    assert read(*phases, {"value": "610", "measurand": POWER, "unit": "W"}) == (None, 610)
    neutral = [phase | {"phase": f"{phase['phase']}-N"} for phase in phases]
    assert read(*neutral) == (None, 600)
    assert read(*phases, *neutral) == (None, 600)
    registers = [{"value": "1", "unit": "kWh", "phase": f"L{n}"} for n in (1, 2, 3)]
    assert read(*registers) == (3000, None)


def test_the_outlet_and_the_period_come_first() -> None:
    assert read(
        {"value": "1", "context": "Transaction.Begin"},
        {"value": "2", "context": "Transaction.End"},
    ) == (2, None)
    assert read(
        {"value": "1", "location": "Inlet", "context": "Sample.Periodic"},
        {"value": "2", "location": "Outlet", "context": "Transaction.Begin"},
    ) == (2, None)


def test_what_is_not_for_billing_is_left_out() -> None:
    assert read(
        {"value": "1", "measurand": "Energy.Active.Export.Register"},
        {"value": "2", "measurand": "Energy.Active.Import.Interval"},
        {"value": "OCMF|{}|{}", "measurand": REGISTER, "format": "SignedData"},
    ) == (None, None)


@pytest.mark.parametrize(
    "broken",
    [None, 7, "x", [], {}, [None], [[]], [{"sampledValue": None}], [{"sampledValue": "x"}]],
)
def test_no_meter_values_are_no_readings(broken: object) -> None:
    assert readings_in(broken) == []


@pytest.mark.parametrize("phase", ["L1", "L2-N", "N", "L1-L2", "X"])
def test_the_only_phase_that_is_told_is_the_whole(phase: str) -> None:
    """evcc#19351: the register has a phase; lbbrhzn/ocpp#1311: and it is the neutral conductor."""
    assert read({"value": "5", "phase": phase, "unit": "kWh"}) == (5000, None)
    lines = [{"value": "5", "phase": line} for line in ("L1-L2", "L2-L3")]
    assert read(*lines) == (None, None)


def test_a_lone_object_counts_as_a_list() -> None:
    lone = {"timestamp": "t", "sampledValue": {"value": "5"}}
    assert readings_in(lone) == [Reading("t", 5, None)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (12, 12),
        (12.0, 12),
        ("12", 12),
        (" 12.0 ", 12),
        (-1, -1),
        ("-1", -1),
        (2**63 - 1, 2**63 - 1),
        (2**63, None),
        (None, None),
        (True, None),
        ("x", None),
        ([], None),
    ],
)
def test_whole_numbers_in_any_spelling(value: object, expected: int | None) -> None:
    assert as_int(value) == expected


def test_an_id_tag_ends_where_the_junk_begins() -> None:
    assert id_tag("ABCDEF\x00\x17") == "ABCDEF"
    assert id_tag("ABCDEF\ufffd\ufffd") == "ABCDEF"
    assert id_tag(None) == ""
    assert id_tag(1234) == "1234"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda below: st.lists(below) | st.dictionaries(st.text(), below),
    max_leaves=10,
)


@given(json_values, json_values)
def test_nothing_that_can_be_json_raises(value: object, unit: object) -> None:
    as_int(value)
    as_number(value)
    quantity(value, unit)
    id_tag(value)
    sample = {"value": value, "unit": unit, "phase": value, "context": unit, "measurand": REGISTER}
    readings_in([{"timestamp": value, "sampledValue": [sample, value]}, unit])
    readings_in(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (40_000, 40_000),
        ("40000.0", 40_000),
        (0, 0),
        (-1, None),
        (2**62, None),
        (-(10**20), None),
        (None, None),
        ("", None),
        ("full", None),
    ],
)
def test_registers_that_no_meter_shows_are_none(value: object, expected: int | None) -> None:
    assert register(value) == expected


def test_a_signed_value_of_digits_alone_is_no_reading() -> None:
    signed = {"value": "004711", "format": "SignedData"}
    assert read(signed) == (None, None)
    assert read(signed, {"value": "40100", "format": "Raw"}) == (40_100, None)


@pytest.mark.parametrize(
    "element",
    [
        {"sampledValue": ["1005"]},
        {"sampledValue": "1005"},
        {"sampledValue": [1005, True, None, [7]]},
        {"values": [{"value": "1005", "unit": "Wh"}]},
        {"value": "1.005", "unit": "kWh"},
        {"sampledValue": [{"value": 1005, "measurand": "energy.active.import.REGISTER "}]},
        {
            "sampledValue": [
                {"value": 9, "measurand": 7},
                {"value": 9, "measurand": "Energy"},
                "1005",
            ]
        },
    ],
)
def test_samples_of_other_shapes(element: dict[str, Any]) -> None:
    """Bare figures, names of OCPP 1.5, and names in another case."""
    reading = reading_of(element | {"timestamp": "t"})
    assert reading is not None
    assert (reading.written, reading.register_wh) == ("t", 1005)

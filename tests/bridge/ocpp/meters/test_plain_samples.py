"""Readings by the book are read in one go, and as the tolerant way reads them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.ocpp import frames
from bridge.ocpp.errors import InvalidFrame
from bridge.ocpp.meters.plain_samples import MOST_READINGS, PlainSamples, decode
from bridge.ocpp.meters.readings import Reading, as_int
from bridge.ocpp.meters.signed_values import signed_values
from tests.bridge.ocpp.meters.test_readings import readings_in

USUAL: dict[str, Any] = {
    "connectorId": 1,
    "transactionId": 7,
    "meterValue": [
        {
            "timestamp": "2026-11-22T12:00:00Z",
            "sampledValue": [
                {"value": "1.0015", "unit": "kWh", "context": "Sample.Periodic", "format": "Raw"},
                {"value": "7400", "measurand": "Power.Active.Import", "unit": "W"},
                {"value": "32", "measurand": "Current.Import", "unit": "A", "phase": "L1"},
            ],
        }
    ],
}


def frame(payload: object, action: str = "MeterValues", message_id: object = "m1") -> bytes:
    return json.dumps([2, message_id, action, payload]).encode()


def sample(**fields: object) -> bytes:
    """A message with one sample."""
    element = {"timestamp": "2026-11-22T12:00:00Z", "sampledValue": [{"value": "5"} | fields]}
    return frame({"connectorId": 1, "meterValue": [element]})


def found(message: frames.Call | None) -> PlainSamples:
    assert message is not None
    assert isinstance(message.payload, PlainSamples)
    return message.payload


def test_the_usual_message_is_read_in_one_go() -> None:
    message = decode(frame(USUAL))
    assert message is not None
    assert (message.message_id, message.action) == ("m1", "MeterValues")
    reading = Reading("2026-11-22T12:00:00Z", 1002, 7400, -500)
    assert found(message) == PlainSamples(1, 7, [reading])


def test_one_without_a_transaction_or_use_is_read_too() -> None:
    assert found(decode(frame({"connectorId": 0, "meterValue": []}))) == PlainSamples(0, None, [])
    assert found(decode(sample(measurand="Voltage"))).readings == []


@pytest.mark.parametrize(
    "other",
    [
        frame(USUAL, "StopTransaction"),
        frame(USUAL, message_id=""),
        frame(USUAL, message_id="m" * 256),
        frame(USUAL, message_id=5),
        frame(USUAL | {"transactionId": "7"}),
        frame(USUAL | {"connectorId": 1.5}),
        frame(USUAL | {"evseId": 1}),
        frame(USUAL | {"meterValue": USUAL["meterValue"][0]}),
        frame(USUAL | {"meterValue": USUAL["meterValue"] * (MOST_READINGS + 1)}),
        sample(format="SignedData"),
        sample(measurand="Voltage", format="SignedData"),
        sample(signedMeterValue={"signedMeterData": "x"}),
        sample(value=5),
        sample(value="5,5"),
        sample(value="nan"),
        sample(value="1e14"),
        sample(unit="varh"),
        sample(unit=None),
        sample(phase="L1"),
        sample(location="Inlet"),
        sample(context="Transaction.Begin"),
        sample(context=""),
        b"\xef\xbb\xbf" + frame(USUAL),
        frame(USUAL)[:-1],
        b'"MeterValues"',
        b'[3,"MeterValues",{}]',
    ],
)
def test_whatever_is_not_by_the_book_is_left_to_others(other: bytes) -> None:
    assert decode(other) is None


_ODD: st.SearchStrategy[object] = st.sampled_from(
    [None, "", 0, 1, 1.5, True, "L1", "x", {}, [], "Outlet", "SignedData"]
)


def _field(*usual: object) -> st.SearchStrategy[object]:
    """Mostly the first, which is by the book."""
    return st.integers(0, 40).flatmap(
        lambda chance: (
            _ODD if chance == 40 else st.sampled_from(usual) if chance > 32 else st.just(usual[0])
        )
    )


_NUMBERS: st.SearchStrategy[object] = st.one_of(
    st.floats(-1e14, 1e14).map(str),
    st.integers(-5, 10**14).map(str),
    st.sampled_from(["1_000", " 12 ", "1e3", "inf", "-0.0", "0x10", "१२", "1.5.2", "12 kWh"]),
)
_SAMPLES = st.fixed_dictionaries(
    {"value": st.integers(0, 20).flatmap(lambda chance: _NUMBERS if chance else _ODD)},
    optional={
        "measurand": _field("Energy.Active.Import.Register", "Power.Active.Import", "Voltage"),
        "unit": _field("Wh", "kWh", "W", "kW", "KWH", "Celsius"),
        "context": _field("Sample.Periodic", "Sample.Clock", "Transaction.Begin", "Trigger"),
        "location": _field("Outlet", "Inlet", "EV"),
        "phase": _field("", "L1", "L1-N"),
        "format": _field("Raw", "SignedData"),
    },
)
_PAYLOADS = st.fixed_dictionaries(
    {
        "connectorId": _field(0, 1, 2, 1 << 40),
        "meterValue": st.lists(
            st.fixed_dictionaries(
                {
                    "timestamp": _field("2026-11-22T12:00:00Z", "yesterday"),
                    "sampledValue": st.lists(_SAMPLES, max_size=4),
                }
            ),
            max_size=3,
        ),
    },
    optional={"transactionId": _field(-1, 0, 7, 1 << 60)},
)


@given(_PAYLOADS)
def test_both_ways_read_the_same(payload: dict[str, Any]) -> None:
    text = frame(payload)
    plain = decode(text)
    if plain is None:
        return
    tolerant = frames.decode(text)
    assert isinstance(tolerant, frames.Call)
    assert (plain.message_id, plain.action) == (tolerant.message_id, tolerant.action)
    here = found(plain)
    assert here.connector == as_int(tolerant.payload["connectorId"])
    assert here.transaction_id == as_int(tolerant.payload.get("transactionId"))
    elements = tolerant.payload["meterValue"]
    assert here.readings == readings_in(elements)
    assert signed_values(elements, lambda _: 0) == []


@given(st.binary(max_size=60), st.integers(0, 400), st.integers(0, 60))
def test_no_bytes_make_it_raise(junk: bytes, at: int, cut: int) -> None:
    usual = frame(USUAL)
    text = usual[:at] + junk + usual[at + cut :]
    plain = decode(text)
    if plain is not None:
        try:
            tolerant = frames.decode(text)
        except InvalidFrame:
            pytest.fail("the tolerant way refuses what is read here")
        assert isinstance(tolerant, frames.Call)
        assert found(plain).readings == readings_in(tolerant.payload["meterValue"])

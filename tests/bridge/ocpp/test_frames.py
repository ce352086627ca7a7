"""Frames that chargers break, as they were seen in the field."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.ocpp import frames
from bridge.ocpp.errors import InvalidFrame

READING = '{"value":"139954","unit":"Wh"}'


def payload(text: str) -> Any:
    message = frames.decode(text.encode())
    assert isinstance(message, frames.Call | frames.CallResult)
    return message.payload


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"connectorId":1,"transactionId":,"x":2}', {"connectorId": 1, "transactionId": None}),
        ('{"connectorId":1,"transactionId": }', {"connectorId": 1, "transactionId": None}),
        ('{"connectorId":1,"sampledValue":[,{"value":"5"}]}', {"sampledValue": [{"value": "5"}]}),
        (
            '{"connectorId":1,"sampledValue":[{"value":"5"},,\n,]}',
            {"sampledValue": [{"value": "5"}]},
        ),
        ('{,"connectorId":1,}', {"connectorId": 1}),
        ('{"idTag":":,[,,]\\",,","x":,}', {"idTag": ':,[,,]",,', "x": None}),
    ],
)
def test_values_are_missing(text: str, expected: dict[str, Any]) -> None:
    """An empty transactionId (lbbrhzn/ocpp#2032, AEFA) and a list that begins with a comma
    (lbbrhzn/ocpp#1078, ZJ Beny): all readings of these chargers came to nothing."""
    found = payload(f'[2,"1","MeterValues",{text}]')
    assert {name: found[name] for name in expected} == expected


@pytest.mark.parametrize("end", ["", "]", "\n"])
def test_an_answer_without_its_last_brackets(end: str) -> None:
    """lbbrhzn/ocpp#442, Grizzl-E: where a key is unknown."""
    assert payload('[3,"strom-1",{"configurationKey":[{"key":"a]"}' + end) == {
        "configurationKey": [{"key": "a]"}]
    }


@pytest.mark.parametrize(
    "text",
    [
        '[2,"1","StopTransaction",{"transactionId":5,"transactionData":[]',
        '[2,"1","StopTransaction",{"transactionId":5,"meterStop":12',
        '[3,"strom-1",{"status":"Acc',
        '[3,"strom-1",{"status":1',
        '[2,"1","MeterValues",{"connectorId":1,"x":,',
    ],
)
def test_what_is_cut_off_is_not_made_up(text: str) -> None:
    with pytest.raises(InvalidFrame):
        frames.decode(text.encode())


@pytest.mark.parametrize("junk", [r"\"", '"', ",", "[,", ", ", '":', "[ ", r"\\", '{"a":,'])
def test_a_long_broken_frame_is_read_at_once(junk: str) -> None:
    """Quadratic effort would block all chargers for minutes: the test's time limit says so."""
    for begin in ("[3,", '[2,"1","MeterValues",{"x":"', '[2,"1","MeterValues",{"x":,'):
        with pytest.raises(InvalidFrame):
            frames.decode((begin + junk * (1_000_000 // len(junk))).encode())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"[{'[],' * 250_000}1]", "too many parts"),
        (f'"{chr(92)} {"x" * (1 << 20)}"', "too long to be mended"),
    ],
)
def test_what_takes_long_to_read_is_refused_under_its_id(text: str, told: str) -> None:
    """Other chargers wait meanwhile."""
    with pytest.raises(InvalidFrame, match=told) as caught:
        payload(f'[2,"7","StopTransaction",{{"x":{text}}}]')
    assert caught.value.message_id == "7"

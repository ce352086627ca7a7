"""A charger's configuration is compared and set, with chargers that say no in between."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from ocpp.v16 import call

from bridge.ocpp.errors import NoAnswer
from bridge.ocpp.schemas import Payload
from bridge.ocpp.settings import Outcome, apply, settle

NEEDED = "Energy.Active.Import.Register,Power.Active.Import"


class Keys:
    """A charger that is nothing but its keys."""

    def __init__(self, values: dict[str, str], refuses: tuple[str, ...] = ()) -> None:
        self.values = values
        self.refuses = refuses
        self.changes: list[tuple[str, str]] = []
        self.resets = 0
        self.silent = False

    async def send(self, message: object, timeout_s: float | None = None) -> Payload:
        if self.silent:
            raise NoAnswer("no answer")
        if isinstance(message, call.Reset):
            self.resets += 1
            return {"status": "Accepted"}
        if isinstance(message, call.GetConfiguration):
            known = [{"key": k, "readonly": False, "value": v} for k, v in self.values.items()]
            return {"configurationKey": known}
        assert isinstance(message, call.ChangeConfiguration)
        self.changes.append((message.key, message.value))
        if message.value in self.refuses:
            return {"status": "Rejected"}
        self.values[message.key] = message.value
        return {"status": "RebootRequired" if message.key == "Reboots" else "Accepted"}


@pytest.mark.parametrize(
    ("values", "refuses", "expected"),
    [
        ({"MeterValuesSampledData": NEEDED, "MeterValueSampleInterval": "30"}, (), []),
        ({}, (), []),
        (
            {"MeterValuesSampledData": "Voltage"},
            (),
            [("MeterValuesSampledData", f"Voltage,{NEEDED}")],
        ),
        (
            {"MeterValuesSampledData": "Voltage"},
            (f"Voltage,{NEEDED}", NEEDED, "Voltage,Energy.Active.Import.Register"),
            [
                ("MeterValuesSampledData", f"Voltage,{NEEDED}"),
                ("MeterValuesSampledData", NEEDED),
                ("MeterValuesSampledData", "Voltage,Energy.Active.Import.Register"),
                ("MeterValuesSampledData", "Energy.Active.Import.Register"),
            ],
        ),
        ({"MeterValueSampleInterval": "0"}, (), [("MeterValueSampleInterval", "20")]),
        (
            {"MeterValueSampleInterval": "900"},
            ("20",),
            [("MeterValueSampleInterval", "20"), ("MeterValueSampleInterval", "60")],
        ),
        (
            {"AllowOfflineTxForUnknownId": "True"},
            (),
            [("AllowOfflineTxForUnknownId", "false")],
        ),
    ],
)
async def test_what_billing_needs_is_set(
    values: dict[str, str], refuses: tuple[str, ...], expected: list[tuple[str, str]]
) -> None:
    keys = Keys(values, refuses)
    await apply(keys, {})
    assert keys.changes == expected


async def test_the_operators_wishes_come_first() -> None:
    keys = Keys({"MeterValueSampleInterval": "900", "heartbeatinterval": "60", "A": "x, y"})
    wanted = {"MeterValueSampleInterval": "120", "HeartbeatInterval": "600", "A": "X,Y", "B": "1"}
    outcome = await apply(keys, wanted)
    assert outcome == Outcome(
        set_to={"MeterValueSampleInterval": "120", "HeartbeatInterval": "600"}, unknown=["B"]
    )


async def test_a_key_that_takes_a_reset(caplog: pytest.LogCaptureFixture) -> None:
    keys = Keys({"Reboots": "1"})
    with caplog.at_level(logging.INFO):
        await settle("CP001", keys, {"Reboots": "2"}, may_reset=True)
        assert keys.resets == 1
        await settle("CP001", keys, {"Reboots": "3"}, may_reset=False)
        assert keys.resets == 1
    assert "must be reset" in caplog.text


async def test_a_secret_is_set_without_being_logged(caplog: pytest.LogCaptureFixture) -> None:
    keys = Keys({})
    with caplog.at_level(logging.DEBUG):
        await settle("CP001", keys, {"AuthorizationKey": "hunter2"}, may_reset=True)
    assert keys.changes == [("AuthorizationKey", "hunter2")]
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("answer", [{}, {"configurationKey": None}, {"configurationKey": [7]}])
async def test_a_useless_answer_and_none_at_all(
    answer: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    class Odd(Keys):
        async def send(self, message: object, timeout_s: float | None = None) -> Payload:
            return answer

    assert await apply(Odd({}), {"A": "1"}) == Outcome(unknown=["A"])
    silent = Keys({})
    silent.silent = True
    with caplog.at_level(logging.INFO):
        await settle("CP001", silent, {}, may_reset=True)
    assert "was not checked" in caplog.text

"""What operators set by messages of their own is remembered until it was seen at the charger."""

from __future__ import annotations

from typing import Any

from bridge.ocpp.configuration import hand_changes
from tests.bridge.ocpp.recorder import RecordingSite


def variable(component: str, name: str, value: str) -> dict[str, Any]:
    return {"component": {"name": component}, "variable": {"name": name}, "attributeValue": value}


async def test_keys_and_variables_are_remembered_and_no_secret_is() -> None:
    point = RecordingSite("CP001").points["CP001"]
    await hand_changes.sent(point, "ChangeConfiguration", {"key": "A", "value": "1"})
    data = [variable("C", "D", "2"), variable("SecurityCtrlr", "BasicAuthPassword", "hunter2")]
    await hand_changes.sent(point, "SetVariables", {"setVariableData": data})
    await hand_changes.sent(point, "ChangeConfiguration", {"key": "WifiPassword", "value": "x"})
    await hand_changes.sent(point, "Reset", {"type": "Soft"})
    assert await hand_changes.changes(point) == {"a": "1", "c.d": "2"}


async def test_what_a_charger_does_not_show_yet_is_not_forgotten() -> None:
    """A key that takes a reset has its new value only after the next boot."""
    point = RecordingSite("CP001").points["CP001"]
    for key in ("A", "B"):
        await hand_changes.sent(point, "ChangeConfiguration", {"key": key, "value": "1"})
    await hand_changes.forget(point, {"a": "1", "b": "0"})
    assert await hand_changes.changes(point) == {"b": "1"}
    await hand_changes.forget(point, {"b": "1"})
    assert await hand_changes.changes(point) == {}

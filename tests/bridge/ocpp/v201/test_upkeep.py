"""What upkeep makes of the variables of OCPP 2.0.1, and of keys of the other version."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest

from bridge.ocpp.configuration.keys import Taken
from tests.bridge.ocpp.shop import NEEDED, Box, Shop, opened_shop
from tests.bridge.ocpp.wire import charger


@pytest.fixture
async def shop() -> AsyncGenerator[Shop]:
    async with opened_shop() as shop:
        yield shop


@pytest.mark.parametrize("own", [True, False])
async def test_the_variables_of_2_0_1(shop: Shop, own: bool) -> None:
    shop.own = own
    shop.wishes = {
        "OCPPCommCtrlr.HeartbeatInterval": "60",
        "A[left].B[right]": "1",
        "C.D": "1",
        "Connector@1:2.Available": "false",
        "HeartbeatInterval": "60",
        "ConnectionTimeOut": "60",
        "AcmeLight": "5",
    }
    values = {
        ("Connector", "Available"): "true",
        ("OCPPCommCtrlr", "HeartbeatInterval"): "300",
        ("SampledDataCtrlr", "TxUpdatedMeasurands"): "Voltage",
        ("SampledDataCtrlr", "TxUpdatedInterval"): "30",
        ("DeviceDataCtrlr", "ItemsPerMessage"): "2",
        ("A", "B"): "0",
    }
    changes: list[tuple[str, str]] = []

    def answer(action: str, payload: dict[str, Any]) -> dict[str, Any]:
        field = "getVariable" if action == "GetVariables" else "setVariable"
        results: list[dict[str, Any]] = []
        for item in payload[f"{field}Data"]:
            if item["component"]["name"] == "Connector":
                assert item["component"]["evse"] == {"id": 1, "connectorId": 2}
            name = (item["component"]["name"], item["variable"]["name"])
            result: dict[str, Any] = {k: item[k] for k in ("component", "variable")}
            if name == ("A", "B"):
                # Seen of MicroOcpp: the answer is without the instance.
                result["variable"] = {"name": "B"}
            if name not in values:
                result["attributeStatus"] = "UnknownVariable"
            elif action == "GetVariables":
                result |= {"attributeStatus": "Accepted", "attributeValue": values[name]}
            elif name == ("A", "B"):
                info = {"reasonCode": "ReadOnly"}
                result |= {"attributeStatus": "Rejected", "attributeStatusInfo": info}
            else:
                changes.append((name[1], item["attributeValue"]))
                values[name] = item["attributeValue"]
                result["attributeStatus"] = "Accepted"
            results.append(result)
        assert action == "SetVariables" or len(results) <= 2
        return {f"{field}Result": results}

    async with charger(shop.server, subprotocols=("ocpp2.0.1",)) as raw:
        station = {"vendorName": "Raw", "model": "Frames"}
        await raw.call("BootNotification", {"reason": "PowerUp", "chargingStation": station})
        async with anyio.create_task_group() as group:

            async def run() -> None:
                while True:
                    frame = await raw.asked()
                    await raw.send([3, frame[1], answer(frame[2], frame[3])])

            group.start_soon(run)
            await shop.until(lambda report: report.checked_at_ms > 0)
            group.cancel_scope.cancel()
    assert changes == [
        ("TxUpdatedMeasurands", f"Voltage,{NEEDED}"),
        ("HeartbeatInterval", "60"),
        ("Available", "false"),
    ]
    assert await shop.states() == {
        "OCPPCommCtrlr.HeartbeatInterval": Taken.SET,
        "A[left].B[right]": Taken.READONLY,
        "C.D": Taken.UNKNOWN,
        "Connector@1:2.Available": Taken.SET,
        "HeartbeatInterval": Taken.ONLY_16,
        "ConnectionTimeOut": Taken.ONLY_16,
        "AcmeLight": Taken.ONLY_16,
        "SampledDataCtrlr.TxUpdatedMeasurands": Taken.SET,
    }
    [trouble] = shop.alerts.current().values()
    assert "C.D (unknown)" in trouble
    told = "ConnectionTimeOut (only in OCPP 1.6: here TxCtrlr.EVConnectionTimeOut)" in trouble
    assert told is own
    assert ("AcmeLight (only in OCPP 1.6)" in trouble) is own
    assert "HeartbeatInterval" not in trouble
    assert shop.upkeep.differing == (4 if own else 2)


@pytest.mark.parametrize("own", [True, False])
async def test_variables_of_2_0_1_are_not_asked_of_a_charger_of_1_6(shop: Shop, own: bool) -> None:
    """A file for chargers of both versions; one key is there in one of them. Operators hear of
    that where it was written for this very charger."""
    shop.own = own
    shop.wishes = {
        "HeartbeatInterval": "60",
        "OCPPCommCtrlr.HeartbeatInterval": "60",
        "TxCtrlr.EVConnectionTimeOut": "60",
        "TxCtrlr.TxStartPoint": "EVConnected",
        "acme.light": "5",
    }
    box = Box({"HeartbeatInterval": "300", "acme.light": "1"})
    async with shop.boots(box):
        assert await shop.states() == {
            "HeartbeatInterval": Taken.SET,
            "OCPPCommCtrlr.HeartbeatInterval": Taken.ONLY_201,
            "TxCtrlr.EVConnectionTimeOut": Taken.ONLY_201,
            "TxCtrlr.TxStartPoint": Taken.ONLY_201,
            "acme.light": Taken.SET,
        }
        assert box.changes == [("HeartbeatInterval", "60"), ("acme.light", "5")]
        said = "TxCtrlr.EVConnectionTimeOut (only in OCPP 2.0.1: here ConnectionTimeOut)"
        troubles = shop.alerts.current().values()
        assert any(said in trouble for trouble in troubles) is own
        assert len(troubles) == own
        assert shop.upkeep.differing == (2 if own else 0)

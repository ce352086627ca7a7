"""Every message that a station of OCPP 2.0.1 may send, whole and broken, gets a valid answer.

The schemas are checked by the `ocpp` library's own validator, not by ours.
"""

from __future__ import annotations

from typing import Any, cast

import pytest
from ocpp import messages

from tests.bridge.ocpp.recorder import MeterReport, RecordingSite
from tests.bridge.ocpp.station import STATION
from tests.bridge.ocpp.wire import charger, serving

_library = cast(Any, messages)  # the library ships without types

AT = "2026-11-28T08:00:00Z"
TOKEN = {"idToken": "0123456789abcdef", "type": "Central"}
VALUES = [{"timestamp": AT, "sampledValue": [{"value": 7}]}]
VARIABLE = {"component": {"name": "A"}, "variable": {"name": "B"}}
CHANGED = {"eventId": 1, "timestamp": AT, "trigger": "Delta", "actualValue": "x"}
LIMIT: dict[str, Any] = {"chargingLimit": {"chargingLimitSource": "EMS"}}
HASH = {
    "hashAlgorithm": "SHA256",
    "issuerNameHash": "a",
    "issuerKeyHash": "b",
    "serialNumber": "c",
}
MONITOR: dict[str, Any] = {
    **VARIABLE,
    "variableMonitoring": [
        {"id": 1, "transaction": False, "value": 1, "type": "Delta", "severity": 3}
    ],
}
PLAN = {
    "id": 1,
    "chargingRateUnit": "W",
    "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 7.5}],
}
PROFILE = {
    "id": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxProfile",
    "chargingProfileKind": "Relative",
    "chargingSchedule": [PLAN],
}
SHOWN = {
    "id": 1,
    "priority": "AlwaysFront",
    "message": {"format": "ASCII", "content": "Hello"},
}

MESSAGES: dict[str, dict[str, Any]] = {
    "Authorize": {"idToken": TOKEN},
    "BootNotification": {"reason": "PowerUp", "chargingStation": STATION},
    "ClearedChargingLimit": {"chargingLimitSource": "EMS"},
    "DataTransfer": {"vendorId": "x"},
    "FirmwareStatusNotification": {"status": "Idle"},
    "GetCertificateStatus": {"ocspRequestData": HASH | {"responderURL": "http://ocsp"}},
    "Heartbeat": {},
    "LogStatusNotification": {"status": "Idle"},
    "MeterValues": {"evseId": 1, "meterValue": VALUES},
    "NotifyChargingLimit": LIMIT,
    "NotifyCustomerInformation": {"data": "x", "seqNo": 0, "generatedAt": AT, "requestId": 1},
    "NotifyDisplayMessages": {"requestId": 1, "messageInfo": [SHOWN]},
    "NotifyEVChargingNeeds": {
        "evseId": 1,
        "chargingNeeds": {"requestedEnergyTransfer": "DC", "dcChargingParameters": None},
    },
    "NotifyEVChargingSchedule": {"timeBase": AT, "evseId": 1, "chargingSchedule": PLAN},
    "NotifyEvent": {
        "generatedAt": AT,
        "seqNo": 0,
        "eventData": [CHANGED | VARIABLE | {"eventNotificationType": "CustomMonitor"}],
    },
    "NotifyMonitoringReport": {
        "requestId": 1,
        "seqNo": 0,
        "generatedAt": AT,
        "monitor": [MONITOR],
    },
    "NotifyReport": {"requestId": 1, "generatedAt": AT, "seqNo": 0},
    "PublishFirmwareStatusNotification": {"status": "Idle"},
    "ReportChargingProfiles": {
        "requestId": 1,
        "chargingLimitSource": "CSO",
        "evseId": 1,
        "chargingProfile": [PROFILE],
    },
    "ReservationStatusUpdate": {"reservationId": 1, "reservationUpdateStatus": "Expired"},
    "SecurityEventNotification": {"type": "SettingSystemTime", "timestamp": AT},
    "SignCertificate": {"csr": "x"},
    "StatusNotification": {
        "timestamp": AT,
        "connectorStatus": "Available",
        "evseId": 1,
        "connectorId": 1,
    },
    "TransactionEvent": {
        "eventType": "Started",
        "timestamp": AT,
        "triggerReason": "Authorized",
        "seqNo": 0,
        "transactionInfo": {"transactionId": "a"},
        "idToken": TOKEN,
        "evse": {"id": 1},
        "meterValue": VALUES,
    },
}


async def is_valid(action: str, payload: dict[str, Any], *, answer: bool) -> None:
    """Raises where a payload does not keep to its schema."""
    if answer:
        await _library.validate_payload(_library.CallResult("x", payload, action), "2.0.1")
    else:
        await _library.validate_payload(_library.Call("x", action, payload), "2.0.1")


@pytest.mark.parametrize("action", MESSAGES)
async def test_a_message_gets_a_valid_answer_whole_and_broken(action: str) -> None:
    payload = {key: value for key, value in MESSAGES[action].items() if value is not None}
    if action != "NotifyEVChargingNeeds":
        await is_valid(action, payload, answer=False)
    broken: list[Any] = [
        {},
        dict.fromkeys(payload, None),
        dict.fromkeys(payload, "x"),
        {key: [7, None, {"a": [1]}] for key in payload},
        {key: {"id": -1, "idToken": {"idToken": 7}, "name": 7} for key in payload},
        payload | {"extra": 1},
    ]
    site = RecordingSite("CP001")
    async with serving(site) as server, charger(server, subprotocols=("ocpp2.0.1",)) as raw:
        for said in (payload, *broken):
            await is_valid(action, await raw.call(action, said), answer=True)


async def test_what_is_known_and_not_done_is_told_from_what_is_unknown() -> None:
    """Contract certificates, and requests that are for stations, are NotSupported."""
    site = RecordingSite("CP001")
    async with serving(site) as server, charger(server, subprotocols=("ocpp2.0.1",)) as raw:
        for action in ("Get15118EVCertificate", "Reset", "CostUpdated"):
            assert (await raw.exchange(action, {}))[2] == "NotSupported", action
        for action in ("StartTransaction", "NotifySettlement", "Nonsense"):
            assert (await raw.exchange(action, {}))[2] == "NotImplemented", action


async def test_frames_that_are_none_are_answered_as_2_0_1_does() -> None:
    """OCPP-J 2.0.1, section 4.2.3: the id is "-1" where it cannot be read."""
    site = RecordingSite("CP001")
    async with serving(site) as server, charger(server, subprotocols=("ocpp2.0.1",)) as raw:
        for frame, message_id, code in (
            ("nonsense", "-1", "FormatViolation"),
            ('{"a":1}', "-1", "FormatViolation"),
            ('[2,"x","Heartbeat",{"a":', "x", "FormatViolation"),
            ('[9,"x",{}]', "x", "MessageTypeNotSupported"),
            ('[2,"x","Heartbeat",[]]', "x", "ProtocolError"),
        ):
            await raw.send(frame)
            assert (await raw.receive())[:3] == [4, message_id, code]


def sample(value: object, unit: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    return {"value": value} | ({"unitOfMeasure": unit} if unit else {}) | fields


INTERVAL = {"measurand": "Energy.Active.Import.Interval"}


@pytest.mark.parametrize(
    ("samples", "register_wh"),
    [
        ([sample(1234)], 1234),
        ([sample(1234, {})], 1234),
        ([sample(1.234, {"unit": "kWh"})], 1234),
        ([sample(1.234, {"multiplier": 3})], 1234),
        ([sample(1.234, {"unit": "Wh", "multiplier": 3})], 1234),
        ([sample(1_234_000, {"unit": "Wh", "multiplier": -3})], 1234),
        ([sample(1_234_000, {"unit": "kWh", "multiplier": -6})], 1234),
        ([sample(12.34, {"unit": "kWh", "multiplier": 2})], 1_234_000),
        ([sample("1.234", {"unit": "kWh", "multiplier": "0"})], 1234),
        ([{"value": 1.234, "unit": "kWh"}], 1234),
        ([sample(7, None, **INTERVAL), sample(1234)], 1234),
        ([sample(9, None, location="Body"), sample(1234, None, location="Inlet")], 1234),
        ([sample(9, None, location="Inlet"), sample(1234, None, location="Outlet")], 1234),
        ([sample(9, None, context="Transaction.Begin"), sample(1234)], 1234),
        ([sample(9, None, context="Sample.Clock"), sample(5, None, context="Other")], 9),
        ([sample(n, None, phase=p) for n, p in ((1, "L1"), (2, "L2"), (3, "L3"))], 6),
        ([sample(9, None, phase="L1"), sample(1234)], 1234),
        ([sample(1, {"unit": "kWh", "multiplier": 99}), sample(1234)], 1234),
        ([sample(9, {"unit": "kvarh"}), sample(1234)], 1234),
    ],
)
async def test_registers_as_stations_write_them(
    samples: list[dict[str, Any]], register_wh: int
) -> None:
    site = RecordingSite("CP001")
    payload = {"evseId": 1, "meterValue": [{"timestamp": AT, "sampledValue": samples}]}
    async with serving(site) as server, charger(server, subprotocols=("ocpp2.0.1",)) as raw:
        assert await raw.call("MeterValues", payload) == {}
    (report,) = site.points["CP001"].of(MeterReport)
    assert (report.connector, report.register_wh) == (1, register_wh)


async def test_the_whole_stations_meter_is_nobodys() -> None:
    site = RecordingSite("CP001")
    async with serving(site) as server, charger(server, subprotocols=("ocpp2.0.1",)) as raw:
        assert await raw.call("MeterValues", {"evseId": 0, "meterValue": VALUES}) == {}
    assert site.points["CP001"].of(MeterReport) == []

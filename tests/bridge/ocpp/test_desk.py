"""The operator asks chargers for everything that OCPP has, over a real server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent.ports.charger import Nameplate
from bridge.ocpp.actions import V16, V201, Version
from bridge.ocpp.desk import NotConnected
from bridge.ocpp.errors import CallRefused, InvalidCall, NoAnswer
from bridge.ocpp.guards import Guarded
from tests.bridge.ocpp.obedient import obedient
from tests.bridge.ocpp.recorder import RecordingSite
from tests.bridge.ocpp.stage import booted, staged
from tests.bridge.ocpp.wire import serving

LATER = "2099-01-01T00:00:00Z"
PROFILE_16 = {
    "chargingProfileId": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Absolute",
    "chargingSchedule": {
        "chargingRateUnit": "W",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 11000.0}],
    },
}
PROFILE_201 = {
    "id": 1,
    "stackLevel": 0,
    "chargingProfilePurpose": "TxDefaultProfile",
    "chargingProfileKind": "Absolute",
    "chargingSchedule": [
        {
            "id": 1,
            "chargingRateUnit": "W",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 11000.0}],
        }
    ],
}
HASH = {
    "hashAlgorithm": "SHA256",
    "issuerNameHash": "a",
    "issuerKeyHash": "b",
    "serialNumber": "c",
}
FIRMWARE = {
    "location": "https://example.com/fw",
    "retrieveDateTime": LATER,
    "signingCertificate": "cert",
    "signature": "sig",
}
LOG = {"logType": "SecurityLog", "requestId": 1, "log": {"remoteLocation": "ftp://u:hunter2@h/"}}
VARIABLE = {"component": {"name": "OCPPCommCtrlr"}, "variable": {"name": "HeartbeatInterval"}}

EXAMPLES_16: dict[str, dict[str, Any]] = {
    "CancelReservation": {"reservationId": 1},
    "CertificateSigned": {"certificateChain": "cert"},
    "ChangeAvailability": {"connectorId": 0, "type": "Operative"},
    "ChangeConfiguration": {"key": "HeartbeatInterval", "value": "60"},
    "ClearCache": {},
    "ClearChargingProfile": {"id": 1},
    "DataTransfer": {"vendorId": "org.example", "data": "x"},
    "DeleteCertificate": {"certificateHashData": HASH},
    "ExtendedTriggerMessage": {"requestedMessage": "SignChargePointCertificate"},
    "GetCompositeSchedule": {"connectorId": 1, "duration": 60},
    "GetConfiguration": {},
    "GetDiagnostics": {"location": "ftp://u:hunter2@example.com/"},
    "GetInstalledCertificateIds": {"certificateType": "CentralSystemRootCertificate"},
    "GetLocalListVersion": {},
    "GetLog": LOG,
    "InstallCertificate": {
        "certificateType": "CentralSystemRootCertificate",
        "certificate": "cert",
    },
    "RemoteStartTransaction": {"connectorId": 1, "idTag": "OPERATOR"},
    "RemoteStopTransaction": {"transactionId": 77},
    "Reset": {"type": "Hard"},
    "ReserveNow": {
        "connectorId": 1,
        "expiryDate": LATER,
        "idTag": "OPERATOR",
        "reservationId": 1,
    },
    "SendLocalList": {"listVersion": 1, "updateType": "Full", "localAuthorizationList": []},
    "SetChargingProfile": {"connectorId": 1, "csChargingProfiles": PROFILE_16},
    "SignedUpdateFirmware": {"requestId": 1, "firmware": FIRMWARE},
    "TriggerMessage": {"requestedMessage": "Heartbeat"},
    "UnlockConnector": {"connectorId": 1},
    "UpdateFirmware": {"location": "ftp://example.com/fw", "retrieveDate": LATER},
}
EXAMPLES_201: dict[str, dict[str, Any]] = {
    "CancelReservation": {"reservationId": 1},
    "CertificateSigned": {"certificateChain": "cert"},
    "ChangeAvailability": {"operationalStatus": "Operative"},
    "ClearCache": {},
    "ClearChargingProfile": {"chargingProfileId": 1},
    "ClearDisplayMessage": {"id": 1},
    "ClearVariableMonitoring": {"id": [1]},
    "CostUpdated": {"totalCost": 1.5, "transactionId": "x"},
    "CustomerInformation": {"requestId": 1, "report": True, "clear": False},
    "DataTransfer": {"vendorId": "org.example"},
    "DeleteCertificate": {"certificateHashData": HASH},
    "GetBaseReport": {"requestId": 1, "reportBase": "FullInventory"},
    "GetChargingProfiles": {"requestId": 1, "chargingProfile": {}},
    "GetCompositeSchedule": {"duration": 60, "evseId": 1},
    "GetDisplayMessages": {"requestId": 1},
    "GetInstalledCertificateIds": {},
    "GetLocalListVersion": {},
    "GetLog": LOG,
    "GetMonitoringReport": {"requestId": 1},
    "GetReport": {"requestId": 2},
    "GetTransactionStatus": {},
    "GetVariables": {"getVariableData": [VARIABLE]},
    "InstallCertificate": {"certificateType": "CSMSRootCertificate", "certificate": "cert"},
    "PublishFirmware": {"location": "https://example.com/", "checksum": "a", "requestId": 1},
    "RequestStartTransaction": {
        "idToken": {"idToken": "OPERATOR", "type": "Central"},
        "remoteStartId": 1_000_000,
        "evseId": 1,
    },
    "RequestStopTransaction": {"transactionId": "x"},
    "ReserveNow": {
        "id": 1,
        "expiryDateTime": LATER,
        "idToken": {"idToken": "OPERATOR", "type": "Central"},
    },
    "Reset": {"type": "OnIdle"},
    "SendLocalList": {"versionNumber": 1, "updateType": "Full"},
    "SetChargingProfile": {"evseId": 1, "chargingProfile": PROFILE_201},
    "SetDisplayMessage": {
        "message": {"id": 1, "priority": "NormalCycle", "message": {"format": "UTF8",
                                                                   "content": "Hi"}}
    },
    "SetMonitoringBase": {"monitoringBase": "All"},
    "SetMonitoringLevel": {"severity": 5},
    "SetNetworkProfile": {
        "configurationSlot": 1,
        "connectionData": {
            "ocppVersion": "OCPP20",
            "ocppTransport": "JSON",
            "ocppCsmsUrl": "wss://example.com",
            "messageTimeout": 30,
            "securityProfile": 1,
            "ocppInterface": "Wired0",
        },
    },
    "SetVariableMonitoring": {
        "setMonitoringData": [
            {
                "value": 5.0,
                "type": "UpperThreshold",
                "severity": 5,
                "component": {"name": "A"},
                "variable": {"name": "B"},
            }
        ]
    },
    "SetVariables": {"setVariableData": [VARIABLE | {"attributeValue": "60"}]},
    "TriggerMessage": {"requestedMessage": "Heartbeat"},
    "UnlockConnector": {"evseId": 1, "connectorId": 1},
    "UnpublishFirmware": {"checksum": "a"},
    "UpdateFirmware": {
        "requestId": 1,
        "firmware": {"location": "https://example.com/fw", "retrieveDateTime": LATER},
    },
}  # fmt: skip


@pytest.mark.parametrize(
    ("version", "spoken", "examples"), [(V16, "1.6", EXAMPLES_16), (V201, "2.0.1", EXAMPLES_201)]
)
async def test_every_request_reaches_a_charger_that_takes_no_other(
    version: Version, spoken: str, examples: dict[str, dict[str, Any]]
) -> None:
    assert set(version.actions()) == set(examples)
    async with (
        serving(RecordingSite("CP001")) as server,
        obedient(server.port, spoken) as charger,
    ):
        assert server.desk.version("CP001") is version
        for action, payload in examples.items():
            charger.reports = [
                {"requestId": payload.get("requestId"), "generatedAt": LATER, "seqNo": 0}
            ]
            answered = await server.desk.ask("CP001", action.lower(), payload, force=True)
            assert answered.action == action
            assert "schema" not in " ".join(answered.warnings)
            assert "hunter2" not in json.dumps(answered.payload)
        assert charger.asked[-len(examples) :] == list(examples.items())


async def test_a_report_comes_with_its_answer() -> None:
    def part(number: int, more: bool, value: str) -> dict[str, Any]:
        entry = VARIABLE | {"variableAttribute": [{"value": value}]}
        about = {"requestId": 1, "generatedAt": LATER, "seqNo": number, "tbc": more}
        return about | {"reportData": [entry]}

    site = RecordingSite("CP001")
    async with serving(site) as server, obedient(server.port, "2.0.1") as charger:
        charger.reports = [part(0, True, "1"), part(1, False, "2")]
        asked = {"requestId": 1, "reportBase": "FullInventory"}
        answered = await server.desk.ask("CP001", "GetBaseReport", asked)
        assert list(answered.report) == [
            entry for part in charger.reports for entry in part["reportData"]
        ]
        charger.reports = charger.reports[:1]
        answered = await server.desk.ask("CP001", "GetBaseReport", asked, timeout_s=0.2)
        assert len(answered.report) == 1
        charger.answers["GetBaseReport"] = {"status": "NotSupported"}
        charger.reports = []
        answered = await server.desk.ask("CP001", "GetBaseReport", asked)
        assert (answered.payload, answered.report) == ({"status": "NotSupported"}, ())


@pytest.mark.parametrize(
    ("action", "payload", "said"),
    [
        ("Rset", {}, "did you mean Reset?"),
        ("Foo", {}, 'OCPP 1.6 has nothing called Foo for a charger; "strom ocpp --list"'),
        ("BootNotification", {}, "OCPP 1.6 has nothing called BootNotification for a charger"),
        ("Reset", {}, "Reset was not sent: type is missing"),
        ("Reset", {"type": "Cold"}, "type: expected one of Hard, Soft"),
        ("Reset", {"type": "Soft", "force": 1}, "force: there is no such field here"),
        ("UnlockConnector", {"connectorId": "1"}, "connectorId: expected a whole number"),
        ("ChangeConfiguration", {"key": "x" * 51, "value": ""}, "key: expected at most 50 char"),
        (
            "SetChargingProfile",
            {"connectorId": 1, "csChargingProfiles": PROFILE_16 | {"stackLevel": "top"}},
            "csChargingProfiles.stackLevel: expected a whole number",
        ),
        (
            "SetChargingProfile",
            {
                "connectorId": 1,
                "csChargingProfiles": PROFILE_16
                | {
                    "chargingSchedule": {
                        "chargingRateUnit": "W",
                        "chargingSchedulePeriod": [{"startPeriod": 0}],
                    }
                },
            },
            "csChargingProfiles.chargingSchedule.chargingSchedulePeriod[0].limit is missing",
        ),
        (
            "UpdateFirmware",
            {"location": "https://example.com", "retrieveDate": "soon"},
            "retrieveDate: expected a time",
        ),
    ],
)
async def test_what_does_not_fit_is_named_and_not_sent(
    action: str, payload: dict[str, Any], said: str
) -> None:
    async with serving(RecordingSite("CP001")) as server, obedient(server.port) as charger:
        with pytest.raises(InvalidCall) as refused:
            await server.desk.ask("CP001", action, payload)
        assert said in str(refused.value)
        assert charger.asked == []


async def test_a_value_is_not_repeated_in_a_complaint() -> None:
    """It may be a password."""
    async with serving(RecordingSite("CP001")) as server, obedient(server.port):
        with pytest.raises(InvalidCall) as refused:
            await server.desk.ask("CP001", "ChangeConfiguration", {"key": 7, "value": ["hunter2"]})
        assert "hunter2" not in str(refused.value)


async def test_what_a_charger_does_wrong_is_a_sentence() -> None:
    async with serving(RecordingSite("CP001")) as server:
        with pytest.raises(NotConnected, match="CP001 is not connected"):
            await server.desk.ask("CP001", "ClearCache", {})
        async with obedient(server.port) as charger:
            charger.faults["ClearCache"] = "NotSupported"
            charger.deaf.add("Reset")
            with pytest.raises(CallRefused, match="ClearCache: the charger answered NotSupported"):
                await server.desk.ask("CP001", "ClearCache", {})
            charger.description = "sector 7\x1b[31m is bad, password=hunter2"
            with pytest.raises(CallRefused) as refused:
                await server.desk.ask("CP001", "ClearCache", {})
            assert str(refused.value) == (
                "ClearCache: the charger answered NotSupported: "
                r"sector 7\u001b[31m is bad, password=***"
            )
            with pytest.raises(NoAnswer, match="Reset: no answer within"):
                await server.desk.ask("CP001", "Reset", {"type": "Soft"}, timeout_s=0.1)


async def test_an_answer_outside_its_schema_is_shown_with_a_warning(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage, booted(stage) as raw:
        answered: list[Any] = []

        async def ask() -> None:
            answered.append(await stage.server.desk.ask("CP001", "ClearCache", {}))

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            asked = await raw.asked()
            await raw.send([3, asked[1], {"status": "Perhaps"}])
        assert answered[0].payload == {"status": "Perhaps"}
        assert answered[0].warnings == ("the charger's answer does not keep to its schema",)


async def test_what_a_charger_is_survives_a_restart(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        assert await stage.world.point.nameplate() == Nameplate()
        async with obedient(stage.server.port):
            pass
    async with staged(tmp_path) as stage:
        kept = await stage.world.point.nameplate()
        assert kept == Nameplate("Acme", "Wall One", "S-1", "1.2.3")


async def test_a_drivers_session_is_not_confused_with_the_operators_start(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage, booted(stage) as raw:
        ask = stage.server.desk.ask
        quote, transaction = await stage.charging(raw)
        for action, payload, said in (
            ("RemoteStartTransaction", {"idTag": quote.session_id}, "that of a driver's session"),
            ("RemoteStartTransaction", {"idTag": "OP", "connectorId": 1}, "session is open there"),
            ("RemoteStartTransaction", {"idTag": "OP"}, "session is open there"),
        ):
            with pytest.raises(Guarded) as guarded:
                await ask("CP001", action, payload, force=True)
            assert said in str(guarded.value)
        for action, payload in (
            ("RemoteStartTransaction", {"idTag": "OP", "connectorId": 2}),
            ("RemoteStopTransaction", {"transactionId": transaction}),
            ("Reset", {"type": "Soft"}),
            ("UnlockConnector", {"connectorId": 1}),
            ("ClearChargingProfile", {}),
        ):
            with pytest.raises(Guarded, match="--force sends it all the same"):
                await ask("CP001", action, payload)


async def test_a_start_by_hand_is_not_sold(tmp_path: Path) -> None:
    """It may be forced; the charger is told that its tag is invalid, and no session opens."""
    async with staged(tmp_path) as stage, booted(stage) as raw:
        async with anyio.create_task_group() as group:
            payload = {"idTag": "OPERATOR", "connectorId": 1}
            ask = stage.server.desk.ask
            group.start_soon(lambda: ask("CP001", "RemoteStartTransaction", payload, force=True))
            assert await raw.accept("RemoteStartTransaction") == payload
        start = {"connectorId": 1, "idTag": "OPERATOR", "meterStart": 1, "timestamp": stage.at()}
        answer = await raw.call("StartTransaction", start)
        assert answer["idTagInfo"] == {"status": "Invalid"}
        assert stage.world.point.sessions.open() == []

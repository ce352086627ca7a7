"""What an operator's hand must not do to money and security, and what it may when forced."""

from __future__ import annotations

from typing import Any

import pytest

from agent.ports.charge_point import Commitments
from bridge.ocpp.guards import Guarded, Situation, check

NOW_MS = 1_800_000_000_000
PAST, FUTURE = "2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"
FREE = Situation(NOW_MS, Commitments(frozenset(), frozenset(), idle=True))
BUSY = Situation(
    NOW_MS, Commitments(frozenset({1}), frozenset({5}), idle=False), frozenset({"5", "tx-a"})
)
SESSION = "0123456789abcdef"
TX_PROFILE = {"chargingProfilePurpose": "TxProfile"}


def variable(component: str, name: str, value: str) -> dict[str, Any]:
    data = {
        "component": {"name": component},
        "variable": {"name": name},
        "attributeValue": value,
    }
    return {"setVariableData": [data]}


def key(name: str, value: str) -> dict[str, Any]:
    return {"key": name, "value": value}


NEVER: list[tuple[str, dict[str, Any], Situation]] = [
    ("RemoteStartTransaction", {"idTag": SESSION.upper()}, FREE),
    ("RemoteStartTransaction", {"idTag": f" {SESSION}xx"}, FREE),
    ("RemoteStartTransaction", {"idTag": "A", "connectorId": 1}, BUSY),
    ("RemoteStartTransaction", {"idTag": "A"}, BUSY),
    ("RequestStartTransaction", {"idToken": {"idToken": SESSION}, "remoteStartId": 2**30}, FREE),
    ("RequestStartTransaction", {"idToken": {"idToken": "A"}, "remoteStartId": 1}, FREE),
    ("ChangeConfiguration", key("authorizationKey", "x"), FREE),
    ("SetVariables", variable("SecurityCtrlr", "BasicAuthPassword", "x"), FREE),
    ("ReserveNow", {"connectorId": 2, "expiryDate": PAST}, FREE),
    ("ReserveNow", {"evseId": 2, "expiryDateTime": PAST}, FREE),
    ("ReserveNow", {"connectorId": 1, "expiryDate": FUTURE}, BUSY),
    ("ReserveNow", {"connectorId": 0, "expiryDate": FUTURE}, BUSY),
]
FORCED: list[tuple[str, dict[str, Any], Situation]] = [
    ("RemoteStartTransaction", {"idTag": "A", "connectorId": 2}, BUSY),
    ("RemoteStartTransaction", {"idTag": "A"}, FREE),
    ("RequestStartTransaction", {"idToken": {"idToken": "A"}, "remoteStartId": 2**30}, FREE),
    ("RemoteStopTransaction", {"transactionId": 5}, BUSY),
    ("RequestStopTransaction", {"transactionId": "tx-a"}, BUSY),
    ("ChangeConfiguration", key("SecurityProfile", "2"), FREE),
    ("ChangeConfiguration", key("MeterValueSampleInterval", "0"), FREE),
    ("ChangeConfiguration", key("MeterValuesSampledData", "Voltage"), FREE),
    ("ChangeConfiguration", key("StopTransactionOnInvalidId", "false"), FREE),
    ("ChangeConfiguration", key("AllowOfflineTxForUnknownId", "TRUE"), FREE),
    ("SetVariables", variable("SampledDataCtrlr", "TxUpdatedInterval", "900"), FREE),
    ("SetVariables", variable("OCPPCommCtrlr", "NetworkConfigurationPriority", "2"), FREE),
    ("SetNetworkProfile", {}, FREE),
    ("Reset", {"type": "Soft"}, BUSY),
    ("UpdateFirmware", {}, BUSY),
    ("SignedUpdateFirmware", {}, BUSY),
    ("UnlockConnector", {"connectorId": 1}, BUSY),
    ("UnlockConnector", {"evseId": 1, "connectorId": 2}, BUSY),
    ("ClearChargingProfile", {}, BUSY),
    ("SetChargingProfile", {"csChargingProfiles": TX_PROFILE}, BUSY),
    ("SetChargingProfile", {"chargingProfile": TX_PROFILE}, BUSY),
    ("DeleteCertificate", {}, FREE),
    (
        "SendLocalList",
        {"localAuthorizationList": [{"idTag": "A", "idTagInfo": {"status": "Accepted"}}]},
        FREE,
    ),
]
ALWAYS: list[tuple[str, dict[str, Any], Situation]] = [
    ("RemoteStopTransaction", {"transactionId": 6}, BUSY),
    ("RemoteStopTransaction", {"transactionId": 5}, FREE),
    ("RequestStopTransaction", {"transactionId": "tx-b"}, BUSY),
    ("ChangeConfiguration", key("HeartbeatInterval", "60"), BUSY),
    ("ChangeConfiguration", key("MeterValueSampleInterval", "10"), FREE),
    ("SetVariables", variable("SampledDataCtrlr", "TxUpdatedInterval", "10"), FREE),
    ("ReserveNow", {"connectorId": 2, "expiryDate": FUTURE}, BUSY),
    ("Reset", {"type": "Hard"}, FREE),
    ("UnlockConnector", {"connectorId": 2}, BUSY),
    ("SetChargingProfile", {"csChargingProfiles": TX_PROFILE}, FREE),
    (
        "SendLocalList",
        {"localAuthorizationList": [{"idTag": "A", "idTagInfo": {"status": "Blocked"}}]},
        FREE,
    ),
    ("SendLocalList", {}, FREE),
    ("ClearCache", {}, BUSY),
]


@pytest.mark.parametrize(("action", "payload", "situation"), NEVER)
def test_what_is_never_sent(action: str, payload: dict[str, Any], situation: Situation) -> None:
    for force in (False, True):
        with pytest.raises(Guarded) as guarded:
            check(action, payload, situation, force=force)
        assert not guarded.value.forceable


@pytest.mark.parametrize(("action", "payload", "situation"), FORCED)
def test_what_must_be_forced(action: str, payload: dict[str, Any], situation: Situation) -> None:
    with pytest.raises(Guarded, match="--force sends it all the same") as guarded:
        check(action, payload, situation, force=False)
    assert guarded.value.forceable
    assert check(action, payload, situation, force=True) != []


@pytest.mark.parametrize(("action", "payload", "situation"), ALWAYS)
def test_what_may_always_be_sent(
    action: str, payload: dict[str, Any], situation: Situation
) -> None:
    assert check(action, payload, situation, force=False) == []


def test_a_refused_password_is_not_repeated() -> None:
    with pytest.raises(Guarded) as guarded:
        check("ChangeConfiguration", key("AuthorizationKey", "hunter2"), FREE, force=True)
    assert "hunter2" not in str(guarded.value)
    assert "password_file" in str(guarded.value)


def test_what_the_file_wants_otherwise_is_told() -> None:
    wanted = {"HeartbeatInterval": "600", "WifiPassword": "hunter2"}
    situation = Situation(NOW_MS, FREE.commitments, wanted=wanted)
    told = check("ChangeConfiguration", key("heartbeatinterval", "60"), situation, force=False)
    assert told == ["your file wants HeartbeatInterval = 600: the next check sets it back"]
    assert not check("ChangeConfiguration", key("HeartbeatInterval", "600"), situation, force=False)
    [told] = check("ChangeConfiguration", key("WifiPassword", "x"), situation, force=False)
    assert "hunter2" not in told

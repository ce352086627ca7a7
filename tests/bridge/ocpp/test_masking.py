"""No secret that OCPP can carry reaches the message log or a screen."""

from __future__ import annotations

import json

import pytest

from bridge.ocpp.masking import MASK, is_secret, masked, without_secrets

SECRET = "hunter2/7"
PASSWORD = {"name": "BasicAuthPassword"}
CONTROLLER = {"name": "SecurityCtrlr"}
PEM = f"-----BEGIN EC PRIVATE KEY-----\n{SECRET}\n-----END EC PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    "message",
    [
        [2, "1", "ChangeConfiguration", {"key": "AuthorizationKey", "value": SECRET}],
        [2, "1", "ChangeConfiguration", {"value": SECRET, "key": "authorizationkey"}],
        [2, "1", "ChangeConfiguration", {"key": "WLAN_PSK", "value": SECRET}],
        [3, "1", {"configurationKey": [
            {"key": "AuthorizationKey", "readonly": False, "value": SECRET}]}],
        [2, "1", "GetDiagnostics", {"location": f"ftp://user:{SECRET}@host/x"}],
        [2, "1", "UpdateFirmware", {"location": f"ftp://user:p@{SECRET}@host/x"}],
        [2, "1", "UpdateFirmware", {"location": f"https://host/x?a=1&X-Amz-Signature={SECRET}"}],
        [2, "1", "SignedUpdateFirmware", {"requestId": 1, "firmware": {
            "location": f"sftp://user:{SECRET}@host/x"}}],
        [2, "1", "GetLog", {"log": {"remoteLocation": f"https://:{SECRET}@host"}}],
        [2, "1", "SetVariables", {"setVariableData": [
            {"component": CONTROLLER, "variable": PASSWORD, "attributeValue": SECRET}]}],
        [3, "1", {"getVariableResult": [
            {"attributeStatus": "Accepted", "component": CONTROLLER, "variable": PASSWORD,
             "attributeValue": SECRET}]}],
        [2, "1", "NotifyReport", {"reportData": [
            {"component": CONTROLLER, "variable": PASSWORD,
             "variableAttribute": [{"type": "Actual", "value": SECRET}]}]}],
        [2, "1", "NotifyEvent", {"eventData": [
            {"component": CONTROLLER, "variable": PASSWORD, "actualValue": SECRET}]}],
        [2, "1", "SetVariables", {"setVariableData": [
            {"component": {"name": "X", "instance": "Passwords"}, "variable": {"name": "Y"},
             "attributeValue": SECRET}]}],
        [2, "1", "SetNetworkProfile", {"connectionData": {"vpn": {
            "server": "s", "user": "u", "password": SECRET, "key": SECRET, "type": "PPTP"},
            "apn": {"apn": "a", "apnPassword": SECRET, "simPin": SECRET}}}],
        [2, "1", "DataTransfer", {"vendorId": "x", "password": SECRET}],
        [2, "1", "DataTransfer", {"vendorId": "x", "data": json.dumps({"password": SECRET})}],
        [2, "1", "DataTransfer", {"vendorId": "x", "data": json.dumps(
            [{"key": "AuthorizationKey", "value": SECRET}])}],
        [2, "1", "DataTransfer", {"vendorId": "x", "data": f'{{"password": "{SECRET}'}],
        [2, "1", "DataTransfer", {"vendorId": "x", "data": f"ssid=a;wifi_password = {SECRET}"}],
        [2, "1", "DataTransfer", {"vendorId": "x", "data": PEM}],
        [2, "1", "DataTransfer", {"vendorId": "x", "data": PEM[:45]}],
        [2, "1", "MeterValues", {"connectorId": 1, "meterValue": [], "AuthorizationKey": SECRET}],
        [2, "1", "MeterValues", {"connectorId": 1, "meterValue": [
            {"timestamp": "", "sampledValue": [{"value": f"https://u:{SECRET}@host/"}]}]}],
        [2, "1", "Heartbeat", {"password": SECRET}],
        [2, f"https://u:{SECRET}@host/", "Heartbeat", {}],
        [3, f"password={SECRET}", {}],
        [4, "1", "InternalError", f"AuthorizationKey: {SECRET} is too short", {}],
    ],
)  # fmt: skip
def test_secrets_are_masked(message: object) -> None:
    text = masked(json.dumps(message).encode()).decode()
    for part in (SECRET, "hunter2"):
        assert part not in text
    assert MASK in text
    assert json.loads(text)


@pytest.mark.parametrize(
    "frame",
    [
        rb'[2,"1","GetDiagnostics",{"location":"ftp:\/\/user:hunter2@host\/x"}]',
        rb'[2,"1","ChangeConfiguration",{"key":"Authorization\u004bey","value":"hunter2"}]',
        rb'[2,"1","X",{"key":"AuthorizationKey","value":"hunter2',
        rb'[2,"1","X",{"key":"AuthorizationKey","value":"hunter2"}]' + b"\x00",
    ],
)
def test_no_spelling_of_the_frame_hides_them(frame: bytes) -> None:
    assert b"hunter2" not in masked(frame)


@pytest.mark.parametrize(
    "message",
    [
        {"key": "MeterValueSampleInterval", "readonly": False, "value": "10"},
        {"location": "https://example.com/firmware.bin?version=2"},
        {"component": {"name": "SampledDataCtrlr"}, "variable": {"name": "TxUpdatedInterval"},
         "attributeValue": "20", "attributeType": "Actual"},
        {"idTag": "0123456789abcdef", "status": "Accepted"},
        {"key": ["AuthorizationKey", "HeartbeatInterval"]},
        {"certificate": "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----"},
    ],
)  # fmt: skip
def test_what_is_no_secret_stays(message: object) -> None:
    assert without_secrets(message) == message


def test_of_a_secret_key_all_but_its_value_stays() -> None:
    shown = without_secrets({"key": "AuthorizationKey", "readonly": False, "value": "x"})
    assert shown == {"key": "AuthorizationKey", "readonly": False, "value": MASK}


def test_a_frame_without_secrets_stays_as_it_was() -> None:
    frame = b'[2, "1","A", {"x":\xff}]'
    assert masked(frame) == frame


def test_nesting_is_survived() -> None:
    frame = b'{"password":' + b"[" * 500 + b'"x"' + b"]" * 500 + b"}"
    assert MASK.encode() in masked(frame)
    assert b'"x"' not in masked(b'{"a":' + frame[12:-1] + b',"b":"://"}')


def test_secret_names() -> None:
    assert is_secret("BasicAuthPassword")
    assert not is_secret("MeterValuesSampledData")

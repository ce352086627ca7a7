"""The messages of a charger as the charge point hears them."""

from __future__ import annotations

from typing import Any

import pytest

from agent.machine.events import ConnectorStatus
from agent.machine.meter import Source
from agent.ports.charger import MeterReport, StartReport, StopReport
from bridge.ocpp import timestamps
from tests.bridge.ocpp.recorder import RecordingSite, StatusReport
from tests.bridge.ocpp.wire import RawCharger, charger, now_ms, serving


def meter_values(*wh: int, at_ms: int) -> list[dict[str, Any]]:
    return [
        {
            "timestamp": timestamps.render(at_ms + number),
            "sampledValue": [
                {"value": str(value), "unit": "Wh", "context": "Sample.Periodic"},
                {"value": "7.4", "unit": "kW", "measurand": "Power.Active.Import"},
            ],
        }
        for number, value in enumerate(wh)
    ]


async def test_a_session_of_a_well_behaved_charger() -> None:
    site = RecordingSite("CP001")
    point = site.points["CP001"]
    now = now_ms() - 5000
    async with serving(site) as server, charger(server) as raw:
        await raw.boot()
        status = {"connectorId": 1, "errorCode": "NoError", "status": "SuspendedEVSE"}
        assert await raw.call("StatusNotification", status) == {}
        answer = await raw.call(
            "StartTransaction",
            {
                "connectorId": 1,
                "idTag": "TAG",
                "meterStart": 100,
                "timestamp": timestamps.render(now),
            },
        )
        assert answer == {"transactionId": 1, "idTagInfo": {"status": "Accepted"}}
        values = {
            "connectorId": 1,
            "transactionId": 1,
            "meterValue": meter_values(150, 160, 170, at_ms=now),
        }
        assert await raw.call("MeterValues", values) == {}
        stop = {
            "transactionId": 1,
            "meterStop": 200,
            "timestamp": timestamps.render(now + 3000),
            "reason": "Remote",
            "transactionData": meter_values(100, 200, at_ms=now),
        }
        assert await raw.call("StopTransaction", stop) == {}
    assert [(report.connector, report.status) for report in point.of(StatusReport)] == [
        (1, ConnectorStatus.SUSPENDED_EVSE)
    ]
    assert point.of(StartReport) == [StartReport(1, "TAG", 100, now, now)]
    assert point.batches == [3, 2]
    assert point.of(MeterReport)[0] == MeterReport(1, 1, now, 150, 7400)
    assert point.reports[-2:] == [
        MeterReport(1, 1, now + 1, 200, 7400, source=Source.END_SAMPLE),
        StopReport(1, 200, now + 3000, "Remote", ""),
    ]


async def test_an_unknown_tag_is_told_so() -> None:
    async with serving(RecordingSite("CP001")) as server, charger(server) as raw:
        assert await raw.call("Authorize", {"idTag": "BAD"}) == {"idTagInfo": {"status": "Invalid"}}
        assert await raw.call("Authorize", {}) == {"idTagInfo": {"status": "Invalid"}}
        assert await raw.call("Authorize", {"idTag": "x"}) == {"idTagInfo": {"status": "Accepted"}}
        start = {"connectorId": 1, "idTag": "BAD", "meterStart": 0, "timestamp": "x"}
        answer = await raw.call("StartTransaction", start)
        assert answer["idTagInfo"] == {"status": "Invalid"}


async def test_notifications_are_acknowledged() -> None:
    async with serving(RecordingSite("CP001")) as server, charger(server) as raw:
        for action in (
            "DiagnosticsStatusNotification",
            "FirmwareStatusNotification",
            "LogStatusNotification",
            "SignedFirmwareStatusNotification",
        ):
            assert await raw.call(action, {"status": "Idle"}) == {}
        event = {"type": "InvalidCentralSystemCertificate", "timestamp": "2026-01-01T00:00:00Z"}
        assert await raw.call("SecurityEventNotification", event) == {}
        assert await raw.call("SignCertificate", {"csr": "x"}) == {"status": "Rejected"}
        answer = await raw.call("DataTransfer", {"vendorId": "x"})
        assert answer == {"status": "UnknownVendorId"}


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"transactionId": None, "meterStop": None, "timestamp": None, "transactionData": None},
        {"transactionId": "17.0", "meterStop": "x", "timestamp": 5, "transactionData": "junk"},
        {"transactionId": {"a": 1}, "meterStop": [], "reason": 7, "idTag": {"b": 2}},
        {"transactionId": -1, "transactionData": [{"sampledValue": [{"value": "x"}]}], "more": 1},
        {"transactionId": 10**40, "meterStop": -(10**40), "reason": "x" * 5000},
    ],
)
async def test_a_stop_is_acknowledged_whatever_it_says(payload: dict[str, Any]) -> None:
    site = RecordingSite("CP001")
    async with serving(site) as server, charger(server) as raw:
        assert await raw.call("StopTransaction", payload) == {}
    assert len(site.points["CP001"].of(StopReport)) == 1


@pytest.mark.parametrize(
    "payload", [{}, {"connectorId": None, "idTag": None}, {"meterStart": "12.0", "idTag": "x" * 99}]
)
async def test_a_start_is_answered_whatever_it_says(payload: dict[str, Any]) -> None:
    site = RecordingSite("CP001")
    async with serving(site) as server, charger(server) as raw:
        answer = await raw.call("StartTransaction", payload)
        assert answer["transactionId"] == 1


NO_READING: list[dict[str, Any]] = [
    {},
    {"connectorId": 0, "meterValue": meter_values(5, at_ms=0)},
    {"connectorId": 1, "meterValue": [{"timestamp": "x", "sampledValue": []}]},
    {"connectorId": 1, "meterValue": None},
    {"connectorId": "one", "meterValue": 7},
]


@pytest.mark.parametrize("payload", NO_READING)
async def test_meter_values_without_a_reading_are_acknowledged(payload: dict[str, Any]) -> None:
    site = RecordingSite("CP001")
    async with serving(site) as server, charger(server) as raw:
        assert await raw.call("MeterValues", payload) == {}
    assert not site.points["CP001"].reports


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"connectorId": 1},
        {"connectorId": 1, "status": "Dancing"},
        {"connectorId": -4, "status": "Available"},
        {"connectorId": 1, "status": "Offline"},
        {"connectorId": "x", "status": ["Available"]},
    ],
)
async def test_a_status_that_means_nothing_is_acknowledged(payload: dict[str, Any]) -> None:
    site = RecordingSite("CP001")
    async with serving(site) as server, charger(server) as raw:
        assert await raw.call("StatusNotification", payload) == {}
    assert not site.points["CP001"].reports


async def status_at(raw: RawCharger, written: str) -> None:
    await raw.call(
        "StatusNotification",
        {"connectorId": 1, "errorCode": "NoError", "status": "Available", "timestamp": written},
    )


async def test_samples_are_corrected_by_the_clock_that_a_status_showed() -> None:
    site = RecordingSite("CP001")
    hour_ms = 3_600_000
    async with serving(site) as server, charger(server) as raw:
        await raw.boot()
        await status_at(raw, timestamps.render(now_ms() - hour_ms))
        sampled = now_ms() - 60_000
        values = {"connectorId": 1, "meterValue": meter_values(5, at_ms=sampled - hour_ms)}
        await raw.call("MeterValues", values)
    report = site.points["CP001"].of(MeterReport)[0]
    assert abs(report.sampled_at_ms - sampled) < 5000


async def test_a_state_of_ocpp_1_5_is_understood_and_offline_is_none_of_a_chargers() -> None:
    site = RecordingSite("CP001")
    async with serving(site) as server, charger(server) as raw:
        for status in ("Occupied", "Offline", "SUSPENDEDEV "):
            payload = {"connectorId": 1, "errorCode": "NoError", "status": status}
            assert await raw.call("StatusNotification", payload) == {}
    assert [report.status for report in site.points["CP001"].of(StatusReport)] == [
        ConnectorStatus.CHARGING,
        ConnectorStatus.SUSPENDED_EV,
    ]


async def test_the_connectors_of_many_transactions_are_not_all_remembered() -> None:
    """A stop names no connector; the transaction's start did, if that was not too long ago."""
    site = RecordingSite("CP001")
    async with serving(site) as server, charger(server) as raw:
        for number in range(65):
            start = {"connectorId": 1, "idTag": f"T{number}", "meterStart": 0}
            answer = await raw.call("StartTransaction", start)
            assert answer["transactionId"] == number + 1
        for transaction_id in (1, 65):
            data = meter_values(100, at_ms=now_ms())
            stop = {"transactionId": transaction_id, "transactionData": data}
            assert await raw.call("StopTransaction", stop) == {}
    reports = site.points["CP001"].of(MeterReport)
    assert [(report.transaction_id, report.connector) for report in reports] == [(1, 0), (65, 1)]

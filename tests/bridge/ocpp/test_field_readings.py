"""What chargers in the field write wrong: units, registers, times, JSON; and what is billed.

The problems 13 to 17, all against a real site over real sockets. Those of transactions are in
`test_field_transactions`, those of connections in `test_field_connections`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from agent.machine.model import SessionState
from tests.bridge.ocpp.stage import METER_START, Stage, booted, staged
from tests.bridge.ocpp.wire import charger


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncGenerator[Stage]:
    async with staged(tmp_path) as here:
        yield here


@pytest.mark.parametrize(
    ("register", "unit", "expected"),
    [
        (METER_START + 150, None, 150),
        ("40.15003999999999998", "kWh", 150),
        ("40,15", "kwh", 150),
        (f"{METER_START + 150}.49", "Wh", 150),
    ],
)
async def test_13_units_are_missing_or_odd(
    stage: Stage, register: object, unit: str | None, expected: int
) -> None:
    """Watts shown as kilowatts for want of a unit; kWh with sixteen digits: lbbrhzn/ocpp#1989."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.sample(raw, register, unit=unit, transactionId=transaction_id)
        assert stage.session(quote).energy_wh == expected
        await stage.stop(raw, transaction_id, meterStop=METER_START + 200)
        assert await stage.closed(quote) == (200, 60_000, 940_000)


async def test_13_watts_without_a_unit_and_whole_kwh_named_wh(stage: Stage) -> None:
    """Power without its unit is in watts (#1989); kWh without decimals are called Wh
    (OpenEVSE/openevse_esp32_firmware#703), and the stop, in Wh, says what it was."""
    async with booted(stage) as raw:
        quote = await stage.paid(raw)
        answer = await stage.start(raw, quote, meterStart=361_000)
        transaction_id = answer["transactionId"]
        stage.world.clock.advance(60)
        values = [{"value": "9451", "measurand": "Power.Active.Import"}, {"value": "361"}]
        meter_value = [{"timestamp": stage.at(), "sampledValue": values}]
        payload = {"connectorId": 1, "transactionId": transaction_id, "meterValue": meter_value}
        await raw.call("MeterValues", payload)
        assert stage.session(quote).power_w == 9_451
        await stage.stop(raw, transaction_id, meterStop=361_900)
        assert await stage.closed(quote) == (900, 270_000, 730_000)


@pytest.mark.parametrize("stop", [METER_START + 1000, 1000])
async def test_14_a_register_that_counts_from_zero_in_each_session(stage: Stage, stop: int) -> None:
    """meterStart and meterStop are the lifetime's, the samples the session's: -4076 kWh,
    lbbrhzn/ocpp#2093. Others stop by the session's register, too."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.sample(raw, 200, transactionId=transaction_id)
        await stage.sample(raw, 900, transactionId=transaction_id)
        assert stage.session(quote).energy_wh == 900
        await stage.stop(raw, transaction_id, meterStop=stop)
        assert await stage.closed(quote) == (1000, 300_000, 700_000)


async def test_14_a_stop_below_the_start(stage: Stage) -> None:
    """meterStop < meterStart: nothing negative is ever billed."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.stop(raw, transaction_id, meterStop=METER_START - 5)
        session = await stage.until(quote, SessionState.CLOSED)
        assert session.energy_wh == 0
        assert session.owed_msat == 1_000_000


@pytest.mark.parametrize("named", [{}, {"transactionId": 0}, {"transactionId": 2**63 - 1}])
async def test_15_meter_values_name_no_transaction(stage: Stage, named: dict[str, Any]) -> None:
    """Without an id (citrineos-core PR 1025), or 0, or 2^63-1 (mobilityhouse/ocpp#478, #617)."""
    async with booted(stage) as raw:
        quote, _ = await stage.charging(raw)
        await stage.sample(raw, METER_START + 250, **named)
        assert stage.session(quote).energy_wh == 250
        await stage.status(raw, "Available")
        await stage.sample(raw, METER_START + 250, **named)
        await stage.tick(61)
        assert await stage.closed(quote) == (250, 75_000, 925_000)
        await stage.sample(raw, METER_START + 900, **named)
        assert await stage.closed(quote) == (250, 75_000, 925_000)


async def test_16_what_no_schema_allows_is_read_all_the_same(stage: Stage) -> None:
    """Unit Hz, errorCode Error, long serials, null optionals, 12.0, corrupted JSON."""
    async with charger(stage.server) as raw:
        boot = {
            "chargePointVendor": "x" * 300,
            "chargePointModel": None,
            "chargePointSerialNumber": "y" * 300,
        }
        assert (await raw.call("BootNotification", boot))["status"] == "Accepted"
        status = {"connectorId": 1.0, "errorCode": "Error", "status": "available", "info": None}
        assert await raw.call("StatusNotification", status) == {}
        quote = await stage.paid(raw)
        answer = await stage.start(
            raw, quote, connectorId=1.0, meterStart=float(METER_START), reservationId=None, extra=1
        )
        transaction_id = answer["transactionId"]
        stage.world.clock.advance(10)
        values = [
            {"value": "50.0", "measurand": "Frequency", "unit": "Hz"},
            {"value": METER_START + 320, "context": None, "measurand": None, "unit": None},
        ]
        meter_value = [{"timestamp": stage.at(), "sampledValue": values}]
        payload = {
            "connectorId": 1,
            "transactionId": f"{transaction_id}",
            "meterValue": meter_value,
        }
        assert await raw.call("MeterValues", payload) == {}
        assert stage.session(quote).energy_wh == 320
        stop = {
            "transactionId": float(transaction_id),
            "meterStop": f"{METER_START + 400}.0",
            "timestamp": stage.at(),
            "reason": "BECAUSE",
            "serial": "\\?",
        }
        await raw.send(json.dumps([2, "s", "StopTransaction", stop]).replace("\\\\", "\\"))
        assert await raw.receive() == [3, "s", {}]
        assert await stage.closed(quote) == (400, 120_000, 880_000)


@pytest.mark.parametrize("year", ["1970-01-01T00:03:00Z", "2000-01-01 00:00:00", "yesterday", None])
async def test_17_the_charger_does_not_know_the_time(stage: Stage, year: str | None) -> None:
    """Timestamps of 1970: matth-x/MicroOcpp#311, steve#136. The arrival counts."""
    async with booted(stage) as raw:
        quote = await stage.paid(raw)
        answer = await stage.start(raw, quote, timestamp=year)
        assert await stage.start(raw, quote, timestamp=year) == answer
        started_at_ms = stage.session(quote).started_at_ms
        assert started_at_ms == stage.world.clock()
        stage.world.clock.advance(30)
        value = {"timestamp": year, "sampledValue": [{"value": f"{METER_START + 90}"}]}
        await raw.call("MeterValues", {"connectorId": 1, "meterValue": [value]})
        assert stage.session(quote).energy_wh == 90
        assert stage.session(quote).charging_ms == 30_000
        await stage.stop(raw, answer["transactionId"], timestamp=year)
        assert await stage.closed(quote) == (1000, 300_000, 700_000)
        assert stage.session(quote).charging_ms == 40_000


@pytest.mark.parametrize("hours", [2, -5])
async def test_17_the_charger_writes_local_time_as_utc(stage: Stage, hours: int) -> None:
    """Its clock is measured by what it writes at the moment of sending, and corrected."""
    async with charger(stage.server) as raw:
        await raw.boot()
        off_s = 3600 * hours
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
        await raw.call("StatusNotification", status | {"timestamp": stage.at(off_s)})
        quote = await stage.paid(raw)
        answer = await stage.start(raw, quote, timestamp=stage.at(off_s))
        assert stage.session(quote).started_at_ms == stage.world.clock()
        stage.world.clock.advance(60)
        await raw.call("Heartbeat", {})
        await stage.stop(raw, answer["transactionId"], timestamp=stage.at(off_s + 10))
        assert await stage.closed(quote) == (1000, 300_000, 700_000)
        assert stage.session(quote).charging_ms == 70_000


async def test_17_what_was_kept_while_offline_does_not_look_like_a_slow_clock(stage: Stage) -> None:
    """MicroOcpp comes back without a boot and delivers first its statuses and then its stop, all
    with the times at which they happened: a car that left during an outage pays for no more."""
    async with booted(stage) as raw:
        quote, number = await stage.charging(raw)
        stage.world.clock.advance(30)
        left = stage.at()
    stage.world.clock.advance(600)
    async with charger(stage.server) as raw:
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
        await raw.call("StatusNotification", status | {"timestamp": left})
        # The stop has a while to come: what it tells is the bill.
        await stage.world.site.ring_due()
        await stage.stop(raw, number, timestamp=left, meterStop=METER_START + 90)
        session = await stage.until(quote, SessionState.CLOSED)
        assert (session.charging_ms, session.energy_wh) == (30_000, 90)

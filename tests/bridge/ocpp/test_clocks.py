"""Clocks of chargers that are off: nobody pays for the time that they are off by."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.agent.world import ManualClock
from tests.bridge.ocpp.obedient import obedient
from tests.bridge.whole import METER_START, whole

HOUR_S = 3_600


@pytest.mark.parametrize("behind_s", [HOUR_S, -60])
async def test_a_clock_that_is_off_is_known_after_a_restart(tmp_path: Path, behind_s: int) -> None:
    async with (
        whole(tmp_path) as strom,
        obedient(strom.app.ocpp_port) as charger,
    ):
        await charger.boot()
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
        await charger.say("StatusNotification", status | {"timestamp": strom.at(-behind_s)})
        note = await strom.point.note("clock")
        while not note:
            note = await strom.point.note("clock")
        assert abs(int(note) - behind_s * 1000) < 1000
    async with (
        whole(tmp_path) as strom,
        obedient(strom.app.ocpp_port) as charger,
    ):
        # It was never without power, so that it does not boot.
        await charger.say("StatusNotification", status)
        quote = await strom.paid(charger, 1000)
        strom.clock.advance(50)
        start = {"connectorId": 1, "idTag": quote.session_id, "meterStart": METER_START}
        answer = await charger.say("StartTransaction", start | {"timestamp": strom.at(-behind_s)})
        session = strom.point.sessions.get(quote.session_id)
        assert session.started_at_ms is not None
        assert abs(session.started_at_ms - strom.clock()) < 1000
        stop = {"transactionId": answer["transactionId"], "meterStop": METER_START + 100}
        ended_at = strom.at(10 - behind_s)
        strom.clock.advance(200)
        await charger.say("StopTransaction", stop | {"timestamp": ended_at})
        session = strom.point.sessions.get(quote.session_id)
        assert abs(session.charging_ms - 10_000) < 1000


async def test_a_state_that_was_kept_since_an_outage_dates_nothing_anew(tmp_path: Path) -> None:
    """Some chargers keep their states in one queue with the rest, and boot before they send it."""
    async with whole(tmp_path) as strom:
        async with obedient(strom.app.ocpp_port) as charger:
            await charger.boot()
            status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
            await charger.say("StatusNotification", status | {"timestamp": strom.at()})
            quote, number = await strom.charging(charger, 1000)
            await strom.sample(charger, number, register=METER_START + 100, after_s=10)
        ended_at = strom.at(10)
        strom.clock.advance(HOUR_S / 2)
        async with obedient(strom.app.ocpp_port) as charger:
            await charger.boot()
            status = {"connectorId": 1, "errorCode": "NoError", "status": "Finishing"}
            await charger.say("StatusNotification", status | {"timestamp": ended_at})
            stop = {"transactionId": number, "meterStop": METER_START + 200}
            await charger.say("StopTransaction", stop | {"timestamp": ended_at})
            session = strom.point.sessions.get(quote.session_id)
            assert session.state == "CLOSED"
            assert session.charging_ms <= 20_000


@pytest.mark.parametrize("year", ["1970", "2026"])
async def test_readings_that_come_again_with_the_stop_are_not_counted_twice(
    tmp_path: Path, year: str
) -> None:
    """A charger without a clock sends the whole curve with its stop (StopTxnSampledData)."""

    def reading(register: int) -> dict[str, object]:
        written = f"{year}-01-01T00:{register // 100 % 60:02}:00Z"
        return {"timestamp": written, "sampledValue": [{"value": str(register)}]}

    async with (
        whole(tmp_path) as strom,
        obedient(strom.app.ocpp_port) as charger,
    ):
        await charger.boot()
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
        await charger.say("StatusNotification", status)
        quote, number = await strom.charging(charger, 1000, timestamp=f"{year}-01-01T00:00:00Z")
        curve = [reading(METER_START + wh) for wh in (0, 300, 600, 900)]
        for value in curve[1:]:
            strom.clock.advance(60)
            values = {"connectorId": 1, "transactionId": number, "meterValue": [value]}
            await charger.say("MeterValues", values)
        stop = {"transactionId": number, "meterStop": METER_START + 950, "transactionData": curve}
        await charger.say("StopTransaction", stop | {"timestamp": f"{year}-01-01T00:05:00Z"})
        assert strom.point.sessions.get(quote.session_id).energy_wh == 950


@pytest.mark.parametrize("step_s", [2 * HOUR_S, 3 * 24 * HOUR_S, -2 * HOUR_S])
async def test_readings_count_from_the_first_one_after_our_clock_was_set(
    tmp_path: Path, step_s: int
) -> None:
    """The charger goes by the time that it was told before."""
    steady = ManualClock(0)
    async with (
        whole(tmp_path, steady=steady) as strom,
        obedient(strom.app.ocpp_port) as charger,
    ):
        await charger.boot()
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
        await charger.say("StatusNotification", status | {"timestamp": strom.at()})
        quote, number = await strom.charging(charger, 1000)
        strom.clock.advance(step_s)
        await strom.app.site.ring_due()
        for turn in (1, 2):
            steady.advance(20)
            strom.clock.advance(20)
            sample = [{"value": str(METER_START + 60 * turn)}]
            value = {"timestamp": strom.at(-step_s), "sampledValue": sample}
            reading = {"connectorId": 1, "transactionId": number, "meterValue": [value]}
            await charger.say("MeterValues", reading)
            assert strom.point.sessions.get(quote.session_id).energy_wh == 60 * turn
        # A heartbeat tells the charger the time, by which it goes from now on.
        await charger.say("Heartbeat", {})
        value = {"timestamp": strom.at(), "sampledValue": [{"value": str(METER_START + 180)}]}
        await charger.say("MeterValues", reading | {"meterValue": [value]})
        assert strom.point.sessions.get(quote.session_id).energy_wh == 180

"""Meters and clocks of hostile or broken chargers, and what is billed by them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from agent.machine.model import SessionState
from agent.ports.charger import StartReport
from tests.bridge.ocpp.stage import METER_START, Stage, billed, booted, staged
from tests.bridge.ocpp.wire import charger


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncGenerator[Stage]:
    async with staged(tmp_path) as here:
        yield here


@pytest.mark.parametrize("meter_start", [None, -1, "", "n/a", -(10**20), 2**62, {}])
async def test_a_start_without_a_register(stage: Stage, meter_start: object) -> None:
    """The first reading is where counting begins, not zero: a lifetime of the meter is nobody's
    bill (evcc-io/evcc#29374)."""
    async with booted(stage) as raw:
        quote = await stage.paid(raw)
        answer = await stage.start(raw, quote, meterStart=meter_start)
        assert answer["idTagInfo"] == {"status": "Accepted"}
        await stage.sample(raw, METER_START)
        assert stage.session(quote).energy_wh == 0
        await stage.sample(raw, METER_START + 200)
        assert stage.session(quote).energy_wh == 200
        await stage.stop(raw, answer["transactionId"])
        assert await stage.closed(quote) == (1000, 300_000, 700_000)


async def test_a_start_and_no_register_at_all_before_the_stop(stage: Stage) -> None:
    async with booted(stage) as raw:
        quote = await stage.paid(raw)
        answer = await stage.start(raw, quote, meterStart=None)
        await stage.stop(raw, answer["transactionId"])
        assert await stage.closed(quote) == (0, 0, 1_000_000)


async def test_meter_values_for_the_transaction_of_another_connector(stage: Stage) -> None:
    """Connector 1's meter speaks in the name of connector 2's transaction: neither driver pays
    for what the other took."""
    async with booted(stage) as raw:
        one, one_id = await stage.charging(raw)
        two = await stage.paid(raw, connector=2)
        two_id = (await stage.start(raw, two, meterStart=900_000))["transactionId"]
        await stage.sample(raw, METER_START + 100, transactionId=two_id)
        await stage.sample(raw, 900_200, connectorId=2, transactionId=two_id)
        await stage.sample(raw, METER_START + 200, transactionId=one_id)
        await stage.stop(raw, two_id, meterStop=900_400)
        await stage.stop(raw, one_id, meterStop=METER_START + 500)
        assert await stage.closed(two) == (400, 120_000, 880_000)
        assert await stage.closed(one) == (500, 150_000, 850_000)


async def test_meter_values_with_a_number_of_another_charge_point(stage: Stage) -> None:
    """The charger counts its transactions by itself, and its number is that of somebody else."""
    async with booted(stage) as raw:
        journal = stage.world.journal
        other = journal.transactions.next_id()
        await journal.transactions.add("CP777", other, StartReport(1, "04AABBCC", 0, 0))
        quote, transaction_id = await stage.charging(raw)
        assert other != transaction_id
        await stage.sample(raw, METER_START + 300, transactionId=other)
        assert stage.session(quote).energy_wh == 300
        await stage.stop(raw, other, meterStop=METER_START + 400, idTag=quote.session_id)
        assert await stage.closed(quote) == (400, 120_000, 880_000)


async def test_the_register_runs_back_and_on_again(stage: Stage) -> None:
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        for register, energy_wh in ((500, 500), (100, 500), (100, 500), (600, 600), (900, 900)):
            await stage.sample(raw, METER_START + register, transactionId=transaction_id)
            assert stage.session(quote).energy_wh == energy_wh
        await stage.stop(raw, transaction_id, meterStop=METER_START + 1000)
        assert await stage.closed(quote) == (1000, 300_000, 700_000)


async def test_the_register_falls_back_to_what_was_saved_last(stage: Stage) -> None:
    """After a loss of power it counts on from the value of an hour ago: so does the bill."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.sample(raw, METER_START + 500, transactionId=transaction_id)
        assert stage.session(quote).energy_wh == 500
    stage.world.clock.advance(60)
    async with booted(stage) as raw:
        for register, energy_wh in ((300, 500), (400, 600)):
            await stage.sample(raw, METER_START + register, transactionId=transaction_id)
            assert stage.session(quote).energy_wh == energy_wh
        await stage.stop(raw, transaction_id, meterStop=METER_START + 450)
        assert await stage.closed(quote) == (650, 195_000, 805_000)


async def test_the_register_falls_back_in_a_charger_that_is_back_at_once(stage: Stage) -> None:
    """It boots within a second, before anybody has noticed that its connection is dead."""
    async with booted(stage) as before:
        quote, transaction_id = await stage.charging(before)
        await stage.sample(before, METER_START + 500, transactionId=transaction_id)
        stage.world.clock.advance(1)
        async with booted(stage) as raw:
            assert stage.session(quote).unheard_since_ms is None
            for register, energy_wh in ((300, 500), (400, 600)):
                await stage.sample(raw, METER_START + register, transactionId=transaction_id)
                assert stage.session(quote).energy_wh == energy_wh


async def test_readings_that_waited_in_a_charger_without_a_clock_count_once(stage: Stage) -> None:
    """What is new comes before what waited, and nothing tells when it was read."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        readings = ((700, 700), (250, 700), (400, 700), (550, 700), (800, 800))
        for register, energy_wh in readings:
            await stage.sample(raw, METER_START + register, transactionId=transaction_id)
            assert stage.session(quote).energy_wh == energy_wh
        await stage.stop(raw, transaction_id, meterStop=METER_START + 900)
        assert await stage.closed(quote) == (900, 270_000, 730_000)


async def test_units_change_in_the_middle_of_a_session(stage: Stage) -> None:
    """Wh and kWh take turns, rightly labelled and wrongly: the stop, in Wh, tells the truth."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        for value, unit in (
            (METER_START + 100, "Wh"),
            ("40.2", "kWh"),
            ("40.3", "Wh"),
            (METER_START + 400, "kWh"),
            (METER_START + 500, "Wh"),
        ):
            await stage.sample(raw, value, unit=unit, transactionId=transaction_id)
            assert stage.session(quote).energy_wh <= 500
        await stage.stop(raw, transaction_id, meterStop=METER_START + 600)
        assert await stage.closed(quote) == (600, 180_000, 820_000)


async def test_a_leap_of_ten_megawatt_hours(stage: Stage) -> None:
    """Nobody is billed for it, whether the register stays up there or comes back."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.sample(raw, METER_START + 100, transactionId=transaction_id)
        await stage.sample(raw, METER_START + 10_000_100, transactionId=transaction_id)
        await stage.sample(raw, METER_START + 10_000_200, transactionId=transaction_id)
        assert stage.session(quote).energy_wh == 200
        await stage.stop(raw, transaction_id, meterStop=METER_START + 10_000_300)
        assert await stage.closed(quote) == (300, 90_000, 910_000)


async def test_timestamps_far_in_the_future(stage: Stage) -> None:
    """Nothing is reported before it happened, and one leap of the clock spoils nothing after."""
    async with booted(stage) as raw:
        quote = await stage.paid(raw)
        answer = await stage.start(raw, quote, timestamp="2099-12-31T23:59:59Z")
        assert stage.session(quote).started_at_ms == stage.world.clock()
        await stage.sample(raw, METER_START + 100)
        await stage.sample(raw, METER_START + 200)
        session = stage.session(quote)
        assert (session.energy_wh, session.charging_ms) == (200, 20_000)
        await stage.stop(raw, answer["transactionId"], timestamp="9999-12-31T23:59:59.999Z")
        session = await stage.until(quote, SessionState.CLOSED)
        assert billed(session) == (1000, 300_000, 700_000)
        assert session.charging_ms == 30_000


@pytest.mark.parametrize("leap_s", [3600, -3600])
async def test_the_clock_leaps_by_an_hour_in_the_middle_of_a_session(
    stage: Stage, leap_s: int
) -> None:
    """Local time written as UTC, on the night when summer time begins or ends."""

    async def sampled(register: int, written: str) -> None:
        value = {"timestamp": written, "sampledValue": [{"value": str(register)}]}
        assert await raw.call("MeterValues", {"connectorId": 1, "meterValue": [value]}) == {}

    async with charger(stage.server) as raw:
        await raw.boot()
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
        await raw.call("StatusNotification", status | {"timestamp": stage.at(7200)})
        quote = await stage.paid(raw, sats=100_000)
        answer = await stage.start(raw, quote, timestamp=stage.at(7200))
        for minute in range(1, 21):
            stage.world.clock.advance(60)
            if minute % 5 == 0:
                await raw.call("Heartbeat", {})
            off_s = 7200 if minute < 10 else 7200 + leap_s
            await sampled(METER_START + 100 * minute, stage.at(off_s))
        session = stage.session(quote)
        assert (session.energy_wh, session.charging_ms) == (2000, 1_200_000)
        await stage.stop(
            raw,
            answer["transactionId"],
            meterStop=METER_START + 2100,
            timestamp=stage.at(7200 + leap_s + 10),
        )
        session = await stage.until(quote, SessionState.CLOSED)
        assert billed(session) == (2100, 630_000, 99_370_000)
        assert session.charging_ms == 1_210_000


async def test_a_message_that_repeats_readings_and_has_new_ones(stage: Stage) -> None:
    """The charger sends all readings since the start each time: what is new in it counts."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        values: list[object] = []
        for number in range(1, 4):
            stage.world.clock.advance(10)
            register = str(METER_START + 100 * number)
            values.append({"timestamp": stage.at(), "sampledValue": [{"value": register}]})
            payload = {"connectorId": 1, "transactionId": transaction_id, "meterValue": values}
            assert await raw.call("MeterValues", payload) == {}
            assert stage.session(quote).energy_wh == 100 * number
        await stage.stop(raw, transaction_id, meterStop=None)
        assert await stage.closed(quote) == (300, 90_000, 910_000)

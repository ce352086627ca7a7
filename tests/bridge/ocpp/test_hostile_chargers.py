"""Chargers that are hostile, confused or broken beyond the known field problems.

Each test says what becomes of the money: the driver's and the operator's.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from agent.machine.events import Obstacle
from agent.machine.model import SessionState
from agent.ports.charger import StartReport
from bridge.ocpp.limits import Limits
from tests.agent.world import config
from tests.bridge.ocpp.stage import METER_START, Stage, billed, booted, staged
from tests.bridge.ocpp.wire import charger


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncGenerator[Stage]:
    async with staged(tmp_path) as here:
        yield here


async def test_a_transaction_on_another_connector_than_the_one_that_was_paid(
    stage: Stage,
) -> None:
    """The driver plugs in next door, and the charger starts him there: it is his session all the
    same, and what that connector says counts for it."""
    async with booted(stage) as raw:
        await stage.status(raw, "Available", 2)
        quote = await stage.paid(raw)
        await stage.status(raw, "Preparing", 2)
        answer = await stage.start(raw, quote, connectorId=2)
        assert answer["idTagInfo"] == {"status": "Accepted"}
        await stage.status(raw, "Charging", 2)
        await stage.sample(raw, METER_START + 400, connectorId=2)
        await stage.status(raw, "Available", 1)
        await stage.tick(61)
        assert stage.session(quote).state is SessionState.CHARGING
        assert stage.session(quote).energy_wh == 400
        await stage.status(raw, "Available", 2)
        await stage.tick(61)
        assert await stage.closed(quote) == (400, 120_000, 880_000)
        assert [await stage.world.point.obstacle(connector) for connector in (1, 2)] == [None, None]


@pytest.mark.parametrize("connector", [0, 99, -1, None, "x"])
async def test_a_start_on_a_connector_that_does_not_exist(stage: Stage, connector: object) -> None:
    """It is the session's own connector that is meant: there the tag was sent."""
    async with booted(stage) as raw:
        quote = await stage.paid(raw, connector=2)
        answer = await stage.start(raw, quote, connectorId=connector)
        await stage.sample(raw, METER_START + 100, connectorId=2)
        assert stage.session(quote).energy_wh == 100
        views = (await stage.world.point.view()).connectors
        assert [(view.id, view.obstacle) for view in views] == [(1, None), (2, Obstacle.OCCUPIED)]
        await stage.stop(raw, answer["transactionId"])
        assert await stage.closed(quote) == (1000, 300_000, 700_000)


async def test_connectors_that_do_not_exist_fill_neither_memory_nor_disk(stage: Stage) -> None:
    """A charger makes up connectors: none of them is remembered."""
    async with booted(stage) as raw:
        for connector in range(3, 40):
            await stage.status(raw, "Charging", connector)
        await stage.status(raw, "Available", 0)
        assert set(stage.world.journal.connectors("CP001")) == {0, 1}


async def test_a_stranger_starts_on_the_connector_of_a_session(stage: Stage) -> None:
    """One connector has one transaction: the paid one has ended without a word. A stranger's
    energy is not the driver's to pay, whether its samples name a transaction or none."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.sample(raw, METER_START + 500, transactionId=transaction_id)
        answer = await stage.start(raw, quote, idTag="04AABBCC", meterStart=METER_START + 500)
        assert answer["idTagInfo"] == {"status": "Invalid"}
        await stage.status(raw, "Charging")
        await stage.sample(raw, METER_START + 900)
        await stage.sample(raw, METER_START + 1900, transactionId=answer["transactionId"])
        await stage.tick(61)
        assert await stage.closed(quote) == (500, 150_000, 850_000)
        await stage.stop(raw, transaction_id, meterStop=METER_START + 2000)
        assert billed(stage.session(quote)) == (500, 150_000, 850_000)


async def test_a_stranger_starts_and_the_stop_of_the_session_comes_late(stage: Stage) -> None:
    """The order of the two was changed on the way: the stop counts."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.sample(raw, METER_START + 500, transactionId=transaction_id)
        await stage.start(raw, quote, idTag="04AABBCC", meterStart=METER_START + 600)
        await stage.stop(raw, transaction_id, meterStop=METER_START + 600)
        assert await stage.closed(quote) == (600, 180_000, 820_000)


async def test_a_late_stop_of_the_session_before(stage: Stage) -> None:
    """The first session was given up; its stop comes while the next driver charges there."""
    async with booted(stage) as raw:
        first, first_id = await stage.charging(raw)
        await stage.sample(raw, METER_START + 300, transactionId=first_id)
        await stage.status(raw, "Available")
        await stage.tick(61)
        before = await stage.closed(first)
        assert before == (300, 90_000, 910_000)
        second = await stage.paid(raw)
        answer = await stage.start(raw, second, meterStart=METER_START + 350)
        await stage.status(raw, "Charging")
        await stage.stop(raw, first_id, meterStop=METER_START + 350)
        await stage.stop(raw, first_id, meterStop=METER_START + 350, idTag=first.session_id)
        assert billed(stage.session(first)) == before
        assert stage.session(second).state is SessionState.CHARGING
        view = (await stage.world.point.view()).connectors[0]
        assert view.status.value == "Charging"
        await stage.stop(raw, answer["transactionId"], meterStop=METER_START + 1350)
        assert await stage.closed(second) == (1000, 300_000, 700_000)


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


async def test_the_stop_comes_before_its_start(stage: Stage) -> None:
    """A queue is delivered in the wrong order: the stop names the tag, which is the session's
    alone, and its start comes behind it."""
    async with booted(stage) as raw:
        quote = await stage.paid(raw)
        stage.world.clock.advance(60)
        started_at = stage.at(-50)
        await stage.stop(raw, -1, idTag=quote.session_id, meterStop=METER_START + 700)
        assert stage.session(quote).state is SessionState.STARTING
        await stage.start(raw, quote, timestamp=started_at)
        assert await stage.closed(quote) == (700, 210_000, 790_000)


async def test_a_stop_is_sent_before_its_start_was_answered(stage: Stage) -> None:
    """The charger does not know its transaction yet, and does not wait to hear of it."""
    async with booted(stage) as raw:
        quote = await stage.paid(raw)
        start = {
            "connectorId": 1,
            "idTag": quote.session_id,
            "meterStart": METER_START,
            "timestamp": stage.at(),
        }
        stage.world.clock.advance(20)
        stop = {
            "transactionId": 0,
            "idTag": quote.session_id,
            "meterStop": METER_START + 50,
            "timestamp": stage.at(),
        }
        await raw.send([2, "a", "StartTransaction", start])
        await raw.send([2, "b", "StopTransaction", stop])
        assert [(await raw.receive())[1] for _ in range(2)] == ["a", "b"]
        assert await stage.closed(quote) == (50, 15_000, 985_000)


async def test_a_start_repeated_with_another_timestamp(stage: Stage) -> None:
    """The answer was lost, and the charger writes the time of each try: its register stands where
    it stood, so nothing began anew, and whichever answer it heard, its stop counts."""
    async with booted(stage) as raw:
        quote = await stage.paid(raw)
        first = await stage.start(raw, quote)
        stage.world.clock.advance(30)
        assert await stage.start(raw, quote, timestamp=stage.at()) == first
        await stage.stop(raw, first["transactionId"])
        assert await stage.closed(quote) == (1000, 300_000, 700_000)


async def test_a_transaction_that_began_again_is_ended_by_its_own_stop_alone(stage: Stage) -> None:
    """The charger lost power and began another transaction for the same driver: the stop of the
    first one, behind it, ends nothing."""
    async with booted(stage) as raw:
        quote, first = await stage.charging(raw)
        await stage.sample(raw, METER_START + 300, transactionId=first)
        answer = await stage.start(raw, quote, meterStart=METER_START + 350)
        second = answer["transactionId"]
        assert second != first
        await stage.sample(raw, METER_START + 450, transactionId=second)
        await stage.stop(raw, first, meterStop=METER_START + 340)
        assert stage.session(quote).state is SessionState.CHARGING
        assert stage.session(quote).energy_wh == 400
        await stage.stop(raw, second, meterStop=METER_START + 550)
        assert await stage.closed(quote) == (500, 150_000, 850_000)


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
        other = journal.next_transaction_id()
        await journal.add_transaction("CP777", other, StartReport(1, "04AABBCC", 0, 0))
        quote, transaction_id = await stage.charging(raw)
        assert other != transaction_id
        await stage.sample(raw, METER_START + 300, transactionId=other)
        assert stage.session(quote).energy_wh == 300
        await stage.stop(raw, other, meterStop=METER_START + 400, idTag=quote.session_id)
        assert await stage.closed(quote) == (400, 120_000, 880_000)


async def test_a_charger_in_the_name_of_another(tmp_path: Path) -> None:
    """It names the transaction and the tag of the charge point next door: nothing of it reaches
    the session there, neither a stop nor a reading nor a start."""
    one = config().charge_points[0]
    two = one.model_copy(update={"id": "CP002"})
    both = config().model_copy(update={"charge_points": (one, two)})
    async with (
        staged(tmp_path, settings=both) as stage,
        booted(stage) as raw,
        booted(stage, "/ocpp/CP002") as other,
    ):
        quote, transaction_id = await stage.charging(raw)
        await stage.sample(raw, METER_START + 100, transactionId=transaction_id)
        await stage.sample(other, METER_START + 3_000, transactionId=transaction_id)
        answer = await stage.start(other, quote, meterStart=0)
        assert answer["idTagInfo"] == {"status": "Invalid"}
        await stage.stop(other, transaction_id, idTag=quote.session_id)
        await stage.stop(other, answer["transactionId"])
        session = stage.session(quote)
        assert (session.state, session.energy_wh) == (SessionState.CHARGING, 100)
        await stage.stop(raw, transaction_id)
        assert await stage.closed(quote) == (1000, 300_000, 700_000)


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
        for register, energy_wh in ((500, 500), (300, 500), (400, 600)):
            await stage.sample(raw, METER_START + register, transactionId=transaction_id)
            assert stage.session(quote).energy_wh == energy_wh
        await stage.stop(raw, transaction_id, meterStop=METER_START + 450)
        assert await stage.closed(quote) == (650, 195_000, 805_000)


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
        quote = await stage.paid(raw)
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
        assert billed(session) == (2100, 630_000, 370_000)
        assert session.charging_ms == 1_210_000


async def test_a_stop_a_week_after_the_money_went_back(stage: Stage) -> None:
    """The session was given up, its rest paid out: the late stop is evidence, and no more."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.sample(raw, METER_START + 300, transactionId=transaction_id)
        raw.socket.transport.abort()
        await stage.world.until(lambda: stage.session(quote).offline_since_ms is not None)
    await stage.tick(stage.world.site.config.sessions.offline_timeout_s)
    assert await stage.closed(quote) == (300, 90_000, 910_000)
    back, _ = await stage.world.wallet.driver_invoice(910_000)
    await stage.world.site.send_refund(quote.secret, back)
    await stage.world.until(lambda: stage.session(quote).refunded_msat == 910_000)
    stage.world.clock.advance(7 * 86_400)
    async with booted(stage) as raw:
        await stage.stop(raw, transaction_id, meterStop=METER_START + 9_000)
        session = stage.session(quote)
        assert (session.cost_msat, session.refunded_msat, session.owed_msat) == (90_000, 910_000, 0)
        await stage.charging(raw)


async def test_a_boot_in_the_middle_of_a_session_that_goes_on(stage: Stage) -> None:
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.sample(raw, METER_START + 300, transactionId=transaction_id)
        await raw.boot()
        await stage.status(raw, "Charging")
        await stage.tick(120)
        await stage.sample(raw, METER_START + 600, transactionId=transaction_id)
        await stage.stop(raw, transaction_id, meterStop=METER_START + 700)
        assert await stage.closed(quote) == (700, 210_000, 790_000)


@pytest.mark.parametrize("status", ["Available", "Preparing", "Finishing"])
async def test_a_boot_in_the_middle_of_a_session_that_is_gone(stage: Stage, status: str) -> None:
    """The charger forgot its transaction, and shows it by its state alone (evcc PR 33909)."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.sample(raw, METER_START + 300, transactionId=transaction_id)
    async with charger(stage.server) as raw:
        await raw.boot()
        await stage.status(raw, status)
        await stage.tick(59)
        assert stage.session(quote).state is SessionState.CHARGING
        await stage.tick(2)
        assert await stage.closed(quote) == (300, 90_000, 910_000)


async def test_a_charger_comes_back_and_says_nothing(stage: Stage) -> None:
    """It is not lost any more, so its session goes on until its own word."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw, sats=200_000)
        raw.socket.transport.abort()
        await stage.world.until(lambda: stage.session(quote).offline_since_ms is not None)
    async with charger(stage.server) as raw:
        await stage.world.until(lambda: stage.session(quote).offline_since_ms is None)
        await stage.tick(stage.world.site.config.sessions.offline_timeout_s + 1)
        assert stage.session(quote).state is not SessionState.CLOSED
        await stage.stop(raw, transaction_id)
        assert await stage.closed(quote) == (1000, 300_000, 199_700_000)


async def test_a_charger_comes_back_to_a_car_that_is_full(stage: Stage) -> None:
    """Many chargers say no state when only the connection was lost: it is still the last one."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.sample(raw, METER_START + 300, transactionId=transaction_id)
        await stage.status(raw, "SuspendedEV")
        raw.socket.transport.abort()
        await stage.world.until(lambda: stage.session(quote).offline_since_ms is not None)
    stage.world.clock.advance(600)
    async with charger(stage.server) as raw:
        await stage.world.until(lambda: stage.session(quote).offline_since_ms is None)
        assert stage.session(quote).state is SessionState.SUSPENDED
        await stage.stop(raw, transaction_id, meterStop=METER_START + 300)
        assert await stage.closed(quote) == (300, 90_000, 910_000)
        session = stage.session(quote)
        assert (session.charging_ms, session.idle_ms) == (10_000, 610_000)


async def test_a_charger_comes_back_to_a_connector_that_was_free(stage: Stage) -> None:
    """The session whose stop never came ends all the same."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw, sats=200_000)
        await stage.sample(raw, METER_START + 300, transactionId=transaction_id)
        await stage.status(raw, "Available")
        raw.socket.transport.abort()
        await stage.world.until(lambda: stage.session(quote).offline_since_ms is not None)
    async with charger(stage.server):
        await stage.world.until(lambda: stage.session(quote).offline_since_ms is None)
        await stage.tick(61)
        assert await stage.closed(quote) == (300, 90_000, 199_910_000)


async def test_a_charger_that_never_says_a_state(stage: Stage) -> None:
    """Its connector is taken while a transaction runs there, also one that ignores its stop and
    whose session is over, and free with its stop."""
    async with charger(stage.server) as raw:
        await raw.boot()
        quote, transaction_id = await stage.charging(raw)
        await stage.sample(raw, METER_START + 300, transactionId=transaction_id)
        await stage.world.site.stop(quote.secret)
        await raw.accept("RemoteStopTransaction", "Rejected")
        await stage.tick(900)
        assert await stage.closed(quote) == (300, 90_000, 910_000)
        assert await stage.world.point.obstacle(1) is Obstacle.OCCUPIED
        await stage.stop(raw, transaction_id)
        assert await stage.world.point.obstacle(1) is None
        assert await stage.closed(quote) == (300, 90_000, 910_000)


async def test_two_who_paid_meet_at_one_connector(stage: Stage) -> None:
    """One of them plugs in where the other was expected: what is read there is his."""
    async with booted(stage) as raw:
        waiting = await stage.paid(raw, connector=2)
        quote = await stage.paid(raw)
        answer = await stage.start(raw, quote, connectorId=2)
        await stage.sample(raw, METER_START + 400, connectorId=2)
        assert stage.session(quote).energy_wh == 400
        await stage.tick(111)
        assert await stage.closed(waiting) == (0, 0, 1_000_000)
        await stage.stop(raw, answer["transactionId"], meterStop=METER_START + 500)
        assert await stage.closed(quote) == (500, 150_000, 850_000)


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


async def test_suspended_for_days(stage: Stage) -> None:
    """Without a price for it a car that is full may stay; nothing is billed for the days."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.sample(raw, METER_START + 300, transactionId=transaction_id)
        await stage.status(raw, "SuspendedEV")
        for _ in range(3):
            await stage.tick(86_400)
            await stage.sample(raw, METER_START + 300, transactionId=transaction_id)
            await stage.status(raw, "SuspendedEV")
        assert stage.session(quote).state is SessionState.SUSPENDED
        await stage.stop(raw, transaction_id, meterStop=METER_START + 300)
        session = await stage.until(quote, SessionState.CLOSED)
        assert billed(session) == (300, 90_000, 910_000)
        assert session.charging_ms == 10_000


async def test_time_in_which_the_connector_is_faulted_is_not_billed(stage: Stage) -> None:
    """A charger's fault is not the driver's time; when it recovers he charges on."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.sample(raw, METER_START + 300, transactionId=transaction_id)
        await stage.status(raw, "Faulted")
        await stage.tick(840)
        assert stage.session(quote).state is SessionState.CHARGING
        await stage.status(raw, "Charging")
        await stage.sample(raw, METER_START + 400, transactionId=transaction_id)
        await stage.stop(raw, transaction_id, meterStop=METER_START + 500)
        session = await stage.until(quote, SessionState.CLOSED)
        assert billed(session) == (500, 150_000, 850_000)
        assert session.charging_ms == 30_000


async def test_a_connector_that_is_faulted_for_good(stage: Stage) -> None:
    """The charger says nothing more of it: the driver's money does not stay there."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.sample(raw, METER_START + 300, transactionId=transaction_id)
        await stage.status(raw, "Faulted")
        await stage.tick(900)
        assert await raw.accept("RemoteStopTransaction", "Rejected")
        await stage.tick(900)
        assert await stage.closed(quote) == (300, 90_000, 910_000)
        assert stage.session(quote).charging_ms == 10_000
        assert await stage.world.point.obstacle(1) is Obstacle.FAULTED


async def test_a_connector_that_looks_free_while_its_meter_rises(stage: Stage) -> None:
    """What the meter says counts more: the session goes on, and so does the bill."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.status(raw, "Available")
        for number in range(1, 10):
            await stage.sample(raw, METER_START + 100 * number, transactionId=transaction_id)
            await stage.status(raw, "Available")
            await stage.tick(10)
        assert stage.session(quote).state is SessionState.CHARGING
        await stage.stop(raw, transaction_id, meterStop=METER_START + 1000)
        assert await stage.closed(quote) == (1000, 300_000, 700_000)


async def test_a_status_from_before_the_start_comes_behind_it(stage: Stage) -> None:
    """A queue of states of an hour ago: the session is not over for it."""
    async with booted(stage) as raw:
        quote = await stage.paid(raw, sats=100_000)
        stage.world.clock.advance(30)
        answer = await stage.start(raw, quote)
        old = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
        await raw.call("StatusNotification", old | {"timestamp": stage.at(-3600)})
        await stage.tick(61)
        assert stage.session(quote).state is SessionState.CHARGING
        await stage.stop(raw, answer["transactionId"])
        assert await stage.closed(quote) == (1000, 300_000, 99_700_000)


async def test_the_start_is_rejected_after_it_came(stage: Stage) -> None:
    """The charger says no to what it has done already: what it does counts."""
    async with booted(stage) as raw:
        quote = await stage.world.paid(1000, 1)
        asked = await raw.asked()
        answer = await stage.start(raw, quote)
        await raw.send([3, asked[1], {"status": "Rejected"}])
        await stage.sample(raw, METER_START + 200)
        assert stage.session(quote).state is SessionState.CHARGING
        await stage.stop(raw, answer["transactionId"])
        assert await stage.closed(quote) == (1000, 300_000, 700_000)


async def test_the_start_comes_after_it_was_rejected(stage: Stage) -> None:
    """The money is on its way back: nobody pays for this, and it is stopped."""
    async with booted(stage) as raw:
        quote = await stage.world.paid(1000, 1)
        await raw.accept("RemoteStartTransaction", "Rejected")
        assert await stage.closed(quote) == (0, 0, 1_000_000)
        answer = await stage.start(raw, quote)
        assert answer["idTagInfo"] == {"status": "Invalid"}
        asked = await raw.accept("RemoteStopTransaction")
        assert asked == {"transactionId": answer["transactionId"]}
        await stage.stop(raw, answer["transactionId"])
        assert billed(stage.session(quote)) == (0, 0, 1_000_000)


async def test_the_answer_to_the_start_comes_too_late(tmp_path: Path) -> None:
    """No answer in time is no refusal: the session waits for the car, and charges."""
    async with staged(tmp_path, limits=Limits(call_timeout_s=0.2)) as stage, booted(stage) as raw:
        quote = await stage.world.paid(1000, 1)
        asked = await raw.asked()
        probe = await raw.asked()
        assert (asked[2], probe[2]) == ("RemoteStartTransaction", "TriggerMessage")
        await raw.send([3, asked[1], {"status": "Accepted"}])
        await raw.send([3, probe[1], {"status": "Accepted"}])
        stage.world.clock.advance(60)
        answer = await stage.start(raw, quote)
        assert answer["idTagInfo"] == {"status": "Accepted"}
        await stage.stop(raw, answer["transactionId"])
        assert await stage.closed(quote) == (1000, 300_000, 700_000)

"""States and connections of hostile or broken chargers, and what becomes of the money."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from agent.machine.events import Obstacle
from agent.machine.model import SessionState
from agent.ports.quotes import Quote
from tests.bridge.ocpp.stage import METER_START, Stage, billed, booted, staged
from tests.bridge.ocpp.wire import charger


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncGenerator[Stage]:
    async with staged(tmp_path) as here:
        yield here


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
    await stage.world.site.owned.send_refund(quote.secret, back)
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


@pytest.mark.parametrize("goes_on", [True, False])
async def test_the_time_of_a_power_cut_is_on_nobodys_bill(stage: Stage, goes_on: bool) -> None:
    """MicroOcpp takes its transaction up again once it has power, with the number that it had; or
    ends it as unplugged, where the car has left meanwhile. Seen with its simulator, killed."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.sample(raw, METER_START + 300, transactionId=transaction_id)
        raw.socket.transport.abort()
        await stage.world.until(lambda: stage.session(quote).offline_since_ms is not None)
    stage.world.clock.advance(1800)
    async with charger(stage.server) as raw:
        await raw.boot()
        await stage.status(raw, "Charging" if goes_on else "Available")
        reason = "Remote" if goes_on else "EVDisconnected"
        await stage.stop(raw, transaction_id, meterStop=METER_START + 400, reason=reason)
        assert await stage.closed(quote) == (400, 120_000, 880_000)
        assert stage.session(quote).charging_ms == (20_000 if goes_on else 10_000)


async def away_for_long(stage: Stage) -> tuple[Quote, int]:
    """A charger whose driver has 600 Wh is away for longer than his credit lasts."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        for register in (300, 600):
            await stage.sample(raw, METER_START + register, transactionId=transaction_id)
        raw.socket.transport.abort()
        await stage.world.until(lambda: stage.session(quote).offline_since_ms is not None)
    stage.world.clock.advance(1800)
    return quote, transaction_id


async def test_a_charge_goes_on_after_a_power_cut_that_outlasted_its_credit(stage: Stage) -> None:
    """Nothing flowed meanwhile, so that its credit is still there: MicroOcpp charges on."""
    quote, _ = await away_for_long(stage)
    async with charger(stage.server) as raw:
        await stage.world.until(lambda: stage.session(quote).offline_since_ms is None)
        await stage.tick(1)
        await raw.boot()
        await stage.status(raw, "Charging")
        await stage.tick(10)
        assert stage.session(quote).state is SessionState.CHARGING
        await stage.tick(90)
        assert stage.session(quote).state is SessionState.STOPPING


async def test_a_charge_that_outlasted_its_credit_in_an_outage_is_stopped(stage: Stage) -> None:
    """It went on for all that is known, and a moment after its charger is back it is stopped."""
    quote, transaction_id = await away_for_long(stage)
    async with charger(stage.server) as raw:
        await stage.world.until(lambda: stage.session(quote).offline_since_ms is None)
        await stage.tick(0)
        await raw.accept("TriggerMessage")
        await stage.tick(2)
        assert await raw.accept("RemoteStopTransaction") == {"transactionId": transaction_id}


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
        await stage.world.site.owned.stop(quote.secret)
        await raw.accept("RemoteStopTransaction", "Rejected")
        await stage.tick(900)
        assert await stage.closed(quote) == (300, 90_000, 910_000)
        assert await stage.world.point.obstacle(1) is Obstacle.OCCUPIED
        await stage.stop(raw, transaction_id)
        assert await stage.world.point.obstacle(1) is None
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


@pytest.mark.parametrize("shown", ["before", "behind"])
@pytest.mark.parametrize("kept", [True, False])
async def test_a_start_of_an_outage_and_a_connector_that_is_free_by_now(
    stage: Stage, kept: bool, shown: str
) -> None:
    """The charge began and ended while the charger was away. Its start comes late, what its
    connector is now before it or behind it, and its stop last or never: nobody was there until
    the charger's return."""
    async with booted(stage) as raw:
        quote = await stage.paid(raw, sats=100_000)
    stage.world.clock.advance(10)
    began = stage.at()
    stage.world.clock.advance(30)
    ended = stage.at()
    # Later than that its session is given up before its start comes.
    stage.world.clock.advance(70)
    async with charger(stage.server) as raw:
        await raw.boot()
        if shown == "before":
            await stage.status(raw, "Available")
        number = (await stage.start(raw, quote, timestamp=began))["transactionId"]
        if shown == "behind":
            await stage.status(raw, "Available")
        if kept:
            await stage.stop(raw, number, timestamp=ended, meterStop=METER_START + 100)
        else:
            await stage.tick(61)
        session = await stage.until(quote, SessionState.CLOSED)
        billed = (30_000, 100) if kept else (0, 0)
        assert (session.charging_ms, session.energy_wh) == billed


async def test_a_start_of_an_outage_whose_charge_goes_on(stage: Stage) -> None:
    """Its state or its meter shows that, and then its time counts from its beginning on."""
    async with booted(stage) as raw:
        quote = await stage.paid(raw)
    stage.world.clock.advance(60)
    began = stage.at(-50)
    stage.world.clock.advance(40)
    async with charger(stage.server) as raw:
        await raw.boot()
        await stage.start(raw, quote, timestamp=began)
        await stage.status(raw, "Charging")
        assert stage.session(quote).charging_ms == 90_000
        await stage.sample(raw, METER_START + 200)
        await stage.status(raw, "Available")
        assert stage.session(quote).charging_ms == 100_000

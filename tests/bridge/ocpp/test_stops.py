"""Stops that are planned, chargers that ignore a stop or vanish meanwhile: over real sockets."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from agent.machine.events import StopBy, TransactionStopped
from agent.machine.model import Session, SessionState
from agent.ports.quotes import Quote
from tests.bridge.ocpp.stage import METER_START, Stage, booted, staged
from tests.bridge.ocpp.wire import RawCharger, charger

TROUBLE = "stop ignored CP001/1"


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncGenerator[Stage]:
    async with staged(tmp_path) as here:
        yield here


async def asked_after(stage: Stage, raw: RawCharger, seconds: float, transaction_id: int) -> None:
    """Nothing is asked until so many seconds have passed; then it is the stop again."""
    await stage.tick(seconds - 1)
    await raw.call("Heartbeat", {})
    assert raw.waiting == 0
    await stage.tick(1)
    assert await raw.accept("RemoteStopTransaction") == {"transactionId": transaction_id}


async def power_cut(raw: RawCharger, transaction_id: int) -> None:
    """The first stop that is ignored is followed by an order to give no more power."""
    order = await raw.accept("SetChargingProfile")
    profile = order["csChargingProfiles"]
    assert (profile["transactionId"], profile["chargingProfilePurpose"]) == (
        transaction_id,
        "TxProfile",
    )


def money(session: Session) -> tuple[int, int, int, int]:
    return session.energy_wh, session.cost_msat, session.owed_msat, session.rounding_msat


def stops(stage: Stage, quote: Quote) -> list[int | None]:
    return [
        event.register_wh
        for event in stage.world.journal.sessions.events(quote.session_id)
        if isinstance(event, TransactionStopped)
    ]


async def test_an_ignored_stop_is_repeated_after_growing_pauses_and_operators_are_told(
    stage: Stage,
) -> None:
    """The charger accepts every RemoteStop and goes on; what flows then is not the driver's."""
    troubles = stage.world.site.office.troubles
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.sample(raw, METER_START + 1000, transactionId=transaction_id)
        await stage.world.site.owned.stop(quote.secret)
        assert await raw.accept("RemoteStopTransaction") == {"transactionId": transaction_id}
        await asked_after(stage, raw, 15, transaction_id)
        await power_cut(raw, transaction_id)
        await asked_after(stage, raw, 30, transaction_id)
        assert TROUBLE not in troubles()
        await asked_after(stage, raw, 60, transaction_id)
        assert "power may be flowing" in troubles()[TROUBLE]
        await asked_after(stage, raw, 120, transaction_id)
        await asked_after(stage, raw, 120, transaction_id)
        await stage.sample(raw, METER_START + 1500, transactionId=transaction_id)
        for pause in (110, 120, 120, 120):
            await asked_after(stage, raw, pause, transaction_id)
        assert stage.session(quote).state is SessionState.STOPPING
        await stage.tick(75)
        closed = await stage.until(quote, SessionState.CLOSED)
        assert money(closed) == (1500, 450_000, 550_000, 0)
        assert TROUBLE in troubles()
        await stage.tick(60)
        await stage.sample(raw, METER_START + 2500, transactionId=transaction_id)
        assert await raw.accept("RemoteStopTransaction") == {"transactionId": transaction_id}
        await stage.stop(raw, transaction_id, meterStop=METER_START + 3000)
        assert TROUBLE not in troubles()
        assert money(stage.session(quote)) == money(closed)
        assert stops(stage, quote) == [METER_START + 3000]


async def test_a_connector_that_looks_free_ends_the_alarm(stage: Stage) -> None:
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.world.site.owned.stop(quote.secret)
        await raw.accept("RemoteStopTransaction", "Rejected")
        await asked_after(stage, raw, 15, transaction_id)
        await power_cut(raw, transaction_id)
        for pause in (30, 60):
            await asked_after(stage, raw, pause, transaction_id)
        assert TROUBLE in stage.world.site.office.troubles()
        await stage.status(raw, "Finishing")
        assert TROUBLE not in stage.world.site.office.troubles()


async def test_a_charger_offline_for_good_is_settled_by_its_last_reading(stage: Stage) -> None:
    """Its stop of yesterday comes in the end, behind all that it had kept: evidence, and no more.
    Nobody is asked to stop by readings that are old."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.sample(raw, METER_START + 800, transactionId=transaction_id)
        raw.socket.transport.abort()
        await stage.world.until(lambda: stage.session(quote).offline_since_ms is not None)
    timeout_s = stage.world.site.config.sessions.offline_timeout_s
    await stage.tick(timeout_s - 1)
    assert stage.session(quote).state is SessionState.CHARGING
    await stage.tick(1)
    closed = await stage.until(quote, SessionState.CLOSED)
    assert money(closed) == (800, 240_000, 760_000, 0)
    assert closed.stop_by is None
    assert closed.charging_ms == 10_000
    stage.world.clock.advance(86_400)
    async with booted(stage) as raw:
        for number in range(1, 4):
            value = {
                "timestamp": stage.at(-80_000 + 60 * number),
                "sampledValue": [{"value": str(METER_START + 800 + 100 * number)}],
            }
            payload = {"connectorId": 1, "transactionId": transaction_id, "meterValue": [value]}
            assert await raw.call("MeterValues", payload) == {}
        late = {
            "transactionId": transaction_id,
            "meterStop": METER_START + 9000,
            "timestamp": stage.at(-70_000),
        }
        assert await raw.call("StopTransaction", late) == {}
        assert await raw.call("StopTransaction", late) == {}
        assert raw.waiting == 0
        assert money(stage.session(quote)) == money(closed)
        assert stops(stage, quote) == [METER_START + 9000]
        other, _ = await stage.charging(raw)
        assert other.session_id != quote.session_id


async def test_a_charger_that_comes_back_and_still_charges_is_stopped(stage: Stage) -> None:
    """The session was settled by its last reading meanwhile; nobody pays for this."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        raw.socket.transport.abort()
        await stage.world.until(lambda: stage.session(quote).offline_since_ms is not None)
    await stage.tick(3600)
    closed = await stage.until(quote, SessionState.CLOSED)
    assert money(closed) == (0, 0, 1_000_000, 0)
    async with booted(stage) as raw:
        await stage.sample(raw, METER_START + 9000, transactionId=transaction_id)
        assert await raw.accept("RemoteStopTransaction") == {"transactionId": transaction_id}
        await stage.sample(raw, METER_START + 9100, transactionId=transaction_id)
        await stage.stop(raw, transaction_id, meterStop=METER_START + 9200)
        await stage.sample(raw, METER_START + 9200, transactionId=transaction_id)
        assert raw.waiting == 0
        assert money(stage.session(quote)) == money(closed)


@pytest.mark.parametrize("status", ["Charging", "SuspendedEV"])
async def test_a_charger_that_comes_back_and_shows_only_that_it_charges_is_stopped(
    stage: Stage, status: str
) -> None:
    """MicroOcpp takes its transaction up again after a power cut and says so in a state; its meter
    may be read only minutes later, and nobody pays for these."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        raw.socket.transport.abort()
        await stage.world.until(lambda: stage.session(quote).offline_since_ms is not None)
    await stage.tick(3600)
    closed = await stage.until(quote, SessionState.CLOSED)
    async with charger(stage.server) as raw:
        await raw.boot()
        await stage.status(raw, status)
        assert await raw.accept("RemoteStopTransaction") == {"transactionId": transaction_id}
        await stage.status(raw, status)
        await stage.stop(raw, transaction_id, meterStop=METER_START + 20)
        await stage.status(raw, status)
        assert raw.waiting == 0
        assert money(stage.session(quote)) == money(closed)


async def test_a_stop_that_was_asked_while_the_charger_was_away_is_asked_when_it_is_back(
    stage: Stage,
) -> None:
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        raw.socket.transport.abort()
        await stage.world.until(lambda: stage.session(quote).offline_since_ms is not None)
    await stage.world.site.owned.stop(quote.secret)
    async with booted(stage) as raw:
        assert await raw.accept("RemoteStopTransaction") == {"transactionId": transaction_id}
        await stage.stop(raw, transaction_id)
        session = await stage.until(quote, SessionState.CLOSED)
        assert session.stop_by is StopBy.DRIVER


async def test_a_reason_with_half_a_character_still_ends_the_charge(stage: Stage) -> None:
    """A firmware that cuts texts may cut between the halves of a JSON escape."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.stop(raw, transaction_id, reason="Lo\ud83d")
        assert await stage.closed(quote) == (1000, 300_000, 700_000)


async def test_the_stop_is_planned_before_the_credit_ends(stage: Stage) -> None:
    """300 sat a kWh and 100 sat paid are 333 Wh: at 7.2 kW, 233 Wh last 116.5 s."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw, sats=100)
        stage.world.clock.advance(10)
        values = [
            {"value": str(METER_START + 100), "unit": "Wh"},
            {"value": "7.2", "unit": "kW", "measurand": "Power.Active.Import"},
        ]
        await raw.call(
            "MeterValues",
            {
                "connectorId": 1,
                "transactionId": transaction_id,
                "meterValue": [{"timestamp": stage.at(), "sampledValue": values}],
            },
        )
        await stage.tick(116)
        session = stage.session(quote)
        assert (session.state, session.stop_by) == (SessionState.STOPPING, StopBy.CREDIT)
        await raw.accept("RemoteStopTransaction")
        await stage.stop(raw, transaction_id, meterStop=METER_START + 333)
        assert await stage.closed(quote) == (333, 99_900, 0)

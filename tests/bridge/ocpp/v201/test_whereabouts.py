"""Stations of OCPP 2.0.1 that forget a transaction while its car stays plugged in (E14)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.machine.model import Ending, SessionState
from agent.ports.charge_point import Commitments
from agent.ports.charger import StopReport
from agent.ports.quotes import Quote
from bridge.ocpp import timestamps
from bridge.ocpp.limits import Limits
from tests.agent.world import ManualClock
from tests.bridge.ocpp.recorder import RecordingSite
from tests.bridge.ocpp.stage import METER_START, Stage, staged
from tests.bridge.ocpp.station import (
    ACCEPTED,
    asked_to_start,
    boot,
    charging,
    event,
    plug,
    register,
    started,
    station,
)
from tests.bridge.ocpp.wire import RawCharger, charger, serving

LIMITS = Limits(silence_s=0.05)
OVER = {"ongoingIndicator": False, "messagesInQueue": False}
WAITS = {"ongoingIndicator": False, "messagesInQueue": True}
GOES_ON = {"ongoingIndicator": True, "messagesInQueue": False}
CREDIT_SAT = 200_000
"""Enough for hours at full power: however long a station is silent here, its meter is not asked
for, and what it is asked is where its transaction went."""


async def asked_after(raw: RawCharger) -> str:
    """Wait for the question; returns the id of the message."""
    _, message_id, action, payload = await raw.asked()
    assert (action, payload) == ("GetTransactionStatus", {"transactionId": "tx-a"})
    return message_id


async def tell(raw: RawCharger, answer: dict[str, Any]) -> None:
    """The station is asked after its transaction, and answers."""
    await raw.send([3, await asked_after(raw), answer])
    await raw.call("Heartbeat", {})


async def deny(raw: RawCharger) -> None:
    """The station knows nothing of its transaction, and so it cannot stop it."""
    await tell(raw, OVER)
    assert await raw.accept("RequestStopTransaction", "Rejected") == {"transactionId": "tx-a"}
    await raw.call("Heartbeat", {})


async def charged(raw: RawCharger, stage: Stage) -> Quote:
    """A session that took 40 Wh in a minute."""
    quote = await charging(raw, stage, CREDIT_SAT)
    stage.world.clock.advance(60)
    await event(raw, stage, "Updated", meterValue=register(stage, METER_START + 40), seqNo=1)
    return quote


@asynccontextmanager
async def back(stage: Stage, seconds: float = 300) -> AsyncGenerator[RawCharger]:
    """The station boots after some time, and its plug is still occupied."""
    stage.world.clock.advance(seconds)
    async with station(stage, boots=False) as raw:
        await boot(raw)
        await plug(raw, stage, "Occupied")
        yield raw


@asynccontextmanager
async def came_back(folder: Path) -> AsyncGenerator[tuple[Stage, Quote, RawCharger]]:
    """A station with a session that took 40 Wh lost its power, and boots five minutes later."""
    async with staged(folder, limits=LIMITS) as stage:
        async with station(stage) as raw:
            quote = await charged(raw, stage)
        async with back(stage) as raw:
            yield stage, quote, raw


async def test_a_station_that_forgot_its_transaction_ends_the_session(tmp_path: Path) -> None:
    """It lost its power for five minutes: the time since then is nobody's."""
    async with came_back(tmp_path) as (stage, quote, raw):
        await deny(raw)
        session = await stage.until(quote, SessionState.CLOSED)
        # It never said that it stopped, and so neither does the receipt.
        assert (session.energy_wh, session.ending) == (40, Ending.VANISHED)
        assert session.charging_ms == 60_000
        await plug(raw, stage, "Available")
        assert raw.waiting == 0


async def test_strom_restarts_meanwhile(tmp_path: Path) -> None:
    async with staged(tmp_path, limits=LIMITS) as stage:
        async with station(stage) as raw:
            quote = await charged(raw, stage)
        stage.world.clock.advance(300)
        async with (
            serving(stage.world.site, clock=stage.world.clock, limits=LIMITS) as server,
            station(stage, boots=False, server=server) as raw,
        ):
            await boot(raw)
            await deny(raw)
            session = await stage.until(quote, SessionState.CLOSED)
            assert (session.energy_wh, session.charging_ms) == (40, 60_000)


async def test_what_waits_in_the_station_is_waited_for(tmp_path: Path) -> None:
    async with came_back(tmp_path) as (stage, quote, raw):
        await tell(raw, WAITS)
        assert stage.session(quote).state is SessionState.CHARGING
        values = register(stage, METER_START + 55, "Transaction.End", seconds=-290)
        fields = {"timestamp": stage.at(-290), "meterValue": values, "offline": True}
        await event(raw, stage, "Ended", {"stoppedReason": "PowerLoss"}, seqNo=2, **fields)
        session = await stage.until(quote, SessionState.CLOSED)
        assert (session.energy_wh, session.ending) == (55, Ending.STOPPED)
        await raw.call("Heartbeat", {})
        assert raw.waiting == 0


async def test_what_never_comes_out_of_the_station_is_asked_for_again(tmp_path: Path) -> None:
    async with came_back(tmp_path) as (stage, quote, raw):
        await tell(raw, WAITS)
        stage.world.clock.advance(60)
        await raw.call("Heartbeat", {})
        assert raw.waiting == 0
        stage.world.clock.advance(180)
        await raw.call("Heartbeat", {})
        await deny(raw)
        assert (await stage.until(quote, SessionState.CLOSED)).energy_wh == 40


@pytest.mark.parametrize("answer", [GOES_ON, {"messagesInQueue": False}, {}, {"x": None}])
async def test_one_that_goes_on_is_asked_seldom(tmp_path: Path, answer: dict[str, Any]) -> None:
    async with came_back(tmp_path) as (stage, quote, raw):
        await tell(raw, answer)
        for _ in range(5):
            stage.world.clock.advance(20)
            await raw.call("Heartbeat", {})
        assert stage.session(quote).state is SessionState.CHARGING
        assert raw.waiting == 0


async def test_a_transaction_that_is_silent_is_asked_after(tmp_path: Path) -> None:
    """The station rebooted behind its gateway, whose connection to Strom stayed."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await charged(raw, stage)
        for seconds in (100, 70):
            stage.world.clock.advance(seconds)
            await raw.call("Heartbeat", {})
        assert raw.waiting == 0
        stage.world.clock.advance(20)
        await raw.call("Heartbeat", {})
        await deny(raw)
        session = await stage.until(quote, SessionState.CLOSED)
        assert (session.energy_wh, session.charging_ms) == (40, 60_000)


async def test_an_event_that_comes_before_the_answer_shows_that_it_goes_on(tmp_path: Path) -> None:
    async with came_back(tmp_path) as (stage, quote, raw):
        message_id = await asked_after(raw)
        values = register(stage, METER_START + 60)
        await event(raw, stage, "Updated", meterValue=values, seqNo=2)
        await raw.send([3, message_id, OVER])
        await raw.call("Heartbeat", {})
        assert stage.session(quote).state is SessionState.CHARGING


@pytest.mark.parametrize("code", ["NotImplemented", "NotSupported"])
async def test_a_station_that_does_not_know_the_question_is_not_asked_again(
    tmp_path: Path, code: str
) -> None:
    """Neither over its next connection, nor where it rejects a stop."""
    async with staged(tmp_path, limits=LIMITS) as stage:
        async with station(stage) as raw:
            quote = await charged(raw, stage)
        async with back(stage) as raw:
            refusal: list[Any] = [4, await asked_after(raw), code, "", {}]
            await raw.send(refusal)
            await raw.call("Heartbeat", {})
        async with back(stage) as raw:
            stage.world.clock.advance(300)
            await raw.call("Heartbeat", {})
            await stage.world.site.owned.stop(quote.secret)
            await raw.accept("RequestStopTransaction", "Rejected")
            await stage.world.until(lambda: not stage.world.journal.undelivered())
            await raw.call("Heartbeat", {})
            assert raw.waiting == 0
            assert stage.session(quote).state is SessionState.STOPPING


async def test_what_is_settled_is_not_asked_after(tmp_path: Path) -> None:
    """The session was given up while its charger was lost; the station never told of the end."""
    async with staged(tmp_path, limits=LIMITS) as stage:
        async with station(stage) as raw:
            quote = await charged(raw, stage)
        lost = stage.world.point.sessions.open
        await stage.world.until(lambda: lost()[0].offline_since_ms is not None)
        await stage.tick(48 * 3600)
        await stage.until(quote, SessionState.CLOSED)
        async with back(stage) as raw:
            stage.world.clock.advance(300)
            await raw.call("Heartbeat", {})
            await raw.call("Heartbeat", {})
            assert raw.waiting == 0


async def test_an_end_that_could_not_be_stored_is_asked_for_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    site = RecordingSite("CP001")
    point, clock = site.points["CP001"], ManualClock()
    point.promised = Commitments(frozenset({1}), frozenset({1}), idle=False)
    async with (
        serving(site, clock=clock) as server,
        charger(server, subprotocols=("ocpp2.0.1",)) as raw,
    ):
        await boot(raw)
        begun = {
            "eventType": "Started",
            "timestamp": timestamps.render(clock()),
            "seqNo": 0,
            "transactionInfo": {"transactionId": "tx-a", "chargingState": "Charging"},
            "idToken": {"idToken": "TAG", "type": "Central"},
            "evse": {"id": 1},
            "meterValue": [{"sampledValue": [{"value": 5}]}],
        }
        assert (await raw.call("TransactionEvent", begun))["idTokenInfo"]["status"] == "Accepted"
        for failing in (True, False):
            point.failing = failing
            clock.advance(180)
            await raw.call("Heartbeat", {})
            await deny(raw)
            while failing and "the journal cannot be written" not in caplog.text:
                await raw.call("Heartbeat", {})
        await point.until(lambda: bool(point.of(StopReport)))
    assert [one.transaction_id for one in point.of(StopReport)] == [1]


@asynccontextmanager
async def lied(folder: Path) -> AsyncGenerator[tuple[Stage, Quote, RawCharger]]:
    """A station that charges in silence says that its transaction is over, as it says of each."""
    async with staged(folder, limits=LIMITS) as stage, station(stage) as raw:
        quote = await charged(raw, stage)
        stage.world.clock.advance(180)
        await raw.call("Heartbeat", {})
        await tell(raw, OVER)
        yield stage, quote, raw


async def is_not_asked(raw: RawCharger, stage: Stage) -> None:
    """The station is not asked after its transaction, however long it is silent."""
    for _ in range(2):
        stage.world.clock.advance(300)
        await raw.call("Heartbeat", {})
        await raw.call("Heartbeat", {})
    assert raw.waiting == 0


async def test_what_goes_on_though_it_is_denied_is_billed_by_its_end(tmp_path: Path) -> None:
    """It takes the stop: so all that it gave is paid for, and the rest goes back."""
    async with lied(tmp_path) as (stage, quote, raw):
        await raw.accept("RequestStopTransaction")
        await raw.call("Heartbeat", {})
        assert stage.session(quote).state is SessionState.CHARGING
        values = register(stage, METER_START + 400, "Transaction.End")
        fields = {"triggerReason": "RemoteStop", "meterValue": values}
        await event(raw, stage, "Ended", {"stoppedReason": "Remote"}, seqNo=2, **fields)
        session = await stage.until(quote, SessionState.CLOSED)
        assert (session.energy_wh, session.ending) == (400, Ending.STOPPED)
        await plug(raw, stage, "Available")
        # Who was wrong once is not believed again, also after a start of Strom.
        await charging_anew(raw, stage)
        await is_not_asked(raw, stage)
        async with (
            serving(stage.world.site, clock=stage.world.clock, limits=LIMITS) as server,
            station(stage, server=server) as again,
        ):
            await is_not_asked(again, stage)


async def charging_anew(raw: RawCharger, stage: Stage) -> Quote:
    """A further session, of a transaction called as that before."""
    quote, asked = await asked_to_start(raw, stage, CREDIT_SAT)
    assert await started(raw, stage, asked, METER_START + 400) == ACCEPTED
    return quote


async def test_who_speaks_of_what_it_denied_goes_on(tmp_path: Path) -> None:
    """It does not say whether it takes the stop; what comes of the transaction is billed."""
    async with lied(tmp_path) as (stage, quote, raw):
        _, message_id, action, _ = await raw.asked()
        assert action == "RequestStopTransaction"
        await event(raw, stage, "Updated", meterValue=register(stage, METER_START + 300), seqNo=2)
        await raw.send([3, message_id, {"status": "Rejected"}])
        await is_not_asked(raw, stage)
        session = stage.session(quote)
        assert (session.state, session.energy_wh) == (SessionState.CHARGING, 300)


async def test_who_takes_the_stop_of_nothing_is_asked_again(tmp_path: Path) -> None:
    async with lied(tmp_path) as (stage, quote, raw):
        await raw.accept("RequestStopTransaction")
        await raw.call("Heartbeat", {})
        stage.world.clock.advance(180)
        await raw.call("Heartbeat", {})
        await tell(raw, OVER)
        session = await stage.until(quote, SessionState.CLOSED)
        assert (session.energy_wh, session.charging_ms) == (40, 60_000)
        assert raw.waiting == 0


async def test_what_goes_on_after_all_is_stopped(tmp_path: Path) -> None:
    """It denies the transaction, takes no stop of it, and charges: nobody pays for that."""
    async with lied(tmp_path) as (stage, quote, raw):
        await raw.accept("RequestStopTransaction", "Rejected")
        await raw.call("Heartbeat", {})
        assert (await stage.until(quote, SessionState.CLOSED)).energy_wh == 40
        stage.world.clock.advance(30)
        values = register(stage, METER_START + 500)
        more = {"triggerReason": "MeterValuePeriodic", "meterValue": values, "state": "Charging"}
        await event(raw, stage, "Updated", seqNo=2, **more)
        assert await raw.accept("RequestStopTransaction") == {"transactionId": "tx-a"}
        values = register(stage, METER_START + 510, "Transaction.End")
        await event(raw, stage, "Ended", {"stoppedReason": "Remote"}, seqNo=3, meterValue=values)
        session = stage.session(quote)
        assert (session.energy_wh, session.transaction_ended) == (40, True)
        assert session.paid_msat == session.cost_msat + session.owed_msat + session.rounding_msat


async def test_a_station_whose_connection_was_cut_has_time_to_speak(tmp_path: Path) -> None:
    """It did not boot: its readings go on, and are waited for before it is asked."""
    async with staged(tmp_path, limits=LIMITS) as stage:
        async with station(stage) as raw:
            quote = await charged(raw, stage)
        stage.world.clock.advance(300)
        async with station(stage, boots=False) as raw:
            await plug(raw, stage, "Occupied")
            stage.world.clock.advance(30)
            await raw.call("Heartbeat", {})
            await raw.call("Heartbeat", {})
            assert raw.waiting == 0
            values = register(stage, METER_START + 90)
            await event(raw, stage, "Updated", meterValue=values, seqNo=2)
            stage.world.clock.advance(60)
            await raw.call("Heartbeat", {})
            await raw.call("Heartbeat", {})
            assert raw.waiting == 0
            session = stage.session(quote)
            assert (session.state, session.energy_wh) == (SessionState.CHARGING, 90)

"""Transactions of OCPP 2.0.1 that end, or are asked to, in all the ways there are.

The scenarios are the use cases E06 to E15 and F03 of part 2, and what stations were seen to make
of them (lbbrhzn/ocpp#2135, citrineos-core PR 1053).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.machine.events import Obstacle
from agent.machine.model import Ending, SessionState
from bridge.ocpp.limits import Limits
from tests.bridge.ocpp.stage import METER_START, staged
from tests.bridge.ocpp.station import (
    ACCEPTED,
    asked_to_start,
    charging,
    event,
    obstacle,
    plug,
    register,
    started,
    station,
)


async def test_a_stop_ends_the_session_though_the_cable_stays(tmp_path: Path) -> None:
    """TxStopPoint EVConnected: after the remote stop the transaction goes on until the unplug.
    A second driver pays meanwhile, for the same transaction."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        first = await charging(raw, stage)
        await stage.world.site.owned.stop(first.secret)
        await raw.accept("RequestStopTransaction")
        stage.world.clock.advance(5)
        fields = {"triggerReason": "RemoteStop", "meterValue": register(stage, METER_START + 50)}
        await event(raw, stage, "Updated", state="EVConnected", **fields)
        session = await stage.until(first, SessionState.CLOSED)
        assert (session.energy_wh, session.ending) == (50, Ending.STOPPED)
        assert await obstacle(stage) is None
        stage.world.clock.advance(60)
        second, asked = await asked_to_start(raw, stage)
        more = {"triggerReason": "RemoteStart", "meterValue": register(stage, METER_START + 51)}
        answer = await event(
            raw, stage, "Updated", state="Charging", idToken=asked["idToken"], **more
        )
        assert answer == ACCEPTED
        stage.world.clock.advance(60)
        ended = register(stage, METER_START + 100, "Transaction.End")
        await event(raw, stage, "Ended", {"stoppedReason": "EVDisconnected"}, meterValue=ended)
        assert (await stage.until(second, SessionState.CLOSED)).energy_wh == 49
        assert stage.session(first).energy_wh == 50


async def test_the_last_register_of_a_stop_is_asked_for(tmp_path: Path) -> None:
    """The same, and the station tells of the stop without its meter."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await charging(raw, stage)
        await stage.world.site.owned.stop(quote.secret)
        await raw.accept("RequestStopTransaction")
        await event(raw, stage, "Updated", state="EVConnected", triggerReason="RemoteStop")
        wanted = await raw.accept("TriggerMessage")
        assert wanted == {"requestedMessage": "TransactionEvent", "evse": {"id": 1}}
        assert stage.session(quote).state is SessionState.STOPPING
        stage.world.clock.advance(2)
        await event(raw, stage, "Updated", meterValue=register(stage, METER_START + 33))
        assert (await stage.until(quote, SessionState.CLOSED)).energy_wh == 33


async def test_a_stop_that_is_told_by_the_state_alone(tmp_path: Path) -> None:
    """TxStopPoint EVConnected, and no word of why nothing flows any more. The driver's money does
    not wait for the unplug, and the end that comes with it changes nothing."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await charging(raw, stage)
        stage.world.clock.advance(60)
        await event(raw, stage, "Updated", meterValue=register(stage, METER_START + 30))
        await stage.world.site.owned.stop(quote.secret)
        await raw.accept("RequestStopTransaction")
        fields = {"triggerReason": "ChargingStateChanged"}
        more = {"meterValue": register(stage, METER_START + 33)}
        await event(raw, stage, "Updated", state="EVConnected", **fields, **more)
        session = await stage.until(quote, SessionState.CLOSED)
        assert (session.energy_wh, session.ending) == (33, Ending.STOPPED)
        assert await obstacle(stage) is None
        stage.world.clock.advance(3600)
        ended = register(stage, METER_START + 33, "Transaction.End")
        await event(raw, stage, "Ended", {"stoppedReason": "EVDisconnected"}, meterValue=ended)
        assert stage.session(quote).energy_wh == 33


@pytest.mark.parametrize("told", ["before", "after"])
async def test_a_stop_that_is_told_by_the_state_and_without_a_register(
    tmp_path: Path, told: str
) -> None:
    """Nor does the station tell one when it is asked: the last that was read decides, as soon as
    the stop would be asked for again. The same where nothing flowed before the stop already."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await charging(raw, stage)
        stage.world.clock.advance(60)
        await event(raw, stage, "Updated", meterValue=register(stage, METER_START + 30))
        fields = {"triggerReason": "ChargingStateChanged"}
        if told == "before":
            await event(raw, stage, "Updated", state="EVConnected", **fields)
            assert stage.session(quote).state is SessionState.SUSPENDED
        await stage.world.site.owned.stop(quote.secret)
        await raw.accept("RequestStopTransaction")
        if told == "after":
            await event(raw, stage, "Updated", state="EVConnected", **fields)
            await raw.accept("TriggerMessage")
        assert stage.session(quote).state is SessionState.STOPPING
        await stage.tick(16)
        session = await stage.until(quote, SessionState.CLOSED)
        assert session.energy_wh == 30
        outbox = stage.world.journal.undelivered
        await stage.world.until(lambda: not [task for task in outbox() if "charger" in task.target])
        assert await obstacle(stage) is None


async def test_a_stop_before_which_nothing_was_asked_for_is_none(tmp_path: Path) -> None:
    """A car that is full shows the same state, and may go on."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await charging(raw, stage)
        fields = {"triggerReason": "ChargingStateChanged"}
        await event(raw, stage, "Updated", state="EVConnected", **fields)
        assert stage.session(quote).state is SessionState.SUSPENDED
        stage.world.clock.advance(60)
        await event(raw, stage, "Updated", state="Charging", **fields)
        assert stage.session(quote).state is SessionState.CHARGING


async def test_a_station_without_a_last_register_is_asked_for_it_once(tmp_path: Path) -> None:
    """Its answer has none either: the last one that was read decides."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await charging(raw, stage)
        stage.world.clock.advance(10)
        await event(raw, stage, "Updated", meterValue=register(stage, METER_START + 20))
        await stage.world.site.owned.stop(quote.secret)
        await raw.accept("RequestStopTransaction")
        for _ in range(3):
            await event(raw, stage, "Updated", state="EVConnected", triggerReason="RemoteStop")
        await raw.accept("TriggerMessage")
        await event(raw, stage, "Updated", triggerReason="Trigger")
        session = await stage.until(quote, SessionState.CLOSED)
        assert (session.energy_wh, session.ending) == (20, Ending.NO_REGISTER)
        assert raw.waiting == 0


@pytest.mark.parametrize("by_driver", [True, False])
@pytest.mark.parametrize("refusal", ["Rejected", "NotImplemented", "GenericError"])
async def test_a_station_that_will_not_tell_a_last_register_is_not_waited_for(
    tmp_path: Path, refusal: str, by_driver: bool
) -> None:
    """Nothing more comes of its transaction until the cable is pulled: the driver would pay for
    that time, and nobody else could charge."""
    limits = Limits(silence_s=0.1)
    async with staged(tmp_path, limits=limits) as stage, station(stage) as raw:
        quote = await charging(raw, stage)
        stage.world.clock.advance(10)
        await event(raw, stage, "Updated", meterValue=register(stage, METER_START + 20))
        trigger = "StopAuthorized"
        if by_driver:
            trigger = "RemoteStop"
            await stage.world.site.owned.stop(quote.secret)
            await raw.accept("RequestStopTransaction")
        await event(raw, stage, "Updated", state="EVConnected", triggerReason=trigger)
        if refusal == "GenericError":
            _, message_id, action, _ = await raw.asked()
            assert action == "TriggerMessage"
            answer: list[Any] = [4, message_id, refusal, "", {}]
            await raw.send(answer)
        else:
            await raw.accept("TriggerMessage", refusal)
        session = await stage.until(quote, SessionState.CLOSED)
        assert (session.energy_wh, session.ending) == (20, Ending.NO_REGISTER)
        await stage.world.until(lambda: not stage.world.point.sessions.takes(1))
        assert await obstacle(stage) is None


@pytest.mark.parametrize("kind", ["Updated", "Ended"])
async def test_the_time_until_the_last_register_comes_is_not_billed(
    tmp_path: Path, kind: str
) -> None:
    """The stop waited in the station for an hour, and had no register in it."""
    async with staged(tmp_path) as stage:
        async with station(stage) as raw:
            quote = await charging(raw, stage)
            stage.world.clock.advance(60)
            await event(raw, stage, "Updated", meterValue=register(stage, METER_START + 20))
        stopped_at = stage.at()
        stage.world.clock.advance(3600)
        async with station(stage, boots=False) as raw:
            fields = {"triggerReason": "StopAuthorized", "timestamp": stopped_at, "offline": True}
            await event(raw, stage, "Updated", state="EVConnected", **fields)
            await raw.accept("TriggerMessage")
            await event(raw, stage, kind, meterValue=register(stage, METER_START + 21))
            session = await stage.until(quote, SessionState.CLOSED)
            assert (session.energy_wh, session.charging_ms, session.idle_ms) == (21, 60_000, 0)


async def test_an_end_that_follows_a_refused_question_has_the_last_register(
    tmp_path: Path,
) -> None:
    """The station has no transaction any more when it is asked, and its end is on the way."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await charging(raw, stage)
        await stage.world.site.owned.stop(quote.secret)
        await raw.accept("RequestStopTransaction")
        await event(raw, stage, "Updated", state="EVConnected", triggerReason="RemoteStop")
        await raw.accept("TriggerMessage", "Rejected")
        stage.world.clock.advance(1)
        ended = register(stage, METER_START + 30, "Transaction.End")
        await event(raw, stage, "Ended", {"stoppedReason": "Remote"}, meterValue=ended)
        session = await stage.until(quote, SessionState.CLOSED)
        assert (session.energy_wh, session.ending) == (30, Ending.STOPPED)


async def test_a_station_that_takes_the_question_and_speaks_of_other_things(
    tmp_path: Path,
) -> None:
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await charging(raw, stage)
        stage.world.clock.advance(10)
        await event(raw, stage, "Updated", meterValue=register(stage, METER_START + 20))
        await event(raw, stage, "Updated", state="EVConnected", triggerReason="StopAuthorized")
        await raw.accept("TriggerMessage")
        stage.world.clock.advance(15)
        await event(raw, stage, "Updated", triggerReason="MeterValuePeriodic")
        assert stage.session(quote).state is not SessionState.CLOSED
        stage.world.clock.advance(15)
        await event(raw, stage, "Updated", triggerReason="MeterValuePeriodic")
        assert stage.session(quote).energy_wh == 20
        assert await obstacle(stage) is None


async def test_a_word_that_is_repeated_says_nothing_of_the_next_charge(tmp_path: Path) -> None:
    """The end comes again while somebody else charges, and long after the stop was obeyed."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        first = await charging(raw, stage)
        await stage.world.site.owned.stop(first.secret)
        await raw.accept("RequestStopTransaction")
        stage.world.clock.advance(2)
        ended = register(stage, METER_START + 10, "Transaction.End")
        await event(raw, stage, "Ended", meterValue=ended)
        await stage.until(first, SessionState.CLOSED)
        assert stage.world.point.sessions.stop_lead_ms == 2000
        token = {"idToken": {"idToken": "STRANGER", "type": "ISO14443"}, "evse": {"id": 1}}
        stage.world.clock.advance(10)
        more = {"meterValue": register(stage, METER_START + 11), "name": "tx-b"}
        await event(raw, stage, "Started", state="Charging", **token, **more)
        assert await obstacle(stage) is Obstacle.OCCUPIED
        await event(raw, stage, "Ended", meterValue=ended)
        assert await obstacle(stage) is Obstacle.OCCUPIED
        assert stage.world.point.sessions.stop_lead_ms == 2000


async def test_an_end_alone_is_billed_by_its_own_registers(tmp_path: Path) -> None:
    """Everything but the last event was lost; it has the whole charge in it, newest first."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote, asked = await asked_to_start(raw, stage)
        stage.world.clock.advance(100)
        values = [
            *register(stage, METER_START + 80, "Transaction.End"),
            *register(stage, METER_START + 50, seconds=-20),
            *register(stage, METER_START, "Transaction.Begin", seconds=-60),
        ]
        fields = {"idToken": asked["idToken"], "evse": {"id": 1}, "meterValue": values}
        await event(raw, stage, "Ended", {"stoppedReason": "Local"}, seqNo=9, **fields)
        session = await stage.until(quote, SessionState.CLOSED)
        assert (session.energy_wh, session.ending) == (80, Ending.STOPPED)


async def test_two_ends_with_two_registers(tmp_path: Path) -> None:
    """The first one settles the session, and the second changes nothing."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await charging(raw, stage)
        stage.world.clock.advance(60)
        for wh in (70, 90):
            ended = register(stage, METER_START + wh, "Transaction.End")
            assert await event(raw, stage, "Ended", meterValue=ended) == {}
        assert (await stage.until(quote, SessionState.CLOSED)).energy_wh == 70


async def test_a_last_word_that_cannot_be_is_not_believed(tmp_path: Path) -> None:
    """The register of the end is that of another meter."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await charging(raw, stage)
        stage.world.clock.advance(60)
        await event(raw, stage, "Updated", meterValue=register(stage, METER_START + 100))
        ended = register(stage, 7, "Transaction.End")
        await event(raw, stage, "Ended", meterValue=ended)
        session = await stage.until(quote, SessionState.CLOSED)
        assert (session.energy_wh, session.ending) == (100, Ending.NOT_BELIEVED)


async def test_an_event_that_comes_after_the_end_occupies_nothing(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await charging(raw, stage)
        ended = register(stage, METER_START + 10, "Transaction.End")
        await event(raw, stage, "Ended", meterValue=ended, seqNo=3)
        await stage.until(quote, SessionState.CLOSED)
        await event(raw, stage, "Updated", state="Charging", seqNo=2)
        assert await obstacle(stage) is None


async def test_a_transaction_whose_session_was_given_up_is_stopped(tmp_path: Path) -> None:
    """It never told its register, and its driver has his money back."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote, asked = await asked_to_start(raw, stage)
        await started(raw, stage, asked, meterValue=None)
        await raw.accept("TriggerMessage")
        await stage.tick(121)
        await stage.until(quote, SessionState.CLOSED)
        assert await event(raw, stage, "Updated", state="Charging") == {}
        assert await raw.accept("RequestStopTransaction") == {"transactionId": "tx-a"}


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ({"ongoingIndicator": False, "messagesInQueue": False}, SessionState.CLOSED),
        ({"ongoingIndicator": False, "messagesInQueue": True}, SessionState.STOPPING),
        ({"ongoingIndicator": True, "messagesInQueue": False}, SessionState.STOPPING),
        ({"messagesInQueue": False}, SessionState.STOPPING),
    ],
)
async def test_a_stop_that_is_rejected_since_the_transaction_is_over(
    tmp_path: Path, status: dict[str, Any], state: SessionState
) -> None:
    """Its end was lost. The station is asked whether it is over (E14): where it is, and nothing
    of it waits in the station, the session is settled by the last register."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await charging(raw, stage, sats=100_000)
        stage.world.clock.advance(60)
        await event(raw, stage, "Updated", meterValue=register(stage, METER_START + 40))
        await stage.world.site.owned.stop(quote.secret)
        assert await raw.accept("RequestStopTransaction", "Rejected")
        _, message_id, action, payload = await raw.asked()
        assert (action, payload) == ("GetTransactionStatus", {"transactionId": "tx-a"})
        await raw.send([3, message_id, status])
        await raw.call("Heartbeat", {})
        session = await stage.until(quote, state)
        assert session.energy_wh == 40
        await plug(raw, stage, "Occupied")
        over = state is SessionState.CLOSED
        assert await obstacle(stage) is (None if over else Obstacle.OCCUPIED)


async def test_a_transaction_of_yesterday_is_asked_to_stop_once(tmp_path: Path) -> None:
    """It waited in the station until its driver had his money back, and was over long before."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote, asked = await asked_to_start(raw, stage)
        await stage.tick(121)
        await stage.until(quote, SessionState.CLOSED)
        await started(raw, stage, asked, offline=True)
        await raw.accept("RequestStopTransaction", "Rejected")
        _, message_id, action, _ = await raw.asked()
        assert action == "GetTransactionStatus"
        over = {"ongoingIndicator": False, "messagesInQueue": False}
        await raw.send([3, message_id, over])
        await raw.call("Heartbeat", {})
        outbox = stage.world.journal.undelivered
        await stage.world.until(lambda: not [task for task in outbox() if "charger" in task.target])
        assert raw.waiting == 0


async def test_an_end_with_the_whole_charge_in_it_is_read_in_portions(tmp_path: Path) -> None:
    """A station keeps thousands of readings for its last event: each counts, others have their
    turn meanwhile, and the register of the end is the last word."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await charging(raw, stage)
        stage.world.clock.advance(1000)
        values: list[dict[str, Any]] = []
        for second in range(-999, 1):
            values += register(stage, METER_START + 1000 + second, seconds=second)
        await event(raw, stage, "Ended", meterValue=values)
        session = await stage.until(quote, SessionState.CLOSED)
        assert (session.energy_wh, session.ending) == (1000, Ending.STOPPED)

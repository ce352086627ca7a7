"""For whom a transaction of OCPP 2.0.1 is, in all the ways in which stations tell it or do not.

The scenarios are the use cases C01 to C16, E03 to E05, F01 and F02 of part 2, and what stations
were seen to make of them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.machine.events import Obstacle
from agent.machine.model import SessionState
from tests.bridge.ocpp.stage import METER_START, staged
from tests.bridge.ocpp.station import (
    ACCEPTED,
    INVALID,
    asked_to_start,
    charging,
    event,
    obstacle,
    plug,
    register,
    started,
    station,
)


async def test_a_remote_start_is_not_mistaken_for_one_of_an_earlier_connection(
    tmp_path: Path,
) -> None:
    """A start that was kept during an outage comes when its driver has his money back and the
    next one has paid: it is not for the next one."""
    async with staged(tmp_path) as stage:
        async with station(stage) as raw:
            first, asked = await asked_to_start(raw, stage)
        await stage.tick(121)
        await stage.until(first, SessionState.CLOSED)
        async with station(stage) as raw:
            second, again = await asked_to_start(raw, stage)
            assert again["remoteStartId"] != asked["remoteStartId"]
            assert await started(raw, stage, asked, idToken=None, offline=True) == {}
            assert stage.session(second).state is SessionState.STARTING
            assert await raw.accept("RequestStopTransaction") == {"transactionId": "tx-a"}


async def test_what_flowed_before_anybody_paid_is_not_billed(tmp_path: Path) -> None:
    """TxStartPoint EVConnected: the transaction begins with the plug, long before the payment."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        values = register(stage, METER_START, "Transaction.Begin")
        place = {"evse": {"id": 1}, "meterValue": values}
        assert await event(raw, stage, "Started", state="EVConnected", **place) == {}
        await plug(raw, stage, "Occupied")
        stage.world.clock.advance(600)
        quote, asked = await asked_to_start(raw, stage)
        values = register(stage, METER_START + 900)
        fields = {"idToken": asked["idToken"], "triggerReason": "RemoteStart"}
        answer = await event(raw, stage, "Updated", state="Charging", meterValue=values, **fields)
        assert answer == ACCEPTED
        stage.world.clock.advance(60)
        await event(raw, stage, "Updated", meterValue=register(stage, METER_START + 1000))
        session = stage.session(quote)
        assert session.energy_wh == 100
        assert session.started_at_ms is not None
        assert session.started_at_ms >= session.opened_at_ms


@pytest.mark.parametrize("answered", [True, False])
async def test_a_transaction_that_nobody_names_follows_the_remote_start(
    tmp_path: Path, answered: bool
) -> None:
    """F02: the car was there first. The station answers the remote start with the transaction
    that runs, or with nothing, and names neither token nor start in its events."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        values = register(stage, METER_START, "Transaction.Begin")
        place = {"evse": {"id": 1}, "meterValue": values}
        await event(raw, stage, "Started", state="EVConnected", **place)
        quote = await stage.world.paid()
        _, message_id, action, _ = await raw.asked()
        assert action == "RequestStartTransaction"
        payload = {"status": "Accepted"} | ({"transactionId": "tx-a"} if answered else {})
        await raw.send([3, message_id, payload])
        values = register(stage, METER_START)
        await event(raw, stage, "Updated", state="Charging", meterValue=values)
        assert stage.session(quote).state is SessionState.CHARGING
        await stage.world.site.owned.stop(quote.secret)
        assert await raw.accept("RequestStopTransaction") == {"transactionId": "tx-a"}


async def test_a_number_of_a_start_counts_more_than_a_token_of_somebody_else(
    tmp_path: Path,
) -> None:
    """The station puts the token of its own operator where ours should be."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote, asked = await asked_to_start(raw, stage)
        token = {"idToken": "VENDOR-REMOTE", "type": "Local"}
        assert await started(raw, stage, asked, idToken=token) == ACCEPTED
        assert stage.session(quote).state is SessionState.CHARGING


async def test_a_strangers_card_at_a_transaction_that_is_not_plugged_in(tmp_path: Path) -> None:
    """It does not make the driver's session begin, neither now nor from a register of nothing."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote, asked = await asked_to_start(raw, stage)
        await started(raw, stage, asked, state="Idle", meterValue=None)
        token = {"idToken": "STRANGER", "type": "ISO14443"}
        await event(raw, stage, "Updated", state="Idle", idToken=token)
        assert stage.session(quote).state is SessionState.STARTING


async def test_who_never_plugs_in_gets_everything_back(tmp_path: Path) -> None:
    """TxStartPoint Authorized: the transaction begins without a car and ends by its timeout."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote, asked = await asked_to_start(raw, stage)
        assert await started(raw, stage, asked, state="Idle") == ACCEPTED
        assert stage.session(quote).state is SessionState.STARTING
        stage.world.clock.advance(60)
        ended = register(stage, METER_START, "Transaction.End")
        fields = {"triggerReason": "EVConnectTimeout", "meterValue": ended}
        await event(raw, stage, "Ended", {"stoppedReason": "Timeout"}, **fields)
        await stage.tick(61)
        session = await stage.until(quote, SessionState.CLOSED)
        assert session.obstacle is Obstacle.NOT_PLUGGED_IN
        assert session.owed_msat == session.paid_msat


async def test_a_session_begins_when_the_car_is_plugged_in(tmp_path: Path) -> None:
    """The same with a car: time counts from the plug on."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote, asked = await asked_to_start(raw, stage)
        await started(raw, stage, asked, state="Idle", evse=None)
        stage.world.clock.advance(60)
        fields = {"triggerReason": "CablePluggedIn", "evse": {"id": 1}}
        await event(raw, stage, "Updated", state="EVConnected", **fields)
        assert stage.session(quote).state is SessionState.CHARGING
        stage.world.clock.advance(60)
        await event(raw, stage, "Updated", meterValue=register(stage, METER_START + 120))
        assert stage.session(quote).energy_wh == 120


async def test_the_end_of_an_attempt_does_not_end_the_next_one(tmp_path: Path) -> None:
    """The first transaction timed out without a car; its end comes after the second began."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote, asked = await asked_to_start(raw, stage)
        await started(raw, stage, asked, state="Idle")
        stage.world.clock.advance(40)
        await started(raw, stage, asked, name="tx-b")
        assert stage.session(quote).state is SessionState.CHARGING
        fields = {"idToken": asked["idToken"], "triggerReason": "EVConnectTimeout"}
        await event(raw, stage, "Ended", {"stoppedReason": "Timeout"}, **fields)
        assert stage.session(quote).state is SessionState.CHARGING


async def test_a_transaction_that_waited_for_one_driver_goes_to_the_next(tmp_path: Path) -> None:
    """The first one never plugged in and has his money back; the station keeps its transaction."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        first, asked = await asked_to_start(raw, stage)
        await started(raw, stage, asked, state="Idle")
        await stage.tick(121)
        await stage.until(first, SessionState.CLOSED)
        second, asked = await asked_to_start(raw, stage)
        more = {"idToken": asked["idToken"], "meterValue": register(stage, METER_START + 5)}
        fields = {"triggerReason": "RemoteStart", "state": "EVConnected"}
        assert await event(raw, stage, "Updated", **fields, **more) == ACCEPTED
        assert stage.session(second).state is SessionState.CHARGING
        stage.world.clock.advance(10)
        await event(raw, stage, "Updated", meterValue=register(stage, METER_START + 9))
        assert stage.session(second).energy_wh == 4
        assert raw.waiting == 0


async def test_a_strangers_transaction_frees_its_connector_when_it_ends(tmp_path: Path) -> None:
    """Somebody charges by a card that the station knows itself."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        token = {"idToken": {"idToken": "STRANGER", "type": "ISO14443"}, "evse": {"id": 1}}
        values = {"meterValue": register(stage, METER_START)}
        answer = await event(raw, stage, "Started", state="Charging", **token, **values)
        assert answer == INVALID
        assert await obstacle(stage) is Obstacle.OCCUPIED
        await event(raw, stage, "Ended", {"stoppedReason": "DeAuthorized"})
        assert await obstacle(stage) is None


@pytest.mark.parametrize("state", ["EVConnected", "SuspendedEVSE"])
async def test_a_car_that_waits_for_its_driver_to_pay_can_be_paid_for(
    tmp_path: Path, state: str
) -> None:
    """TxStartPoint EVConnected, and some stations say SuspendedEVSE until they may give power."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        await plug(raw, stage, "Occupied")
        await event(raw, stage, "Started", state=state, evse={"id": 1})
        assert await obstacle(stage) is None


async def test_free_vending_is_occupied_and_nobodys(tmp_path: Path) -> None:
    """A station that gives power to anyone, with a token of no number, or none."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        token = {"idToken": {"idToken": "", "type": "NoAuthorization"}, "evse": {"id": 1}}
        values = {"meterValue": register(stage, METER_START)}
        answer = await event(raw, stage, "Started", state="Charging", **token, **values)
        assert answer == INVALID
        assert await obstacle(stage) is Obstacle.OCCUPIED
        await event(raw, stage, "Ended")
        assert await obstacle(stage) is None


async def test_time_before_the_remote_start_reached_the_station_is_not_billed(
    tmp_path: Path,
) -> None:
    """The cable was plugged in before, and the station tells of that late: after it has answered
    the remote start, and before it tells of the start itself."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await stage.world.paid(1000, 1)
        _, message_id, _, asked = await raw.asked()
        await raw.send([3, message_id, {"status": "Accepted", "transactionId": "tx-a"}])
        for kind, trigger in (("Started", "CablePluggedIn"), ("Updated", "MeterValuePeriodic")):
            stage.world.clock.advance(3)
            values = register(stage, METER_START)
            fields = {"evse": {"id": 1}, "triggerReason": trigger, "meterValue": values}
            await event(raw, stage, kind, state="EVConnected", **fields)
            assert stage.session(quote).state is SessionState.STARTING
        stage.world.clock.advance(3)
        info = {"remoteStartId": asked["remoteStartId"]}
        await event(raw, stage, "Updated", info, state="Charging", triggerReason="RemoteStart")
        session = stage.session(quote)
        assert session.state is SessionState.CHARGING
        assert session.started_at_ms == stage.world.clock()


async def test_a_remote_start_that_is_answered_with_another_evses_transaction(
    tmp_path: Path,
) -> None:
    """The station names whichever transaction runs: it stays with the driver who pays for it."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        await plug(raw, stage, "Available", evse=2)
        one = await charging(raw, stage)
        two = await stage.world.paid(1000, 2)
        _, message_id, _, asked = await raw.asked()
        await raw.send([3, message_id, {"status": "Accepted", "transactionId": "tx-a"}])
        stage.world.clock.advance(60)
        await event(raw, stage, "Updated", meterValue=register(stage, METER_START + 100))
        token = asked["idToken"]
        more = {"idToken": token, "meterValue": register(stage, METER_START + 101)}
        await event(raw, stage, "Updated", **more)
        assert stage.session(one).energy_wh == 101
        assert stage.session(two).state is SessionState.STARTING
        await started(raw, stage, asked, 500, name="tx-2")
        assert stage.session(two).state is SessionState.CHARGING


@pytest.mark.parametrize("trigger", ["RemoteStart", "ChargingStateChanged"])
async def test_a_second_driver_whom_nobody_names_in_the_same_transaction(
    tmp_path: Path, trigger: str
) -> None:
    """TxStopPoint EVConnected, the cable stays plugged, and the station names neither token nor
    start: the power is for him who paid for the EVSE last."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        first, _ = await asked_to_start(raw, stage)
        values = register(stage, METER_START)
        fields = {"evse": {"id": 1}, "meterValue": values}
        await event(raw, stage, "Started", state="Charging", **fields)
        stage.world.clock.advance(30)
        stop = {"triggerReason": "StopAuthorized", "meterValue": register(stage, METER_START + 50)}
        await event(raw, stage, "Updated", state="EVConnected", **stop)
        assert stage.session(first).state is SessionState.CLOSED
        stage.world.clock.advance(60)
        second, _ = await asked_to_start(raw, stage)
        values = register(stage, METER_START + 51)
        more = {"triggerReason": trigger, "meterValue": values}
        await event(raw, stage, "Updated", state="Charging", **more)
        assert stage.session(second).state is SessionState.CHARGING
        stage.world.clock.advance(30)
        await event(raw, stage, "Updated", meterValue=register(stage, METER_START + 80))
        assert (stage.session(first).energy_wh, stage.session(second).energy_wh) == (50, 29)


async def test_a_second_driver_whom_nobody_names_where_the_first_one_left(tmp_path: Path) -> None:
    """TxStopPoint ParkingBayOccupancy: the first one pulled his cable, and his car stands there."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        first, _ = await asked_to_start(raw, stage)
        values = register(stage, METER_START)
        fields = {"evse": {"id": 1}, "meterValue": values}
        await event(raw, stage, "Started", state="Charging", **fields)
        left = {"triggerReason": "EVCommunicationLost"}
        await event(raw, stage, "Updated", state="Idle", **left)
        await stage.tick(61)
        await stage.until(first, SessionState.CLOSED)
        second, _ = await asked_to_start(raw, stage)
        await event(raw, stage, "Updated", state="EVConnected", triggerReason="CablePluggedIn")
        values = register(stage, METER_START + 51)
        await event(raw, stage, "Updated", state="Charging", meterValue=values)
        assert stage.session(second).state is SessionState.CHARGING


async def test_a_stop_of_nobodys_does_not_end_the_next_charge(tmp_path: Path) -> None:
    """The station begins a transaction with the stop of the one before, since a car is there."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        values = register(stage, METER_START)
        fields = {"evse": {"id": 1}, "meterValue": values, "triggerReason": "RemoteStop"}
        await event(raw, stage, "Started", state="EVConnected", **fields)
        quote, asked = await asked_to_start(raw, stage)
        fields = {"idToken": asked["idToken"], "triggerReason": "RemoteStart"}
        await event(raw, stage, "Updated", **fields, meterValue=values)
        assert stage.session(quote).state is SessionState.CHARGING


@pytest.mark.parametrize("named", [True, False])
async def test_what_a_transaction_gives_after_its_drivers_stop_is_nobodys(
    tmp_path: Path, named: bool
) -> None:
    """Somebody holds his own card before the station, or the station gives power to anyone."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await charging(raw, stage)
        stage.world.clock.advance(30)
        stop = {"triggerReason": "StopAuthorized", "meterValue": register(stage, METER_START + 50)}
        await event(raw, stage, "Updated", state="EVConnected", **stop)
        assert stage.session(quote).state is SessionState.CLOSED
        if named:
            token = {"idToken": {"idToken": "STRANGER", "type": "ISO14443"}}
            more = {"triggerReason": "Authorized", "meterValue": register(stage, METER_START + 50)}
            assert await event(raw, stage, "Updated", **token, **more) == INVALID
        for wh in (60, 90):
            stage.world.clock.advance(30)
            fields = {"meterValue": register(stage, METER_START + wh)}
            trigger = {"triggerReason": "MeterValuePeriodic"}
            await event(raw, stage, "Updated", state="Charging", **trigger, **fields)
        assert await raw.accept("RequestStopTransaction") == {"transactionId": "tx-a"}
        assert stage.session(quote).energy_wh == 50

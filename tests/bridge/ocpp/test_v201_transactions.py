"""Transactions of OCPP 2.0.1 stations that begin, go on and end in all the ways there are.

The scenarios are the use cases E01 to E15 and F01 to F03 of part 2, and what stations were seen
to make of them (lbbrhzn/ocpp#2135, EVerest/libocpp#580, citrineos-core PR 1053).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.machine.events import Obstacle
from agent.machine.model import Ending, SessionState
from tests.bridge.ocpp.stage import METER_START, Stage, staged
from tests.bridge.ocpp.station import (
    ACCEPTED,
    INVALID,
    asked_to_start,
    boot,
    charging,
    event,
    obstacle,
    plug,
    register,
    started,
    station,
)
from tests.bridge.ocpp.wire import RawCharger, serving


async def test_what_was_told_before_an_outage_still_holds_after_it(tmp_path: Path) -> None:
    """EVSE and id token come once (E01.FR.16); the connection is lost, the events go on."""
    async with staged(tmp_path) as stage:
        async with station(stage) as raw:
            quote = await charging(raw, stage)
        async with station(stage, boots=False) as raw:
            await event(raw, stage, "Updated", state="SuspendedEV")
            assert stage.session(quote).state is SessionState.SUSPENDED
            stage.world.clock.advance(1)
            await event(raw, stage, "Updated", state="Charging")
            assert stage.session(quote).state is SessionState.CHARGING


async def test_a_plug_that_is_occupied_says_nothing_of_the_transaction(tmp_path: Path) -> None:
    """The station reboots in the middle of a charge and shows its plugs again: it goes on."""
    async with staged(tmp_path) as stage:
        async with station(stage) as raw:
            quote = await charging(raw, stage)
        async with station(stage, boots=False) as raw:
            await boot(raw)
            await plug(raw, stage, "Occupied")
            await stage.tick(70)
            assert stage.session(quote).state is SessionState.CHARGING


async def test_strom_restarts_in_the_middle_of_a_charge(tmp_path: Path) -> None:
    """The station reboots too, shows its plugs again, and names neither EVSE nor driver."""
    async with staged(tmp_path) as stage:
        async with station(stage) as raw:
            quote = await charging(raw, stage)
        async with (
            serving(stage.world.site, clock=stage.world.clock) as server,
            station(stage, boots=False, server=server) as raw,
        ):
            await boot(raw)
            await plug(raw, stage, "Occupied")
            await stage.tick(70)
            assert stage.session(quote).state is SessionState.CHARGING
            await event(raw, stage, "Updated", state="SuspendedEV")
            assert stage.session(quote).state is SessionState.SUSPENDED
            await event(raw, stage, "Ended", meterValue=register(stage, METER_START + 9))
            assert (await stage.until(quote, SessionState.CLOSED)).energy_wh == 9


async def test_strom_restarts_between_the_remote_start_and_the_transaction(
    tmp_path: Path,
) -> None:
    """The station names the remote start alone, which another process had sent."""
    async with staged(tmp_path) as stage:
        async with station(stage) as raw:
            quote, asked = await asked_to_start(raw, stage)
        async with (
            serving(stage.world.site, clock=stage.world.clock) as server,
            station(stage, boots=False, server=server) as raw,
        ):
            assert await started(raw, stage, asked, idToken=None) == {}
            assert stage.session(quote).state is SessionState.CHARGING
            await stage.world.site.stop(quote.secret)
            assert await raw.accept("RequestStopTransaction") == {"transactionId": "tx-a"}


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
        await stage.world.site.stop(quote.secret)
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


async def test_a_stop_ends_the_session_though_the_cable_stays(tmp_path: Path) -> None:
    """TxStopPoint EVConnected: after the remote stop the transaction goes on until the unplug.
    A second driver pays meanwhile, for the same transaction."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        first = await charging(raw, stage)
        await stage.world.site.stop(first.secret)
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


async def test_the_last_register_of_a_stop_is_asked_for(tmp_path: Path) -> None:
    """The same, and the station tells of the stop without its meter."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await charging(raw, stage)
        await stage.world.site.stop(quote.secret)
        await raw.accept("RequestStopTransaction")
        await event(raw, stage, "Updated", state="EVConnected", triggerReason="RemoteStop")
        wanted = await raw.accept("TriggerMessage")
        assert wanted == {"requestedMessage": "TransactionEvent", "evse": {"id": 1}}
        assert stage.session(quote).state is SessionState.STOPPING
        stage.world.clock.advance(2)
        await event(raw, stage, "Updated", meterValue=register(stage, METER_START + 33))
        assert (await stage.until(quote, SessionState.CLOSED)).energy_wh == 33


async def test_a_station_without_a_last_register_is_asked_for_it_once(tmp_path: Path) -> None:
    """Its answer has none either: the last one that was read decides."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await charging(raw, stage)
        stage.world.clock.advance(10)
        await event(raw, stage, "Updated", meterValue=register(stage, METER_START + 20))
        await stage.world.site.stop(quote.secret)
        await raw.accept("RequestStopTransaction")
        for _ in range(3):
            await event(raw, stage, "Updated", state="EVConnected", triggerReason="RemoteStop")
        await raw.accept("TriggerMessage")
        await event(raw, stage, "Updated", triggerReason="Trigger")
        session = await stage.until(quote, SessionState.CLOSED)
        assert (session.energy_wh, session.ending) == (20, Ending.NO_REGISTER)
        assert raw.waiting == 0


async def test_a_word_that_is_repeated_says_nothing_of_the_next_charge(tmp_path: Path) -> None:
    """The end comes again while somebody else charges, and long after the stop was obeyed."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        first = await charging(raw, stage)
        await stage.world.site.stop(first.secret)
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


async def test_a_start_whose_time_was_set_right_is_the_same(tmp_path: Path) -> None:
    """The station got the time meanwhile and dates what waits anew: its register is the same."""
    async with staged(tmp_path) as stage:
        async with station(stage) as raw:
            values = register(stage, METER_START, "Transaction.Begin")
            place = {"evse": {"id": 1}, "meterValue": values}
            await event(raw, stage, "Started", state="EVConnected", **place)
            quote, asked = await asked_to_start(raw, stage)
            more = {"idToken": asked["idToken"], "meterValue": values}
            await event(raw, stage, "Updated", state="Charging", **more)
        async with station(stage, boots=False) as raw:
            stage.world.clock.advance(30)
            await event(raw, stage, "Started", state="EVConnected", **place)
            assert stage.session(quote).state is not SessionState.CLOSED


async def test_a_station_that_counts_its_transactions_anew(tmp_path: Path) -> None:
    """After a reboot the next transaction has the name of an old one."""
    async with staged(tmp_path) as stage:
        async with station(stage) as raw:
            first = await charging(raw, stage)
            stage.world.clock.advance(60)
            ended = register(stage, METER_START + 100, "Transaction.End")
            await event(raw, stage, "Ended", meterValue=ended)
            await event(raw, stage, "Ended", meterValue=ended)
            await stage.until(first, SessionState.CLOSED)
        async with station(stage) as raw:
            stage.world.clock.advance(60)
            second, asked = await asked_to_start(raw, stage)
            assert await started(raw, stage, asked, METER_START + 100) == ACCEPTED
            assert stage.session(second).state is SessionState.CHARGING
            stage.world.clock.advance(60)
            ended = register(stage, METER_START + 120, "Transaction.End")
            await event(raw, stage, "Ended", meterValue=ended)
            assert (await stage.until(second, SessionState.CLOSED)).energy_wh == 20
            assert stage.session(first).energy_wh == 100


async def test_a_name_that_is_used_again_ends_what_had_it(tmp_path: Path) -> None:
    """The end of the first transaction was lost with the station's power: a stranger's has its
    name now, and none of his energy is billed to the first driver."""
    async with staged(tmp_path) as stage:
        async with station(stage) as raw:
            quote = await charging(raw, stage)
            stage.world.clock.advance(60)
            await event(raw, stage, "Updated", meterValue=register(stage, METER_START + 100))
        async with station(stage) as raw:
            stage.world.clock.advance(60)
            values = register(stage, METER_START + 150)
            place = {"evse": {"id": 1}, "meterValue": values}
            await event(raw, stage, "Started", state="EVConnected", **place)
            session = await stage.until(quote, SessionState.CLOSED)
            assert (session.energy_wh, session.ending) == (100, Ending.NO_REGISTER)


async def test_a_start_that_is_repeated_is_the_same(tmp_path: Path) -> None:
    """Its answer was lost: it comes again after the reconnect, in the same words."""
    async with staged(tmp_path) as stage:
        at = stage.at()
        async with station(stage) as raw:
            quote, asked = await asked_to_start(raw, stage)
            await started(raw, stage, asked, timestamp=at)
            stage.world.clock.advance(30)
            await event(raw, stage, "Updated", meterValue=register(stage, METER_START + 60))
        number = stage.session(quote).transaction_id
        async with station(stage, boots=False) as raw:
            again = {"timestamp": at, "offline": True}
            assert await started(raw, stage, asked, **again) == ACCEPTED
            session = stage.session(quote)
            assert (session.transaction_id, session.energy_wh) == (number, 60)


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


async def test_a_queue_that_is_told_late_does_not_occupy_a_free_connector(
    tmp_path: Path,
) -> None:
    """The station was offline: it shows its plugs first, then a stranger's transaction that was
    over long ago, with and without the flag that says so."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        token = {"idToken": {"idToken": "STRANGER", "type": "ISO14443"}, "evse": {"id": 1}}
        for name, flag in (("old-1", {"offline": True}), ("old-2", {})):
            at = {"timestamp": stage.at(-3600)} | flag
            values = register(stage, METER_START, seconds=-3600)
            fields = at | token | {"meterValue": values, "name": name, "state": "Charging"}
            assert await event(raw, stage, "Started", **fields) == INVALID
            assert await obstacle(stage) is None
            await event(raw, stage, "Ended", **(at | {"name": name}))
            assert await obstacle(stage) is None


async def test_a_queue_without_flags_keeps_its_times(tmp_path: Path) -> None:
    """Events that waited an hour are no sign of a clock that is an hour behind."""
    async with staged(tmp_path) as stage:
        async with station(stage) as raw:
            quote, asked = await asked_to_start(raw, stage)
            begun, at = register(stage, METER_START), stage.at()
            ended = register(stage, METER_START + 20_000, seconds=3000)
            ended_at = stage.at(3000)
        stage.world.clock.advance(3600)
        async with station(stage, boots=False) as raw:
            await started(raw, stage, asked, timestamp=at, meterValue=begun)
            await event(raw, stage, "Ended", timestamp=ended_at, meterValue=ended)
        session = await stage.until(quote, SessionState.CLOSED)
        assert session.energy_wh == 20_000
        assert session.charging_ms == 3_000_000


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


async def test_a_register_that_is_read_outside_of_the_transaction(tmp_path: Path) -> None:
    """Its measurands are not set, but the station sends MeterValues when it is asked to."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote, asked = await asked_to_start(raw, stage)
        assert await started(raw, stage, asked, meterValue=None) == ACCEPTED
        await raw.accept("TriggerMessage")
        assert stage.session(quote).state is SessionState.STARTING
        values = {"evseId": 1, "meterValue": register(stage, METER_START, "Trigger")}
        assert await raw.call("MeterValues", values) == {}
        assert stage.session(quote).state is SessionState.CHARGING
        stage.world.clock.advance(60)
        values = {"evseId": 1, "meterValue": register(stage, METER_START + 100)}
        await raw.call("MeterValues", values)
        assert stage.session(quote).energy_wh == 100


async def test_a_station_that_never_reads_its_register_is_stopped_in_time(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It measures power alone: the session begins, so that it can end."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote, asked = await asked_to_start(raw, stage)
        await started(raw, stage, asked, meterValue=None)
        await raw.accept("TriggerMessage")
        stage.world.clock.advance(20)
        power = {"value": 7200, "measurand": "Power.Active.Import"}
        values = [{"timestamp": stage.at(), "sampledValue": [power]}]
        fields = {"triggerReason": "MeterValuePeriodic", "meterValue": values}
        await event(raw, stage, "Updated", **fields)
        assert stage.session(quote).state is SessionState.CHARGING
        assert "TxUpdatedMeasurands" in caplog.text
        for seconds, wh in ((1000, 9_000), (10, 9_007)):
            # A register that counts from the factory on is not what this driver has taken.
            stage.world.clock.advance(seconds)
            await event(raw, stage, "Updated", meterValue=register(stage, wh))
        assert stage.session(quote).energy_wh == 7


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
        quote = await charging(raw, stage)
        stage.world.clock.advance(60)
        await event(raw, stage, "Updated", meterValue=register(stage, METER_START + 40))
        await stage.world.site.stop(quote.secret)
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


async def shapes(raw: RawCharger, stage: Stage, asked: dict[str, Any]) -> None:
    """A whole transaction by a station whose JSON has other types than the schema."""
    sample = {"value": "40,0", "unitOfMeasure": {"unit": "kWh", "multiplier": "0"}}
    values: Any = {"timestamp": stage.at(), "sampledValue": sample}
    common = {"timestamp": stage.at(), "seqNo": "1", "triggerReason": 7, "evse": 1}
    info = {"transactionId": 4711, "chargingState": "CHARGING", "extra": None}
    token = {"idToken": asked["idToken"]["idToken"]}
    begun = {"eventType": "STARTED", "transactionInfo": info, "meterValue": values}
    assert await raw.call("TransactionEvent", common | begun | token) == ACCEPTED
    sample = {"value": "4.01e1", "unitOfMeasure": {"unit": "kWh"}}
    values = {"timestamp": stage.at(30), "sampledValue": [None, sample, 7]}
    ended = {"eventType": "ended", "transactionInfo": info, "meterValue": [values, "x"]}
    stage.world.clock.advance(30)
    assert await raw.call("TransactionEvent", common | {"timestamp": stage.at()} | ended) == {}


async def test_no_event_is_lost_for_its_form(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote, asked = await asked_to_start(raw, stage)
        await shapes(raw, stage, asked)
        assert (await stage.until(quote, SessionState.CLOSED)).energy_wh == 100


async def test_two_evses_at_once(tmp_path: Path) -> None:
    """Two drivers at one station: each pays for his own, and a stop is for one alone."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        await plug(raw, stage, "Available", evse=2)
        one, asked_one = await asked_to_start(raw, stage)
        two, asked_two = await asked_to_start(raw, stage, evse=2)
        await started(raw, stage, asked_two, 9_000, name="tx-2")
        await started(raw, stage, asked_one, name="tx-1")
        stage.world.clock.advance(60)
        for name, wh in (("tx-1", METER_START + 100), ("tx-2", 9_030)):
            await event(raw, stage, "Updated", name=name, meterValue=register(stage, wh))
        assert stage.session(one).energy_wh == 100
        assert stage.session(two).energy_wh == 30
        await stage.world.site.stop(two.secret)
        assert await raw.accept("RequestStopTransaction") == {"transactionId": "tx-2"}
        stage.world.clock.advance(2)
        await event(raw, stage, "Ended", name="tx-2", meterValue=register(stage, 9_032))
        assert (await stage.until(two, SessionState.CLOSED)).energy_wh == 32
        assert stage.session(one).state is SessionState.CHARGING
        assert await obstacle(stage, 1) is Obstacle.OCCUPIED
        assert await obstacle(stage, 2) is None


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


async def test_signed_values_are_kept_byte_for_byte(tmp_path: Path) -> None:
    """The first comes before the session has begun, the last with a value that has no number."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote, asked = await asked_to_start(raw, stage)
        signed = {
            "signedMeterData": "T0NNRnx7IkZWIjoi\u00e4IjF9",
            "signingMethod": "",
            "encodingMethod": "OCMF",
            "publicKey": "MFkw",
        }
        begun = register(stage, METER_START, "Transaction.Begin")
        begun[0]["sampledValue"][0]["signedMeterValue"] = signed
        await started(raw, stage, asked, meterValue=begun)
        stage.world.clock.advance(60)
        ended = register(stage, METER_START + 10, "Transaction.End")
        bare = {"value": None, "context": "Transaction.End"}
        ended[0]["sampledValue"].append(
            bare | {"signedMeterValue": signed | {"signedMeterData": "Z"}}
        )
        await event(raw, stage, "Ended", meterValue=ended)
        await stage.until(quote, SessionState.CLOSED)
        kept = await stage.world.site.signed_values(quote.secret)
        assert [value.data for value in kept] == ["T0NNRnx7IkZWIjoi\u00e4IjF9", "Z"]
        assert {value.encoding for value in kept} == {"OCMF"}

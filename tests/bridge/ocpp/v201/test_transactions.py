"""Transactions of OCPP 2.0.1 over outages, restarts and odd names, and what is read in them.

The scenarios are the use cases E01 to E15 and F01 to F03 of part 2, and what stations were seen
to make of them (lbbrhzn/ocpp#2135, EVerest/libocpp#580, citrineos-core PR 1053).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.machine.events import ConnectorStatus, Obstacle
from agent.machine.model import Ending, SessionState
from tests.agent.world import config
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
            await stage.world.site.owned.stop(quote.secret)
            assert await raw.accept("RequestStopTransaction") == {"transactionId": "tx-a"}


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
            stage.world.clock.advance(50)
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


async def test_another_car_is_plugged_in_when_the_end_of_a_charge_is_told_late(
    tmp_path: Path,
) -> None:
    """The driver left during an outage, and the plug is shown before what waits in the station."""
    async with staged(tmp_path) as stage:
        async with station(stage) as raw:
            quote = await charging(raw, stage)
        left_at = {"timestamp": stage.at(10), "offline": True}
        stage.world.clock.advance(60)
        async with station(stage, boots=False) as raw:
            await plug(raw, stage, "Occupied")
            await event(raw, stage, "Updated", state="Idle", **left_at)
            ended = register(stage, METER_START + 10, "Transaction.End", seconds=-50)
            await event(raw, stage, "Ended", **left_at, meterValue=ended)
            assert (await stage.until(quote, SessionState.CLOSED)).energy_wh == 10
            (one, _) = (await stage.world.point.view()).connectors
            assert one.status is ConnectorStatus.PREPARING


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
    """Events that waited nearly an hour are no sign of a clock that is so far behind."""
    async with staged(tmp_path, settings=config(start_timeout_s=3600)) as stage:
        async with station(stage) as raw:
            quote, asked = await asked_to_start(raw, stage)
            begun, at = register(stage, METER_START), stage.at()
            ended = register(stage, METER_START + 20_000, seconds=3000)
            ended_at = stage.at(3000)
        stage.world.clock.advance(3500)
        async with station(stage, boots=False) as raw:
            await started(raw, stage, asked, timestamp=at, meterValue=begun)
            await event(raw, stage, "Ended", timestamp=ended_at, meterValue=ended)
        session = await stage.until(quote, SessionState.CLOSED)
        assert session.energy_wh == 20_000
        assert session.charging_ms == 3_000_000


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
        one, asked_one = await asked_to_start(raw, stage, sats=100_000)
        two, asked_two = await asked_to_start(raw, stage, sats=100_000, evse=2)
        await started(raw, stage, asked_two, 9_000, name="tx-2")
        await started(raw, stage, asked_one, name="tx-1")
        stage.world.clock.advance(60)
        for name, wh in (("tx-1", METER_START + 100), ("tx-2", 9_030)):
            await event(raw, stage, "Updated", name=name, meterValue=register(stage, wh))
        assert stage.session(one).energy_wh == 100
        assert stage.session(two).energy_wh == 30
        await stage.world.site.owned.stop(two.secret)
        assert await raw.accept("RequestStopTransaction") == {"transactionId": "tx-2"}
        stage.world.clock.advance(2)
        await event(raw, stage, "Ended", name="tx-2", meterValue=register(stage, 9_032))
        assert (await stage.until(two, SessionState.CLOSED)).energy_wh == 32
        assert stage.session(one).state is SessionState.CHARGING
        assert await obstacle(stage, 1) is Obstacle.OCCUPIED
        assert await obstacle(stage, 2) is None


async def test_readings_that_waited_in_a_station_without_a_clock_count_once(
    tmp_path: Path,
) -> None:
    """Its clock was never set, and what is new comes before what waited: only seqNo tells."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await charging(raw, stage)
        for seq_no, wh in ((1, 100), (5, 700), (2, 250), (3, 400), (4, 550), (6, 800)):
            stage.world.clock.advance(60)
            at = f"1970-01-01T00:{seq_no:02}:00Z"
            values = register(stage, METER_START + wh)
            values[0]["timestamp"] = at
            await event(raw, stage, "Updated", seqNo=seq_no, timestamp=at, meterValue=values)
        assert stage.session(quote).energy_wh == 800


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
        kept = await stage.world.site.owned.signed_values(quote.secret)
        assert [value.data for value in kept] == ["T0NNRnx7IkZWIjoi\u00e4IjF9", "Z"]
        assert {value.encoding for value in kept} == {"OCMF"}

"""Stations of OCPP 2.0.1 that tell energy by `Energy.Active.Import.Interval`, and no register."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.machine.model import Ending, SessionState
from agent.ports.charger import MeterReport, StartReport, StopReport
from agent.ports.quotes import Quote
from bridge.ocpp import timestamps
from tests.bridge.ocpp.recorder import RecordingSite
from tests.bridge.ocpp.stage import METER_START, Stage, staged
from tests.bridge.ocpp.station import (
    ACCEPTED,
    asked_to_start,
    event,
    register,
    started,
    station,
)
from tests.bridge.ocpp.wire import RawCharger, charger, serving

TOKEN = {"idToken": "0123456789abcdef", "type": "Central"}


def sample(wh: float, context: str | None = "Sample.Periodic") -> dict[str, Any]:
    """An interval's energy in tens of Wh, as a multiplier of 1 says."""
    value: dict[str, Any] = {"value": wh / 10, "measurand": "Energy.Active.Import.Interval"}
    return value | {"unitOfMeasure": {"multiplier": 1}} | ({"context": context} if context else {})


def interval(
    stage: Stage, wh: float, context: str | None = "Sample.Periodic", *, seconds: float = 0
) -> list[dict[str, Any]]:
    """A meter value: the energy of an interval that is over now, and 7.2 kW."""
    power = {"value": 7200, "measurand": "Power.Active.Import"}
    return [{"timestamp": stage.at(seconds), "sampledValue": [sample(wh, context), power]}]


async def periodic(
    raw: RawCharger,
    stage: Stage,
    seq_no: int,
    values: list[dict[str, Any]],
    trigger: str = "MeterValuePeriodic",
    **fields: Any,
) -> None:
    """An event that was sent because of its meter values."""
    fields = {"meterValue": values, "seqNo": seq_no, "triggerReason": trigger} | fields
    assert await event(raw, stage, "Updated", **fields) == {}


async def counting(raw: RawCharger, stage: Stage, **more: Any) -> Quote:
    """A session under way by its first interval, of 40 Wh after 20 s."""
    quote, asked = await asked_to_start(raw, stage)
    assert await started(raw, stage, asked, meterValue=None, **more) == ACCEPTED
    await raw.accept("TriggerMessage")
    assert stage.session(quote).state is SessionState.STARTING
    stage.world.clock.advance(20)
    name = {"name": more["name"]} if "name" in more else {}
    await periodic(raw, stage, 1, interval(stage, 40), **name)
    session = stage.session(quote)
    assert (session.state, session.energy_wh) == (SessionState.CHARGING, 40)
    return quote


async def test_a_charge_is_billed_by_its_intervals(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await counting(raw, stage)
        assert "what is lost of its intervals cannot be billed" in caplog.text
        for seq_no in (2, 3):
            stage.world.clock.advance(20)
            await periodic(raw, stage, seq_no, interval(stage, 40))
        session = stage.session(quote)
        assert (session.energy_wh, session.power_w) == (120, 7200)
        assert session.charging_ms == 60_000
        stage.world.clock.advance(5)
        ended = interval(stage, 130, "Transaction.End")
        await event(raw, stage, "Ended", meterValue=ended, seqNo=4)
        session = await stage.until(quote, SessionState.CLOSED)
        assert (session.energy_wh, session.ending) == (130, Ending.STOPPED)


async def test_an_end_before_the_first_interval_is_billed_too(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote, asked = await asked_to_start(raw, stage)
        await started(raw, stage, asked, meterValue=None)
        await raw.accept("TriggerMessage")
        stage.world.clock.advance(15)
        ended = interval(stage, 30, None)
        await event(raw, stage, "Ended", meterValue=ended, seqNo=1)
        session = await stage.until(quote, SessionState.CLOSED)
        assert (session.energy_wh, session.charging_ms) == (30, 15_000)


async def test_an_end_without_energy_ends_by_the_last_interval(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await counting(raw, stage)
        await event(raw, stage, "Ended", seqNo=2)
        session = await stage.until(quote, SessionState.CLOSED)
        assert (session.energy_wh, session.ending) == (40, Ending.NO_REGISTER)


async def test_what_is_repeated_late_or_of_another_kind_is_not_added(tmp_path: Path) -> None:
    """The answer is lost and the event comes again, also dated anew; a station that was asked
    for its meter tells the running interval, and one whose state changed its last one."""
    async with staged(tmp_path) as stage:
        async with station(stage) as raw:
            quote = await counting(raw, stage)
            values = interval(stage, 40)
        async with station(stage, boots=False) as raw:
            await periodic(raw, stage, 1, values, offline=True)
            stage.world.clock.advance(10)
            await periodic(raw, stage, 1, interval(stage, 40))
            await periodic(raw, stage, 2, interval(stage, 20, "Trigger"), "Trigger")
            await periodic(raw, stage, 3, interval(stage, 40, None), "ChargingStateChanged")
            await periodic(raw, stage, 4, interval(stage, 600, "Sample.Clock"), "MeterValueClock")
            assert stage.session(quote).energy_wh == 40
            values = {"evseId": 1, "meterValue": interval(stage, 99)}
            await raw.call("MeterValues", values)
            assert stage.session(quote).energy_wh == 40
            stage.world.clock.advance(10)
            await periodic(raw, stage, 5, interval(stage, 41))
            assert stage.session(quote).energy_wh == 81


async def test_what_waited_in_the_station_is_added_and_what_was_lost_is_not(
    tmp_path: Path,
) -> None:
    """An outage of 100 s: of five events the station kept three."""
    async with staged(tmp_path) as stage:
        async with station(stage) as raw:
            quote = await counting(raw, stage)
            kept = [(seq_no, stage.at(20 * (seq_no - 1))) for seq_no in (3, 4, 6)]
        stage.world.clock.advance(100)
        async with station(stage, boots=False) as raw:
            for seq_no, at in kept:
                values = [{"timestamp": at, "sampledValue": [sample(40)]}]
                await periodic(raw, stage, seq_no, values, timestamp=at, offline=True)
            assert stage.session(quote).energy_wh == 160


async def test_the_sum_survives_a_restart(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        async with station(stage) as raw:
            quote = await counting(raw, stage)
            values = interval(stage, 40)
        async with (
            serving(stage.world.site, clock=stage.world.clock) as server,
            station(stage, boots=False, server=server) as raw,
        ):
            await periodic(raw, stage, 1, values)
            stage.world.clock.advance(20)
            await periodic(raw, stage, 2, interval(stage, 40))
            assert stage.session(quote).energy_wh == 80


async def test_a_station_that_tells_both_is_billed_by_its_register(tmp_path: Path) -> None:
    """The register is in all of its events, or in the first one and the last."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote, asked = await asked_to_start(raw, stage)
        await started(raw, stage, asked)
        for seq_no, wh in ((1, METER_START + 30), (2, METER_START + 50)):
            stage.world.clock.advance(20)
            values = register(stage, wh)
            values[0]["sampledValue"].insert(0, sample(70))
            await periodic(raw, stage, seq_no, values)
        assert stage.session(quote).energy_wh == 50
        stage.world.clock.advance(20)
        await periodic(raw, stage, 3, interval(stage, 70))
        assert stage.session(quote).energy_wh == 120
        await event(raw, stage, "Ended", meterValue=register(stage, METER_START + 90), seqNo=4)
        session = await stage.until(quote, SessionState.CLOSED)
        assert (session.energy_wh, session.ending) == (90, Ending.STOPPED)


async def test_a_register_that_is_read_after_all_goes_on_from_there(tmp_path: Path) -> None:
    """Its measurands were changed in the middle of the charge; it also sends MeterValues."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await counting(raw, stage)
        for seq_no, wh in ((2, METER_START + 80), (3, METER_START + 120)):
            stage.world.clock.advance(20)
            values = register(stage, wh)
            values[0]["sampledValue"].append(sample(70))
            await periodic(raw, stage, seq_no, values)
        assert stage.session(quote).energy_wh == 80
        stage.world.clock.advance(5)
        values = {"evseId": 1, "meterValue": register(stage, METER_START + 130)}
        await raw.call("MeterValues", values)
        assert stage.session(quote).energy_wh == 90
        stage.world.clock.advance(15)
        await periodic(raw, stage, 4, interval(stage, 40))
        assert stage.session(quote).energy_wh == 90
        stage.world.clock.advance(1)
        await event(raw, stage, "Ended", meterValue=register(stage, METER_START + 165), seqNo=5)
        session = await stage.until(quote, SessionState.CLOSED)
        assert (session.energy_wh, session.ending) == (125, Ending.STOPPED)


async def with_first_register(raw: RawCharger, stage: Stage) -> Quote:
    """A session whose register was read at its start, and never again: two intervals of 40 Wh."""
    quote, asked = await asked_to_start(raw, stage)
    await started(raw, stage, asked)
    for seq_no in (1, 2):
        stage.world.clock.advance(20)
        await periodic(raw, stage, seq_no, interval(stage, 40))
        session = stage.session(quote)
        assert (session.energy_wh, session.plan_power_w) == (40 * seq_no, 7_200)
    stage.world.clock.advance(5)
    return quote


@pytest.mark.parametrize(
    ("values", "wh", "ending"),
    [
        (None, 80, Ending.STOPPED),
        ([sample(90, "Transaction.End")], 90, Ending.STOPPED),
        ([sample(10, "Transaction.End")], 80, Ending.STOPPED),
        ([{"value": METER_START + 70}], 70, Ending.STOPPED),
        ([{"value": METER_START + 99}, sample(95, "Transaction.End")], 99, Ending.STOPPED),
    ],
)
async def test_a_register_at_the_start_alone_is_gone_on_from_by_intervals(
    tmp_path: Path, values: list[dict[str, Any]] | None, wh: int, ending: Ending
) -> None:
    """One that comes with the end after all counts, whatever the intervals came to."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await with_first_register(raw, stage)
        ended = [{"timestamp": stage.at(), "sampledValue": values}] if values else None
        await event(raw, stage, "Ended", meterValue=ended, seqNo=3)
        session = await stage.until(quote, SessionState.CLOSED)
        assert (session.energy_wh, session.ending) == (wh, ending)


async def test_a_charge_that_is_given_up_is_billed_by_the_last_interval(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        async with station(stage) as raw:
            quote = await with_first_register(raw, stage)
        await stage.world.until(lambda: stage.session(quote).offline_since_ms is not None)
        await stage.tick(3600)
        session = await stage.until(quote, SessionState.CLOSED)
        assert (session.energy_wh, session.ending) == (80, Ending.LOST)


async def test_intervals_go_on_from_the_last_register_that_was_read(tmp_path: Path) -> None:
    """What it covers is not added again, nor what comes twice."""
    async with staged(tmp_path) as stage:
        async with station(stage) as raw:
            quote = await with_first_register(raw, stage)
            values = register(stage, METER_START + 85)
            await periodic(raw, stage, 3, values, "Trigger")
            stage.world.clock.advance(15)
            await periodic(raw, stage, 4, interval(stage, 40))
            stage.world.clock.advance(20)
            values = interval(stage, 33)
            await periodic(raw, stage, 5, values)
        async with station(stage, boots=False) as raw:
            await periodic(raw, stage, 5, values, offline=True)
            await event(raw, stage, "Ended", seqNo=6)
            session = await stage.until(quote, SessionState.CLOSED)
            assert (session.energy_wh, session.ending) == (118, Ending.STOPPED)


async def test_a_stop_while_the_cable_stays_is_billed_by_intervals_too(tmp_path: Path) -> None:
    """The register is asked for, and does not come. The next driver begins with his own."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await with_first_register(raw, stage)
        await stage.world.site.owned.stop(quote.secret)
        await raw.accept("RequestStopTransaction")
        more = {"state": "EVConnected", "triggerReason": "RemoteStop", "seqNo": 3}
        await event(raw, stage, "Updated", **more)
        assert (await stage.until(quote, SessionState.CLOSED)).energy_wh == 80
        stage.world.clock.advance(60)
        second, asked = await asked_to_start(raw, stage)
        fields = {"idToken": asked["idToken"], "triggerReason": "RemoteStart", "seqNo": 4}
        values = register(stage, METER_START + 80)
        await event(raw, stage, "Updated", state="Charging", meterValue=values, **fields)
        for seq_no in (5, 6):
            stage.world.clock.advance(20)
            await periodic(raw, stage, seq_no, interval(stage, 40))
        await event(raw, stage, "Ended", seqNo=7)
        assert (await stage.until(second, SessionState.CLOSED)).energy_wh == 40


async def test_what_flowed_before_the_payment_is_not_billed(tmp_path: Path) -> None:
    """The transaction began with the plug, and its first interval for the driver before him."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        await event(raw, stage, "Started", state="EVConnected", evse={"id": 1})
        stage.world.clock.advance(20)
        await periodic(raw, stage, 1, interval(stage, 70))
        stage.world.clock.advance(10)
        quote, asked = await asked_to_start(raw, stage)
        fields = {"idToken": asked["idToken"], "triggerReason": "RemoteStart", "seqNo": 2}
        assert await event(raw, stage, "Updated", state="Charging", **fields) == ACCEPTED
        await raw.accept("TriggerMessage")
        for seq_no, seconds in ((3, 10), (4, 20)):
            stage.world.clock.advance(seconds)
            await periodic(raw, stage, seq_no, interval(stage, 40))
        assert stage.session(quote).energy_wh == 40
        ended = interval(stage, 500, "Transaction.End")
        await event(raw, stage, "Ended", meterValue=ended, seqNo=5)
        assert (await stage.until(quote, SessionState.CLOSED)).energy_wh == 40


async def test_a_driver_who_plugs_in_later_pays_from_his_first_interval_on(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote, asked = await asked_to_start(raw, stage)
        await started(raw, stage, asked, state="Idle", meterValue=None)
        stage.world.clock.advance(40)
        plugged = {"triggerReason": "CablePluggedIn", "seqNo": 1}
        await event(raw, stage, "Updated", state="EVConnected", **plugged)
        await raw.accept("TriggerMessage")
        stage.world.clock.advance(20)
        await periodic(raw, stage, 2, interval(stage, 33), state="Charging")
        session = stage.session(quote)
        assert (session.energy_wh, session.charging_ms) == (33, 20_000)


async def test_a_station_that_lost_its_transaction_goes_on_with_another(tmp_path: Path) -> None:
    """Its power failed: the end of the first comes later, and is not that of the session."""
    async with staged(tmp_path) as stage:
        async with station(stage) as raw:
            quote, asked = await asked_to_start(raw, stage)
            await started(raw, stage, asked, meterValue=None)
            await raw.accept("TriggerMessage")
            stage.world.clock.advance(20)
            await periodic(raw, stage, 1, interval(stage, 40))
        async with station(stage) as raw:
            stage.world.clock.advance(30)
            await started(raw, stage, asked, name="tx-b", meterValue=None)
            await raw.accept("TriggerMessage")
            stage.world.clock.advance(20)
            await periodic(raw, stage, 1, interval(stage, 35), name="tx-b")
            assert stage.session(quote).energy_wh == 75
            await event(raw, stage, "Ended", seqNo=2, offline=True)
            assert stage.session(quote).state is SessionState.CHARGING
            await stage.world.site.owned.stop(quote.secret)
            assert await raw.accept("RequestStopTransaction") == {"transactionId": "tx-b"}


async def test_an_event_that_could_not_be_stored_is_counted_when_it_comes_again() -> None:
    """Also where Strom died between the two things that it stores."""
    site = RecordingSite("CP001")
    at_ms = 1_790_000_000_000

    def told(kind: str, seq_no: int, wh: float = 0, **fields: Any) -> dict[str, Any]:
        at = timestamps.render(at_ms + seq_no * 20_000)
        context = "Transaction.End" if kind == "Ended" else "Sample.Periodic"
        values = [{"timestamp": at, "sampledValue": [sample(wh, context)]}]
        return {
            "eventType": kind,
            "timestamp": at,
            "seqNo": seq_no,
            "triggerReason": "MeterValuePeriodic",
            "transactionInfo": {"transactionId": "tx-a", "chargingState": "Charging"},
            "meterValue": values if seq_no else None,
        } | fields

    point = site.points["CP001"]
    async with (
        serving(site, clock=lambda: at_ms + 3_600_000) as server,
        charger(server, subprotocols=("ocpp2.0.1",)) as raw,
    ):
        await raw.boot()
        begun = told("Started", 0, idToken=TOKEN, evse={"id": 1})
        assert await raw.call("TransactionEvent", begun) == ACCEPTED
        await raw.accept("TriggerMessage")
        for failing in (True, False):
            point.failing = failing
            answer = await raw.exchange("TransactionEvent", told("Updated", 1, 40))
            assert (answer[0] == 4) is failing
        before = dict(point.notes)
        assert await raw.call("TransactionEvent", told("Updated", 2, 30)) == {}
    point.notes = before
    async with (
        serving(site, clock=lambda: at_ms + 3_600_000) as server,
        charger(server, subprotocols=("ocpp2.0.1",)) as raw,
    ):
        await raw.boot()
        assert await raw.call("TransactionEvent", told("Updated", 2, 30)) == {}
        point.failing = True
        assert (await raw.exchange("TransactionEvent", told("Ended", 3, 80)))[0] == 4
        point.failing = False
        assert await raw.call("TransactionEvent", told("Ended", 3, 80)) == {}
    assert [one.register_wh for one in point.of(StartReport)] == [0]
    read = [(one.register_wh, one.sampled_at_ms - at_ms) for one in point.of(MeterReport)]
    assert read == [(40, 20_000), (70, 40_000), (70, 40_000)]
    assert [one.register_wh for one in point.of(StopReport)] == [80]

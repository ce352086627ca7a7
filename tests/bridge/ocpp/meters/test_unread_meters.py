"""Chargers of OCPP 1.6 that tell energy by intervals alone, and no register while they charge."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest

from agent.machine.events import StopBy
from agent.machine.evidence import evidence_of
from agent.machine.meter import Source
from agent.machine.model import Ending, Session, SessionState
from agent.ports.quotes import Quote
from agent.talk.evidence import evidence_line
from agent.talk.words import words
from tests.agent.world import running
from tests.bridge.ocpp.stage import Stage, booted, staged
from tests.bridge.ocpp.wire import RawCharger, charger, serving


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncGenerator[Stage]:
    async with staged(tmp_path) as here:
        yield here


def energy(wh: float, context: str = "Sample.Periodic") -> dict[str, Any]:
    """The energy of an interval, in kWh."""
    value = {"value": str(wh / 1000), "measurand": "Energy.Active.Import.Interval", "unit": "kWh"}
    return value | ({"context": context} if context else {})


def interval(stage: Stage, wh: float, context: str = "Sample.Periodic") -> list[dict[str, Any]]:
    """A meter value: the energy of an interval that is over now, and 7.2 kW."""
    power = {"value": "7200", "measurand": "Power.Active.Import", "unit": "W"}
    return [{"timestamp": stage.at(), "sampledValue": [energy(wh, context), power]}]


async def metered(raw: RawCharger, values: list[dict[str, Any]], **fields: object) -> None:
    assert await raw.call("MeterValues", {"connectorId": 1, "meterValue": values} | fields) == {}


async def begun(
    raw: RawCharger, stage: Stage, meter_start: object = 0, sats: int = 1000
) -> tuple[Quote, int]:
    """A session that began with a register, or what should be one."""
    quote = await stage.paid(raw, sats)
    answer = await stage.start(raw, quote, meterStart=meter_start)
    return quote, answer["transactionId"]


async def counting(
    raw: RawCharger, stage: Stage, meter_start: object = 0, **fields: object
) -> tuple[Quote, int]:
    """A session under way, with two intervals of 40 Wh."""
    quote, number = await begun(raw, stage, meter_start)
    for _ in range(2):
        stage.world.clock.advance(20)
        await metered(raw, interval(stage, 40), **({"transactionId": number} | fields))
    return quote, number


async def stopped(stage: Stage, raw: RawCharger, quote: Quote, **fields: object) -> Session:
    """The session after StopTransaction."""
    transaction = stage.session(quote).transaction_id
    await stage.stop(raw, transaction, **fields)
    return await stage.until(quote, SessionState.CLOSED)


@pytest.mark.parametrize("meter_start", [0, -1, None, "", 40_000])
@pytest.mark.parametrize("named", [None, 0])
async def test_energy_and_cost_are_counted_while_it_charges(
    stage: Stage, meter_start: object, named: int | None
) -> None:
    async with booted(stage) as raw:
        quote, _ = await counting(raw, stage, meter_start, transactionId=named)
        session = stage.session(quote)
        assert (session.energy_wh, session.cost_now_msat) == (80, 24_000)
        assert (session.power_w, session.plan_power_w) == (7_200, 7_200)
        assert session.metered_at_ms == stage.world.clock()


@pytest.mark.parametrize("meter_start", [0, None, 500])
@pytest.mark.parametrize("meter_stop", [0, -1, None, ""])
async def test_a_stop_without_a_register_is_billed_by_intervals(
    stage: Stage, meter_start: object, meter_stop: object
) -> None:
    async with booted(stage) as raw:
        quote, _ = await counting(raw, stage, meter_start)
        session = await stopped(stage, raw, quote, meterStop=meter_stop)
        assert (session.energy_wh, session.ending) == (80, Ending.NO_REGISTER)
        evidence = evidence_of(session)
        assert evidence is not None
        assert evidence.end_source is Source.INTERVALS
        start_wh = meter_start or 0
        assert isinstance(start_wh, int)
        assert evidence_line(evidence, words("en")) == (
            f"Meter: {start_wh} Wh at the start, {start_wh + 80} Wh at the end (summed up from the "
            "intervals that the charger told; the last sample: the charger named no reading when "
            "it stopped)."
        )


async def test_what_comes_with_the_stop_is_counted_once(stage: Stage) -> None:
    """Its intervals, which were told before, and the whole of it."""
    async with booted(stage) as raw:
        quote, _ = await counting(raw, stage)
        data = interval(stage, 40)
        stage.world.clock.advance(10)
        data += interval(stage, 99, "Transaction.End")
        session = await stopped(stage, raw, quote, meterStop=0, transactionData=data)
        assert session.energy_wh == 99


async def test_what_was_lost_on_the_way_comes_with_the_stop(stage: Stage) -> None:
    async with booted(stage) as raw:
        quote, number = await begun(raw, stage)
        data: list[dict[str, Any]] = []
        for count in range(4):
            stage.world.clock.advance(20)
            values = interval(stage, 40 + count)
            data += values
            if count < 2:
                await metered(raw, values, transactionId=number)
        session = await stopped(stage, raw, quote, meterStop=0, transactionData=data)
        assert session.energy_wh == 40 + 41 + 42 + 43


async def test_what_may_have_been_counted_is_not_counted_again(stage: Stage) -> None:
    """A value is repeated over the next connection and after a restart of the server; others are
    of an interval that still runs."""
    async with booted(stage) as raw:
        quote, number = await counting(raw, stage)
        values = interval(stage, 40)
    async with (
        serving(stage.world.site, clock=stage.world.clock) as server,
        charger(server) as raw,
    ):
        named = {"transactionId": number}
        await metered(raw, values, **named)
        stage.world.clock.advance(10)
        for context in ("Trigger", "Other"):
            await metered(raw, interval(stage, 20, context), **named)
        assert stage.session(quote).energy_wh == 80
        stage.world.clock.advance(10)
        await metered(raw, interval(stage, 41), **named)
        assert stage.session(quote).energy_wh == 121
        assert (await stopped(stage, raw, quote, meterStop=0)).energy_wh == 121


async def test_what_comes_late_or_in_another_order_is_counted_once_at_most(stage: Stage) -> None:
    async with booted(stage) as raw:
        quote, number = await begun(raw, stage)
        told: list[list[dict[str, Any]]] = []
        for wh in (40, 41, 42, 43):
            stage.world.clock.advance(20)
            told.append(interval(stage, wh))
        for index in (0, 2, 1, 2, 0, 3, 3):
            await metered(raw, told[index], transactionId=number)
        # what came late is lost
        assert stage.session(quote).energy_wh == 40 + 42 + 43


@pytest.mark.parametrize(
    ("meter_start", "meter_stop", "wh", "ending"),
    [
        (0, 70, 70, Ending.STOPPED),
        (0, 95, 95, Ending.STOPPED),
        (0, 12_345_678, 80, Ending.NOT_BELIEVED),
        (None, 95, 80, Ending.NOT_BELIEVED),
        (500, 570, 70, Ending.STOPPED),
        (500, 595, 95, Ending.STOPPED),
        (500, 500, 0, Ending.STOPPED),
    ],
)
async def test_a_register_counts_where_there_is_one(
    stage: Stage, meter_start: int, meter_stop: int, wh: int, ending: Ending
) -> None:
    async with booted(stage) as raw:
        quote, _ = await counting(raw, stage, meter_start)
        session = await stopped(stage, raw, quote, meterStop=meter_stop)
        assert (session.energy_wh, session.ending) == (wh, ending)


@pytest.mark.parametrize("phase", [None, "L1"])
async def test_a_register_that_was_read_in_between_counts(stage: Stage, phase: str | None) -> None:
    """Whether it was told by the book or not: intervals are left out from then on."""
    async with booted(stage) as raw:
        quote, number = await counting(raw, stage)
        sample = {"value": "60"} | ({"phase": phase} if phase else {})
        values = [{"timestamp": stage.at(), "sampledValue": [sample]}]
        await metered(raw, values, transactionId=number)
        assert stage.session(quote).energy_wh == 60
        stage.world.clock.advance(20)
        await metered(raw, interval(stage, 40), transactionId=number)
        assert (await stopped(stage, raw, quote, meterStop=0)).energy_wh == 60


@pytest.mark.parametrize("is_register_first", [True, False])
async def test_who_tells_registers_and_intervals_is_billed_by_registers(
    stage: Stage, *, is_register_first: bool
) -> None:
    async with booted(stage) as raw:
        quote, number = await begun(raw, stage, 500)
        for count in (1, 2, 3):
            stage.world.clock.advance(20)
            samples = [{"value": str(500 + 39 * count)}, energy(40)]
            samples = samples if is_register_first else samples[::-1]
            values = [{"timestamp": stage.at(), "sampledValue": samples}]
            await metered(raw, values, transactionId=number)
            assert stage.session(quote).energy_wh == 39 * count
        assert (await stopped(stage, raw, quote, meterStop=620)).energy_wh == 120


@pytest.mark.parametrize("meter_start", [0, 500])
async def test_zero_is_no_register_beside_intervals(stage: Stage, meter_start: int) -> None:
    """Chargers without a register write it where one should be."""
    async with booted(stage) as raw:
        quote, number = await begun(raw, stage, meter_start)
        for _ in range(3):
            stage.world.clock.advance(20)
            samples = [{"value": "0"}, energy(40)]
            values = [{"timestamp": stage.at(), "sampledValue": samples}]
            await metered(raw, values, transactionId=number)
        assert stage.session(quote).energy_wh == 120
        lone = [{"timestamp": stage.at(), "sampledValue": [{"value": "0"}]}]
        await metered(raw, lone, transactionId=number)
        assert (await stopped(stage, raw, quote, meterStop=0)).energy_wh == 120


@pytest.mark.parametrize("context", ["", "Sample.Periodic"])
async def test_what_was_asked_for_is_of_an_interval_that_still_runs(
    stage: Stage, context: str
) -> None:
    """Many chargers do not say so. It comes again with its interval."""
    async with booted(stage) as raw:
        quote, number = await begun(raw, stage)
        for _ in range(2):
            stage.world.clock.advance(20)
            await metered(raw, interval(stage, 40, context), transactionId=number)
        assert stage.session(quote).energy_wh == 80
        wanted = {"requestedMessage": "MeterValues", "connectorId": 1}
        async with anyio.create_task_group() as asking:
            asking.start_soon(stage.server.desk.ask, "CP001", "TriggerMessage", wanted)
            assert await raw.accept("TriggerMessage") == wanted
        stage.world.clock.advance(5)
        await metered(raw, interval(stage, 10, context), transactionId=number)
        assert stage.session(quote).energy_wh == 80
        stage.world.clock.advance(15)
        await metered(raw, interval(stage, 40, context), transactionId=number)
        assert stage.session(quote).energy_wh == 120
        assert (await stopped(stage, raw, quote, meterStop=0)).energy_wh == 120


async def test_nothing_is_counted_for_another_transaction(stage: Stage) -> None:
    """That of the connector next door, whose number may be the charger's own; one that nobody
    paid for; and one that is unknown."""
    async with booted(stage) as raw:
        one, number = await counting(raw, stage)
        two = await stage.paid(raw, connector=2)
        other = (await stage.start(raw, two, meterStart=0))["transactionId"]
        stage.world.clock.advance(20)
        await metered(raw, interval(stage, 40), transactionId=other)
        await metered(raw, interval(stage, 40), transactionId=4711)
        await metered(raw, interval(stage, 41), connectorId=2, transactionId=other)
        assert (stage.session(one).energy_wh, stage.session(two).energy_wh) == (80, 41)
        card = {"idTag": "CARD", "connectorId": 2, "meterStart": 0, "timestamp": stage.at()}
        assert (await raw.call("StartTransaction", card))["idTagInfo"]["status"] == "Invalid"
        stage.world.clock.advance(20)
        await metered(raw, interval(stage, 40), connectorId=2)
        await metered(raw, interval(stage, 42), transactionId=number)
        assert (stage.session(one).energy_wh, stage.session(two).energy_wh) == (122, 41)


async def test_what_flowed_before_the_start_is_not_counted(stage: Stage) -> None:
    """Told late by the transaction before, and at strokes of the clock, which began before it."""
    async with booted(stage) as raw:
        stage.world.clock.advance(20)
        before = interval(stage, 40)
        stage.world.clock.advance(1)
        quote, number = await begun(raw, stage)
        await metered(raw, before)
        stage.world.clock.advance(5)
        await metered(raw, interval(stage, 300, "Sample.Clock"))
        assert stage.session(quote).energy_wh == 0
        stage.world.clock.advance(20)
        await metered(raw, interval(stage, 41, "Sample.Clock"), transactionId=number)
        assert stage.session(quote).energy_wh == 41


async def test_the_stop_is_planned_by_intervals(stage: Stage) -> None:
    async with booted(stage) as raw:
        quote, number = await begun(raw, stage, sats=300)
        for _ in range(15):
            stage.world.clock.advance(20)
            await metered(raw, interval(stage, 40), transactionId=number)
        assert stage.session(quote).energy_wh == 600
        # 1 kWh was paid for, and 40 Wh flow in 20 s.
        await stage.tick(190)
        assert stage.session(quote).state is SessionState.CHARGING
        await stage.tick(10)
        session = stage.session(quote)
        assert (session.state, session.stop_by) == (SessionState.STOPPING, StopBy.CREDIT)
        stopping = await _next_of(raw, "RemoteStopTransaction")
        assert stopping == {"transactionId": number}


async def _next_of(raw: RawCharger, action: str) -> Any:
    """The next call of an action; others are refused."""
    while True:
        _, message_id, asked, payload = await raw.asked()
        status = "Accepted" if asked == action else "Rejected"
        await raw.send([3, message_id, {"status": status}])
        if asked == action:
            return payload


@pytest.mark.parametrize("meter_start", [0, None, 500])
async def test_a_charge_that_is_given_up_is_billed_by_the_last_interval(
    stage: Stage, meter_start: object
) -> None:
    async with booted(stage) as raw:
        quote, _ = await counting(raw, stage, meter_start)
    await stage.world.until(lambda: stage.session(quote).offline_since_ms is not None)
    await stage.tick(3600)
    session = await stage.until(quote, SessionState.CLOSED)
    assert (session.energy_wh, session.ending) == (80, Ending.LOST)
    assert (session.cost_msat, session.owed_msat) == (24_000, 976_000)


async def test_what_is_counted_survives_a_restart_of_strom(tmp_path: Path) -> None:
    """Also where a reading came again that was answered before, and its stop names no register."""
    async with staged(tmp_path) as stage:
        async with booted(stage) as raw:
            quote, number = await counting(raw, stage, 500)
            told = interval(stage, 40)
        clock = stage.world.clock
    async with running(tmp_path, clock) as world, serving(world.site, clock=clock) as server:
        again = Stage(world, server)
        async with charger(server) as raw:
            await metered(raw, told, transactionId=number)
            assert again.session(quote).energy_wh == 80
            world.clock.advance(20)
            await metered(raw, interval(again, 41), transactionId=number)
            assert again.session(quote).energy_wh == 121
            session = await stopped(again, raw, quote, meterStop=0)
            assert (session.energy_wh, session.ending) == (121, Ending.NO_REGISTER)


async def test_a_charger_without_intervals_that_says_zero_is_billed_as_before(
    stage: Stage,
) -> None:
    async with booted(stage) as raw:
        quote, number = await begun(raw, stage)
        await stage.sample(raw, 0, transactionId=number)
        await stage.sample(raw, 50, transactionId=number)
        session = await stopped(stage, raw, quote, meterStop=60)
        assert (session.energy_wh, session.ending) == (60, Ending.STOPPED)

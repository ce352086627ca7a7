"""Chargers of OCPP 1.6 whose meters have no register, and tell energy by intervals alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from agent.machine.model import Ending, SessionState
from agent.ports.quotes import Quote
from tests.bridge.ocpp.stage import Stage, booted, staged
from tests.bridge.ocpp.wire import RawCharger, charger, serving


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncGenerator[Stage]:
    async with staged(tmp_path) as here:
        yield here


def interval(stage: Stage, wh: float, context: str = "Sample.Periodic") -> list[dict[str, Any]]:
    """A meter value: the energy of an interval that is over now, in kWh, and 7.2 kW."""
    energy = {"value": str(wh / 1000), "measurand": "Energy.Active.Import.Interval", "unit": "kWh"}
    context_of = {"context": context} if context else {}
    power = {"value": "7200", "measurand": "Power.Active.Import", "unit": "W"}
    return [{"timestamp": stage.at(), "sampledValue": [energy | context_of, power]}]


async def metered(raw: RawCharger, values: list[dict[str, Any]], **fields: object) -> None:
    assert await raw.call("MeterValues", {"connectorId": 1, "meterValue": values} | fields) == {}


async def counting(
    raw: RawCharger, stage: Stage, meter_start: object = 0, **fields: object
) -> tuple[Quote, int]:
    """A session under way, with two intervals of 40 Wh."""
    quote = await stage.paid(raw)
    answer = await stage.start(raw, quote, meterStart=meter_start)
    for _ in range(2):
        stage.world.clock.advance(20)
        number = {"transactionId": answer["transactionId"]}
        await metered(raw, interval(stage, 40), **(number | fields))
    return quote, answer["transactionId"]


@pytest.mark.parametrize("meter_stop", [0, -1, None, ""])
@pytest.mark.parametrize("named", [None, 0])
async def test_a_stop_without_a_register_is_billed_by_intervals(
    stage: Stage, meter_stop: object, named: int | None
) -> None:
    async with booted(stage) as raw:
        quote, number = await counting(raw, stage, transactionId=named)
        await stage.stop(raw, number, meterStop=meter_stop)
        session = await stage.until(quote, SessionState.CLOSED)
        assert (session.energy_wh, session.ending) == (80, Ending.STOPPED)


async def test_what_comes_with_the_stop_is_counted_once(stage: Stage) -> None:
    """Its intervals, which were told before, and the whole of it."""
    async with booted(stage) as raw:
        quote, number = await counting(raw, stage)
        data = interval(stage, 40)
        stage.world.clock.advance(10)
        data += interval(stage, 99, "Transaction.End")
        await stage.stop(raw, number, meterStop=0, transactionData=data)
        assert (await stage.until(quote, SessionState.CLOSED)).energy_wh == 99


async def test_what_may_have_been_counted_is_not_counted_again(stage: Stage) -> None:
    """A value is repeated over the next connection and after a restart of Strom; one is of an
    interval that still runs, and one does not say so."""
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
        for context in ("Trigger", "", "Other"):
            await metered(raw, interval(stage, 20, context), **named)
        stage.world.clock.advance(10)
        await metered(raw, interval(stage, 41), **named)
        await stage.stop(raw, number, meterStop=0)
        assert (await stage.until(quote, SessionState.CLOSED)).energy_wh == 121


@pytest.mark.parametrize(
    ("meter_start", "meter_stop", "wh"), [(0, 70, 70), (500, 570, 70), (500, 500, 0), (500, 0, 0)]
)
async def test_a_register_counts_where_there_is_one(
    stage: Stage, meter_start: int, meter_stop: int, wh: int
) -> None:
    async with booted(stage) as raw:
        quote, number = await counting(raw, stage, meter_start)
        await stage.stop(raw, number, meterStop=meter_stop)
        assert (await stage.until(quote, SessionState.CLOSED)).energy_wh == wh


@pytest.mark.parametrize("phase", [None, "L1"])
async def test_a_register_that_was_read_in_between_counts(stage: Stage, phase: str | None) -> None:
    """Whether it was told by the book or not: intervals are left out from then on."""
    async with booted(stage) as raw:
        quote, number = await counting(raw, stage)
        sample = {"value": "60"} | ({"phase": phase} if phase else {})
        values = [{"timestamp": stage.at(), "sampledValue": [sample]}]
        await metered(raw, values, transactionId=number)
        stage.world.clock.advance(20)
        await metered(raw, interval(stage, 40), transactionId=number)
        await stage.stop(raw, number, meterStop=0)
        assert (await stage.until(quote, SessionState.CLOSED)).energy_wh == 60

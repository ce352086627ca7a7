"""Transactions of OCPP 2.0.1 whose end is told before their beginning: a queue in disorder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agent.machine.events import Obstacle
from agent.machine.model import Ending, SessionState
from tests.bridge.ocpp.stage import METER_START, Stage, staged
from tests.bridge.ocpp.station import (
    ACCEPTED,
    asked_to_start,
    event,
    obstacle,
    register,
    started,
    station,
)
from tests.bridge.ocpp.wire import RawCharger, serving

STOPPED = {"stoppedReason": "EVDisconnected"}


async def ended(raw: RawCharger, stage: Stage, wh: float, at_s: float, **fields: Any) -> Any:
    """The end, with the last register alone."""
    values = register(stage, wh, "Transaction.End", seconds=at_s)
    fields = {"timestamp": stage.at(at_s), "meterValue": values, "seqNo": 9} | fields
    return await event(raw, stage, "Ended", STOPPED, **fields)


def begun(stage: Stage, at_s: float) -> dict[str, Any]:
    """When the beginning was."""
    values = register(stage, METER_START, "Transaction.Begin", seconds=at_s)
    return {"timestamp": stage.at(at_s), "meterValue": values, "offline": True}


@pytest.mark.parametrize("named", [True, False])
async def test_the_beginning_tells_from_where_on_it_is_billed(tmp_path: Path, named: bool) -> None:
    """For whom it is, the end says too, or the beginning alone."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote, asked = await asked_to_start(raw, stage)
        stage.world.clock.advance(90)
        token = {"idToken": asked["idToken"], "evse": {"id": 1}} if named else {}
        assert await ended(raw, stage, METER_START + 80, -10, **token) == (
            ACCEPTED if named else {}
        )
        assert stage.session(quote).state is SessionState.STARTING
        assert await started(raw, stage, asked, **begun(stage, -70)) == ACCEPTED
        session = await stage.until(quote, SessionState.CLOSED)
        assert (session.energy_wh, session.ending) == (80, Ending.STOPPED)
        assert session.charging_ms == 60_000
        assert await obstacle(stage) is None


async def test_what_comes_between_begins_nothing(tmp_path: Path) -> None:
    """The station answered the remote start with the transaction's name."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await stage.world.paid()
        _, message_id, _, asked = await raw.asked()
        await raw.send([3, message_id, {"status": "Accepted", "transactionId": "tx-a"}])
        stage.world.clock.advance(90)
        await ended(raw, stage, METER_START + 80, -10, evse={"id": 1})
        values = register(stage, METER_START + 50, seconds=-30)
        fields = {"meterValue": values, "timestamp": stage.at(-30), "state": "Charging"}
        assert await event(raw, stage, "Updated", **fields) == {}
        await ended(raw, stage, METER_START + 80, -10)
        assert stage.session(quote).state is SessionState.STARTING
        begun_at = begun(stage, -70)
        for _ in range(2):
            await started(raw, stage, asked, **begun_at)
        assert (await stage.until(quote, SessionState.CLOSED)).energy_wh == 80
        await event(raw, stage, "Updated", **fields)
        assert await obstacle(stage) is None


async def test_strom_restarts_between_the_end_and_the_beginning(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        async with station(stage) as raw:
            quote, asked = await asked_to_start(raw, stage)
            stage.world.clock.advance(90)
            await ended(raw, stage, METER_START + 80, -10)
        async with (
            serving(stage.world.site, clock=stage.world.clock) as server,
            station(stage, boots=False, server=server) as raw,
        ):
            await started(raw, stage, asked, **begun(stage, -70))
            assert (await stage.until(quote, SessionState.CLOSED)).energy_wh == 80


async def test_who_took_nothing_gets_everything_back(tmp_path: Path) -> None:
    """He never plugged in, and the end of that came first; the beginning is of no weight then."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote, asked = await asked_to_start(raw, stage)
        stage.world.clock.advance(90)
        await ended(raw, stage, METER_START, -10)
        await started(raw, stage, asked, **begun(stage, -70))
        assert stage.session(quote).state is SessionState.STARTING
        await stage.tick(61)
        session = await stage.until(quote, SessionState.CLOSED)
        assert session.obstacle is Obstacle.NOT_PLUGGED_IN
        assert session.owed_msat == session.paid_msat


async def test_an_end_without_a_register_leaves_nothing_to_bill(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote, asked = await asked_to_start(raw, stage)
        stage.world.clock.advance(90)
        await ended(raw, stage, METER_START, -10, meterValue=None)
        await started(raw, stage, asked, **begun(stage, -70))
        assert stage.session(quote).state is SessionState.STARTING
        assert await obstacle(stage) is Obstacle.OCCUPIED


async def test_an_old_end_does_not_end_the_next_transaction_of_its_name(tmp_path: Path) -> None:
    """The station counts its transactions anew: of the first there was nothing but its end."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        await ended(raw, stage, METER_START, 0)
        stage.world.clock.advance(60)
        quote, asked = await asked_to_start(raw, stage)
        await started(raw, stage, asked)
        assert stage.session(quote).state is SessionState.CHARGING
        stage.world.clock.advance(60)
        await ended(raw, stage, METER_START + 70, 0)
        assert (await stage.until(quote, SessionState.CLOSED)).energy_wh == 70

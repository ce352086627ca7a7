"""Looking closely at a station of OCPP 2.0.1 near the end of a credit, and cutting its power."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from agent.machine.model import SessionState
from agent.ports.charger import WatchOutcome
from tests.bridge.ocpp.stage import METER_START, staged
from tests.bridge.ocpp.station import (
    ACCEPTED,
    asked_to_start,
    charging,
    event,
    register,
    started,
    station,
)
from tests.bridge.ocpp.test_watching import standing

OCPP201 = "ocpp2.0.1"
INTERVAL = {"component": {"name": "SampledDataCtrlr"}, "variable": {"name": "TxUpdatedInterval"}}


def interval(value: str, status: str = "Accepted") -> dict[str, Any]:
    """The answer of GetVariables."""
    return {"getVariableResult": [INTERVAL | {"attributeStatus": status, "attributeValue": value}]}


def changed(status: str = "Accepted") -> dict[str, Any]:
    """The answer of SetVariables."""
    return {"setVariableResult": [INTERVAL | {"attributeStatus": status}]}


def wishes(heard: list[tuple[str, dict[str, Any]]]) -> list[str]:
    """The intervals that were set."""
    return [
        payload["setVariableData"][0]["attributeValue"]
        for action, payload in heard
        if action == "SetVariables"
    ]


async def test_the_transaction_is_asked_for() -> None:
    async with standing({"TriggerMessage": "Accepted"}, OCPP201) as (asked, scripted):
        assert await asked.watch(2) is WatchOutcome.COMING
        await asked.watch_as_usual(2)
    wanted = {"requestedMessage": "TransactionEvent", "evse": {"id": 2}}
    assert scripted.heard == [("TriggerMessage", wanted)]


async def test_the_meter_by_itself_is_asked_for_where_the_transaction_is_not_told() -> None:
    answers = {"TriggerMessage": ["NotImplemented", "Accepted"]}
    async with standing(answers, OCPP201) as (asked, scripted):
        assert await asked.watch(1) is WatchOutcome.COMING
    triggers = [payload["requestedMessage"] for _, payload in scripted.heard]
    assert triggers == ["TransactionEvent", "MeterValues"]


@pytest.mark.parametrize(
    ("refusal", "triggers"),
    [("NotSupported", 2), ("NotImplemented", 2), ({"status": "NotImplemented"}, 2)],
)
async def test_without_triggers_the_interval_is_shortened_and_set_back_to_what_it_was(
    refusal: object, triggers: int
) -> None:
    """The operator's file wants 45 s: it is 45 s again, and not what Strom would choose."""
    answers: dict[str, Any] = {
        "TriggerMessage": refusal,
        "GetVariables": interval("45"),
        "SetVariables": changed(),
    }
    async with standing(answers, OCPP201) as (asked, scripted):
        for connector in (1, 2, 1):
            assert await asked.watch(connector) is WatchOutcome.COMING
        await asked.watch_as_usual(1)
        await asked.watch_as_usual(2)
        await asked.watch_as_usual(2)
    assert [action for action, _ in scripted.heard].count("TriggerMessage") == triggers
    assert wishes(scripted.heard) == ["10", "45"]


async def test_triggers_that_are_rejected_now_are_tried_again() -> None:
    """Meanwhile it samples more often."""
    answers: dict[str, Any] = {
        "TriggerMessage": ["Rejected", "Rejected", "Accepted"],
        "GetVariables": interval("60"),
        "SetVariables": changed(),
    }
    async with standing(answers, OCPP201) as (asked, scripted):
        assert await asked.watch(1) is WatchOutcome.COMING
        assert await asked.watch(1) is WatchOutcome.COMING
        await asked.watch_as_usual(1)
    assert wishes(scripted.heard) == ["10", "60"]


@pytest.mark.parametrize(
    "answers",
    [
        {"GetVariables": interval("", "UnknownVariable")},
        {"GetVariables": interval("60"), "SetVariables": changed("Rejected")},
        {"GetVariables": interval("60"), "SetVariables": changed("NotSupportedAttributeType")},
        {"GetVariables": {}, "SetVariables": changed()},
        {"GetVariables": "NotSupported"},
    ],
)
async def test_a_station_that_can_do_neither_is_asked_once(answers: dict[str, Any]) -> None:
    async with standing({"TriggerMessage": "NotImplemented"} | answers, OCPP201) as (asked, heard):
        for _ in range(3):
            assert await asked.watch(1) is WatchOutcome.UNSUPPORTED
        await asked.watch_as_usual(1)
    assert len(heard.heard) <= 4


async def test_a_station_that_answers_with_errors_does_no_harm(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers = {"TriggerMessage": "NotSupported", "GetVariables": "InternalError"}
    with caplog.at_level(logging.INFO, "bridge.ocpp.watching"):
        async with standing(answers, OCPP201) as (asked, _):
            assert await asked.watch(1) is WatchOutcome.UNKNOWN
            await asked.watch_as_usual(1)
    [sentence] = [record.getMessage() for record in caplog.records]
    assert sentence.startswith("CP001: was not asked for its meter: GetVariables: ")


async def test_near_the_end_of_the_credit_the_station_is_asked_for_its_meter(
    tmp_path: Path,
) -> None:
    """3.3 kWh are paid for, and 7.2 kW flow. The reading that comes plans the stop, and a stop
    that is ignored is followed by a limit of nothing, in W and where these are rejected in A."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote = await charging(raw, stage)
        stage.world.clock.advance(20)
        await event(raw, stage, "Updated", meterValue=register(stage, METER_START + 40))
        for _ in range(400):
            await stage.tick(5)
            await raw.call("Heartbeat", {})
            if raw.waiting:
                break
        assert (await raw.accept("TriggerMessage"))["requestedMessage"] == "TransactionEvent"
        session = stage.session(quote)
        assert session.watched
        elapsed_s = (stage.world.clock() - (session.started_at_ms or 0)) / 1000
        used = register(stage, METER_START + 2 * elapsed_s, "Trigger")
        await event(raw, stage, "Updated", meterValue=used)
        assert stage.session(quote).energy_wh == round(2 * elapsed_s)
        await stage.world.site.owned.stop(quote.secret)
        assert await raw.accept("RequestStopTransaction") == {"transactionId": "tx-a"}
        await stage.tick(15)
        await raw.accept("RequestStopTransaction")
        units: list[str] = []
        for status in ("Rejected", "Accepted"):
            order = await raw.accept("SetChargingProfile", status)
            profile = order["chargingProfile"]
            assert (order["evseId"], profile["transactionId"]) == (1, "tx-a")
            assert profile["chargingProfilePurpose"] == "TxProfile"
            (schedule,) = profile["chargingSchedule"]
            assert schedule["chargingSchedulePeriod"] == [{"startPeriod": 0, "limit": 0}]
            units.append(schedule["chargingRateUnit"])
        assert units == ["W", "A"]
        stage.world.clock.advance(1)
        await event(raw, stage, "Ended", {"stoppedReason": "Remote"})
        await stage.until(quote, SessionState.CLOSED)


async def test_no_stop_is_planned_with_the_power_of_the_first_moment(tmp_path: Path) -> None:
    """The station tells with its start that nothing flows yet, and then nothing until its first
    sample: a small credit ends before that."""
    async with staged(tmp_path) as stage, station(stage) as raw:
        quote, asked = await asked_to_start(raw, stage, 100)
        nothing = {"value": 0, "measurand": "Power.Active.Import"}
        values = register(stage, METER_START, "Transaction.Begin")
        values[0]["sampledValue"][1] = nothing
        assert await started(raw, stage, asked, meterValue=values) == ACCEPTED
        await stage.tick(4)
        assert stage.session(quote).state is SessionState.STOPPING
        assert await raw.accept("RequestStopTransaction") == {"transactionId": "tx-a"}
        end = register(stage, METER_START + 300, "Transaction.End")
        await event(raw, stage, "Ended", seqNo=1, meterValue=end)
        assert stage.session(quote).cost_msat == 90_000

"""Looking closely at a charger near the end of a credit, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from agent.ports.charger import Charger, WatchOutcome
from tests.bridge.ocpp.recorder import RecordingSite
from tests.bridge.ocpp.wire import RawCharger, charger, serving

REFUSALS = ("NotSupported", "NotImplemented", "GenericError", "InternalError")
"""Answers that are errors."""


class Scripted:
    """A charger that answers each action as the test says."""

    def __init__(self, raw: RawCharger, answers: dict[str, Any]) -> None:
        self.raw = raw
        self.answers = answers
        self.in_turn = {action for action, answer in answers.items() if isinstance(answer, list)}
        self.heard: list[tuple[str, dict[str, Any]]] = []

    async def answer(self) -> None:
        while True:
            frame = await self.raw.asked()
            self.heard.append((frame[2], frame[3]))
            answer = self.answers.get(str(frame[2]), "NotSupported")
            answer = answer.pop(0) if frame[2] in self.in_turn else answer
            if isinstance(answer, str) and answer in REFUSALS:
                refusal: list[Any] = [4, frame[1], answer, "", {}]
                await self.raw.send(refusal)
            else:
                payload: Any = {"status": answer} if isinstance(answer, str) else answer
                await self.raw.send([3, frame[1], payload])


@asynccontextmanager
async def standing(
    answers: dict[str, Any], version: str = "ocpp1.6"
) -> AsyncGenerator[tuple[Charger, Scripted]]:
    site = RecordingSite("CP001")
    async with serving(site) as server, charger(server, subprotocols=(version,)) as raw:
        await raw.call("Heartbeat", {})
        scripted = Scripted(raw, answers)
        async with anyio.create_task_group() as group:
            group.start_soon(scripted.answer)
            yield site.points["CP001"].charger, scripted
            group.cancel_scope.cancel()


def interval(value: str) -> dict[str, Any]:
    key = {"key": "MeterValueSampleInterval", "readonly": False, "value": value}
    return {"configurationKey": [key]}


async def test_a_reading_is_asked_for_by_trigger() -> None:
    async with standing({"TriggerMessage": "Accepted"}) as (asked, scripted):
        assert await asked.watch(2) is WatchOutcome.COMING
        await asked.watch_as_usual(2)
    wanted = {"requestedMessage": "MeterValues", "connectorId": 2}
    assert scripted.heard == [("TriggerMessage", wanted)]


@pytest.mark.parametrize(
    "refusal", ["NotSupported", "NotImplemented", {"status": "NotImplemented"}]
)
async def test_without_triggers_the_interval_is_shortened_and_set_back(refusal: object) -> None:
    answers: dict[str, Any] = {
        "TriggerMessage": refusal,
        "GetConfiguration": interval("60"),
        "ChangeConfiguration": "Accepted",
    }
    async with standing(answers) as (asked, scripted):
        assert await asked.watch(1) is WatchOutcome.COMING
        assert await asked.watch(2) is WatchOutcome.COMING
        assert await asked.watch(1) is WatchOutcome.COMING
        await asked.watch_as_usual(1)
        await asked.watch_as_usual(2)
        await asked.watch_as_usual(2)
    assert [action for action, _ in scripted.heard].count("TriggerMessage") == 1
    changes = [p["value"] for action, p in scripted.heard if action == "ChangeConfiguration"]
    assert changes == ["10", "60"]


async def test_a_charger_that_can_do_neither_is_asked_once() -> None:
    answers: dict[str, Any] = {
        "TriggerMessage": "NotImplemented",
        "GetConfiguration": interval("60"),
        "ChangeConfiguration": "Rejected",
    }
    async with standing(answers) as (asked, scripted):
        for _ in range(3):
            assert await asked.watch(1) is WatchOutcome.UNSUPPORTED
        await asked.watch_as_usual(1)
    assert len(scripted.heard) == 3


async def test_an_interval_that_is_short_already_stays() -> None:
    answers = {"TriggerMessage": "NotImplemented", "GetConfiguration": interval("5")}
    async with standing(answers) as (asked, scripted):
        assert await asked.watch(1) is WatchOutcome.COMING
    assert "ChangeConfiguration" not in [action for action, _ in scripted.heard]


async def test_a_charger_that_answers_triggers_with_some_error_samples_more_often() -> None:
    """Some libraries have no other answer to what they do not know (ts-ocpp)."""
    answers: dict[str, Any] = {
        "TriggerMessage": "GenericError",
        "GetConfiguration": interval("60"),
        "ChangeConfiguration": "Accepted",
    }
    async with standing(answers) as (asked, scripted):
        assert await asked.watch(1) is WatchOutcome.COMING
        assert scripted.heard[-1][1] == {"key": "MeterValueSampleInterval", "value": "10"}


async def test_power_is_cut_in_ampere_where_watts_are_an_error() -> None:
    answers = {"SetChargingProfile": ["InternalError", "Accepted"]}
    async with standing(answers) as (asked, _):
        assert await asked.cut_power(1, 7)


async def test_a_trigger_that_is_rejected_now_is_tried_again() -> None:
    async with standing({"TriggerMessage": ["Rejected", "Accepted"]}) as (asked, _):
        assert await asked.watch(1) is WatchOutcome.UNKNOWN
        assert await asked.watch(1) is WatchOutcome.COMING


async def test_power_is_cut_by_a_limit_of_nothing_on_the_transaction() -> None:
    async with standing({"SetChargingProfile": "Accepted"}) as (asked, scripted):
        assert await asked.cut_power(1, 77)
    ((_, payload),) = scripted.heard
    profile = payload["csChargingProfiles"]
    assert (payload["connectorId"], profile["transactionId"]) == (1, 77)
    assert profile["chargingProfilePurpose"] == "TxProfile"
    assert profile["chargingSchedule"] == {
        "chargingRateUnit": "W",
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": 0}],
    }


async def test_power_is_cut_in_ampere_where_watts_are_rejected() -> None:
    async with standing({"SetChargingProfile": ["Rejected", "Accepted"]}) as (asked, scripted):
        assert await asked.cut_power(1, 77)
    units = [
        payload["csChargingProfiles"]["chargingSchedule"]["chargingRateUnit"]
        for _, payload in scripted.heard
    ]
    assert units == ["W", "A"]


async def test_a_charger_without_smart_charging_is_asked_once() -> None:
    async with standing({}) as (asked, scripted):
        assert not await asked.cut_power(1, 77)
        assert not await asked.cut_power(1, 78)
    assert len(scripted.heard) == 1

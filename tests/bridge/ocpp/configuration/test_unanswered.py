"""Chargers that refuse or do not answer what they are asked about their configuration."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from bridge.ocpp.configuration.comparing import MOST_SILENT
from bridge.ocpp.configuration.keys import Taken
from bridge.ocpp.configuration.upkeep import DAY_MS, MOST_TRIES
from bridge.ocpp.limits import Limits
from tests.bridge.ocpp.shop import Box, Shop, opened_shop
from tests.bridge.ocpp.wire import RawCharger, charger


@pytest.fixture
async def shop() -> AsyncGenerator[Shop]:
    async with opened_shop() as shop:
        yield shop


async def boots_in(version: str, raw: RawCharger) -> None:
    if version == "ocpp1.6":
        await raw.boot()
        return
    station = {"vendorName": "Raw", "model": "Frames"}
    await raw.call("BootNotification", {"reason": "PowerUp", "chargingStation": station})


async def refuses_all(raw: RawCharger, most: int, code: str = "NotSupported") -> None:
    """Answer what Strom asks of the configuration, up to some messages, with an error."""
    for _ in range(most):
        _, message_id, action, _ = await raw.asked()
        assert action in ("GetConfiguration", "GetVariables")
        # Without a code is the shortest that was seen (OCPP-J-CP-Simulator).
        refusal: list[Any] = [4, message_id, code, "", {}] if code else [4, message_id]
        await raw.send(refusal)
        await raw.call("Heartbeat", {})


@pytest.mark.parametrize(
    ("version", "messages", "code", "told"),
    [
        ("ocpp1.6", 2, "NotSupported", "NotSupported"),
        ("ocpp2.0.1", 1, "NotSupported", "NotSupported"),
        ("ocpp1.6", 2, "", "with an error that has no code"),
    ],
)
async def test_a_charger_that_tells_nobody_its_configuration(
    shop: Shop, version: str, messages: int, code: str, told: str
) -> None:
    """It is asked three times at its boot and no more that day, and operators hear of it."""
    shop.wishes = {"HeartbeatInterval": "60"} if version == "ocpp1.6" else {"A.B": "1"}
    async with charger(shop.server, subprotocols=(version,)) as raw:
        await boots_in(version, raw)
        await refuses_all(raw, messages, code)
        for _ in range(MOST_TRIES - 1):
            assert (await shop.report()).trouble == ""
            async with anyio.create_task_group() as group:
                group.start_soon(refuses_all, raw, messages, code)
                await shop.upkeep.look()
        assert (await shop.report()).trouble
        await shop.upkeep.look()
        await raw.call("Heartbeat", {})
        assert raw.waiting == 0
    [trouble] = shop.alerts.current().values()
    assert f"the charger answered {told}" in trouble


async def test_a_charger_that_knows_its_configuration_only_a_moment_after_its_boot(
    shop: Shop,
) -> None:
    """Seen at a firmware framework in Rust: what it handles it says after its boot."""
    box = Box({"MeterValueSampleInterval": "0"})
    async with charger(shop.server) as raw, anyio.create_task_group() as group:
        await raw.boot()
        await refuses_all(raw, 2)
        group.start_soon(box.run, raw)
        await shop.upkeep.look()
        assert box.values["MeterValueSampleInterval"] == "20"
        assert (await shop.report()).trouble == ""
        assert not shop.alerts.current()
        group.cancel_scope.cancel()


async def test_refusals_of_before_are_forgotten_once_it_told_its_configuration(
    shop: Shop,
) -> None:
    box = Box({"MeterValueSampleInterval": "0"})
    async with charger(shop.server) as raw:
        await raw.boot()
        await refuses_all(raw, 2)
        for _ in range(2):
            async with anyio.create_task_group() as group:
                group.start_soon(refuses_all, raw, 2)
                await shop.upkeep.look()
            async with anyio.create_task_group() as group:
                group.start_soon(box.run, raw)
                await shop.upkeep.look()
                group.cancel_scope.cancel()
            assert (await shop.report()).trouble == ""
            assert not shop.alerts.current()
            await raw.boot()


@pytest.mark.parametrize("most", [0, 1, 2])
async def test_a_charger_that_answers_with_fewer_keys_than_it_was_asked_for(
    shop: Shop, most: int
) -> None:
    """It says nothing of the others; one that takes no list at all has no key in its answer."""
    shop.wishes = {"A": "1", "B": "2", "C": "3"}

    class Curt(Box):
        def answer(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
            if action != "GetConfiguration":
                return super().answer(action, payload)
            if "key" not in payload:
                assert most == 0
                return super().answer(action, {"key": list(self.values)})
            whole = super().answer(action, payload)
            return {"configurationKey": whole["configurationKey"][:most]}

    box = Curt({"A": "1", "B": "2", "C": "0", "StopTransactionOnInvalidId": "false"})
    async with shop.boots(box):
        assert await shop.states() == dict.fromkeys(
            ("A", "B", "C", "StopTransactionOnInvalidId"), Taken.SET
        )
        assert box.changes == [("StopTransactionOnInvalidId", "true"), ("C", "3")]


async def test_a_charger_that_never_answers_is_left_alone_after_three_tries() -> None:
    """Each try holds up what else is asked of it."""
    limits = Limits(silence_s=0.1, call_timeout_s=0.05)
    async with opened_shop(limits) as shop, charger(shop.server) as raw:
        shop.wishes = {"HeartbeatInterval": "60"}
        await raw.boot()
        while not (await shop.report()).trouble:
            await shop.upkeep.look()
            await anyio.lowlevel.checkpoint()
        await shop.upkeep.look()
        await raw.call("Heartbeat", {})
        asked = [(await raw.asked())[2] for _ in range(raw.waiting)]
        assert asked.count("GetConfiguration") == MOST_TRIES
        [trouble] = shop.alerts.current().values()
        assert "GetConfiguration: no answer within" in trouble


async def test_silences_of_before_are_forgotten_once_it_told_its_configuration() -> None:
    limits = Limits(silence_s=0.1, call_timeout_s=0.5)
    box = Box({"MeterValueSampleInterval": "30"})
    async with opened_shop(limits) as shop, charger(shop.server) as raw:
        for _ in range(MOST_TRIES):
            await raw.boot()
            while not raw.waiting:
                await shop.upkeep.look()
                await raw.call("Heartbeat", {})
            async with anyio.create_task_group() as group:
                group.start_soon(box.run, raw)
                await shop.upkeep.look()
                group.cancel_scope.cancel()
            assert (await shop.report()).trouble == ""
        assert not shop.alerts.current()


async def test_a_key_that_is_not_answered_costs_no_other_one_its_turn() -> None:
    limits = Limits(silence_s=0.1, call_timeout_s=0.5)
    async with opened_shop(limits) as shop:
        shop.wishes = {"A": "1", "B": "2"}
        box = Box({"A": "0", "B": "0", "MeterValueSampleInterval": "0"}, deaf={"A"})
        async with charger(shop.server) as raw, anyio.create_task_group() as group:
            await raw.boot()
            group.start_soon(box.run, raw)
            await shop.until(lambda report: report.checked_at_ms > 0)
            assert box.changes == [("MeterValueSampleInterval", "20"), ("A", "1"), ("B", "2")]
            assert await shop.states() == {
                "MeterValueSampleInterval": Taken.SET,
                "A": Taken.UNANSWERED,
                "B": Taken.SET,
            }
            assert not shop.alerts.current()
            for _ in range(MOST_TRIES):
                await shop.upkeep.look()
            assert box.changes[3:] == [("A", "1")] * (MOST_TRIES - 1)
            [trouble] = shop.alerts.current().values()
            assert "A (no answer)" in trouble
            box.deaf.clear()
            shop.clock.advance(DAY_MS / 1000)
            await shop.upkeep.look()
            assert set((await shop.states()).values()) == {Taken.SET}
            assert not shop.alerts.current()
            group.cancel_scope.cancel()


async def test_a_charger_that_answers_no_change_is_asked_for_few(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each takes as long as an answer may, and the first two are what billing needs. It answers
    all else, so that it may be paid for."""
    limits = Limits(silence_s=0.1, call_timeout_s=0.2)
    async with opened_shop(limits) as shop:
        shop.wishes = {f"K{number}": "1" for number in range(18)}
        shop.wishes["MeterValueSampleInterval"] = "15"
        values = {**dict.fromkeys(shop.wishes, "0"), "MeterValuesSampledData": "Voltage"}
        box = Box(values, deaf=set(values))
        async with charger(shop.server) as raw, anyio.create_task_group() as group:
            await raw.boot()
            group.start_soon(box.run, raw)
            await shop.until(lambda report: report.checked_at_ms > 0)
            assert [key for key, _ in box.changes] == [
                "MeterValuesSampledData",
                "MeterValueSampleInterval",
            ]
            for _ in range(MOST_TRIES):
                await shop.upkeep.look()
            assert len(box.changes) == MOST_SILENT * MOST_TRIES
            assert await shop.states() == dict.fromkeys(values, Taken.UNANSWERED)
            assert "no payment is taken for it" not in caplog.text
            group.cancel_scope.cancel()

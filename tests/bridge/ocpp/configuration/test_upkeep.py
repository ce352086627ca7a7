"""Chargers are kept at the operator's configuration, over a real server: compared, set, reset."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import pytest

from agent.ports.charge_point import Commitments
from bridge.ocpp.configuration.keys import Taken
from bridge.ocpp.configuration.upkeep import DAY_MS, MOST_TRIES
from tests.bridge.ocpp.shop import NEEDED, Box, Shop, opened_shop
from tests.bridge.ocpp.wire import charger

BUSY = Commitments(frozenset({1}), frozenset(), idle=False)
IDLE = Commitments(frozenset(), frozenset(), idle=True)
NONE: set[str] = set()


@pytest.fixture
async def shop() -> AsyncGenerator[Shop]:
    async with opened_shop() as shop:
        yield shop


async def test_each_key_has_its_state(shop: Shop) -> None:
    shop.wishes = {"A": "x,y", "B": "2", "C": "3", "D": "4", "E": "5", "F": "6"}
    box = Box(
        {"A": "X, Y", "B": "1", "C": "1", "D": "1", "F": "1"},
        readonly={"C"},
        refuses={"4"},
        reboots={"F"},
    )
    shop.point.promised = BUSY
    async with shop.boots(box):
        assert await shop.states() == {
            "A": Taken.SET,
            "B": Taken.SET,
            "C": Taken.READONLY,
            "D": Taken.REFUSED,
            "E": Taken.UNKNOWN,
            "F": Taken.NEEDS_RESET,
        }
        assert box.changes == [("B", "2"), ("D", "4"), ("F", "6")]
        assert shop.upkeep.differing == 4
        [trouble] = shop.alerts.current().values()
        assert "C (read-only), D (refused), E (unknown)" in trouble
    box.readonly, box.refuses = set(), set()
    box.values["E"] = "5"
    async with shop.boots(box):
        assert set((await shop.states()).values()) == {Taken.SET}
        assert (shop.upkeep.differing, dict(shop.alerts.current())) == (0, {})


@pytest.mark.parametrize(
    ("values", "refuses", "changes", "troubles"),
    [
        ({"MeterValuesSampledData": NEEDED, "MeterValueSampleInterval": "30"}, NONE, [], 0),
        ({}, NONE, [], 0),
        (
            {"MeterValuesSampledData": "Voltage"},
            NONE,
            [("MeterValuesSampledData", f"Voltage,{NEEDED}")],
            0,
        ),
        (
            {"MeterValuesSampledData": "Voltage"},
            {f"Voltage,{NEEDED}", NEEDED, "Voltage,Energy.Active.Import.Register"},
            [
                ("MeterValuesSampledData", f"Voltage,{NEEDED}"),
                ("MeterValuesSampledData", NEEDED),
                ("MeterValuesSampledData", "Voltage,Energy.Active.Import.Register"),
                ("MeterValuesSampledData", "Energy.Active.Import.Register"),
            ],
            0,
        ),
        (
            {"MeterValuesSampledData": "Energy.Active.Import.Register"},
            {NEEDED},
            [("MeterValuesSampledData", NEEDED)],
            0,
        ),
        ({"MeterValueSampleInterval": "0"}, NONE, [("MeterValueSampleInterval", "20")], 0),
        ({"MeterValueSampleInterval": "59"}, NONE, [], 0),
        ({"MeterValueSampleInterval": "60"}, NONE, [("MeterValueSampleInterval", "20")], 0),
        (
            {"MeterValueSampleInterval": "60"},
            {"20", "60"},
            [("MeterValueSampleInterval", "20"), ("MeterValueSampleInterval", "60")],
            0,
        ),
        (
            {"MeterValueSampleInterval": "900"},
            {"20", "60"},
            [("MeterValueSampleInterval", "20"), ("MeterValueSampleInterval", "60")],
            1,
        ),
        (
            {
                "AllowOfflineTxForUnknownId": "True",
                "LocalAuthorizeOffline": "true",
                "StopTransactionOnInvalidId": "false",
            },
            NONE,
            [
                ("AllowOfflineTxForUnknownId", "false"),
                ("LocalAuthorizeOffline", "false"),
                ("StopTransactionOnInvalidId", "true"),
            ],
            0,
        ),
    ],
)
async def test_what_billing_needs_is_set(
    shop: Shop,
    values: dict[str, str],
    refuses: set[str],
    changes: list[tuple[str, str]],
    troubles: int,
) -> None:
    box = Box(dict(values), refuses=refuses)
    async with shop.boots(box):
        assert box.changes == changes
        assert len(shop.alerts.current()) == troubles


async def test_the_operators_wish_comes_before_billings(shop: Shop) -> None:
    shop.wishes = {"metervaluesampleinterval": "120"}
    box = Box({"MeterValueSampleInterval": "900"})
    async with shop.boots(box):
        assert box.changes == [("metervaluesampleinterval", "120")]


async def test_no_more_keys_than_it_takes_are_asked_for_at_once(shop: Shop) -> None:
    shop.wishes = {f"K{number}": "1" for number in range(10)}
    box = Box(dict.fromkeys(shop.wishes, "1"), most=3)
    async with shop.boots(box):
        assert set((await shop.states()).values()) == {Taken.SET}
        assert [len(names) for names in box.asked] == [1, 3, 3, 3, 3, 3, 1]


async def test_a_connector_that_only_the_file_has_is_told_of(shop: Shop) -> None:
    """A driver would pay for it, and his money only goes back."""
    shop.point.connectors = (1, 2, 3)
    async with shop.boots(Box({"NumberOfConnectors": "1"})):
        (told,) = shop.alerts.current().values()
        assert told.startswith("CP001: your file has connectors 2, 3, and the charger says")
    for said in ("3", "0", "many"):
        async with shop.boots(Box({"NumberOfConnectors": said})):
            assert not shop.alerts.current()


async def test_a_reset_waits_for_the_end_of_a_charge(shop: Shop) -> None:
    shop.wishes = {"R": "2"}
    box = Box({"R": "1"}, reboots={"R"})
    shop.point.promised = BUSY
    async with shop.boots(box):
        await shop.upkeep.look()
        assert (box.resets, await shop.states()) == (0, {"R": Taken.NEEDS_RESET})
        shop.point.promised = IDLE
        await shop.upkeep.look()
        assert box.resets == 1
        await shop.upkeep.look()
        assert box.resets == 1
    async with shop.boots(box):
        assert await shop.states() == {"R": Taken.SET}
        assert box.resets == 1


async def test_a_reset_that_is_due_survives_a_restart_and_is_not_repeated(shop: Shop) -> None:
    """The charger forgets the key at each boot: it is reset once, and the operator is told."""
    shop.wishes = {"R": "2"}
    box = Box({"R": "1"}, reboots={"R"}, forgets={"R"})
    shop.point.promised = BUSY
    async with shop.boots(box):
        assert box.resets == 0
    shop.point.promised = IDLE
    async with shop.open(), charger(shop.server) as raw, anyio.create_task_group() as group:
        await raw.call("Heartbeat", {})
        group.start_soon(box.run, raw)
        with anyio.fail_after(20):
            while not box.resets:
                await anyio.sleep(0.05)
        group.cancel_scope.cancel()
    for _ in range(3):
        async with shop.open(), shop.boots(box):
            await shop.upkeep.look()
            assert box.resets == 1
            assert await shop.states() == {"R": Taken.NEEDS_RESET}
            assert "R (needs a reset)" in next(iter(shop.alerts.current().values()))


async def test_what_somebody_changed_at_the_charger_is_set_back(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.wishes = {"A": "1"}
    box = Box({"A": "1"})
    async with shop.boots(box):
        box.values["A"] = "7"
        await shop.upkeep.look()
        assert box.values["A"] == "7"
        shop.clock.advance(DAY_MS / 1000)
        shop.point.promised = BUSY
        await shop.upkeep.look()
        assert box.values["A"] == "7"
        shop.point.promised = IDLE
        await shop.upkeep.look()
        assert box.values["A"] == "1"
        assert "A was changed at the charger, from 1 to 7" in caplog.text
        box.values["A"] = ""
        shop.clock.advance(DAY_MS / 1000)
        await shop.upkeep.look()
        assert "A was changed at the charger, from 1 to nothing" in caplog.text


async def test_a_changed_file_is_compared_without_a_boot(shop: Shop) -> None:
    box = Box({"A": "1"})
    async with shop.boots(box):
        shop.wishes = {"A": "2"}
        await shop.upkeep.look()
        assert box.values["A"] == "2"


async def test_no_secret_is_shown_kept_or_logged(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.wishes = {"WifiPassword": "hunter2"}
    box = Box({"WifiPassword": "old-hunter2"})
    with caplog.at_level(logging.DEBUG, "bridge"):
        async with shop.boots(box):
            assert box.values["WifiPassword"] == "hunter2"
            [key] = (await shop.report()).keys
            assert (key.wanted, key.present) == ("***", "***")
    assert "hunter2" not in caplog.text
    assert "hunter2" not in str(shop.point.notes)


async def test_a_charger_that_answers_nonsense_is_survived(shop: Shop) -> None:
    shop.wishes = {"A": "1"}

    class Odd(Box):
        def answer(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
            return {"configurationKey": [7, {"key": None}], "status": 3}

    async with shop.boots(Odd({})):
        assert await shop.states() == {"A": Taken.UNKNOWN}


async def test_a_charger_that_takes_no_list_of_keys(shop: Shop) -> None:
    shop.wishes = {"A": "1"}
    async with charger(shop.server) as raw:
        await raw.boot()
        asked = await raw.asked()
        assert asked[3] == {"key": ["GetConfigurationMaxKeys"]}
        fault: list[Any] = [4, asked[1], "InternalError", "", {}]
        await raw.send(fault)
        asked = await raw.asked()
        assert asked[3] == {}
        keys = [{"key": "A", "readonly": False, "value": "1"}]
        await raw.send([3, asked[1], {"configurationKey": keys}])
        await shop.until(lambda report: report.checked_at_ms > 0)
        assert await shop.states() == {"A": Taken.SET}


async def test_what_a_charger_accepts_and_does_not_do_is_said(shop: Shop) -> None:
    shop.wishes = {"A": "1", "B": "2"}
    box = Box({"A": "0", "B": "0", "LocalAuthorizeOffline": "true"})
    box.forgets = {"A", "LocalAuthorizeOffline"}
    async with shop.boots(box):
        for _ in range(MOST_TRIES):
            await shop.upkeep.look()
        assert await shop.states() == {
            "A": Taken.NOT_DONE,
            "B": Taken.SET,
            "LocalAuthorizeOffline": Taken.NOT_DONE,
        }
        assert [key.present for key in (await shop.report()).keys] == ["0", "2", "true"]
        assert shop.upkeep.differing == 2
        [trouble] = shop.alerts.current().values()
        said = "A (accepted, but not done), LocalAuthorizeOffline (accepted, but not done);"
        assert said in trouble


async def test_what_a_charger_does_a_moment_later_is_done(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.wishes = {"A": "1"}
    box = Box({"A": "0"}, slow={"A"})
    async with shop.boots(box):
        assert await shop.states() == {"A": Taken.NOT_DONE}
        await shop.upkeep.look()
        assert await shop.states() == {"A": Taken.SET}
        assert box.changes == [("A", "1")]
        assert not shop.alerts.current()
    assert "changed at the charger" not in caplog.text


async def test_a_value_that_is_not_shown_is_believed(shop: Shop) -> None:
    """Nobody can read it: a charger may keep it to itself."""

    class Discreet(Box):
        def answer(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
            answer = super().answer(action, payload)
            for key in answer.get("configurationKey", []):
                del key["value"]
            return answer

    shop.wishes = {"A": "1"}
    async with shop.boots(Discreet({"A": "1"})):
        assert await shop.states() == {"A": Taken.SET}


async def test_what_an_operator_changed_is_not_said_of_somebody_at_the_charger(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.wishes = {"A": "1", "B": "1"}
    box = Box({"A": "1", "B": "1"})
    async with shop.boots(box):
        await shop.server.desk.ask("CP001", "ChangeConfiguration", {"key": "a", "value": "7"})
        box.values = {"A": "7", "B": "7"}
        shop.clock.advance(DAY_MS / 1000)
        await shop.upkeep.look()
        assert "A was changed by an operator over OCPP, from 1 to 7" in caplog.text
        assert "B was changed at the charger, from 1 to 7" in caplog.text
        box.values["A"] = "7"
        shop.clock.advance(DAY_MS / 1000)
        await shop.upkeep.look()
        assert "A was changed at the charger, from 1 to 7" in caplog.text

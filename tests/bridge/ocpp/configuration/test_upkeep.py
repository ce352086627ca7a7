"""Chargers are kept at the operator's configuration, over a real server: compared, set, reset."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from agent.ports.charge_point import Commitments
from bridge.ocpp.configuration.comparing import MOST_SILENT
from bridge.ocpp.configuration.keys import Taken
from bridge.ocpp.configuration.upkeep import DAY_MS, MOST_TRIES
from bridge.ocpp.limits import Limits
from tests.bridge.ocpp.shop import NEEDED, Box, Shop, opened_shop
from tests.bridge.ocpp.wire import RawCharger, charger

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

"""What chargers say is wrong with them, over real sockets."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError

from agent.ports.charger import Fault
from tests.bridge.ocpp.stage import Stage, booted, staged
from tests.bridge.ocpp.station import boot, plug, station
from tests.bridge.ocpp.wire import RawCharger, charger

ESCAPES = "\x1b[31mred\x1b[0m\r\nerror: paid\x07\u202eback"


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncGenerator[Stage]:
    async with staged(tmp_path) as here:
        yield here


def troubles(stage: Stage) -> list[str]:
    return list(stage.world.site.office.troubles().values())


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was told of, the beginning of each trouble and its end."""
    return [record.message for record in caplog.records if record.name == "agent.alerts"]


async def faults(stage: Stage) -> dict[int, str]:
    found = await stage.world.point.faults()
    return {connector: fault.reason for connector, fault in found.items()}


async def shows(raw: RawCharger, stage: Stage, status: str, code: object, **more: object) -> None:
    """StatusNotification of 1.6."""
    payload = {"connectorId": 1, "errorCode": code, "status": status, "timestamp": stage.at()}
    assert await raw.call("StatusNotification", payload | more) == {}


async def test_16_what_is_wrong_is_known_until_no_error_is(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    async with booted(stage) as raw:
        more = {"info": "RCD tripped", "vendorId": "com.acme", "vendorErrorCode": "E12"}
        await shows(raw, stage, "Faulted", "GroundFailure", **more)
        reason = "GroundFailure (E12): RCD tripped"
        assert await faults(stage) == {1: reason}
        assert troubles(stage) == [f"CP001: connector 1 is Faulted: {reason}"]
        (known,) = (await stage.world.point.faults()).values()
        assert known.since_ms == stage.world.clock()
        await shows(raw, stage, "Available", "NoError")
        assert await faults(stage) == {}
        assert troubles(stage) == []
        assert told(caplog) == [
            f"CP001: connector 1 is Faulted: {reason}",
            "CP001: connector 1 is in order again",
        ]


@pytest.mark.parametrize(
    ("code", "is_told"),
    [
        ("PowerMeterFailure", True),
        ("HighTemperature", True),
        ("GroundFailure", True),
        ("OverCurrentFailure", True),
        ("OverVoltage", True),
        ("UnderVoltage", True),
        ("ConnectorLockFailure", True),
        ("InternalError", True),
        ("hightemperature", True),
        ("WeakSignal", False),
        ("EVCommunicationError", False),
        ("OtherError", False),
        ("ReaderFailure", False),
        ("Error", False),
    ],
)
async def test_16_an_error_while_it_charges(stage: Stage, code: str, is_told: bool) -> None:
    async with booted(stage) as raw:
        await stage.charging(raw)
        await shows(raw, stage, "Charging", code)
        assert [reason.lower() for reason in (await faults(stage)).values()] == [code.lower()]
        assert bool(troubles(stage)) is is_told


async def test_16_the_whole_charger_and_an_unknown_connector(stage: Stage) -> None:
    async with booted(stage) as raw:
        for connector in (0, 2, 7, -1, None, "x", 1 << 70):
            await shows(raw, stage, "Available", "ReaderFailure", connectorId=connector)
        assert list(await faults(stage)) == [0, 2]


async def test_16_a_status_that_nobody_understands_has_an_error_all_the_same(stage: Stage) -> None:
    async with booted(stage) as raw:
        await shows(raw, stage, "Burning", "HighTemperature")
        assert troubles(stage) == ["CP001: connector 1 reports HighTemperature"]


@pytest.mark.parametrize("code", ["NoError", "noError", "No Error", "", None, [], {}, True])
async def test_16_no_error_in_all_spellings(stage: Stage, code: object) -> None:
    """What a vendor writes besides is the reason where the connector is Faulted, and else nothing:
    some write "0" or "Ready" all the time."""
    async with booted(stage) as raw:
        await shows(raw, stage, "Available", code, info="Ready", vendorErrorCode="0")
        assert await faults(stage) == {}
        await shows(raw, stage, "Faulted", code, info="door open", vendorErrorCode="0x2F")
        assert await faults(stage) == {1: "0x2F: door open"}
        await shows(raw, stage, "Faulted", code)
        assert await faults(stage) == {}
        assert troubles(stage) != []


@pytest.mark.parametrize(
    ("info", "known"),
    [
        ("x" * 30_000, "x" * 500),
        (ESCAPES, "[31mred [0m error: paid back"),
        (12, "12"),
        (1.5, "1.5"),
        (None, ""),
        (["E1"], ""),
        ({"a": "b"}, ""),
    ],
)
async def test_16_whatever_is_said_is_bounded_and_on_one_line(
    stage: Stage, info: object, known: str
) -> None:
    async with booted(stage) as raw:
        await shows(raw, stage, "Faulted", info, info=info, vendorErrorCode=info)
        fault = (await stage.world.point.faults()).get(1)
        kept = ("", "", "") if fault is None else (fault.code, fault.vendor_code, fault.info)
        assert kept == (known[:50].strip(), known[:50].strip(), known)


async def test_16_a_megabyte_of_it_ends_the_connection_and_nothing_else(stage: Stage) -> None:
    async with booted(stage) as raw:
        await shows(raw, stage, "Faulted", "GroundFailure")
        with pytest.raises(ConnectionClosedError):
            await shows(raw, stage, "Faulted", "GroundFailure", info="x" * 1_000_000)
        assert await faults(stage) == {1: "GroundFailure"}


async def test_16_what_was_wrong_stays_so_over_a_lost_connection(stage: Stage) -> None:
    async with booted(stage) as raw:
        await shows(raw, stage, "Faulted", "GroundFailure")
    async with charger(stage.server) as raw:
        await raw.call("Heartbeat", {})
        assert await faults(stage) == {1: "GroundFailure"}


def item(
    component: str, value: object, variable: str = "Problem", *, evse: int = 1, **more: Any
) -> dict[str, Any]:
    """An element of eventData."""
    place = {"name": component} | ({"evse": {"id": evse, "connectorId": 1}} if evse else {})
    event = {"eventId": 1, "trigger": "Alerting", "eventNotificationType": "HardWiredNotification"}
    return event | {"component": place, "variable": {"name": variable}, "actualValue": value} | more


async def notify(raw: RawCharger, stage: Stage, *items: object) -> None:
    payload = {"generatedAt": stage.at(), "seqNo": 0, "eventData": items}
    assert await raw.call("NotifyEvent", payload) == {}


async def test_201_a_problem_is_known_until_it_is_cleared(stage: Stage) -> None:
    async with station(stage) as raw:
        await notify(raw, stage, item("RCD", "true", techCode="E12", techInfo="tripped"))
        assert await faults(stage) == {1: "RCD.Problem (E12): tripped"}
        assert troubles(stage) == ["CP001: connector 1 reports RCD.Problem (E12): tripped"]
        await notify(raw, stage, item("RCD", "true", cleared=True))
        assert await faults(stage) == {}
        assert troubles(stage) == []
        await notify(raw, stage, item("RCD", True))
        assert await faults(stage) == {1: "RCD.Problem"}
        await notify(raw, stage, item("RCD", "false"))
        assert await faults(stage) == {}


async def test_201_what_ends_one_problem_ends_no_other(stage: Stage) -> None:
    async with station(stage) as raw:
        await notify(raw, stage, item("RCD", "true"), item("TokenReader", "true"))
        assert await faults(stage) == {1: "TokenReader.Problem"}
        await notify(raw, stage, item("TokenReader", "false"))
        assert await faults(stage) == {1: "RCD.Problem"}
        await notify(raw, stage, item("ChargingStation", "true", evse=0))
        assert await faults(stage) == {0: "ChargingStation.Problem", 1: "RCD.Problem"}
        await notify(raw, stage, item("ChargingStation", "false", evse=0))
        assert await faults(stage) == {1: "RCD.Problem"}


@pytest.mark.parametrize("component", ["TokenReader", "ISO15118Ctrlr", "DataLink"])
async def test_201_a_problem_that_is_not_grave_is_not_told_of(stage: Stage, component: str) -> None:
    async with station(stage) as raw:
        await notify(raw, stage, item(component, "true", techCode="E1"))
        assert await faults(stage) == {1: f"{component}.Problem (E1)"}
        assert troubles(stage) == []


async def test_201_a_state_by_an_event_has_its_reason_with_it(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    state = "AvailabilityState"
    more: dict[str, Any] = {"techCode": "E12", "techInfo": "overheated"}
    async with station(stage) as raw:
        await notify(raw, stage, item("Connector", "Faulted", state, **more))
        assert troubles(stage) == ["CP001: connector 1 is Faulted: E12: overheated"]
        await notify(raw, stage, item("Connector", "Available", state))
        assert await faults(stage) == {}
        assert troubles(stage) == []
        assert told(caplog) == [
            "CP001: connector 1 is Faulted: E12: overheated",
            "CP001: connector 1 is in order again",
        ]
        await notify(raw, stage, item("Connector", "Faulted", state, **more))
        await plug(raw, stage, "Available")
        assert await faults(stage) == {}
        assert troubles(stage) == []


async def test_201_a_status_and_its_reason_in_messages_of_their_own(stage: Stage) -> None:
    async with station(stage) as raw:
        await plug(raw, stage, "Faulted")
        assert troubles(stage) == ["CP001: connector 1 is Faulted and does not say why"]
        await notify(raw, stage, item("Connector", "true", techCode="E12"))
        assert troubles(stage) == ["CP001: connector 1 is Faulted: Connector.Problem (E12)"]


async def test_201_what_was_wrong_before_a_boot_is_told_again_or_over(stage: Stage) -> None:
    async with station(stage) as raw:
        await notify(raw, stage, item("RCD", "true"), item("RCD", "true", evse=0))
    async with station(stage, boots=False) as raw:
        assert len(await faults(stage)) == 2
        await boot(raw)
        assert await faults(stage) == {}


async def test_201_whatever_is_said_is_bounded_and_on_one_line(stage: Stage) -> None:
    async with station(stage) as raw:
        for said, known in (
            (ESCAPES, "[31mred [0m error: paid back"),
            ("y" * 50_000, "y" * 500),
        ):
            await notify(raw, stage, item("RCD", "true", techCode=said, techInfo=said))
            assert (await stage.world.point.faults())[1] == Fault(
                "RCD.Problem", known[:50].strip(), known, stage.world.clock(), is_grave=True
            )
        for broken in (
            None,
            "RCD",
            7,
            {},
            item("RCD", None),
            item("RCD", ["true"]),
            item("", "true"),
            item("RCD", "true", evse=10**30),
            item("RCD", "true") | {"component": [1]},
            item("RCD", "true") | {"variable": "Problem"},
            item("RCD", 1, techCode=7, techInfo={"a": 1}),
        ):
            await notify(raw, stage, broken)
        assert set(await faults(stage)) <= {0, 1}


async def test_201_one_that_tells_of_ever_more_fills_nothing(stage: Stage) -> None:
    async with station(stage) as raw:
        await notify(raw, stage, *(item(f"C{number}", "true") for number in range(60)))
        assert await faults(stage) == {1: "C59.Problem"}
        await notify(raw, stage, *(item(f"C{number}", "false") for number in range(10, 60)))
        assert await faults(stage) == {}

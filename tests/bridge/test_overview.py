"""What the operator sees of a charger on a real socket, as the control socket tells it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio

from bridge.charger_sheet import LogQuery
from bridge.control.client import ask
from bridge.ocpp.message_log import MessageLog
from bridge.overview import spoken
from tests.bridge.ocpp.obedient import obedient
from tests.bridge.whole import METER_START, Whole, ready, whole


async def sheet(strom: Whole, charge_point_id: str = "CP001") -> dict[str, Any]:
    [about] = await ask(strom.folder / "data", "chargers", {"charge_point": charge_point_id})
    return about


async def test_a_charger_that_measures_no_energy_is_told_of(tmp_path: Path) -> None:
    """Its MeterValues have nothing but a voltage."""
    async with whole(tmp_path) as strom, ready(strom) as charger:
        quote, transaction = await strom.charging(charger, 1_000)
        for _ in range(12):
            await strom.sample(charger, transaction)
        assert (await sheet(strom))["troubles"] == []
        await strom.stop(charger, quote, transaction, METER_START + 1_500)
        (trouble,) = (await sheet(strom))["troubles"]
        assert "in a charge of 13 min no energy was among its readings" in trouble
        assert (await sheet(strom, "CP002"))["troubles"] == []


async def test_more_power_than_the_file_says_is_told_of(tmp_path: Path) -> None:
    async with whole(tmp_path) as strom, ready(strom) as charger:
        _, transaction = await strom.charging(charger, 100_000)
        for number in range(1, 13):
            register = METER_START + number * 800
            await strom.sample(charger, transaction, register=register, power_w=48_000)
        (trouble,) = (await sheet(strom))["troubles"]
        assert "max_power_w of connector 1 is 22000, and its meter shows 48.0 kW" in trouble


async def test_what_is_told_of_one_connector_is_told_of_its_charge_point(tmp_path: Path) -> None:
    async with whole(tmp_path) as strom:
        strom.app.alerts.raised("stop ignored CP001/1", "CP001: connector 1 ignores its stop")
        strom.app.alerts.raised("wallet", "the wallet is away")
        assert (await sheet(strom))["troubles"] == ["CP001: connector 1 ignores its stop."]
        assert (await sheet(strom, "CP002"))["troubles"] == []


async def test_what_a_charger_says_is_wrong_is_shown_counted_and_in_health(tmp_path: Path) -> None:
    """One error is for operators to see, and one to hear of as well; no driver sees either."""
    async with whole(tmp_path) as strom, ready(strom) as charger:
        assert (await sheet(strom))["faults"] == []
        assert "strom_connectors_faulty 0.0" in (await strom.http.get("/metrics")).text
        status = {"connectorId": 1, "status": "Faulted", "timestamp": strom.at()}
        more = {"errorCode": "GroundFailure", "vendorErrorCode": "E12", "info": "RCD\ntripped"}
        await charger.say("StatusNotification", status | more)
        weak = {"connectorId": 0, "status": "Available", "errorCode": "WeakSignal"}
        await charger.say("StatusNotification", weak | {"timestamp": strom.at()})
        about = await sheet(strom)
        reason = "GroundFailure (E12): RCD tripped"
        assert about["faults"] == [
            {"connector": 0, "reason": "WeakSignal", "since_ms": strom.clock()},
            {"connector": 1, "reason": reason, "since_ms": strom.clock()},
        ]
        assert about["troubles"] == [f"CP001: connector 1 is Faulted: {reason}."]
        assert "strom_connectors_faulty 2.0" in (await strom.http.get("/metrics")).text
        for path in ("/cp/cp001", "/lnurl/cp001"):
            page = (await strom.http.get(path)).text
            assert "E12" not in page
            assert "RCD" not in page


async def test_a_password_that_nobody_asked_for_proves_nothing(tmp_path: Path) -> None:
    async with whole(tmp_path) as strom:
        async with ready(strom, password="whatever-it-is"):
            about = await sheet(strom)
        assert (about["connected"], about["profile"], about["showed"]) == (True, 0, [])


async def test_a_station_of_the_newer_version(tmp_path: Path) -> None:
    async with whole(tmp_path) as strom, obedient(strom.app.ocpp_port, "2.0.1") as station:
        status = {"evseId": 1, "connectorId": 1, "connectorStatus": "Available"}
        await station.say("StatusNotification", status | {"timestamp": strom.at(-400)})
        about = await sheet(strom)
        assert (about["version"], about["model"], about["firmware"]) == (
            "OCPP 2.0.1",
            "Wall Two",
            "2.0",
        )
        assert about["clock_behind_ms"] == 400_000
        assert about["answers"]
        assert about["connectors"] == {"1": "Available"}


async def test_what_a_charger_says_of_itself_cannot_turn_a_line_around(tmp_path: Path) -> None:
    async with whole(tmp_path) as strom, ready(strom) as charger:
        plate = {"chargePointVendor": "Ac\u202eme", "chargePointModel": "One\nTwo"}
        await charger.say("BootNotification", plate)
        about = await sheet(strom)
        assert (about["vendor"], about["model"]) == ("Ac\\u202eme", "One\\nTwo")


async def test_when_a_charger_was_heard_is_known_after_a_restart(tmp_path: Path) -> None:
    async with whole(tmp_path) as strom:
        async with ready(strom):
            heard_ms = strom.clock()
        strom.clock.advance(60)
    async with whole(tmp_path) as strom:
        about = await sheet(strom)
        assert not about["connected"]
        assert about["heard_at_ms"] == heard_ms
        assert (await sheet(strom, "CP002"))["heard_at_ms"] is None


async def written(folder: Path, frames: list[tuple[bool, str]]) -> None:
    log = MessageLog(folder, iter(range(1, 100_000)).__next__)
    for incoming, frame in frames:
        (log.received if incoming else log.sent)("CP001", frame.encode())
    async with anyio.create_task_group() as group:
        group.start_soon(log.run)
        await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()


async def test_the_end_of_a_long_log_is_read_with_its_names(tmp_path: Path) -> None:
    frames: list[tuple[bool, str]] = []
    for number in range(1_000):
        frames += [(True, f'[2,"{number}","Heartbeat",{{}}]'), (False, f'[3,"{number}",{{}}]')]
    await written(tmp_path, frames)
    last = spoken(tmp_path, "CP001", LogQuery(3))
    assert [(one.at_ms, one.action, one.incoming) for one in last] == [
        (2_000, "Heartbeat", False),
        (1_999, "Heartbeat", True),
        (1_998, "Heartbeat", False),
    ]
    before = spoken(tmp_path, "CP001", LogQuery(2, incoming=True, before_ms=1_999))
    assert [one.at_ms for one in before] == [1_997, 1_995]
    assert spoken(tmp_path, "CP001", LogQuery(5, text="nothing like it")) == []
    assert spoken(tmp_path, "CP009", LogQuery(5)) == []

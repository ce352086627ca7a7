"""`strom ocpp` in a process of its own, against a whole Strom with a simulated charger."""

from __future__ import annotations

import json
import shlex
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx

from agent.config.tables import load
from agent.ports.charger import Fault
from bridge.app import App
from bridge.cli.chargers import readable, states_in_short
from bridge.simulator import SimulatedChargePoint
from tests.bridge.cli.command import Ran, Strom, strom_process
from tests.bridge.ocpp.wire import now_ms
from tests.bridge.waiting import until, until_free
from tests.bridge.whole import CONFIG
from tests.test_docs import commands


@dataclass
class House:
    """A Strom with one simulated charge point, and its operator's terminal."""

    app: App
    charger: SimulatedChargePoint
    folder: Path

    async def strom(self, *arguments: str, stdin: bytes = b"") -> Ran:
        ran = await strom_process(self.folder, *arguments, stdin=stdin, COLUMNS="120")
        assert "Traceback" not in ran.err
        return ran


@asynccontextmanager
async def house(folder: Path, extra: str = "") -> AsyncGenerator[House]:
    (folder / "strom.toml").write_text(CONFIG.format(strom="", point=extra))
    async with (
        App.open(load(folder / "strom.toml"), now_ms) as app,
        anyio.create_task_group() as group,
    ):
        charger = SimulatedChargePoint(f"ws://127.0.0.1:{app.ocpp_port}/ocpp", "CP001", speed=100)
        group.start_soon(charger.run)
        await until_free(app.site)
        yield House(app, charger, folder)
        group.cancel_scope.cancel()


async def test_the_operator_asks_a_charger(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        shown = await here.strom("ocpp")
        assert shown.code == 0
        assert [line.split() for line in shown.out.splitlines()[1:]] == [
            ["CP001", "OCPP", "1.6", "Strom", "Simulator", "1.0", "CP001", "1:", "Available"],
            ["CP002", "not", "connected", "never", "booted", "1:", "Offline"],
        ]
        shown = await here.strom("ocpp", "cp001", "--json")
        [about] = json.loads(shown.out)
        assert (about["id"], about["model"], about["connected"]) == ("CP001", "Simulator", True)
        told = (await here.strom("ocpp", "cp001")).out
        for part in ("Last heard", " s ago", "Clock             right", "0: nothing is shown"):
            assert part in told
        keys = ["HeartbeatInterval", "NumberOfConnectors", "Foo"]
        asked = await here.strom("ocpp", "cp001", "GetConfiguration", json.dumps({"key": keys}))
        assert asked.out.splitlines() == [
            "HeartbeatInterval = 300",
            "NumberOfConnectors = 1  (read-only)",
            "unknownKey: Foo",
        ]
        change = b'{"key": "HeartbeatInterval", "value": "77"}'
        asked = await here.strom("ocpp", "CP001", "changeconfiguration", "-", stdin=change)
        assert asked.out == "status: Accepted\n"
        assert here.charger.keys.text("HeartbeatInterval") == "77"
        asked = await here.strom("ocpp", "CP001", "ClearCache", "--json")
        assert json.loads(asked.out) == {"status": "Accepted"}


async def test_what_a_charger_says_is_wrong(tmp_path: Path) -> None:
    """Shown also while it is away."""
    async with house(tmp_path) as here:
        point = here.app.site.charge_point("CP002")
        since_ms = now_ms() - 200_000
        await point.connector_fault(1, Fault("GroundFailure", "E12", "RCD tripped", since_ms))
        told = "GroundFailure (E12): RCD tripped (for 3 min)"
        assert f"CP002, Connector 1: {told}" in (await here.strom("ocpp")).out.splitlines()
        assert f"  Connector 1       {told}" in (await here.strom("ocpp", "CP002")).out.splitlines()
        assert told not in (await here.strom("ocpp", "CP001")).out
        [about] = json.loads((await here.strom("ocpp", "CP002", "--json")).out)
        assert about["faults"][0]["since_ms"] == since_ms


async def test_what_goes_wrong_is_one_sentence(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        for arguments, said in (
            (("CP9",), 'error: strom.toml has no charge point "CP9"; it has: CP001, CP002'),
            (("CP002", "ClearCache"), "error: CP002 is not connected"),
            (("CP001", "Clear"), "did you mean ClearCache?"),
            (("CP001", "Reset", "{"), "error: the payload is not JSON"),
            (("CP001", "Reset", "[]"), "error: the payload is a JSON object"),
            (("CP001", "Reset", "[" * 100_000), "error: the payload is nested too deeply"),
            (("CP001", "Reset"), "error: Reset was not sent: type is missing"),
            (
                ("CP001", "GetLocalListVersion"),
                "error: GetLocalListVersion: the charger answered NotImplemented",
            ),
            (
                ("CP001", "ChangeConfiguration", '{"key":"AuthorizationKey","value":"hunter2"}'),
                "password_file",
            ),
            (("CP001", "RemoteStartTransaction", '{"idTag":"ME"}'), "nobody has paid"),
        ):
            told = await here.strom("ocpp", *arguments)
            assert told.code == 1
            assert told.out == ""
            assert said in told.err
            assert told.err.count("\n") == 1
        forced = await here.strom(
            "ocpp", "CP001", "RemoteStartTransaction", '{"idTag":"ME"}', "--force"
        )
        assert forced.code == 0
        assert forced.out == "status: Accepted\n"
        assert forced.err.startswith("warning: nobody has paid for this start")


def test_without_a_running_strom(strom: Strom) -> None:
    strom("init")
    for arguments in (("ocpp",), ("ocpp", "CP001"), ("ocpp", "CP001", "ClearCache")):
        told = strom(*arguments)
        assert told.code == 1
        assert "no Strom is running on" in told.err
        assert 'start it with "strom serve"' in told.err


async def test_the_actions_of_a_charger(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        listed = await here.strom("ocpp", "CP001", "--list")
        assert "ChangeConfiguration key value\n" in listed.out
        assert "2.0.1" not in listed.out
        told = await here.strom("ocpp", "CP002", "--list")
        assert told.err == "error: CP002 is not connected, so its version is not known\n"


def test_the_actions_of_each_version(strom: Strom) -> None:
    """Without a file, and without a running Strom."""
    listed = strom("ocpp", "--list").out
    assert "RemoteStartTransaction idTag [connectorId] [chargingProfile]\n" in listed
    assert "RequestStartTransaction idToken remoteStartId [" in listed
    assert "ClearCache\n" in listed


async def test_how_a_charger_is_set(tmp_path: Path) -> None:
    """What the file wants of the model, and of the charge point before that."""
    extra = """
ocpp_settings = { ConnectionTimeOut = 90, NumberOfConnectors = "4", MeterValueSampleInterval = 120 }
[[ocpp_models]]
vendor = "str*"
model = "Simulator"
settings = { ConnectionTimeOut = 30, HeartbeatInterval = 77 }
[[ocpp_models]]
vendor = "other"
settings = { HeartbeatInterval = 11 }
"""
    async with house(tmp_path, extra) as here:
        keys = here.charger.keys
        while keys.text("HeartbeatInterval") != "77" or keys.text("ConnectionTimeOut") != "90":
            await anyio.sleep(0.02)
        await until(here.app.site, here.app.alerts.current)
        shown = await here.strom("settings", "cp001")
        assert [line.split() for line in shown.out.splitlines()[:5]] == [
            ["id", "key", "wanted", "present", "state"],
            ["CP001", "ConnectionTimeOut", "90", "90", "set"],
            ["CP001", "HeartbeatInterval", "77", "77", "set"],
            ["CP001", "NumberOfConnectors", "4", "1", "read-only"],
            ["CP001", "MeterValueSampleInterval", "120", "120", "set"],
        ]
        assert "120 s: up to 0.73 kWh can go beyond a credit" in shown.out
        [first, second] = json.loads((await here.strom("settings", "--json")).out)
        assert (first["id"], len(first["keys"])) == ("CP001", 4)
        assert (second["id"], second["checked_at_ms"]) == ("CP002", 0)
        url = f"http://127.0.0.1:{here.app.http_port}/metrics"
        async with httpx.AsyncClient() as http:
            assert "strom_settings_differing 1.0" in (await http.get(url)).text
        change = '{"key": "HeartbeatInterval", "value": "5"}'
        told = await here.strom("ocpp", "CP001", "ChangeConfiguration", change)
        assert "your file wants HeartbeatInterval = 77" in told.err


async def test_the_readme_shows_what_is_written(tmp_path: Path) -> None:
    extra = """
ocpp_settings = { NumberOfConnectors = 4 }
[[ocpp_models]]
vendor = "Strom"
settings = { HeartbeatInterval = 77 }
"""
    shown = [
        (words[1:], output)
        for command, output in commands()
        if (words := shlex.split(command))[:2] in (["strom", "ocpp"], ["strom", "settings"])
    ]
    assert len(shown) == 5
    async with house(tmp_path, extra) as here:
        await until(here.app.site, here.app.alerts.current)
        for words, output in shown:
            ran = await here.strom(*words)
            lines = [line.rstrip() for line in (ran.err + ran.out).splitlines()]
            assert [line.strip() for line in lines] == output.splitlines(), words


def test_connectors_in_the_same_state_are_told_together() -> None:
    assert states_in_short({}) == ""
    assert states_in_short({"1": "Available"}) == "1: Available"
    states = dict.fromkeys(map(str, range(1, 13)), "Available") | {"4": "Faulted", "6": "Faulted"}
    assert states_in_short(states) == "1-3, 5, 7-12: Available; 4, 6: Faulted"


def test_what_became_of_each_variable_is_told() -> None:
    """Also where it is that the station did it, and where the station tells no value."""
    about = {"component": {"name": "SampledDataCtrlr"}, "variable": {"name": "TxUpdatedInterval"}}
    accepted = about | {"attributeStatus": "Accepted"}
    unknown = about | {"attributeStatus": "UnknownComponent"}
    name = "SampledDataCtrlr.TxUpdatedInterval"
    assert readable({"setVariableResult": [accepted, unknown]}) == [
        f"{name}: Accepted",
        f"{name}: UnknownComponent",
    ]
    told = [accepted | {"attributeValue": "20"}, accepted, unknown]
    assert readable({"getVariableResult": told}) == [
        f"{name} = 20",
        f"{name}: Accepted",
        f"{name}: UnknownComponent",
    ]

"""Chargers and testers that are not ours: npm's ocpp-rpc and ocpp-ts with strict schemas, and the
compliance suite, the fuzzer and the load of npm's ocpp-ws-cli."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Awaitable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agent.machine.model import Ending, SessionState
from bridge.ocpp.connection import NoLog
from bridge.ocpp.server import AuthPolicy
from tests.bridge.ocpp.recorder import RecordingChargePoint, RecordingSite
from tests.bridge.ocpp.stage import Stage, staged
from tests.bridge.ocpp.wire import charger, now_ms, serving
from tests.node import run_script


async def session_with(stage: Stage, script: str, password: str | None) -> Any:
    """A paid session of a charger that is not ours; returns what it saw."""
    stage.world.clock.now_ms = now_ms()
    asked = {
        "url": f"ws://127.0.0.1:{stage.server.port}/ocpp",
        "id": "CP001",
        "password": password,
    }
    running = asyncio.create_task(run_script(script, asked))
    try:
        await stage.world.until(lambda: running.done() or stage.world.point.online)
        quote = await stage.world.paid()
        session = stage.session
        await stage.world.until(lambda: running.done() or session(quote).energy_wh == 400)
        await stage.world.site.owned.stop(quote.secret)
        seen = await running
    finally:
        running.cancel()
    assert session(quote).state is SessionState.CLOSED
    assert session(quote).energy_wh == 500
    assert session(quote).ending is Ending.STOPPED
    return seen


def is_content_16(seen: Any) -> None:
    """What a charger of 1.6 shall have seen."""
    assert seen["authorized"] == {"idTagInfo": {"status": "Accepted"}}
    assert seen["start"]["idTagInfo"] == {"status": "Accepted"}
    assert seen["transactionId"] == seen["start"]["transactionId"]
    assert seen["seen"] == []


async def test_a_charger_made_of_ocpp_rpc(tmp_path: Path, node_modules: Path) -> None:
    async with staged(tmp_path, policy=AuthPolicy(password="a-long-password")) as stage:
        is_content_16(await session_with(stage, "ocpp_rpc_charger.js", "a-long-password"))


async def test_a_charger_made_of_ocpp_ts(tmp_path: Path, node_modules: Path) -> None:
    async with staged(tmp_path) as stage:
        is_content_16(await session_with(stage, "ocpp_ts_charger.js", None))


async def test_a_station_of_2_0_1_made_of_ocpp_rpc(tmp_path: Path, node_modules: Path) -> None:
    """It begins its transaction before the plug, offers both versions, and is plugged in later."""
    async with staged(tmp_path, policy=AuthPolicy(password="a-long-password")) as stage:
        seen = await session_with(stage, "ocpp_rpc_station.js", "a-long-password")
        assert seen["protocol"] == "ocpp2.0.1"
        assert seen["authorized"] == {"idTokenInfo": {"status": "Accepted"}}
        assert seen["start"] == {"idTokenInfo": {"status": "Accepted"}}
        assert seen["ended"] == {}
        assert seen["transactionId"] == "6b1d5f0e-tx"
        assert seen["seen"] == []


FUZZ_FRAMES = 3000


class OpenSite(RecordingSite):
    """Has every charge point that is asked for."""

    def charge_point(self, charge_point_id: str) -> RecordingChargePoint:
        if charge_point_id not in self.points:
            self.points[charge_point_id] = RecordingChargePoint(charge_point_id)
        return self.points[charge_point_id]


def report_in(folder: Path) -> dict[str, Any] | None:
    """The report of ocpp-ws-cli; None while it is not all written."""
    for path in folder.glob("*.json"):
        with suppress(json.JSONDecodeError):
            return json.loads(path.read_text())
    return None


async def ocpp_cli(
    node_modules: Path, folder: Path, until: Awaitable[object] | None, *arguments: str
) -> dict[str, Any]:
    """Run ocpp-ws-cli, until then where it does not end by itself; returns its report."""
    process = await asyncio.create_subprocess_exec(
        str(node_modules / ".bin" / "ocpp"),
        *arguments,
        "--report",
        "json",
        "--report-dir",
        str(folder),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        if until is None:
            await process.wait()
        else:
            await until
            process.send_signal(signal.SIGINT)
            while report_in(folder) is None:
                await asyncio.sleep(0.05)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    report = report_in(folder)
    assert report is not None
    return report


async def test_the_compliance_suite_passes(tmp_path: Path, node_modules: Path) -> None:
    """It wants a missing subprotocol refused, so that key is strict for this run."""
    policy = AuthPolicy(strict_subprotocol=True)
    async with serving(RecordingSite("CP001"), policy=policy) as server:
        url = f"ws://127.0.0.1:{server.port}/ocpp"
        arguments = ("test", "-e", url, "-i", "CP001", "-p", "ocpp1.6", "--suite", "all")
        report = await ocpp_cli(node_modules, tmp_path, None, *arguments)
    failed = [result for result in report["testResults"] if not result["passed"]]
    assert failed == []
    assert report["metrics"]["testsPassed"] == 21


class Heard(NoLog):
    """Counts what came from all but one charge point."""

    def __init__(self, bystander: str) -> None:
        self.frames = 0
        self._bystander = bystander

    def received(self, charge_point_id: str, frame: bytes, *, is_plain: bool = False) -> None:
        self.frames += charge_point_id != self._bystander


async def test_a_fuzzer_disturbs_nobody(
    tmp_path: Path, node_modules: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A charger that behaves is answered all the while, from the first nonsense to the last."""
    heard, enough, answers = Heard("CP001"), asyncio.Event(), 0
    async with serving(OpenSite("CP001"), log=heard) as server, charger(server) as bystander:
        url = f"ws://127.0.0.1:{server.port}/ocpp"
        arguments = ("fuzz", "-e", url, "-w", "3", "-f")
        fuzzing = asyncio.create_task(ocpp_cli(node_modules, tmp_path, enough.wait(), *arguments))
        while not fuzzing.done():
            assert "currentTime" in await bystander.call("Heartbeat", {})
            answers += heard.frames > 0
            if answers >= 50 and heard.frames >= FUZZ_FRAMES:
                enough.set()
            await asyncio.sleep(0.02)
        await fuzzing
    assert "Traceback" not in caplog.text
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


class Boots(NoLog):
    """Counts the boots that were answered."""

    def __init__(self) -> None:
        self.answered = 0

    def sent(self, charge_point_id: str, frame: bytes) -> None:
        self.answered += b'"interval"' in frame


async def test_a_load_of_chargers_all_boot(tmp_path: Path, node_modules: Path) -> None:
    """It runs until it is interrupted, which is when the last boot was answered."""
    boots = Boots()
    async with serving(OpenSite(), log=boots) as server:
        url = f"ws://127.0.0.1:{server.port}/ocpp"

        async def all_booted() -> None:
            while boots.answered < 1000:
                await asyncio.sleep(0.05)
            # It counts what it has read, and tells nobody before its end.
            await asyncio.sleep(1)

        arguments = ("load-test", "-e", url, "-c", "1000", "-r", "3")
        report = await ocpp_cli(node_modules, tmp_path, all_booted(), *arguments)
    assert report["metrics"]["booted"] == 1000

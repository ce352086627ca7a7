"""`strom simulate` as a process of its own, against a central system."""

from __future__ import annotations

import logging
import os
import pty
import signal
import socket
import sys
from pathlib import Path

import anyio
import pytest

from agent.machine.events import ConnectorStatus
from bridge.ocpp.server import AuthPolicy
from tests.bridge.cli.command import Strom
from tests.bridge.ocpp.recorder import RecordingSite, StatusReport
from tests.bridge.ocpp.wire import serving


async def test_what_is_typed_is_done_at_the_charge_point(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("0123456789abcdef\n")
    site = RecordingSite("CP001")
    point = site.charge_point("CP001")
    async with serving(site, policy=AuthPolicy(password="0123456789abcdef")) as server:
        command = [sys.executable, "-m", "bridge.cli", "simulate", "--connectors", "2"]
        command += ["--url", f"ws://127.0.0.1:{server.port}/ocpp"]
        command += ["--password-file", str(password)]
        async with await anyio.open_process(
            command, env={**os.environ, "PYTHONPATH": str(Path.cwd())}
        ) as process:
            assert process.stdin is not None

            def shows(status: ConnectorStatus) -> bool:
                found = [report for report in point.of(StatusReport) if report.connector == 2]
                return bool(found) and found[-1].status is status

            await point.until(lambda: shows(ConnectorStatus.AVAILABLE))
            await process.stdin.send(b"plug 2\n")
            await point.until(lambda: shows(ConnectorStatus.PREPARING))
            await process.stdin.send(b"dance\n\nwhat's \"this\nunplug 2\n")
            await point.until(lambda: shows(ConnectorStatus.AVAILABLE))
            await process.stdin.send(b"quit\n")
            assert await process.wait() == 0


@pytest.mark.parametrize("given", ["</dev/null", "<&-", "<words"])
async def test_it_goes_on_without_a_keyboard(tmp_path: Path, given: str) -> None:
    (tmp_path / "words").write_text("plug")
    site = RecordingSite("CP001")
    point = site.charge_point("CP001")
    shown = ConnectorStatus.PREPARING if given == "<words" else ConnectorStatus.AVAILABLE
    async with serving(site) as server:
        command = f"{sys.executable} -m bridge.cli simulate --url ws://127.0.0.1:{server.port}/ocpp"
        async with await anyio.open_process(
            ["/bin/sh", "-c", f"exec {command} {given}"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        ) as process:
            await point.until(lambda: any(one.status is shown for one in point.of(StatusReport)))
            assert process.returncode is None
            process.terminate()


async def test_ctrl_c_at_a_terminal_ends_it(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing was typed, and nothing more is asked for; to the central system it is no accident."""
    caplog.set_level(logging.INFO, "bridge.ocpp.connection")
    site = RecordingSite("CP001")
    point = site.charge_point("CP001")
    terminal, its_end = pty.openpty()
    try:
        async with serving(site) as server:
            command = [sys.executable, "-m", "bridge.cli", "simulate"]
            command += ["--url", f"ws://127.0.0.1:{server.port}/ocpp"]
            async with await anyio.open_process(
                command,
                stdin=its_end,
                stdout=its_end,
                stderr=its_end,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(Path.cwd())},
            ) as process:
                await point.until(lambda: bool(point.of(StatusReport)))
                process.send_signal(signal.SIGINT)
                with anyio.fail_after(10):
                    assert await process.wait() == 130
            await point.until(lambda: not point.chargers)
    finally:
        os.close(terminal)
        os.close(its_end)
    assert "CP001: the connection ended: the charger closed it\n" in caplog.text


async def test_the_reason_of_a_refusal_is_told() -> None:
    async with serving(RecordingSite("CP001")) as server:
        command = [sys.executable, "-m", "bridge.cli", "simulate", "--id", "CP002"]
        command += ["--url", f"ws://127.0.0.1:{server.port}/ocpp"]
        async with await anyio.open_process(
            command, env={**os.environ, "PYTHONPATH": str(Path.cwd())}
        ) as process:
            assert process.stdout is not None
            told = b""
            while b"(HTTP 404)" not in told:
                told += await process.stdout.receive()
            process.terminate()
    assert b"cannot connect: This charge point is not configured here. (HTTP 404)" in told


async def test_nobody_listens_there() -> None:
    """It said "[Errno 111] Connect call failed ('127.0.0.1', 9000)"."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        command = [sys.executable, "-m", "bridge.cli", "simulate"]
        command += ["--url", f"ws://127.0.0.1:{probe.getsockname()[1]}/ocpp"]
        async with await anyio.open_process(
            command, env={**os.environ, "PYTHONPATH": str(Path.cwd())}
        ) as process:
            assert process.stdout is not None
            told = b""
            while b"\n" not in told:
                told += await process.stdout.receive()
            process.terminate()
    assert told.startswith(b"cannot connect: connection refused; trying again\n")


def test_an_address_that_is_none(strom: Strom) -> None:
    ran = strom("simulate", "--url", "http://127.0.0.1:9000")
    assert ran.code == 1
    assert ran.err.startswith("error: http://127.0.0.1:9000 is no OCPP address")


def test_a_password_file_that_is_none(strom: Strom) -> None:
    ran = strom("simulate", "--password-file", "nowhere")
    assert (ran.code, ran.err) == (1, "error: nowhere does not exist\n")

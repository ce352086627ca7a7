"""`strom log`: what a charger said, readable, as it comes, and quiet when it is left."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import anyio
import pytest
from anyio.streams.buffered import BufferedByteReceiveStream

from bridge.ocpp.message_log import MessageLog
from tests.bridge.cli.command import Strom

AT_MS = 1_800_000_000_123
TALK: list[tuple[bool, str]] = [
    (True, '[2,"1","BootNotification",{"chargePointModel":"Früh"}]'),
    (False, '[3,"1",{"status":"Accepted"}]'),
    (False, '[2,"1","Reset",{"type":"Soft"}]'),
    (True, '[4,"1","InternalError","not now",{}]'),
    (True, '[3,"9",{}]'),
    (True, "\x1b[2Jnot JSON"),
    (False, '[2,"2","ChangeConfiguration",{"key":"AuthorizationKey","value":"hunter2"}]'),
]
LINES = [
    '2027-01-15T08:00:00.123Z ← BootNotification {"chargePointModel": "Früh"}',
    '2027-01-15T08:00:00.123Z → BootNotification answer {"status": "Accepted"}',
    '2027-01-15T08:00:00.123Z → Reset {"type": "Soft"}',
    "2027-01-15T08:00:00.123Z ← Reset error InternalError: not now",
    "2027-01-15T08:00:00.123Z ← ? answer {}",
    "2027-01-15T08:00:00.123Z ← \\u001b[2Jnot JSON",
    '2027-01-15T08:00:00.123Z → ChangeConfiguration {"key": "AuthorizationKey", "value": "***"}',
]


async def write(folder: Path, talk: list[tuple[bool, str]]) -> None:
    log = MessageLog(folder, lambda: AT_MS)
    for incoming, frame in talk:
        (log.received if incoming else log.sent)("CP001", frame.encode())
    async with anyio.create_task_group() as group:
        group.start_soon(log.run)
        await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()


def test_it_is_readable(strom: Strom, tmp_path: Path) -> None:
    strom("init")
    assert strom("log", "cp001").out == "CP001 has said nothing yet.\n"
    anyio.run(write, tmp_path / "data" / "ocpp-log", TALK)
    assert strom("log", "CP001").out.splitlines() == LINES


def test_programs_get_it_as_it_is(strom: Strom, tmp_path: Path) -> None:
    strom("init")
    assert strom("log", "CP001", "--json").out == ""
    anyio.run(write, tmp_path / "data" / "ocpp-log", TALK)
    lines = [json.loads(line) for line in strom("log", "CP001", "--json").out.splitlines()]
    assert lines[1] == {
        "at_ms": AT_MS,
        "from": "strom",
        "message": [3, "1", {"status": "Accepted"}],
    }
    assert lines[5] == {"at_ms": AT_MS, "from": "charger", "text": "\x1b[2Jnot JSON"}
    assert "hunter2" not in json.dumps(lines)


def test_an_unknown_charge_point_is_a_sentence(strom: Strom) -> None:
    strom("init")
    told = strom("log", "CP9")
    assert told.code == 1
    assert told.err == 'error: strom.toml has no charge point "CP9"; it has: CP001\n'


@pytest.mark.parametrize("told_by", [signal.SIGINT, signal.SIGTERM])
async def test_it_goes_on_until_it_is_told_to_end(
    strom: Strom, tmp_path: Path, told_by: signal.Signals
) -> None:
    """The file need not exist yet, and is followed over its renaming."""
    await anyio.to_thread.run_sync(strom, "init")
    folder = tmp_path / "data" / "ocpp-log"
    process = await anyio.open_process(
        [sys.executable, "-m", "bridge.cli", "log", "CP001", "--follow"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    async with process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines = BufferedByteReceiveStream(process.stdout)
        for number in range(3):
            await write(folder, TALK[:1])
            said = await lines.receive_until(b"\n", 1000)
            assert said.decode() == LINES[0]
            if number == 1:
                (folder / "CP001.log").replace(folder / "CP001.1.log")
        process.send_signal(told_by)
        complaint = b"".join([chunk async for chunk in process.stderr])
        code = await process.wait()
        assert code in (0, 130, -signal.SIGTERM), complaint
        assert b"Traceback" not in complaint

"""The control socket: who may ask, and what is said to whoever asks wrongly."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest

from bridge.control.client import ask
from bridge.control.errors import ControlRefused, NotRunning, NotYours
from bridge.control.lines import MOST_REQUEST_BYTES, SOCKET_FILE, VERSION
from bridge.control.server import controlled


async def echo(arguments: Mapping[str, Any]) -> object:
    return dict(arguments)


async def refuse(arguments: Mapping[str, Any]) -> object:
    raise ControlRefused("not today")


async def fail(arguments: Mapping[str, Any]) -> object:
    raise KeyError("a secret")


async def never(arguments: Mapping[str, Any]) -> object:
    await anyio.sleep_forever()


COMMANDS = {"echo": echo, "refuse": refuse, "fail": fail, "never": never}


async def raw(path: Path, line: bytes) -> bytes:
    """What is answered to a line, up to the end."""
    async with await anyio.connect_unix(path) as stream:
        await stream.send(line)
        with anyio.fail_after(20):
            return await stream.receive()


async def test_a_command_is_done_and_answered(tmp_path: Path) -> None:
    async with controlled(tmp_path / SOCKET_FILE, COMMANDS):
        assert await ask(tmp_path, "echo", {"a": [1, "ü"]}) == {"a": [1, "ü"]}
        with pytest.raises(ControlRefused, match="not today"):
            await ask(tmp_path, "refuse", {})
        with pytest.raises(ControlRefused, match='no command "other"'):
            await ask(tmp_path, "other", {})
    with pytest.raises(NotRunning, match=f"no Strom is running on {tmp_path}"):
        await ask(tmp_path, "echo", {})


async def test_a_failure_of_ours_is_in_the_log_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with controlled(tmp_path / SOCKET_FILE, COMMANDS):
        with pytest.raises(ControlRefused, match="its log says why"):
            await ask(tmp_path, "fail", {})
        assert await ask(tmp_path, "echo", {}) == {}
    assert "KeyError" in caplog.text


async def test_only_its_user_can_open_it(tmp_path: Path) -> None:
    async with controlled(tmp_path / SOCKET_FILE, COMMANDS):
        mode = (tmp_path / SOCKET_FILE).stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o600


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file away")
async def test_a_socket_of_somebody_else_is_not_talked_to(tmp_path: Path) -> None:
    async with controlled(tmp_path / SOCKET_FILE, COMMANDS):
        os.chown(tmp_path / SOCKET_FILE, 12345, 12345)
        with pytest.raises(NotYours, match="belongs to another user"):
            await ask(tmp_path, "echo", {})


async def test_a_file_that_is_no_socket_is_not_talked_to(tmp_path: Path) -> None:
    (tmp_path / SOCKET_FILE).write_text("")
    with pytest.raises(NotYours):
        await ask(tmp_path, "echo", {})


async def test_what_a_killed_strom_left_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / SOCKET_FILE))
    with pytest.raises(NotRunning):
        await ask(tmp_path, "echo", {})
    async with controlled(tmp_path / SOCKET_FILE, COMMANDS):
        assert await ask(tmp_path, "echo", {"b": 2}) == {"b": 2}


async def test_a_file_in_the_way_is_told_and_stays(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / SOCKET_FILE).write_text("mine")
    async with controlled(tmp_path / SOCKET_FILE, COMMANDS):
        pass
    assert "is in the way of the control socket" in caplog.text
    assert (tmp_path / SOCKET_FILE).read_text() == "mine"


async def test_a_folder_with_a_long_name_works(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    async with controlled(folder / SOCKET_FILE, COMMANDS):
        assert await ask(folder, "echo", {"c": 3}) == {"c": 3}
        assert stat.S_IMODE((folder / SOCKET_FILE).stat().st_mode) == 0o600
    assert not (folder / SOCKET_FILE).exists()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"nonsense\n", b"not one that Strom understands"),
        (b"[" * 100_000 + b"\n", b"not one that Strom understands"),
        (b'{"strom": 1, "command": 7}\n', b"not one that Strom understands"),
        (b'{"strom": 2, "command": "echo"}\n', b"restart Strom"),
        (b"x" * (MOST_REQUEST_BYTES + 100), b"too long"),
    ],
)
async def test_what_cannot_be_understood_is_said(tmp_path: Path, line: bytes, said: bytes) -> None:
    path = tmp_path / SOCKET_FILE
    async with controlled(path, COMMANDS):
        answer = await raw(path, line)
        assert said in answer
        assert msgspec.json.decode(answer)["strom"] == VERSION
        assert await ask(tmp_path, "echo", {}) == {}


async def test_a_request_that_is_too_long_is_not_sent(tmp_path: Path) -> None:
    async with controlled(tmp_path / SOCKET_FILE, COMMANDS):
        with pytest.raises(ControlRefused, match="longer than"):
            await ask(tmp_path, "echo", {"x": "y" * MOST_REQUEST_BYTES})


async def test_who_waits_hears_of_the_end(tmp_path: Path) -> None:
    async with controlled(tmp_path / SOCKET_FILE, COMMANDS):
        with pytest.raises(NotRunning, match="did not answer within"):
            await ask(tmp_path, "never", {}, timeout_s=0.05)

    async def wait() -> None:
        with pytest.raises(NotRunning, match="ended before it answered"):
            await ask(tmp_path, "never", {})

    async with anyio.create_task_group() as group:
        asked = anyio.Event()

        async def noticed(arguments: Mapping[str, Any]) -> object:
            asked.set()
            return await never(arguments)

        async with controlled(tmp_path / SOCKET_FILE, {"never": noticed}):
            group.start_soon(wait)
            await asked.wait()


async def test_more_than_a_few_at_once_are_turned_away(tmp_path: Path) -> None:
    path = tmp_path / SOCKET_FILE
    async with controlled(path, COMMANDS):
        streams = [await anyio.connect_unix(path) for _ in range(16)]
        for stream in streams:
            await stream.send(b'{"strom": 1, "command": "echo"}\n')
            await stream.receive()
        with pytest.raises(NotRunning):
            await ask(tmp_path, "echo", {})
        for stream in streams:
            await stream.aclose()
        while True:
            try:
                await ask(tmp_path, "echo", {})
                break
            except NotRunning:
                await anyio.sleep(0.01)

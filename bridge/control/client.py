"""Asks a running Strom through its control socket."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from bridge.control.errors import ControlRefused, NotRunning, NotYours
from bridge.control.lines import (
    MOST_ANSWER_BYTES,
    MOST_REQUEST_BYTES,
    SOCKET_FILE,
    VERSION,
    address_of,
)


async def ask(
    data_dir: Path, command: str, arguments: Mapping[str, Any], timeout_s: float = 60.0
) -> Any:
    """Have the Strom that works on a folder do something, and return its result.

    Args:
        data_dir: the folder of its data.
        command: what to do.
        arguments: with what; JSON.
        timeout_s: how long the answer may take.

    Raises:
        NotRunning: no Strom works there, or it ended meanwhile.
        NotYours: its socket belongs to another user, or may not be opened.
        ControlRefused: it did not do it; the text says why.
    """
    path = data_dir / SOCKET_FILE
    request = {"strom": VERSION, "command": command, "arguments": dict(arguments)}
    line = msgspec.json.encode(request) + b"\n"
    if len(line) > MOST_REQUEST_BYTES:
        raise ControlRefused(f"the request is longer than {MOST_REQUEST_BYTES:,} bytes")
    _check_owner(path)
    try:
        with address_of(path) as address:
            reader, writer = await asyncio.open_unix_connection(address, limit=MOST_ANSWER_BYTES)
    except PermissionError:
        raise _not_yours(path) from None
    except OSError:
        raise _not_running(data_dir) from None
    try:
        async with asyncio.timeout(timeout_s):
            writer.write(line)
            await writer.drain()
            answered = await reader.readuntil(b"\n")
    except TimeoutError:
        raise NotRunning(f"Strom did not answer within {timeout_s:g} s") from None
    except (ConnectionError, asyncio.IncompleteReadError):
        raise NotRunning("Strom ended before it answered") from None
    finally:
        writer.close()
    answer: dict[str, Any] = msgspec.json.decode(answered, type=dict[str, Any])
    if "error" in answer:
        raise ControlRefused(str(answer["error"]))
    return answer.get("result")


def _check_owner(path: Path) -> None:
    """Nobody else's socket is talked to: it could hear an operator's passwords."""
    try:
        found = path.stat()
    except PermissionError:
        raise _not_yours(path) from None
    except OSError:
        raise _not_running(path.parent) from None
    trusted = {os.getuid()} if os.getuid() else {0, path.parent.stat().st_uid}
    if not stat.S_ISSOCK(found.st_mode) or found.st_uid not in trusted:
        raise _not_yours(path)


def _not_yours(path: Path) -> NotYours:
    return NotYours(f"{path} belongs to another user: ask as the user who runs Strom")


def _not_running(data_dir: Path) -> NotRunning:
    return NotRunning(f'no Strom is running on {data_dir}: start it with "strom serve"')

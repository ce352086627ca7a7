"""What went over the wire, per charge point: bounded on the disk, secrets masked.

Each charge point has two files, ID.log and ID.1.log: when the first is full it becomes the
second. A line is a JSON object with `at_ms`, `dir` ("in" from the charger, "out" to it) and
`frame`, the message as text.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec

logger = logging.getLogger(__name__)

MASK = "***"

_MAX_FRAME = 100_000
_FLUSH_S = 1.0
_FOLLOW_S = 0.5
_MAX_WAITING = 8_000_000

_SUSPECT = (b"authorizationkey", b"passw", b"secret", b"privatekey", b"://")
_SECRET_NAME = re.compile(r"(?i)authorizationkey|passw|secret|privatekey")
_USERINFO = re.compile(r"://[^/@\s\"]{1,200}@")
_FILE_NAME = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of the log."""

    at_ms: int
    incoming: bool
    frame: str


class MessageLog:
    """Writes the log; `run` brings it to the disk, about once a second.

    Args:
        folder: where the files are.
        clock: our time in Unix ms.
        limit_bytes: of one file; a charge point takes at most twice as much.
    """

    def __init__(
        self, folder: Path, clock: Callable[[], int], limit_bytes: int = 1_000_000
    ) -> None:
        self._folder = folder
        self._clock = clock
        self._limit_bytes = limit_bytes
        self._waiting: dict[str, list[bytes]] = {}
        self._waiting_bytes = 0
        self._lost = 0

    def received(self, charge_point_id: str, frame: bytes) -> None:
        """A frame came in."""
        self._keep(charge_point_id, b"in", frame)

    def sent(self, charge_point_id: str, frame: bytes) -> None:
        """A frame went out."""
        self._keep(charge_point_id, b"out", frame)

    def _keep(self, charge_point_id: str, direction: bytes, frame: bytes) -> None:
        if self._waiting_bytes > _MAX_WAITING:
            self._lost += 1
            return
        text = masked(frame[:_MAX_FRAME])
        line = b'{"at_ms":%d,"dir":"%b","frame":%b}\n' % (
            self._clock(),
            direction,
            msgspec.json.encode(text),
        )
        self._waiting.setdefault(charge_point_id, []).append(line)
        self._waiting_bytes += len(line)

    async def run(self) -> None:
        """Bring what was kept to the disk until cancelled, and the rest then."""
        try:
            while True:
                await asyncio.sleep(_FLUSH_S)
                await asyncio.to_thread(self._write, *self._taken())
        finally:
            self._write(*self._taken())

    def _taken(self) -> tuple[dict[str, list[bytes]], int]:
        waiting, lost = self._waiting, self._lost
        self._waiting, self._waiting_bytes, self._lost = {}, 0, 0
        return waiting, lost

    def _write(self, waiting: dict[str, list[bytes]], lost: int) -> None:
        if lost:
            logger.warning("the message log could not keep up: %d messages are missing", lost)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for charge_point_id, lines in waiting.items():
                current, older = _files(self._folder, charge_point_id)
                with current.open("ab") as file:
                    file.write(b"".join(lines)[-self._limit_bytes :])
                    full = file.tell() >= self._limit_bytes
                if full:
                    current.replace(older)
        except OSError as error:
            logger.warning("the message log cannot be written: %s", error.strerror)


def _files(folder: Path, charge_point_id: str) -> tuple[Path, Path]:
    name = _FILE_NAME.sub("_", charge_point_id)
    return folder / f"{name}.log", folder / f"{name}.1.log"


def read(folder: Path, charge_point_id: str) -> Iterator[Entry]:
    """The messages of a charge point that are on the disk, oldest first."""
    current, older = _files(folder, charge_point_id)
    for path in (older, current):
        if path.exists():
            with path.open("rb") as file:
                yield from _entries(file.read())


async def follow(folder: Path, charge_point_id: str) -> AsyncIterator[Entry]:
    """The messages of a charge point as they reach the disk, from now on."""
    current, _ = _files(folder, charge_point_id)
    offset = current.stat().st_size if current.exists() else 0
    while True:
        size = current.stat().st_size if current.exists() else 0
        if size < offset:
            offset = 0
        if size > offset:
            with current.open("rb") as file:
                file.seek(offset)
                chunk = file.read(size - offset)
            whole = chunk[: chunk.rfind(b"\n") + 1]
            offset += len(whole)
            for entry in _entries(whole):
                yield entry
        await asyncio.sleep(_FOLLOW_S)


def _entries(lines: bytes) -> Iterator[Entry]:
    for line in lines.splitlines():
        try:
            fields = json.loads(line)
            yield Entry(fields["at_ms"], fields["dir"] == "in", fields["frame"])
        except (ValueError, KeyError, TypeError):
            continue


def masked(frame: bytes) -> str:
    """A frame as text without the secrets that OCPP carries: keys and passwords by their
    name, and the user's part of URLs. What cannot be read and may hold one is left out."""
    lower = frame.lower()
    if not any(word in lower for word in _SUSPECT):
        return frame.decode("utf-8", errors="replace")
    try:
        message: object = msgspec.json.decode(frame)
    except (ValueError, RecursionError):
        return "(unreadable, and may hold a secret)"
    return json.dumps(_without_secrets(message, 0), ensure_ascii=False)


def _without_secrets(value: object, depth: int) -> object:
    if depth > 32:
        return MASK
    if isinstance(value, str):
        return _USERINFO.sub(f"://{MASK}@", value)
    if isinstance(value, list):
        return [_without_secrets(item, depth + 1) for item in cast(list[object], value)]
    if not isinstance(value, dict):
        return value
    fields = cast(dict[str, Any], value)
    names = json.dumps([fields.get("key"), fields.get("variable")], default=str)
    holds_secret = _SECRET_NAME.search(names) is not None
    return {
        name: MASK
        if _SECRET_NAME.search(name)
        or (holds_secret and name in ("value", "attributeValue", "data"))
        else _without_secrets(item, depth + 1)
        for name, item in fields.items()
    }

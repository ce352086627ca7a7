"""What went over the wire, per charge point: bounded on the disk, secrets masked.

Each charge point has two files, ID.log and ID.1.log: when the first is full it becomes the
second. A line is the time in Unix ms, `<` for a message from the charger or `>` for one to it,
and the message, with a tab between each and on one line.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from bridge.ocpp.masking import masked

logger = logging.getLogger(__name__)

MESSAGE_LOG_FOLDER = "ocpp-log"
"""Its place in the folder of all data."""

_MAX_FRAME = 100_000
_END_BYTES = 2 * _MAX_FRAME
_TURN_S = 0.05
_TURNS = 20
_FOLLOW_S = 0.5
_MAX_WAITING = 8_000_000

_FILE_NAME = re.compile(r"[^A-Za-z0-9_-]")


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of the log."""

    at_ms: int
    incoming: bool
    frame: str


class MessageLog:
    """Writes the log; `run` brings it to the disk, about a second later at most.

    Of many charge points some are written each time: all of them at once would take the processor
    from everything else for tens of milliseconds.

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
        self._is_refused = False
        self._writing = threading.Lock()

    def received(self, charge_point_id: str, frame: bytes, *, is_plain: bool = False) -> None:
        """A frame came in; one that `is_plain` was read whole, and has no place for a secret."""
        text = frame[:_MAX_FRAME] if is_plain else masked(frame[:_MAX_FRAME])
        # `in` takes five times as long: it asks first whether this is a number.
        if text.find(b"\n") >= 0 or text.find(b"\r") >= 0:
            text = text.replace(b"\n", b" ").replace(b"\r", b" ")
        self._keep(charge_point_id, b"%d\t<\t%b\n" % (self._clock(), text))

    def sent(self, charge_point_id: str, frame: bytes) -> None:
        """A frame went out; it is on one line, since Strom wrote it."""
        self._keep(charge_point_id, b"%d\t>\t%b\n" % (self._clock(), masked(frame[:_MAX_FRAME])))

    def _keep(self, charge_point_id: str, line: bytes) -> None:
        if self._waiting_bytes > _MAX_WAITING:
            self._lost += 1
            return
        lines = self._waiting.get(charge_point_id)
        if lines is None:
            self._waiting[charge_point_id] = [line]
        else:
            lines.append(line)
        self._waiting_bytes += len(line)

    async def run(self) -> None:
        """Bring what was kept to the disk until cancelled, and the rest then."""
        try:
            while True:
                await asyncio.sleep(_TURN_S)
                if turn := self._taken(len(self._waiting) // _TURNS + 1):
                    await asyncio.to_thread(self._write, turn, self._missed())
        finally:
            self._write(self._taken(len(self._waiting)), self._missed())

    def _taken(self, most: int) -> dict[str, list[bytes]]:
        """The lines of so many charge points, of those whose first has waited for the longest."""
        longest = tuple(islice(self._waiting, most))
        taken = {charge_point_id: self._waiting.pop(charge_point_id) for charge_point_id in longest}
        self._waiting_bytes -= sum(len(line) for lines in taken.values() for line in lines)
        return taken

    def _missed(self) -> int:
        """How many messages were lost, once no more are."""
        if self._waiting_bytes > _MAX_WAITING // 2:
            return 0
        lost, self._lost = self._lost, 0
        return lost

    def _write(self, waiting: dict[str, list[bytes]], lost: int) -> None:
        if lost:
            logger.warning("the message log could not keep up: %d messages are missing", lost)
        try:
            # At the end of `run` the thread of the last time may still be at it.
            with self._writing:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                for charge_point_id, lines in waiting.items():
                    self._append(charge_point_id, b"".join(lines)[-self._limit_bytes :])
        except OSError as error:
            if not self._is_refused:
                logger.warning("the message log cannot be written: %s", error.strerror)
            self._is_refused = True
        else:
            self._is_refused = False

    def _append(self, charge_point_id: str, lines: bytes) -> None:
        current = _current(self._folder, charge_point_id)
        with current.open("ab") as file:
            file.write(lines)
            full = file.tell() >= self._limit_bytes
        if full:
            current.replace(_older(self._folder, charge_point_id))


def _current(folder: Path, charge_point_id: str) -> Path:
    return folder / f"{_FILE_NAME.sub('_', charge_point_id)}.log"


def _older(folder: Path, charge_point_id: str) -> Path:
    return folder / f"{_FILE_NAME.sub('_', charge_point_id)}.1.log"


class Tail:
    """The log of a charge point, from its beginning and on as it grows: each message once.

    A file that was renamed since is read to its end before the next one is begun, and so is one
    that was begun and renamed in between.

    Args:
        folder: where the files are; they need not exist yet.
        charge_point_id: whose log.
    """

    def __init__(self, folder: Path, charge_point_id: str) -> None:
        self._current = _current(folder, charge_point_id)
        self._older = _older(folder, charge_point_id)
        self._file: BinaryIO | None = None
        self._cut = b""

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def read(self) -> list[Entry]:
        """The messages that reached the disk since the last call, oldest first."""
        reading = self._file
        # Opened before what is left is read: nothing is added to a file once it was renamed.
        files = self._opened()
        found = [] if reading is None else self._rest(reading)
        places = [at for at, file in enumerate(files) if reading and _same(reading, file)]
        newer = files[places[0] + 1 :] if places else files
        for file in newer:
            self._cut = b""
            found += self._rest(file)
        for file in files:
            if not newer or file is not newer[-1]:
                file.close()
        if newer:
            self.close()
            self._file = newer[-1]
        return found

    def _opened(self) -> list[BinaryIO]:
        """The older and the current file, where there are any, and never one file twice."""
        while True:
            files = [file for file in map(_opened, (self._older, self._current)) if file]
            if len(files) < 2 or not _same(*files):
                return files
            # Renamed between the two openings.
            for file in files:
                file.close()

    def _rest(self, file: BinaryIO) -> list[Entry]:
        chunk = self._cut + file.read()
        whole = chunk.rfind(b"\n") + 1
        self._cut = chunk[whole:]
        return list(_entries(chunk[:whole]))


def _opened(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _same(one: BinaryIO, other: BinaryIO) -> bool:
    return os.path.sameopenfile(one.fileno(), other.fileno())


def read(folder: Path, charge_point_id: str) -> list[Entry]:
    """The messages of a charge point that are on the disk, oldest first."""
    tail = Tail(folder, charge_point_id)
    try:
        return tail.read()
    finally:
        tail.close()


def last_heard_ms(folder: Path, charge_point_id: str) -> int | None:
    """When a charger last said something that is on the disk, Unix ms; None for never.

    Looks at the ends of the files alone: of many chargers it can be asked at once.
    """
    for path in (_current(folder, charge_point_id), _older(folder, charge_point_id)):
        try:
            with path.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - _END_BYTES))
                end = list(_entries(file.read()))
        except FileNotFoundError:
            continue
        for entry in reversed(end):
            if entry.incoming:
                return entry.at_ms
    return None


async def follow(folder: Path, charge_point_id: str) -> AsyncIterator[Entry]:
    """The messages of a charge point that are on the disk, and on as they reach it."""
    tail = Tail(folder, charge_point_id)
    try:
        while True:
            for entry in tail.read():
                yield entry
            await asyncio.sleep(_FOLLOW_S)
    finally:
        tail.close()


def _entries(lines: bytes) -> Iterator[Entry]:
    for line in lines.split(b"\n"):
        at_ms, _, rest = line.partition(b"\t")
        direction, tab, frame = rest.partition(b"\t")
        if tab and at_ms.isdigit() and direction in (b"<", b">"):
            yield Entry(int(at_ms), direction == b"<", frame.decode("utf-8", errors="replace"))

"""Runs `strom` as its entry point does, in this process or in one of its own."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from anyio import to_thread

from bridge.cli import main
from tests import forked


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str


class Strom:
    """`strom` with its arguments."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Ran:
        self._monkeypatch.setattr(sys, "argv", ["strom", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        written = self._capsys.readouterr()
        code = left.value.code
        return Ran(code if isinstance(code, int) else 0, written.out, written.err)


async def strom_process(
    folder: Path, *arguments: str, stdin: bytes = b"", **environment: str
) -> Ran:
    """`strom` in a process of its own that works in a folder, to its end."""
    files = [folder / f"terminal-{name}" for name in ("in", "out", "err")]
    for file, text in zip(files, (stdin, b"", b""), strict=True):
        file.write_bytes(text)
    given, out, err = files
    process = forked.start(
        folder, "bridge.cli", *arguments, environment=environment, out=out, err=err, stdin=given
    )
    await to_thread.run_sync(process.join)
    assert process.exitcode is not None
    return Ran(process.exitcode, out.read_text(), err.read_text())

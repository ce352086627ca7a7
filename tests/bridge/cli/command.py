"""Runs `strom` in this process, as its entry point does."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest

from bridge.cli import main


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

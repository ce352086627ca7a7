"""The command, for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bridge.cli.command import Strom


@pytest.fixture
def strom(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Strom:
    """`strom` in an empty folder, with a home of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home" / "config"))
    monkeypatch.setenv("COLUMNS", "100")
    return Strom(monkeypatch, capsys)

"""Which commands there are, and that each brings along only what it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest
import typer

import bridge.cli
from bridge.cli.commands import MODULES
from tests.bridge.cli.command import Strom

HEAVY = ("fastapi", "uvicorn", "fpdf", "jinja2")
SMALL = ("books", "charger_log", "chargers", "driver", "evidence", "find", "simulate", "verify")
LOOK = "import sys; from importlib import import_module; import_module('bridge.cli.{}')"


def test_each_command_is_where_it_is_looked_for() -> None:
    found: dict[str, str] = {}
    for file in Path(bridge.cli.__file__).parent.glob("[a-z]*.py"):
        register = getattr(import_module(f"bridge.cli.{file.stem}"), "register", None)
        if register is not None:
            part = typer.Typer()
            register(part)
            found |= dict.fromkeys(typer.main.get_group(part).commands, file.stem)
    assert found == MODULES


def test_help_names_all_of_them_in_their_order(strom: Strom) -> None:
    shown = strom("--help").out
    places = [shown.index(f"│ {name} ") for name in MODULES]
    assert places == sorted(places)


def test_a_mistyped_one_is_guessed(strom: Strom) -> None:
    ran = strom("smulate")
    assert ran.code == 2
    assert "Did you mean 'simulate'?" in ran.err


@pytest.mark.parametrize("command", ["owed", "log"])
def test_help_ends_no_line_before_it_is_full(
    strom: Strom, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Only the last line of a paragraph has room for the next word."""
    monkeypatch.setenv("COLUMNS", "60")
    shown = strom(command, "--help").out.partition("╭")[0]
    for line, after in pairwise(line.strip() for line in shown.splitlines()):
        if line and after:
            assert len(f" {line} {after.split()[0]} ") > 58


@pytest.mark.parametrize("arguments", [("--help",), ("init",), ("ocpp", "--list")])
def test_a_full_disk_is_told_and_not_traced(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    run = [sys.executable, "-m", "bridge.cli", *arguments]
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run(
            run,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert ran.returncode == 1
    assert ran.stderr == "error: what it tells cannot be written: no space left on device\n"


def test_a_demo_that_nobody_reads_any_more_ends_in_silence(tmp_path: Path) -> None:
    run = [sys.executable, "-m", "bridge.cli", "demo", "--once"]
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    with subprocess.Popen(
        run, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        demo.stdout.readline()
        demo.stdout.close()
        assert demo.stderr.read() == b""
    assert demo.returncode == 1


@pytest.mark.parametrize("module", SMALL)
def test_a_small_command_does_not_read_what_serving_needs(module: str) -> None:
    """It took two seconds to begin."""
    look = LOOK.format(module) + f"; print(*(set({HEAVY!r}) & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []

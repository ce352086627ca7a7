"""Which commands there are, and that each brings along only what it needs."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
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


@pytest.mark.parametrize("module", SMALL)
def test_a_small_command_does_not_read_what_serving_needs(module: str) -> None:
    """It took two seconds to begin."""
    look = LOOK.format(module) + f"; print(*(set({HEAVY!r}) & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []

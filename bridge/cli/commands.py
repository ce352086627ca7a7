"""Which commands `strom` has, and where: each is read only once it is asked for.

All that any of them needs takes seconds to read on a small machine, and most need little of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast

import typer
from typer.core import TyperGroup

MODULES = {
    "init": "operator",
    "check": "operator",
    "serve": "serve",
    "qr": "sticker",
    "owed": "books",
    "wallet": "books",
    "ocpp": "chargers",
    "settings": "chargers",
    "log": "charger_log",
    "events": "events",
    "sessions": "evidence",
    "zap": "driver",
    "dm": "driver",
    "pay": "driver",
    "find": "find",
    "verify": "verify",
    "demo": "demo",
    "simulate": "simulate",
}
"""The module of each command, in the order in which they are shown."""


class Commands(TyperGroup):
    """The commands by their names."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        # For their names alone: whoever mistypes one is told what he may have meant.
        self.commands = cast(Any, dict.fromkeys(MODULES))

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, in the order in which they are shown."""
        del ctx
        return list(MODULES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """One command, with all that it needs; None where there is none of that name."""
        del ctx
        if cmd_name not in MODULES:
            return None
        part = typer.Typer(rich_markup_mode=self.rich_markup_mode)
        import_module(f"bridge.cli.{MODULES[cmd_name]}").register(part)
        command = typer.main.get_group(part).commands[cmd_name]
        # A docstring's lines end where the source's do; a terminal has a width of its own.
        paragraphs = (command.help or "").split("\n\n")
        command.help = "\n\n".join(" ".join(lines.split()) for lines in paragraphs)
        return command

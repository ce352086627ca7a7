"""`strom events`: the security events that a charge point has reported."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from agent.config.tables import load
from bridge.charger_security import EVENTS_FOLDER
from bridge.cli.charger_log import known_charge_point
from bridge.cli.options import DEFAULT_CONFIG, PANEL, ConfigFile
from bridge.cli.output import out
from bridge.ocpp.security.events import reported


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel=PANEL)(events)


def events(
    charge_point: Annotated[str, typer.Argument(help="Its id.", metavar="ID")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Show the security events that a charge point has reported, the oldest first."""
    checked = load(config)
    known = known_charge_point(checked, config, charge_point)
    found = reported(checked.strom.data_dir / EVENTS_FOLDER, known)
    for event in found:
        at = datetime.fromtimestamp(event.at_ms / 1000, UTC).isoformat(timespec="seconds")
        style = "bold" if event.alarming else ""
        out.print(Text.assemble(at, " ", (event.kind, style), " ", event.info))
    if not found:
        out.print(f"{known} has reported no security event.")

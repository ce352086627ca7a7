"""`strom events`: the security events that a charge point has reported."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.text import Text

from agent.config.tables import load
from bridge.charger_security import EVENTS_FOLDER
from bridge.cli.operator import DEFAULT_CONFIG, PANEL, ConfigFile
from bridge.cli.output import Mistake, out
from bridge.ocpp.message_log import read
from bridge.ocpp.security_extension import ALARMING


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel=PANEL)(events)


def events(
    charge_point: Annotated[str, typer.Argument(help="Its id.", metavar="ID")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Show the security events that a charge point has reported, the oldest first."""
    checked = load(config)
    points = {point.id.lower(): point.id for point in checked.charge_points}
    known = points.get(charge_point.lower())
    if known is None:
        names = ", ".join(points.values()) or "none"
        raise Mistake(f'{config} has no charge point "{charge_point}"; it has: {names}')
    entries = list(read(checked.strom.data_dir / EVENTS_FOLDER, known))
    for entry in entries:
        at = datetime.fromtimestamp(entry.at_ms / 1000, UTC).isoformat(timespec="seconds")
        try:
            event = json.loads(entry.frame)
        except ValueError:
            # The end of a line that was being written when the power went.
            continue
        style = "bold" if event["type"] in ALARMING else ""
        out.print(Text.assemble(at, " ", (event["type"], style), " ", event["info"]))
    if not entries:
        out.print(f"{known} has reported no security event.")

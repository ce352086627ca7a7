"""`strom log`: what a charger and Strom said to each other."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import anyio
import typer
from rich.text import Text

from agent.config.tables import Config, load
from bridge.cli.options import DEFAULT_CONFIG, PANEL, ConfigFile
from bridge.cli.output import Mistake, out
from bridge.ocpp.message_log import MESSAGE_LOG_FOLDER, Entry, follow, read
from bridge.ocpp.spoken import Form, Listener, Spoken, parsed

ChargePointId = Annotated[str, typer.Argument(help="Its id.", metavar="ID")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel=PANEL)(log)


def known_charge_point(checked: Config, path: Path, charge_point: str) -> str:
    """The id of a charge point of the operator's file, given in any case.

    Raises:
        Mistake: there is none; the text names those that there are.
    """
    points = {point.id.lower(): point.id for point in checked.charge_points}
    known = points.get(charge_point.lower())
    if known is None:
        names = ", ".join(points.values()) or "none"
        raise Mistake(f'{path} has no charge point "{charge_point}"; it has: {names}')
    return known


def log(
    charge_point: ChargePointId,
    config: ConfigFile = DEFAULT_CONFIG,
    following: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the OCPP messages of a charge point, secrets masked.

    An arrow to the left is a message from the charger, one to the right a message to it.
    """
    checked = load(config)
    known = known_charge_point(checked, config, charge_point)
    folder = checked.strom.data_dir / MESSAGE_LOG_FOLDER
    try:
        if following:
            anyio.run(_follow, folder, known, as_json)
            return
        entries = read(folder, known)
    except PermissionError:
        raise Mistake(f"{folder} belongs to another user: ask as the user who runs Strom") from None
    listener = Listener()
    for entry in entries:
        _tell(entry, listener, as_json)
    if not entries and not as_json:
        out.print(f"{known} has said nothing yet.")


async def _follow(folder: Path, charge_point_id: str, as_json: bool) -> None:
    listener = Listener()
    async for entry in follow(folder, charge_point_id):
        _tell(entry, listener, as_json)


def _tell(entry: Entry, listener: Listener, as_json: bool) -> None:
    out.print(Text(json_of(entry) if as_json else line_of(listener.heard(entry))))


def line_of(spoken: Spoken) -> str:
    """A message on a line."""
    at = datetime.fromtimestamp(spoken.at_ms / 1000, UTC).isoformat(timespec="milliseconds")
    arrow = "←" if spoken.incoming else "→"
    form = spoken.form if spoken.form in (Form.ANSWER, Form.ERROR) else ""
    words = (at.replace("+00:00", "Z"), arrow, spoken.action, form, spoken.said)
    return " ".join(word for word in words if word)


def json_of(entry: Entry) -> str:
    """An entry for programs."""
    message = parsed(entry)
    said = {"text": entry.frame} if message is None else {"message": message}
    side = "charger" if entry.incoming else "strom"
    return json.dumps({"at_ms": entry.at_ms, "from": side, **said}, ensure_ascii=False)

"""`strom log`: what a charger and Strom said to each other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, cast

import anyio
import typer
from rich.text import Text

from agent.config.tables import Config, load
from bridge.app import MESSAGE_LOG_FOLDER
from bridge.cli.operator import DEFAULT_CONFIG, PANEL, ConfigFile
from bridge.cli.output import Mistake, out
from bridge.ocpp.message_log import Entry, follow, read

_MOST_OPEN = 1000

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
    reader = Reader(as_json)
    try:
        if following:
            anyio.run(_follow, folder, known, reader)
            return
        entries = read(folder, known)
    except PermissionError:
        raise Mistake(f"{folder} belongs to another user: ask as the user who runs Strom") from None
    for entry in entries:
        _tell(reader.line(entry))
    if not entries and not as_json:
        out.print(f"{known} has said nothing yet.")


async def _follow(folder: Path, charge_point_id: str, reader: Reader) -> None:
    async for entry in follow(folder, charge_point_id):
        _tell(reader.line(entry))


def _tell(line: str) -> None:
    out.print(Text(line))


class Reader:
    """Makes lines of entries; an answer is named after the request that it belongs to.

    Args:
        as_json: lines for programs.
    """

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._open: dict[tuple[bool, str], str] = {}

    def line(self, entry: Entry) -> str:
        """One line of an entry."""
        try:
            message: object = json.loads(entry.frame)
        except (ValueError, RecursionError):
            message = None
        if self._as_json:
            said = {"text": entry.frame} if message is None else {"message": message}
            side = "charger" if entry.incoming else "strom"
            return json.dumps({"at_ms": entry.at_ms, "from": side, **said}, ensure_ascii=False)
        at = datetime.fromtimestamp(entry.at_ms / 1000, UTC).isoformat(timespec="milliseconds")
        arrow = "←" if entry.incoming else "→"
        parts = cast("list[Any]", message) if isinstance(message, list) else []
        return f"{at.replace('+00:00', 'Z')} {arrow} {self._said(entry, parts)}"

    def _said(self, entry: Entry, parts: list[Any]) -> str:
        match parts:
            case [2, message_id, str(action), payload, *_]:
                self._remember((entry.incoming, str(message_id)), action)
                return f"{printable(action)} {compact(payload)}"
            case [3, message_id, payload, *_]:
                return f"{self._answered(entry, message_id)} answer {compact(payload)}"
            case [4, message_id, code, *more]:
                described = " ".join(str(part) for part in more[:1] if part)
                told = f"{code}: {described}" if described else str(code)
                return f"{self._answered(entry, message_id)} error {printable(told)}"
            case _:
                return printable(entry.frame)

    def _remember(self, name: tuple[bool, str], action: str) -> None:
        self._open[name] = action
        if len(self._open) > _MOST_OPEN:
            self._open.pop(next(iter(self._open)))

    def _answered(self, entry: Entry, message_id: object) -> str:
        return printable(self._open.pop((not entry.incoming, str(message_id)), "?"))


def compact(payload: object) -> str:
    """JSON on one line; no charger's word can move the cursor of a terminal."""
    return printable(json.dumps(payload, ensure_ascii=False))


def printable(text: str) -> str:
    """A text on one line, whatever does not show spelt out."""
    return "".join(_shown(text))


def _shown(text: str) -> Iterator[str]:
    for letter in text:
        yield letter if letter.isprintable() else json.dumps(letter)[1:-1]

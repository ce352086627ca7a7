"""`strom ocpp` and `strom settings`: the operator asks chargers, and sees how they are set."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, cast

import anyio
import msgspec
import typer
from rich.table import Table
from rich.text import Text

from agent.config.tables import load
from agent.talk.words import words
from bridge.charger_sheet import ChargerSheet, SettingsSheet
from bridge.charger_words import (
    certificate_words,
    clock_words,
    fault_words,
    heard_words,
    means_words,
    ping_words,
    place_words,
)
from bridge.cli.charger_log import AsJson, known_charge_point
from bridge.cli.options import DEFAULT_CONFIG, PANEL, ConfigFile
from bridge.cli.output import Mistake, out, show_table, tell_warning
from bridge.control.client import ask
from bridge.ocpp.actions import V16, V201, Version
from bridge.ocpp.schemas import fields_of
from bridge.ocpp.spoken import compact, printable

_english = words("en")

_USUAL_TIMEOUT_S = 30.0
_SLACK_S = 45.0
"""A request may wait for the one before it, and a report comes after its answer."""


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(rich_help_panel=PANEL)(ocpp)
    app.command(rich_help_panel=PANEL)(settings)


def ocpp(
    charge_point: Annotated[
        str | None, typer.Argument(help="Its id; without it, all are shown.", metavar="[ID]")
    ] = None,
    action: Annotated[
        str | None,
        typer.Argument(help="What OCPP calls it; without it, the charger is shown."),
    ] = None,
    payload: Annotated[
        str | None,
        typer.Argument(help="Its fields as JSON; - reads them from stdin.", metavar="[JSON]"),
    ] = None,
    config: ConfigFile = DEFAULT_CONFIG,
    listing: Annotated[
        bool, typer.Option("--list", help="Show the actions, and leave; for ID only its own.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(help="Seconds that the answer may take.", min=1, max=600)
    ] = _USUAL_TIMEOUT_S,
    force: Annotated[
        bool, typer.Option("--force", help="Send also what takes a driver's charge away.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Ask a connected charger for anything that OCPP has, and show its answer.

    Strom must be running. What is sent is checked against OCPP's schema first.
    """
    if listing and charge_point is None:
        for version in (V16, V201):
            _list(version)
        return
    checked = load(config)
    data_dir = checked.strom.data_dir
    if charge_point is None:
        chargers = anyio.run(_about, data_dir, "")
        _show(chargers, as_json)
        if not as_json:
            _tell_faults(msgspec.convert(chargers, list[ChargerSheet]))
        return
    known = known_charge_point(checked, config, charge_point)
    if listing:
        [about] = anyio.run(_about, data_dir, known)
        _list(_version_of(about))
    elif action is None:
        [about] = anyio.run(_about, data_dir, known)
        _show([about], as_json)
        if not as_json:
            _tell_link(msgspec.convert(about, ChargerSheet))
    else:
        arguments = {
            "charge_point": known,
            "action": action,
            "payload": _payload(payload),
            "force": force,
            "timeout_s": timeout,
        }
        _tell(anyio.run(_ask, data_dir, arguments, timeout), as_json)


def settings(
    charge_point: Annotated[
        str | None, typer.Argument(help="Its id; without it, all are shown.", metavar="[ID]")
    ] = None,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Show the configuration of chargers: what is wanted, what they have, and why not.

    Shown are the keys of your file, and those that billing needed to be changed.
    """
    checked = load(config)
    known = known_charge_point(checked, config, charge_point) if charge_point else ""
    reports = anyio.run(_settings, checked.strom.data_dir, known)
    if as_json:
        out.print_json(json.dumps(reports))
        return
    table = Table("id", "key", "wanted", "present", "state", box=None)
    for report in reports:
        for key in report["keys"]:
            state = f"{key['state']}: here {key['here']}" if key["here"] else key["state"]
            told = [
                printable(str(one)) for one in (key["key"], key["wanted"], key["present"], state)
            ]
            table.add_row(report["id"], *map(Text, told))
        if not report["checked_at_ms"]:
            table.add_row(report["id"], "", "", "", "not compared yet")
        elif report["trouble"]:
            table.add_row(report["id"], "", "", "", Text(printable(report["trouble"])))
        elif not report["keys"]:
            table.add_row(report["id"], "", "", "", "everything is as wanted")
    show_table(table)
    for report in reports:
        for setting in msgspec.convert(report, SettingsSheet).keys:
            if setting.means:
                told = printable(means_words(setting, _english))
                out.print(Text(f"{report['id']} {setting.key}: {told}"))


async def _settings(data_dir: Path, charge_point: str) -> list[dict[str, Any]]:
    return await ask(data_dir, "settings", {"charge_point": charge_point})


async def _ask(data_dir: Path, arguments: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    return await ask(data_dir, "ocpp", arguments, 2 * timeout_s + _SLACK_S)


async def _about(data_dir: Path, charge_point: str) -> list[dict[str, Any]]:
    return await ask(data_dir, "chargers", {"charge_point": charge_point})


def _payload(written: str | None) -> dict[str, Any]:
    """The payload that was written.

    Raises:
        Mistake: it is no JSON object.
    """
    text = sys.stdin.read() if written == "-" else written
    if text is None:
        return {}
    try:
        payload: object = json.loads(text)
    except ValueError as error:
        raise Mistake(f"the payload is not JSON: {error}") from None
    except RecursionError:
        raise Mistake("the payload is nested too deeply") from None
    if not isinstance(payload, dict):
        raise Mistake('the payload is a JSON object, such as \'{"type": "Soft"}\'')
    return cast("dict[str, Any]", payload)


def _list(version: Version) -> None:
    out.print(Text(version.name, style="bold"))
    for profile, actions in version.profiles.items():
        out.print(Text(f"  {profile}"))
        for action in actions:
            fields = fields_of(action, version.package)
            shown = " ".join(name if required else f"[{name}]" for name, required in fields)
            out.print(Text.assemble("    ", (action, "cyan"), f" {shown}".rstrip()))


def _version_of(about: dict[str, Any]) -> Version:
    for version in (V16, V201):
        if version.name == about["version"]:
            return version
    raise Mistake(f"{about['id']} is not connected, so its version is not known")


def _show(chargers: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        out.print_json(json.dumps(chargers))
        return
    table = Table("id", "connection", "charger", "firmware", "serial", "connectors", box=None)
    for charger in chargers:
        maker = f"{charger['vendor']} {charger['model']}".strip()
        states = cast("dict[str, str]", charger["connectors"])
        table.add_row(
            charger["id"],
            charger["version"] or "not connected",
            Text(printable(maker or "never booted")),
            Text(printable(charger["firmware"])),
            Text(printable(charger["serial"])),
            states_in_short(states),
        )
    show_table(table)


def _tell_faults(sheets: Iterable[ChargerSheet]) -> None:
    """What chargers say is wrong with them, a line each."""
    now_ms = time.time_ns() // 1_000_000
    for sheet in sheets:
        for fault in sheet.faults:
            place = place_words(fault.connector, _english)
            told = printable(fault_words(fault, now_ms, _english))
            out.print(Text(f"{sheet.id}, {place}: {told}"))


def states_in_short(states: dict[str, str]) -> str:
    """The states of connectors, those alike together: "1-3, 5: Available; 4: Faulted"."""
    alike: dict[str, list[int]] = {}
    for connector, status in states.items():
        alike.setdefault(status, []).append(int(connector))
    return "; ".join(f"{_numbers(ids)}: {status}" for status, ids in alike.items())


def _numbers(ids: list[int]) -> str:
    """Numbers in ascending order, runs of more than two as "1-3"."""
    runs: list[list[int]] = []
    for number in ids:
        if runs and runs[-1][-1] + 1 == number:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(
        f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs
    )


def _tell_link(sheet: ChargerSheet) -> None:
    """How one charger is connected."""
    now_ms = time.time_ns() // 1_000_000
    lines = {"charger.heard": heard_words(sheet, now_ms, _english)}
    if sheet.connected:
        shown, wanted = sheet.profile or 0, sheet.wanted_profile
        asked = "" if shown == wanted else f" (asked for: {wanted})"
        lines["charger.connection"] = _english(
            "charger.answers" if sheet.answers else "charger.silent_why"
        )
        lines["charger.ping"] = ping_words(sheet, _english)
        lines["charger.clock"] = clock_words(sheet.clock_behind_ms, _english)
        lines["charger.security"] = _english(f"charger.profile_{shown}") + asked
    if certificate := certificate_words(sheet, now_ms, _english):
        lines["charger.certificate"] = certificate
    told = {_english(label): value for label, value in lines.items()}
    for fault in sheet.faults:
        told[place_words(fault.connector, _english)] = printable(
            fault_words(fault, now_ms, _english)
        )
    for label, value in told.items():
        out.print(Text.assemble((f"  {label:<18}", "dim"), value))
    for sentence in sheet.troubles:
        tell_warning(printable(sentence))


def _tell(answered: dict[str, Any], as_json: bool) -> None:
    for warning in answered["warnings"]:
        tell_warning(warning)
    payload, report = answered["payload"], answered["report"]
    if as_json:
        out.print_json(json.dumps(payload | ({"reportData": report} if report else {})))
        return
    if not payload:
        out.print(f"{answered['action']}: done")
    for line in readable(payload):
        out.print(Text(line))
    for entry in report:
        out.print(Text(variable_line(entry)))


def readable(payload: dict[str, Any]) -> list[str]:
    """An answer for a person: a line for each field, and for each object of a list."""
    lines: list[str] = []
    for name, value in payload.items():
        items = _objects(value)
        if items and name == "configurationKey":
            lines += [_key_line(item) for item in items]
        elif items and name in ("getVariableResult", "setVariableResult"):
            lines += [variable_line(item) for item in items]
        elif items:
            lines.append(f"{name}:")
            lines += [f"  {compact(item)}" for item in items]
        elif isinstance(value, list):
            words = cast("list[object]", value)
            lines += [f"{name}: {', '.join(map(_plain, words))}"] if words else []
        else:
            lines.append(f"{name}: {_plain(value)}")
    return lines


def _objects(value: object) -> list[dict[str, Any]]:
    """The objects of a list that has nothing else."""
    items = cast("list[object]", value) if isinstance(value, list) else []
    found = [cast("dict[str, Any]", item) for item in items if isinstance(item, dict)]
    return found if len(found) == len(items) else []


def _key_line(item: dict[str, Any]) -> str:
    """A configuration key of 1.6."""
    value = item.get("value")
    shown = "" if value is None else f" = {_plain(value)}"
    return f"{_plain(item.get('key'))}{shown}{'  (read-only)' if item.get('readonly') else ''}"


def variable_line(item: dict[str, Any]) -> str:
    """A variable of 2.0.1, in an answer or a report."""
    name = f"{_named(item.get('component'))}.{_named(item.get('variable'))}"
    attributes = _objects(item.get("variableAttribute")) or [item]
    shown: list[str] = []
    for attribute in attributes:
        value = attribute.get("value", attribute.get("attributeValue"))
        status = attribute.get("attributeStatus", "")
        kind = attribute.get("type", attribute.get("attributeType", "Actual"))
        text = "" if value is None else f" = {_plain(value)}"
        text += "" if kind == "Actual" else f"  ({_plain(kind)})"
        text += f": {_plain(status)}" if status and (value is None or status != "Accepted") else ""
        text += "  (read-only)" if attribute.get("mutability") == "ReadOnly" else ""
        shown.append(f"{name}{text}")
    return "\n".join(shown)


def _named(value: object) -> str:
    if not isinstance(value, dict):
        return "?"
    parts = cast("dict[str, Any]", value)
    instance = parts.get("instance")
    return f"{_plain(parts.get('name'))}{f'[{_plain(instance)}]' if instance else ''}"


def _plain(value: object) -> str:
    return printable(value) if isinstance(value, str) else compact(value)

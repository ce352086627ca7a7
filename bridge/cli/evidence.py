"""`strom sessions`: closed charges, what decided their energy, and what went beyond credits."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from agent.config.tables import load
from agent.journal.journal import Journal
from agent.machine.evidence import evidence_of
from agent.machine.model import Session
from agent.machine.money import MSAT_PER_SAT
from agent.talk.evidence import evidence_details, evidence_line
from agent.talk.words import words
from bridge.app import JOURNAL_FILE
from bridge.cli.operator import DEFAULT_CONFIG, PANEL, ConfigFile
from bridge.cli.output import Mistake, out, show_table

_english = words("en")


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(rich_help_panel=PANEL)(sessions)


def sessions(
    session: Annotated[
        str, typer.Argument(help="One of them, to see how its energy was read.", metavar="ID")
    ] = "",
    config: ConfigFile = DEFAULT_CONFIG,
    most: Annotated[int, typer.Option(help="How many, the latest first.", min=1)] = 20,
    as_json: Annotated[
        bool, typer.Option("--json", help="For programs: Wh, msat, Unix ms.")
    ] = False,
) -> None:
    """List closed charges: energy, cost, what decided it, and what went beyond the credit."""
    path = load(config).strom.data_dir / JOURNAL_FILE
    closed: list[Session] = []
    if path.exists():
        journal = Journal.open(path)
        try:
            one = journal.session(session.lower()) if session else None
            closed = journal.closed_sessions(most) if not session else [one] if one else []
        finally:
            journal.close()
    closed.sort(key=lambda one: one.closed_at_ms or 0, reverse=True)
    if session and not closed:
        raise Mistake(f"there is no session {session}; strom sessions lists them")
    if as_json:
        out.print_json(json.dumps([_fields(one) for one in closed]))
    elif session:
        _explain(closed[0])
    elif closed:
        _tell(closed)
    else:
        out.print("Nothing was charged yet.")


def _fields(session: Session) -> dict[str, Any]:
    evidence = evidence_of(session)
    return {
        "session": session.id,
        "charge_point": session.charge_point,
        "connector": session.connector,
        "closed_at_ms": session.closed_at_ms,
        "energy_wh": session.energy_wh,
        "cost_msat": session.cost_msat,
        "overshoot_wh": session.overshoot_wh,
        "overshoot_msat": session.overshoot_msat,
        "stopped_by": session.stop_by,
        "meter": None if evidence is None else msgspec.to_builtins(evidence),
    }


def _explain(session: Session) -> None:
    evidence = evidence_of(session)
    if evidence is None:
        if session.started_at_ms is not None:
            out.print("The charger named no register: nothing could be counted.")
        elif session.closed_at_ms is not None:
            out.print("Charging never began.")
        else:
            out.print("Charging has not begun yet.")
        return
    out.print(Text(evidence_line(evidence, _english)))
    for detail in evidence_details(evidence, _english):
        out.print(Text(f"  {detail}"))
    if session.closed_at_ms is None:
        out.print(f"Charged so far: {session.energy_wh:,} Wh. It is still open.")
    else:
        out.print(f"Billed: {session.energy_wh:,} Wh.")
    if session.overshoot_msat:
        beyond = _english.sat(session.overshoot_msat)
        out.print(Text(f"Beyond the credit: {session.overshoot_wh:,} Wh, {beyond}, yours to bear."))


def _tell(closed: list[Session]) -> None:
    table = Table("ended", "charge point", "session", "Wh", "sat", "meter", "beyond", box=None)
    for one in closed:
        at = datetime.fromtimestamp((one.closed_at_ms or 0) / 1000, UTC)
        fixes = 0 if one.meter is None else len(one.meter.past.corrections)
        word = (one.ending or "never began").replace("_", " ")
        table.add_row(
            f"{at:%Y-%m-%d %H:%M}",
            Text(f"{one.charge_point}.{one.connector}"),
            one.id,
            f"{one.energy_wh:,}",
            f"{one.cost_msat // MSAT_PER_SAT:,}",
            word + (f", {fixes} corrected" if fixes else ""),
            f"{one.overshoot_wh:,} Wh" if one.overshoot_msat else "",
        )
    show_table(table)
    beyond_msat = sum(one.overshoot_msat for one in closed)
    if beyond_msat:
        beyond_wh = sum(one.overshoot_wh for one in closed)
        told = f"{beyond_wh:,} Wh for {_english.sat(beyond_msat)} went beyond the credits."
        out.print(Text(told))

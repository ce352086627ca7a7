"""`strom sessions`: closed charges, what decided their energy, and what went beyond credits."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from agent.charges import Charge, charge_of
from agent.config.tables import load
from agent.journal.journal import JOURNAL_FILE, Journal
from agent.machine.model import Session
from agent.machine.money import MSAT_PER_SAT
from agent.talk.evidence import evidence_details, evidence_line
from agent.talk.words import words
from bridge.cli.options import DEFAULT_CONFIG, PANEL, ConfigFile
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
            one = journal.sessions.get(session.lower()) if session else None
            closed = journal.sessions.closed(most) if not session else [one] if one else []
        finally:
            journal.close()
    closed.sort(key=lambda one: one.closed_at_ms or 0, reverse=True)
    if session and not closed:
        raise Mistake(f"there is no session {session}; strom sessions lists them")
    charges = [charge_of(one) for one in closed]
    if as_json:
        out.print_json(json.dumps([_fields(charge) for charge in charges]))
    elif session:
        _explain(charges[0])
    elif charges:
        _tell(charges)
    else:
        out.print("Nothing was charged yet.")


def _fields(charge: Charge) -> dict[str, Any]:
    meter = charge.meter
    return {
        "session": charge.session,
        "charge_point": charge.charge_point,
        "connector": charge.connector,
        "closed_at_ms": charge.closed_at_ms,
        "energy_wh": charge.energy_wh,
        "cost_msat": charge.cost_msat,
        "overshoot_wh": charge.overshoot_wh,
        "overshoot_msat": charge.overshoot_msat,
        "stopped_by": charge.stopped_by or None,
        "meter": None if meter is None else msgspec.to_builtins(meter),
    }


def _explain(charge: Charge) -> None:
    is_open = charge.closed_at_ms is None
    place = f"{charge.charge_point}.{charge.connector}"
    opened = f"{datetime.fromtimestamp(charge.opened_at_ms / 1000, UTC):%Y-%m-%d %H:%M} UTC"
    paid = _english.sat(charge.paid_msat)
    used = paid if is_open else f"{_english.sat(charge.cost_msat)} of {paid} used"
    out.print(Text(f"{place}, paid for at {opened}: {used}."))
    if charge.meter is None:
        if charge.started_at_ms is not None:
            out.print("The charger named no register: nothing could be counted.")
        else:
            out.print("Charging has not begun yet." if is_open else "Charging never began.")
        return
    out.print(Text(evidence_line(charge.meter, _english)))
    for detail in evidence_details(charge.meter, _english):
        out.print(Text(f"  {detail}"))
    if is_open:
        out.print(f"Charged so far: {charge.energy_wh:,} Wh. It is still open.")
    else:
        out.print(f"Billed: {charge.energy_wh:,} Wh.")
    if charge.overshoot_msat:
        beyond = _english.sat(charge.overshoot_msat)
        out.print(Text(f"Beyond the credit: {charge.overshoot_wh:,} Wh, {beyond}, yours to bear."))


def _tell(charges: list[Charge]) -> None:
    table = Table(box=None)
    table.add_column("ended (UTC)", no_wrap=True)
    table.add_column("charge point")
    table.add_column("session", no_wrap=True)
    table.add_column("Wh", justify="right", no_wrap=True)
    table.add_column("sat", justify="right", no_wrap=True)
    table.add_column("meter")
    table.add_column("beyond", justify="right")
    for one in charges:
        at = datetime.fromtimestamp((one.closed_at_ms or 0) / 1000, UTC)
        word = (one.ending or "never began").replace("_", " ")
        table.add_row(
            f"{at:%Y-%m-%d %H:%M}",
            Text(f"{one.charge_point}.{one.connector}"),
            one.session,
            f"{one.energy_wh:,}",
            f"{one.cost_msat // MSAT_PER_SAT:,}",
            word + (f", {one.corrections} corrected" if one.corrections else ""),
            f"{one.overshoot_wh:,} Wh" if one.overshoot_msat else "",
        )
    show_table(table)
    beyond_msat = sum(one.overshoot_msat for one in charges)
    if beyond_msat:
        beyond_wh = sum(one.overshoot_wh for one in charges)
        told = f"{beyond_wh:,} Wh for {_english.sat(beyond_msat)} went beyond the credits."
        out.print(Text(told))

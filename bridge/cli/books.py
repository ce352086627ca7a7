"""`strom` for the operator: what is owed, and what the wallet can do."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import anyio
import typer
from rich.table import Table
from rich.text import Text

from agent.config.tables import load
from agent.journal.journal import Journal
from agent.journal.outside import Unattributed
from agent.machine.money import MSAT_PER_SAT
from agent.ports.office import OwedRefund
from agent.talk.wording import age
from agent.views import owed_refunds
from bridge.app import JOURNAL_FILE
from bridge.cli.operator import DEFAULT_CONFIG, PANEL, ConfigFile
from bridge.cli.output import out, show_table
from wallet.connect import connect


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(rich_help_panel=PANEL)(owed)
    app.command(rich_help_panel=PANEL)(wallet)


def owed(
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: amounts in msat.")] = False,
) -> None:
    """List the refunds that have not been paid yet, the oldest first."""
    path = load(config).strom.data_dir / JOURNAL_FILE
    refunds: list[OwedRefund] = []
    strays: list[Unattributed] = []
    if path.exists():
        journal = Journal.open(path)
        try:
            refunds = owed_refunds(journal.sessions.live())
            strays = journal.outside.unattributed()
        finally:
            journal.close()
    if as_json:
        out.print_json(json.dumps([asdict(refund) for refund in refunds]))
        return
    if refunds:
        _tell_refunds(refunds)
    else:
        out.print("Nothing is owed." if path.exists() else "Nothing is owed: it has not run yet.")
    if strays:
        _tell_strays(strays)


def _tell_refunds(refunds: list[OwedRefund]) -> None:
    table = Table("charge point", "session", "sat", "state", "since", "last failure", box=None)
    now_s = int(time.time())
    for refund in refunds:
        table.add_row(
            Text(refund.charge_point),
            refund.session_id,
            f"{refund.amount_msat // MSAT_PER_SAT:,}",
            refund.state,
            age(now_s - refund.since_ms // 1000),
            Text(refund.failure),
        )
    show_table(table)
    total_msat = sum(refund.amount_msat for refund in refunds)
    count = len(refunds)
    out.print(
        f"{total_msat // MSAT_PER_SAT:,} sat are owed in {count} refund{'' if count == 1 else 's'}."
    )


def _tell_strays(strays: list[Unattributed]) -> None:
    """Money that came to an address elsewhere and that no zap receipt explains."""
    out.print("These payments reached the wallet and belong to no charge that Strom knows of:")
    now_s = int(time.time())
    for stray in strays:
        sats = f"{stray.amount_msat // MSAT_PER_SAT:,} sat"
        since = age(now_s - stray.settled_at_ms // 1000)
        out.print(Text(f"  {sats}, {since} ago: {stray.reason}\n  payment {stray.payment_hash}"))


def wallet(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Show the wallet: its node, network, what it can pay and receive, what it may not do."""
    anyio.run(_wallet, config)


async def _wallet(config: Path) -> None:
    checked = load(config)
    backend = connect(
        checked.wallet.url,
        checked.strom.data_dir,
        lambda: int(time.time() * 1000),
        base_dir=checked.base_dir,
    )
    try:
        await backend.open()
        info = await backend.info()
    finally:
        await backend.close()
    out.print(Text(info.name))
    out.print(f"  network      {info.network}{' (play money)' if info.play_money else ''}")
    out.print(f"  can pay      {_sats(info.balance_msat)}")
    out.print(f"  can receive  {_sats(info.inbound_msat)}")
    out.print(f"  hold invoices {'work' if info.holds else 'do not work'}")
    if info.budget_msat is not None:
        out.print(f"  budget       {_sats(info.budget_msat)} may still be paid")
    for missing in info.missing:
        out.print(Text(f"  may not      {missing}"))


def _sats(amount_msat: int | None) -> str:
    return "unknown" if amount_msat is None else f"{amount_msat // MSAT_PER_SAT:,} sat"

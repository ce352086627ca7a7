"""`strom` for the operator: what is owed, what became of it, and what the wallet can do."""

from __future__ import annotations

import getpass
import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import anyio
import typer
from rich.table import Table
from rich.text import Text

from agent.config.tables import load
from agent.doubts import DOUBT
from agent.journal.journal import JOURNAL_FILE, Journal
from agent.journal.outside import Unattributed
from agent.machine.money import MSAT_PER_SAT
from agent.ports.office import OwedRefund
from agent.talk.wording import age
from agent.talk.words import words
from agent.views import owed_refunds
from bridge.cli.options import DEFAULT_CONFIG, PANEL, ConfigFile
from bridge.cli.output import Mistake, out, show_table, tell_warning
from bridge.control.client import ask
from bridge.wallets import wallet_of

_english = words("en")


def register(app: typer.Typer) -> None:
    """Add these commands."""
    app.command(rich_help_panel=PANEL)(owed)
    app.command(rich_help_panel=PANEL)(wallet)


def owed(
    refund: Annotated[
        str,
        typer.Argument(
            help="One of them: a session's id, with :2 behind it where it owes several.",
            metavar="[ID]",
        ),
    ] = "",
    config: ConfigFile = DEFAULT_CONFIG,
    paid: Annotated[
        bool, typer.Option("--paid", help="Its driver has the money: nothing more is owed.")
    ] = False,
    unpaid: Annotated[
        bool,
        typer.Option("--unpaid", help="It did not arrive and never will: it is owed again."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing back.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs: amounts in msat.")] = False,
) -> None:
    """List the refunds that have not been paid yet, the oldest first.

    Of one that no wallet can tell about, look the payment up in your wallet; then say what became
    of it with --paid or --unpaid. Strom must be running for that.
    """
    data_dir = load(config).strom.data_dir
    if paid and unpaid:
        raise Mistake("it is either --paid or --unpaid")
    if (paid or unpaid) and not refund:
        raise Mistake("say which refund; strom owed lists them")
    book = _read(data_dir / JOURNAL_FILE)
    if refund:
        one = _only(book.refunds, refund)
        if paid or unpaid:
            _decide(data_dir, one, arrived=paid, is_sure=yes)
            return
        book = _Book([one])
    if as_json:
        out.print_json(json.dumps([asdict(one) for one in book.refunds]))
        return
    if book.refunds:
        _tell_refunds(book.refunds)
    else:
        out.print("Nothing is owed." if book.is_there else "Nothing is owed: it has not run yet.")
    _tell_what_to_do(book.refunds)
    if book.strays:
        _tell_strays(book.strays)


@dataclass(frozen=True)
class _Book:
    """What stands in a journal that is owed, and that nothing explains."""

    refunds: list[OwedRefund]
    strays: Sequence[Unattributed] = ()
    is_there: bool = True


def _read(path: Path) -> _Book:
    if not path.exists():
        return _Book([], is_there=False)
    journal = Journal.open(path)
    try:
        refunds = owed_refunds(journal.sessions.live(), journal.settings(DOUBT))
        return _Book(refunds, journal.outside.unattributed())
    finally:
        journal.close()


def _only(refunds: list[OwedRefund], wanted: str) -> OwedRefund:
    """The refund that is meant by a session's id, or by that and its number."""
    session_id, _, number = wanted.lower().partition(":")
    found = [
        one
        for one in refunds
        if one.session_id == session_id and number in ("", str(one.refund_no))
    ]
    if not found:
        raise Mistake(f"nothing is owed for {wanted}; strom owed lists what is")
    if len(found) > 1:
        names = " or ".join(f"{one.session_id}:{one.refund_no}" for one in found)
        raise Mistake(f"that session owes several refunds: say {names}")
    return found[0]


def _decide(data_dir: Path, refund: OwedRefund, *, arrived: bool, is_sure: bool) -> None:
    """Have the running Strom take the operator's word, once he is sure of it."""
    _tell_refunds([refund])
    _tell_what_to_do([refund])
    if arrived:
        tell_warning(
            "nothing more is owed to this driver then; if the money did not arrive, he loses it"
        )
    else:
        tell_warning(
            "the driver can have it paid again then; if it arrived after all, you pay it twice"
        )
    if not is_sure:
        typer.confirm(
            "Did it arrive, for sure?" if arrived else "Did it not arrive, for sure?", abort=True
        )
    word = {
        "session": refund.session_id,
        "refund_no": refund.refund_no,
        "arrived": arrived,
        "operator": os.environ.get("SUDO_USER") or getpass.getuser(),
    }
    verdict = anyio.run(ask, data_dir, "refund", word)
    said = "The wallet itself says that it" if verdict["by_wallet"] else "It is written down: it"
    if verdict["arrived"]:
        out.print(f"{said} arrived. Nothing more is owed.")
    else:
        out.print(f"{said} did not arrive. It is owed again.")


def _tell_refunds(refunds: list[OwedRefund]) -> None:
    table = Table(box=None)
    table.add_column("charge point")
    table.add_column("session", no_wrap=True)
    table.add_column("sat", justify="right", no_wrap=True)
    table.add_column("since", no_wrap=True)
    table.add_column("state")
    table.add_column("last failure")
    now_s = int(time.time())
    for refund in refunds:
        table.add_row(
            Text(refund.charge_point),
            refund.session_id,
            f"{refund.amount_msat // MSAT_PER_SAT:,}",
            age(now_s - refund.since_ms // 1000),
            _english(f"owed.{refund.state.lower()}"),
            Text(refund.failure),
        )
    show_table(table)
    total_msat = sum(refund.amount_msat for refund in refunds)
    count = len(refunds)
    out.print(
        f"{total_msat // MSAT_PER_SAT:,} sat are owed in {count} refund{'' if count == 1 else 's'}."
    )


def _tell_what_to_do(refunds: list[OwedRefund]) -> None:
    """Of which of them nobody knows what became, and how that is found out."""
    for refund in refunds:
        if refund.doubted:
            out.print(
                Text(
                    "Your wallet has paid what Strom never decided on, as after a backup was "
                    "restored, or where a copy of its data is at work: look there whether "
                    f"{refund.amount_msat // MSAT_PER_SAT:,} sat or so went to this driver.\n"
                    f"  strom owed {refund.session_id}:{refund.refund_no} --paid    they did\n"
                    f"  strom owed {refund.session_id}:{refund.refund_no} --unpaid  they did not: "
                    "he can have them"
                )
            )
        if refund.payment_hash:
            out.print(
                Text(
                    f"Look in your wallet what became of payment {refund.payment_hash}. Strom asks "
                    "it too; where it cannot tell:\n"
                    f"  strom owed {refund.session_id}:{refund.refund_no} --paid    it arrived\n"
                    f"  strom owed {refund.session_id}:{refund.refund_no} --unpaid  it did not, "
                    "and cannot any more"
                )
            )


def _tell_strays(strays: Sequence[Unattributed]) -> None:
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
    backend = wallet_of(checked, lambda: int(time.time() * 1000))
    try:
        await backend.open()
        info = await backend.info()
    finally:
        await backend.close()
    out.print(Text(info.name))
    lines = [
        ("network", f"{info.network}{' (play money)' if info.play_money else ''}"),
        ("can pay", _sats(info.balance_msat)),
        ("can receive", _sats(info.inbound_msat)),
        ("hold invoices", "work" if info.holds else "do not work"),
    ]
    if info.budget_msat is not None:
        lines.append(("budget", f"{_sats(info.budget_msat)} may still be paid"))
    lines += [("may not", missing) for missing in info.missing]
    for label, value in lines:
        out.print(Text.assemble((f"  {label:<15}", "dim"), value))


def _sats(amount_msat: int | None) -> str:
    return "unknown" if amount_msat is None else f"{amount_msat // MSAT_PER_SAT:,} sat"

"""`strom verify`: whether a signed receipt is what it says it is, and what it proves."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from agent.notary import MAX_RECEIPT_CHARS, InvalidReceipt, SignedReceipt, read_receipt
from agent.receipts import Receipt
from agent.talk.evidence import evidence_details, evidence_line
from agent.talk.wording import bill_line_detail
from agent.talk.words import words
from bridge.cli.driver import PANEL
from bridge.cli.output import Mistake, out
from nips.errors import InvalidKey
from nips.identity import decode_npub, encode_npub

_english = words("en")


def register(app: typer.Typer) -> None:
    """Add this command."""
    app.command(rich_help_panel=PANEL)(verify)


def verify(
    file: Annotated[
        Path,
        typer.Argument(
            help="The receipt: the JSON file, or the message as text; - reads what is typed in.",
            metavar="FILE",
        ),
    ],
    by: Annotated[
        str, typer.Option(help="The charge point that must have signed it.", metavar="NPUB")
    ] = "",
) -> None:
    """Check a signed receipt: its signature, its sums, and by whom it is."""
    try:
        signed = read_receipt(_text_of(file))
    except OSError as error:
        raise Mistake(f"{file} cannot be read: {(error.strerror or 'unknown').lower()}") from None
    except UnicodeDecodeError:
        raise Mistake(f"{file} is not a receipt: it is not text") from None
    except InvalidReceipt as error:
        raise Mistake(f"{file} proves nothing: {error}") from None
    if by:
        _check_signer(file, signed, by)
    _tell(signed, checked_signer=bool(by))


def _text_of(file: Path) -> str:
    if str(file) == "-":
        return sys.stdin.read(2 * MAX_RECEIPT_CHARS)
    with file.open(encoding="utf-8") as text:
        return text.read(2 * MAX_RECEIPT_CHARS)


def _check_signer(file: Path, signed: SignedReceipt, by: str) -> None:
    try:
        wanted = decode_npub(by)
    except InvalidKey as error:
        raise Mistake(f"--by: {error}") from None
    if wanted != signed.pubkey:
        signer = encode_npub(signed.pubkey)
        raise Mistake(f"{file} is signed by {signer}, not by the charge point that was named")


def _tell(signed: SignedReceipt, *, checked_signer: bool) -> None:
    receipt = signed.receipt
    place = receipt.charge_point
    for label, value in (
        ("charge point", f"{place.name}, connector {receipt.connector}"),
        ("address", place.address),
        ("signed by", encode_npub(signed.pubkey)),
        ("session", receipt.session),
        ("charging", _span(receipt)),
        ("delivered", _energy(receipt)),
        *(("decided by", line) for line in _evidence(receipt)),
        *(
            (
                line.dimension.lower().replace("_", " "),
                _line(bill_line_detail(line, _english), line.amount_msat),
            )
            for line in receipt.lines
        ),
        ("waived", _english.sat(receipt.waived_msat) if receipt.waived_msat else ""),
        ("cost", _english.sat(receipt.cost_msat)),
        ("tax in it", _english.sat(receipt.tax_msat) if receipt.tax_msat else ""),
        *(("paid", f"{_english.sat(p.amount_msat)}  {p.payment_hash}") for p in receipt.payments),
        *(
            (
                f"refund {r.no}",
                f"{_english.sat(r.amount_msat)}  {r.state} {r.payment_hash}".rstrip(),
            )
            for r in receipt.refunds
        ),
        *(("signed value", f"{v.context} {v.encoding} {v.sha256}") for v in receipt.signed_values),
        ("as of", _time(receipt.as_of_ms)),
    ):
        if value:
            out.print(Text(f"{label:<13}{value}"))
    out.print()
    out.print(Text(_sum(receipt)))
    out.print(Text(_meaning(receipt, checked_signer)))


def _line(detail: str, amount_msat: int) -> str:
    return " = ".join(part for part in (detail, _english.sat(amount_msat)) if part)


def _span(receipt: Receipt) -> str:
    if receipt.started_at_ms is None:
        return f"never began ({receipt.obstacle or 'cancelled'})"
    return f"{_time(receipt.started_at_ms)} to {_time(receipt.closed_at_ms)}"


def _time(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _evidence(receipt: Receipt) -> tuple[str, ...]:
    meter = receipt.meter
    if meter is None:
        return ()
    return (evidence_line(meter, _english), *evidence_details(meter, _english))


def _energy(receipt: Receipt) -> str:
    if receipt.started_at_ms is None:
        return ""
    told = f"{_english.number(receipt.energy_wh)} Wh"
    if receipt.meter_start_wh is None or receipt.meter_stop_wh is None:
        return told
    read = f"meter {receipt.meter_start_wh:,} to {receipt.meter_stop_wh:,} Wh"
    fits = receipt.meter_stop_wh - receipt.meter_start_wh == receipt.energy_wh
    return f"{told} ({read}{'' if fits else ', set anew in between'})"


def _sum(receipt: Receipt) -> str:
    sat = _english.sat
    return (
        f"It adds up: {sat(receipt.paid_msat)} paid = {sat(receipt.cost_msat)} cost + "
        f"{sat(receipt.refunded_msat)} paid back + {sat(receipt.owed_msat)} owed + "
        f"{sat(receipt.rounding_msat)} rounding."
    )


def _meaning(receipt: Receipt, checked_signer: bool) -> str:
    who = (
        "Signed by the charge point that you named"
        if checked_signer
        else "Signed by the key above; that it is the charge point's, compare with its profile, "
        "or give it as --by NPUB"
    )
    claim = (
        f" It admits owing {_english.sat(receipt.owed_msat)} to whoever paid these invoices."
        if receipt.owed_msat
        else ""
    )
    return f"{who}. Unchanged since.{claim} A later receipt of this session replaces it."

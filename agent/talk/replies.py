"""What a charge point says in direct messages: short lines for a phone, in the driver's language.

Pure: everything said is in the arguments. Invoices and LNURLs stand alone on their lines, so
that wallets and nostr clients recognise them.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from agent.links import SessionLinks
from agent.machine.events import ConnectorStatus, Obstacle
from agent.machine.model import SessionState
from agent.machine.money import MSAT_PER_SAT
from agent.machine.refund import COMMITTED, RefundState
from agent.ports.charge_point import ChargePointView, ConnectorView
from agent.ports.quotes import Quote
from agent.ports.site import SessionView
from agent.receipts import Receipt
from agent.talk.evidence import evidence_line
from agent.talk.wording import (
    EXAMPLE_WH,
    example_msat,
    hindrance,
    lasting,
    obstacle_sentence,
    price_lines,
    spent,
)
from agent.talk.words import Words
from agent.tariff.model import (
    MS_PER_MINUTE,
    WH_PER_KWH,
    BillLine,
    Dimension,
    Tariff,
)

USUAL_SAT = 5_000
"""The amount in examples, where the operator's bounds allow it."""

_TYPICAL_POWER_W = 11_000
_MOST_LISTED = 8
_FREE = frozenset(RefundState) - COMMITTED


def charging(words: Words, view: SessionView) -> str:
    """How a charge goes on."""
    return words(
        "dm.status_charging",
        energy=words.kwh(view.energy_wh),
        power=words.kw(view.power_w),
        cost=words.sat(view.cost_msat),
        paid=words.sat(view.paid_msat),
    )


def joined(*lines: str) -> str:
    """Lines one below the other, without the empty ones."""
    return "\n".join(line for line in lines if line)


def enough(words: Words, tariff: Tariff, amount_msat: int) -> str:
    """For how many kWh an amount lasts; "" where energy is not what is sold."""
    if not tariff.energy_per_kwh_msat:
        return ""
    hourly_msat = tariff.time_per_hour_msat * WH_PER_KWH // _TYPICAL_POWER_W
    per_kwh_msat = tariff.energy_per_kwh_msat + hourly_msat
    energy_wh = max(0, amount_msat - tariff.flat_msat) * WH_PER_KWH // per_kwh_msat
    return words("dm.enough", energy=words.kw(energy_wh)) if energy_wh >= WH_PER_KWH // 10 else ""


def not_started(words: Words, obstacle: Obstacle | None) -> str:
    """Why a session that was paid for did not begin."""
    if obstacle is None:
        return words("dm.cancelled")
    return words("dm.not_started", reason=obstacle_sentence(obstacle, words))


def money_back(words: Words, view: SessionView, links: SessionLinks) -> str:
    """What becomes of the money of a closed session that bought nothing."""
    waiting = sum(r.amount_msat for r in view.refunds if r.state in _FREE)
    sending = view.owed_msat - waiting
    lines: list[str] = []
    if sending > 0:
        lines.append(words("dm.refund_sending", amount=words.sat(sending)))
    if waiting:
        lines.append(words("dm.refund_open", amount=words.sat(waiting)))
        lines.append(words("dm.refund_how", lnurl=links.refund_lnurl))
    if not lines and view.refunded_msat:
        return words("dm.refund_paid", amount=words.sat(view.refunded_msat))
    nothing = "dm.refund_none" if view.paid_msat else "dm.nothing_taken"
    return joined(*lines) or words(nothing)


def usual_sat(view: ChargePointView) -> int:
    """An amount for examples that the operator's bounds allow."""
    least = -(-view.min_payment_msat // MSAT_PER_SAT)
    return max(least, min(USUAL_SAT, view.max_payment_msat // MSAT_PER_SAT))


def short_help(words: Words, view: ChargePointView, *, operator: bool) -> str:
    """What can be said here."""
    told = words("dm.help", name=view.name, amount=usual_sat(view))
    return joined(told, words("dm.help_operator") if operator else "")


def price(words: Words, view: ChargePointView) -> str:
    """What charging costs here now."""
    example = words(
        "dm.price_example",
        energy=EXAMPLE_WH // WH_PER_KWH,
        amount=words.sat(example_msat(view.tariff)),
    )
    bounds = words(
        "dm.price_bounds",
        least=words.sat(view.min_payment_msat),
        most=words.sat(view.max_payment_msat),
    )
    return joined(
        words("dm.price", name=view.name),
        prices(words, view.tariff),
        example if view.tariff.energy_per_kwh_msat else "",
        bounds,
        words("dm.promise"),
    )


def prices(words: Words, tariff: Tariff) -> str:
    """Every price of a tariff, a line each."""
    lines = [
        f"{line.label}: {line.amount}" + (f" ({line.note})" if line.note else "")
        for line in price_lines(tariff, words)
    ]
    return joined(*lines) or words("price.free")


def public_status(words: Words, view: ChargePointView) -> str:
    """What anyone may know of the connectors."""
    hint = ""
    if any(connector.obstacle is None for connector in view.connectors):
        hint = words("dm.how_to_start", amount=usual_sat(view))
    return joined(*(_connector(words, connector) for connector in view.connectors), hint)


def _connector(words: Words, connector: ConnectorView) -> str:
    if connector.obstacle is None:
        free = words("dm.connector_free", connector=connector.id)
        return joined(free, words("hindrance.unplug_first") if connector.unplug_first else "")
    reason = obstacle_sentence(connector.obstacle, words, connector.free_in_s)
    return words("dm.connector_not", connector=connector.id, reason=reason)


def own_status(words: Words, view: SessionView, links: SessionLinks, now_ms: int) -> str:
    """How the driver's own session stands."""
    energy, cost = words.kwh(view.energy_wh), words.sat(view.cost_msat)
    paid = words.sat(view.paid_msat + view.held_msat)
    follow = words("dm.follow", url=links.page_url)
    lasts = ""
    if view.credit_ends_at_ms is not None:
        minutes = max(0, view.credit_ends_at_ms - now_ms) // MS_PER_MINUTE
        lasts = words("dm.status_until", time=lasting(minutes))
    hindered = hindrance(view, words)
    paused = words("dm.status_suspended", energy=energy, cost=cost, paid=paid)
    match SessionState(view.state):
        case SessionState.STARTING:
            told = words("dm.status_starting", paid=paid, connector=view.connector)
            return joined(told, hindered, follow)
        case SessionState.CHARGING:
            faulted = view.status is ConnectorStatus.FAULTED
            told = paused if faulted else charging(words, view)
            return joined(told, hindered, lasts, follow)
        case SessionState.SUSPENDED:
            return joined(paused, hindered, lasts, follow)
        case SessionState.STOPPING:
            return words("dm.status_stopping", energy=energy, cost=cost)
        case SessionState.CLOSED:
            finished = words("dm.finished", energy=energy, cost=cost)
            told = finished if view.started_at_ms else not_started(words, view.obstacle)
            return joined(told, money_back(words, view, links))


def invoice(words: Words, quote: Quote, lnurl: str, *, unplug_first: bool = False) -> str:
    """An invoice that starts a session or tops one up, and the LNURL that does the same.

    Args:
        words: in the driver's language.
        quote: the invoice's.
        lnurl: the other way to pay.
        unplug_first: whether the cable of the charge before is still plugged in there.
    """
    amount = words.sat(quote.amount_msat)
    if quote.topup:
        told = words("dm.invoice_topup", amount=amount)
        return joined(told, quote.bolt11, words("dm.or_lnurl"), lnurl)
    return joined(
        words("dm.invoice", amount=amount, connector=quote.connector),
        words("hindrance.unplug_first") if unplug_first else "",
        enough(words, quote.tariff, quote.amount_msat),
        words("dm.promise"),
        quote.bolt11,
        words("dm.or_lnurl"),
        lnurl,
    )


def ask_amount(words: Words, view: ChargePointView, *, topup: bool) -> str:
    """The question for an amount that was not named."""
    key = "dm.how_much_topup" if topup else "dm.how_much"
    bounds = words(
        "dm.price_bounds",
        least=words.sat(view.min_payment_msat),
        most=words.sat(view.max_payment_msat),
    )
    return joined(words(key, amount=usual_sat(view)), prices(words, view.tariff), bounds)


def amount_refused(words: Words, view: ChargePointView, amount_msat: int) -> str:
    """Why an amount cannot be taken; "" for one that can."""
    if amount_msat < view.min_payment_msat:
        return words("dm.amount_low", amount=words.sat(view.min_payment_msat))
    if amount_msat > view.max_payment_msat:
        return words("dm.amount_high", amount=words.sat(view.max_payment_msat))
    return ""


def receipt(words: Words, about: Receipt, signed: str = "") -> str:
    """What a closed session cost, line by line, and where all of the money went.

    Args:
        words: in the driver's language.
        about: the receipt.
        signed: the same as its charge point signed it, to be kept; "" to leave it out.
    """
    lines = [
        words("dm.receipt", name=about.charge_point.name, connector=about.connector),
        _span(about.started_at_ms or about.opened_at_ms, about.closed_at_ms),
        *(_bill_line(words, line) for line in about.lines),
    ]
    if about.meter is not None:
        lines.insert(2, evidence_line(about.meter, words))
    for key, amount_msat in (
        ("dm.waived", about.waived_msat),
        ("dm.cost", about.cost_msat),
        ("dm.paid", about.paid_msat),
        ("dm.returned", about.refunded_msat),
        ("dm.owed", about.owed_msat),
        ("dm.rounding", about.rounding_msat),
    ):
        if amount_msat or key in ("dm.cost", "dm.paid"):
            lines.append(words(key, amount=words.sat(amount_msat)))
    lines.append(words("dm.receipt_id", id=about.session))
    if not signed:
        return joined(*lines)
    return joined(*lines, words("dm.receipt_signed"), signed)


def _span(from_ms: int, to_ms: int) -> str:
    """Two times in UTC, the day once when it is the same."""
    began = datetime.fromtimestamp(from_ms / 1000, UTC)
    ended = datetime.fromtimestamp(to_ms / 1000, UTC)
    end_form = "%H:%M" if began.date() == ended.date() else "%Y-%m-%d %H:%M"
    return f"{began:%Y-%m-%d %H:%M} – {ended.strftime(end_form)} UTC"


def _bill_line(words: Words, line: BillLine) -> str:
    match line.dimension:
        case Dimension.ENERGY:
            quantity = f" {words.kwh(line.quantity)} kWh"
        case Dimension.TIME | Dimension.PARKING_TIME:
            quantity = f" {spent(line.quantity, words)}"
        case Dimension.FLAT:
            quantity = ""
    label = words(f"bill.{line.dimension.value.lower()}")
    return f"{label}{quantity}: {words.sat(line.amount_msat)}"


def session_list(words: Words, sessions: Sequence[SessionView]) -> str:
    """The open sessions, for an operator."""
    lines = [_session_line(words, view) for view in sessions[:_MOST_LISTED]]
    if len(sessions) > _MOST_LISTED:
        lines.append(words("dm.op_more", count=len(sessions) - _MOST_LISTED))
    return joined(*lines) or words("dm.op_none")


def _session_line(words: Words, view: SessionView) -> str:
    return words(
        "dm.op_session",
        id=view.id,
        place=place(view),
        state=words(f"state.{view.state.lower()}"),
        energy=words.kwh(view.energy_wh),
        cost=words.sat(view.cost_msat),
        paid=words.sat(view.paid_msat),
    )


def place(view: SessionView) -> str:
    """Charge point and connector of a session, as in its URLs."""
    return f"{view.charge_point}.{view.connector}"


def sentence(text: str) -> str:
    """A refusal as a sentence: with a capital and a full stop."""
    stripped = text.strip()
    closed = stripped if stripped.endswith((".", "!", "?")) else f"{stripped}."
    return closed[:1].upper() + closed[1:]

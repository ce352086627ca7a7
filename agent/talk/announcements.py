"""What a charge point says in direct messages without being asked: how a charge goes.

Pure: everything said is in the arguments.
"""

from __future__ import annotations

from agent.links import SessionLinks
from agent.machine.effects import SendMessage, Topic
from agent.machine.events import ConnectorStatus, StopBy
from agent.machine.money import MSAT_PER_SAT
from agent.ports.quotes import Quote
from agent.ports.site import SessionView
from agent.talk.replies import charging, enough, joined, money_back, not_started
from agent.talk.words import Words
from agent.tariff.model import MS_PER_MINUTE, Tariff

FICKLE_MS = 600_000
"""A second pause within this time is not told."""

PAUSES = (ConnectorStatus.SUSPENDED_EV, ConnectorStatus.SUSPENDED_EVSE)


def announce(
    words: Words,
    effect: SendMessage,
    view: SessionView,
    links: SessionLinks,
    topup: Quote | None = None,
) -> str:
    """The words of a message that nobody asked for.

    Args:
        words: in the driver's language.
        effect: what it is about.
        view: his session, with its events: they tell who asked for the stop.
        links: his own links.
        topup: an open quote that tops his session up, to be offered when the credit runs low.

    Returns:
        The text; "" for what is not worth a message.
    """
    amount = words.sat(effect.amount_msat)
    energy = words.kwh(view.energy_wh)
    follow = words("dm.follow", url=links.page_url)
    match effect.topic:
        case Topic.PLUG_IN:
            patience_ms = view.start_deadline_ms - view.opened_at_ms
            minutes = max(1, round(patience_ms / MS_PER_MINUTE))
            key = "dm.plug_in_held" if view.held_msat else "dm.plug_in"
            told = words(key, amount=amount, connector=view.connector, minutes=minutes)
            return joined(
                told, words("hindrance.unplug_first") if view.unplug_first else "", follow
            )
        case Topic.UNPLUG_FIRST:
            return words("hindrance.unplug_first")
        case Topic.STARTED:
            told = words("dm.started", connector=view.connector, amount=amount)
            return joined(told, enough(words, view.tariff, effect.amount_msat))
        case Topic.TOPPED_UP:
            left = words("dm.left", amount=words.sat(view.credit_msat))
            return joined(words("dm.topped_up", amount=amount), left)
        case Topic.SUSPENDED | Topic.RESUMED if _is_fickle(view):
            return ""
        case Topic.SUSPENDED:
            return joined(words("dm.suspended", energy=energy), _idle_fee(words, view.tariff))
        case Topic.RESUMED:
            return words("dm.resumed")
        case Topic.PROGRESS:
            return charging(words, view)
        case Topic.CREDIT_LOW:
            offered = _topup_offer(words, view, links, topup)
            return joined(words("dm.credit_low", amount=amount), offered)
        case Topic.STOPPING:
            return _stopping(words, view)
        case Topic.FINISHED:
            told = words("dm.finished", energy=energy, cost=words.sat(view.cost_msat))
            return joined(told, money_back(words, view, links))
        case Topic.NOT_STARTED:
            return joined(not_started(words, effect.obstacle), money_back(words, view, links))
        case Topic.REFUND_DUE:
            return money_back(words, view, links)
        case Topic.REFUND_PAID:
            return words("dm.refund_paid", amount=amount)
        case Topic.REFUND_FAILED:
            told = words("dm.refund_failed", amount=amount)
            return joined(told, words("dm.refund_how", lnurl=links.refund_lnurl))
        case Topic.CHARGER_SILENT:
            return words("dm.charger_silent")
        case Topic.RECEIPT:
            return ""  # Made of the receipt, see `receipt`.


def _is_fickle(view: SessionView) -> bool:
    """Whether the car pauses and goes on all the time: the driver has been told of the first."""
    pauses = [
        entry.at_ms
        for entry in view.events
        if entry.kind == "ConnectorStatusChanged" and entry.detail["status"] in PAUSES
    ]
    return len(pauses) > 1 and pauses[-1] - pauses[-2] < FICKLE_MS


def _idle_fee(words: Words, tariff: Tariff) -> str:
    if not tariff.idle_per_minute_msat:
        return ""
    minutes = tariff.idle_grace_ms // MS_PER_MINUTE
    return words("dm.idle_fee", minutes=minutes, price=words.sat(tariff.idle_per_minute_msat))


def _topup_offer(words: Words, view: SessionView, links: SessionLinks, topup: Quote | None) -> str:
    if topup is None:
        amount = view.paid_msat // MSAT_PER_SAT
        return words("dm.topup_how", lnurl=links.topup_lnurl, amount=amount)
    told = words("dm.invoice_topup", amount=words.sat(topup.amount_msat))
    return joined(told, topup.bolt11, words("dm.or_lnurl"), links.topup_lnurl)


def _stopping(words: Words, view: SessionView) -> str:
    """Why it stops; nothing for the driver who asked for it: he has had his answer."""
    if not view.events:
        return words("dm.stopping")
    by = [entry.detail["by"] for entry in view.events if entry.kind == "StopRequested"]
    if StopBy.DRIVER in by:
        return ""
    if by:
        return words("dm.stopping_operator")
    if any(entry.kind == "RefundClaimed" for entry in view.events):
        return words("dm.stopping")
    return words("dm.credit_used") if view.energy_wh else words("dm.no_energy")

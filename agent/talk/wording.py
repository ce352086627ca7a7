"""What tariffs and obstacles are called in a driver's language, for pages, messages, LNURL."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from agent.machine.events import ConnectorStatus, Obstacle
from agent.machine.model import SessionState
from agent.ports.charge_point import ChargePointView
from agent.ports.errors import Refused
from agent.ports.site import SessionView
from agent.talk.words import Words
from agent.tariff.model import (
    MS_PER_HOUR,
    MS_PER_MINUTE,
    BillLine,
    Dimension,
    Tariff,
    Usage,
    bill,
)

EXAMPLE_WH = 20_000
_EXAMPLE_POWER_W = 11_000


@dataclass(frozen=True, slots=True)
class PriceLine:
    """One price of a tariff in words: what for, how much, and a condition or ""."""

    label: str
    amount: str
    note: str = ""


def price_lines(tariff: Tariff, words: Words) -> tuple[PriceLine, ...]:
    """Every price of a tariff that is not zero, energy first."""
    lines: list[PriceLine] = []
    if tariff.energy_per_kwh_msat:
        amount = f"{words.sat(tariff.energy_per_kwh_msat)}/kWh"
        lines.append(PriceLine(words("price.energy"), amount))
    if tariff.time_per_hour_msat:
        amount = f"{words.sat(tariff.time_per_hour_msat)}/h"
        lines.append(PriceLine(words("price.time"), amount))
    if tariff.idle_per_minute_msat:
        amount = f"{words.sat(tariff.idle_per_minute_msat)}/min"
        minutes = tariff.idle_grace_ms // MS_PER_MINUTE
        lines.append(
            PriceLine(words("price.idle"), amount, words("price.idle_grace", minutes=minutes))
        )
    if tariff.flat_msat:
        lines.append(PriceLine(words("price.flat"), words.sat(tariff.flat_msat)))
    return tuple(lines)


def price_in_short(tariff: Tariff, words: Words) -> str:
    """A tariff in one line, such as "300 sat/kWh + 10 sat/min idle"."""
    parts = [
        f"{line.amount} {line.label.lower()}"
        if line.note or "/" not in line.amount
        else line.amount
        for line in price_lines(tariff, words)
    ]
    return " + ".join(parts) or words("price.free")


def example_msat(tariff: Tariff, energy_wh: int = EXAMPLE_WH) -> int:
    """What an amount of energy costs when charged at 11 kW without idle time."""
    charging_ms = energy_wh * MS_PER_HOUR // _EXAMPLE_POWER_W
    return bill(tariff, Usage(energy_wh=energy_wh, charging_ms=charging_ms)).total_msat


def example_wh(tariff: Tariff, amount_msat: int) -> int:
    """How much energy an amount buys at 11 kW without idle time; 0 where energy costs nothing."""
    priced_msat = example_msat(tariff) - tariff.flat_msat
    left_msat = amount_msat - tariff.flat_msat
    return max(0, left_msat) * EXAMPLE_WH // priced_msat if priced_msat else 0


def bill_line_detail(line: BillLine, words: Words) -> str:
    """How a line of a bill was reckoned, such as "2.19 kWh × 300 sat/kWh"."""
    price = words.sat(line.price_msat)
    match line.dimension:
        case Dimension.ENERGY:
            return f"{words.kwh(line.quantity)} kWh × {price}/kWh"
        case Dimension.TIME:
            return f"{spent(line.quantity, words)} × {price}/h"
        case Dimension.PARKING_TIME:
            return f"{spent(line.quantity, words)} × {price}/min"
        case Dimension.FLAT:
            return ""


def spent(time_ms: int, words: Words) -> str:
    """A time that is billed: in minutes, and in seconds where it fills none."""
    if time_ms < MS_PER_MINUTE:
        return f"{time_ms // 1000} s"
    return f"{words.number(time_ms // MS_PER_MINUTE)} min"


def in_fiat(amount_msat: int, tariff: Tariff, words: Words) -> str:
    """An amount in the currency of a tariff's exchange rate; "" where it has none."""
    rate = tariff.rate
    return "" if rate is None else words.money(amount_msat, rate.msat_per_unit, rate.currency)


def tax_percent(tariff: Tariff, words: Words) -> str:
    """The tax in a tariff's prices in percent, with no more decimals than it needs."""
    percent = Decimal(tariff.tax_basis_points) / 100
    return words.number(percent, max(0, -int(percent.normalize().as_tuple().exponent)))


def tax_line(tariff: Tariff, tax_msat: int, words: Words) -> PriceLine | None:
    """The tax that is in a cost; None where there is none."""
    if not tax_msat:
        return None
    label = words("bill.tax", percent=tax_percent(tariff, words))
    return PriceLine(label, words.sat(tax_msat))


def ended(text: str) -> str:
    """A text with a full stop at its end."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def as_sentence(text: str) -> str:
    """An error's text with a capital at its start and a full stop at its end."""
    whole = ended(text)
    return whole[:1].upper() + whole[1:]


def obstacle_sentence(obstacle: Obstacle, words: Words, free_in_s: int | None = None) -> str:
    """Why a charge point cannot charge now, as a sentence for a driver."""
    if obstacle is Obstacle.OCCUPIED and free_in_s is not None:
        return words("obstacle.occupied_until", time=lasting(max(1, -(-free_in_s // 60))))
    return words(f"obstacle.{obstacle.name.lower()}")


def refusal_sentence(refusal: Refused, words: Words, free_in_s: int | None = None) -> str:
    """A refusal as a sentence for a driver: in his language where there are words for it."""
    if refusal.obstacle is not None:
        return obstacle_sentence(refusal.obstacle, words, free_in_s)
    if refusal.word:
        return words(f"refused.{refusal.word}", **refusal.values)
    return as_sentence(str(refusal))


def free_in_s(view: ChargePointView, connector: int | None) -> int | None:
    """Seconds until a connector (None: the first of them) is expected to be free, if known."""
    expected = [
        item.free_in_s
        for item in view.connectors
        if item.free_in_s is not None and connector in (None, item.id)
    ]
    return min(expected, default=None)


def lasting(minutes: int) -> str:
    """A time to come: minutes up to two hours, hours and minutes up to a day, then hours."""
    if minutes < 120:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if rest and hours < 24 else f"{hours} h"


def age(seconds: int) -> str:
    """A time that has passed, in the largest unit that it fills."""
    for unit_s, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= unit_s:
            return f"{seconds // unit_s} {unit}"
    return f"{max(0, seconds)} s"


def hindrance(view: SessionView, words: Words) -> str:
    """What keeps energy from flowing in an open session, or is not known of it; "" for nothing."""
    starting = view.state == SessionState.STARTING
    if view.unplug_first and view.status is not ConnectorStatus.OFFLINE:
        return words("hindrance.unplug_first")
    match view.status:
        case ConnectorStatus.OFFLINE:
            return words("hindrance.offline_start" if starting else "hindrance.offline")
        case ConnectorStatus.FAULTED:
            return words("obstacle.faulted" if starting else "hindrance.faulted")
        case ConnectorStatus.SUSPENDED_EVSE if not starting:
            return words("hindrance.suspended_evse")
        case ConnectorStatus.SUSPENDED_EV if not starting:
            return words("hindrance.suspended_ev")
        case _:
            return ""

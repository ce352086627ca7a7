"""The tariff of a session, frozen in msat when the driver saw it, and the bill it makes."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from agent.tariff.rate import ExchangeRate

MS_PER_HOUR = 3_600_000
MS_PER_MINUTE = 60_000
WH_PER_KWH = 1_000


class Dimension(StrEnum):
    """What a line of a bill charges for (OCPI's tariff dimensions, by their OCPI names)."""

    ENERGY = "ENERGY"
    TIME = "TIME"
    PARKING_TIME = "PARKING_TIME"
    FLAT = "FLAT"


class Tariff(Struct, frozen=True):
    """Prices in msat, as quoted: a change of price or exchange rate never reaches a session.

    Attributes:
        name: the tariff's name in the operator's file.
        energy_per_kwh_msat: price of one kWh.
        time_per_hour_msat: price of one hour of charging.
        idle_per_minute_msat: price of one minute in which the car draws nothing.
        idle_grace_ms: idle time of a session that is free.
        flat_msat: price of a session.
        tax_basis_points: the tax that is in all of these prices, in hundredths of a percent.
        rate: the exchange rate that was shown with them; None when none was.
    """

    name: str
    energy_per_kwh_msat: int
    time_per_hour_msat: int = 0
    idle_per_minute_msat: int = 0
    idle_grace_ms: int = 0
    flat_msat: int = 0
    tax_basis_points: int = 0
    rate: ExchangeRate | None = None


class Usage(Struct, frozen=True):
    """What a session used: energy, time under power and time idle."""

    energy_wh: int = 0
    charging_ms: int = 0
    idle_ms: int = 0


class BillLine(Struct, frozen=True):
    """One line of a bill.

    Attributes:
        dimension: what is charged for.
        quantity: Wh for ENERGY, ms for TIME and PARKING_TIME, 1 for FLAT.
        price_msat: the price of one kWh, hour, minute or session.
        amount_msat: what the line costs, rounded down to a whole msat.
    """

    dimension: Dimension
    quantity: int
    price_msat: int
    amount_msat: int


class Bill(Struct, frozen=True):
    """The lines of a bill; lines without a price are left out."""

    lines: tuple[BillLine, ...] = ()

    @property
    def total_msat(self) -> int:
        """The sum of all lines in msat."""
        return sum(line.amount_msat for line in self.lines)


def bill(tariff: Tariff, usage: Usage) -> Bill:
    """The bill of a session: what its usage costs by the frozen tariff.

    A session without energy costs nothing, whatever time it took: money that bought no
    charging goes back in full.
    """
    if not usage.energy_wh:
        return Bill()
    billed_idle_ms = max(0, usage.idle_ms - tariff.idle_grace_ms)
    dimensions = (
        (Dimension.ENERGY, usage.energy_wh, tariff.energy_per_kwh_msat, WH_PER_KWH),
        (Dimension.TIME, usage.charging_ms, tariff.time_per_hour_msat, MS_PER_HOUR),
        (Dimension.PARKING_TIME, billed_idle_ms, tariff.idle_per_minute_msat, MS_PER_MINUTE),
        (Dimension.FLAT, 1, tariff.flat_msat, 1),
    )
    return Bill(
        tuple(
            BillLine(dimension, quantity, price_msat, quantity * price_msat // per)
            for dimension, quantity, price_msat, per in dimensions
            if quantity * price_msat >= per
        )
    )


def total_msat(tariff: Tariff, usage: Usage) -> int:
    """The total of `bill(tariff, usage)` in msat, without its lines: asked for at every sample."""
    if not usage.energy_wh:
        return 0
    idle_ms = usage.idle_ms - tariff.idle_grace_ms
    billed_idle_ms = idle_ms if idle_ms > 0 else 0
    return (
        usage.energy_wh * tariff.energy_per_kwh_msat // WH_PER_KWH
        + usage.charging_ms * tariff.time_per_hour_msat // MS_PER_HOUR
        + billed_idle_ms * tariff.idle_per_minute_msat // MS_PER_MINUTE
        + tariff.flat_msat
    )


def tax_in_msat(tariff: Tariff, cost_msat: int) -> int:
    """The tax that is in a cost, in msat, rounded to the nearest: prices include it."""
    whole = 10_000 + tariff.tax_basis_points
    return (cost_msat * tariff.tax_basis_points + whole // 2) // whole

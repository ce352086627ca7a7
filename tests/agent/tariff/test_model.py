from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.tariff.model import Dimension, Tariff, Usage, bill, tax_in_msat, total_msat

KWH = Tariff("kwh", energy_per_kwh_msat=300_000)
HOURLY = Tariff("hourly", energy_per_kwh_msat=0, time_per_hour_msat=600_000)
IDLE = Tariff("idle", 0, idle_per_minute_msat=20_000, idle_grace_ms=600_000)
FLAT = Tariff("flat", 0, flat_msat=50_000)
ALL = Tariff("all", 300_000, 600_000, 20_000, 600_000, 50_000)

ENERGY, TIME = Dimension.ENERGY, Dimension.TIME
PARKING_TIME, ONCE = Dimension.PARKING_TIME, Dimension.FLAT

# tariff, Wh, ms under power, ms idle -> dimension: (quantity, msat)
BILLS: list[tuple[str, Tariff, Usage, dict[Dimension, tuple[int, int]]]] = [
    ("a kWh", KWH, Usage(1_000), {ENERGY: (1_000, 300_000)}),
    ("a Wh", KWH, Usage(1), {ENERGY: (1, 300)}),
    ("rounded down to a msat", Tariff("low", 1), Usage(1_999), {ENERGY: (1_999, 1)}),
    ("too little for a msat", Tariff("low", 1), Usage(999), {}),
    ("no energy, no cost", ALL, Usage(0, 3_600_000, 3_600_000), {}),
    ("half an hour", HOURLY, Usage(1, 1_800_000), {TIME: (1_800_000, 300_000)}),
    ("a millisecond", HOURLY, Usage(1, 7), {TIME: (7, 1)}),
    ("idle within grace", IDLE, Usage(1, 0, 600_000), {}),
    ("idle a minute past grace", IDLE, Usage(1, 0, 660_000), {PARKING_TIME: (60_000, 20_000)}),
    ("flat", FLAT, Usage(1), {ONCE: (1, 50_000)}),
    (
        "everything",
        ALL,
        Usage(2_500, 5_400_000, 720_000),
        {
            ENERGY: (2_500, 750_000),
            TIME: (5_400_000, 900_000),
            PARKING_TIME: (120_000, 40_000),
            ONCE: (1, 50_000),
        },
    ),
]


@pytest.mark.parametrize(
    ("tariff", "usage", "lines"), [case[1:] for case in BILLS], ids=[case[0] for case in BILLS]
)
def test_bills(tariff: Tariff, usage: Usage, lines: dict[Dimension, tuple[int, int]]) -> None:
    found = bill(tariff, usage)
    assert {line.dimension: (line.quantity, line.amount_msat) for line in found.lines} == lines
    assert found.total_msat == sum(amount_msat for _, amount_msat in lines.values())


PRICES = st.integers(0, 10**7)
TARIFFS = st.builds(Tariff, st.just("t"), PRICES, PRICES, PRICES, st.integers(0, 10**7), PRICES)
QUANTITIES = st.integers(0, 10**8)


@given(TARIFFS, QUANTITIES, QUANTITIES, QUANTITIES, QUANTITIES)
def test_more_use_never_costs_less(
    tariff: Tariff, energy_wh: int, charging_ms: int, idle_ms: int, more: int
) -> None:
    least_msat = bill(tariff, Usage(energy_wh, charging_ms, idle_ms)).total_msat
    assert bill(tariff, Usage(energy_wh + more, charging_ms, idle_ms)).total_msat >= least_msat
    assert bill(tariff, Usage(energy_wh, charging_ms + more, idle_ms)).total_msat >= least_msat
    assert bill(tariff, Usage(energy_wh, charging_ms, idle_ms + more)).total_msat >= least_msat


@given(TARIFFS, QUANTITIES, QUANTITIES, QUANTITIES)
def test_the_total_is_that_of_the_lines(
    tariff: Tariff, energy_wh: int, charging_ms: int, idle_ms: int
) -> None:
    usage = Usage(energy_wh, charging_ms, idle_ms)
    assert total_msat(tariff, usage) == bill(tariff, usage).total_msat


@given(TARIFFS, QUANTITIES, QUANTITIES)
def test_no_energy_costs_nothing(tariff: Tariff, charging_ms: int, idle_ms: int) -> None:
    assert bill(tariff, Usage(0, charging_ms, idle_ms)).total_msat == 0


@pytest.mark.parametrize(
    ("basis_points", "cost_msat", "tax_msat"),
    [(0, 1_190, 0), (1_900, 1_190, 190), (1_900, 1, 0), (700, 107_000, 7_000), (550, 1_000, 52)],
)
def test_the_tax_in_a_price(basis_points: int, cost_msat: int, tax_msat: int) -> None:
    tariff = Tariff("taxed", 300_000, tax_basis_points=basis_points)
    assert tax_in_msat(tariff, cost_msat) == tax_msat

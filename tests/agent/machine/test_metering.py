"""Registers as chargers report them, lies included, and the energy that is believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.machine.metering import MOST_WH_PER_READING, Meter, read

# what the charger does, register at the start, readings, energy believed after each
READINGS: list[tuple[str, int, list[int], list[int]]] = [
    ("counts up", 40_000, [40_500, 41_000], [500, 1_000]),
    ("stands still", 40_000, [40_000, 40_000], [0, 0]),
    ("counts from zero in each transaction", 40_000, [500, 900], [500, 900]),
    ("counts from zero, and the stop is a lifetime value", 40_000, [500, 40_600], [500, 600]),
    ("counts from zero past the value of the start", 1_000, [400, 900, 1_400], [400, 900, 1_400]),
    ("reads zero at first", 40_000, [0, 40_300], [0, 300]),
    ("reads zero for a while", 40_000, [41_000, 0, 0, 0, 41_200], [1_000] * 4 + [1_200]),
    ("misreads in two ways", 40_000, [41_000, 5, 0, 41_200], [1_000, 1_000, 1_000, 1_200]),
    (
        "loses power, then misreads",
        40_000,
        [41_000, 5, 300, 0, 400],
        [1_000] * 2 + [1_295] * 2 + [1_395],
    ),
    ("starts at zero after a loss of power", 40_000, [41_000, 5, 300], [1_000, 1_000, 1_295]),
    ("loses power twice", 40_000, [41_000, 5, 300, 0, 40], [1_000, 1_000, 1_295, 1_295, 1_335]),
    ("misreads once", 40_000, [41_000, 0, 41_200], [1_000, 1_000, 1_200]),
    ("misreads once, slightly", 40_000, [41_000, 40_990, 41_200], [1_000, 1_000, 1_200]),
    ("leaps once and comes back", 40_000, [41_000, 9_000_000, 41_200], [1_000, 1_000, 1_200]),
    ("leaps and stays", 40_000, [41_000, 9_000_000, 9_000_300], [1_000, 1_000, 1_300]),
    ("says zero at the start", 0, [9_000_000, 9_000_300], [0, 300]),
    ("rounds its readings to less than the start", 40_004, [40_000, 40_010], [0, 6]),
    ("rounds down for good", 40_004, [40_000], [0]),
    ("garbage at the start", 10**20, [40_000_000, 40_000_200], [0, 200]),
    ("negative garbage at the start", -(10**20), [40_000, 40_200], [0, 200]),
    ("a negative reading", 40_000, [-5, 40_300], [0, 300]),
]


@pytest.mark.parametrize(
    ("start_wh", "readings_wh", "energies_wh"),
    [case[1:] for case in READINGS],
    ids=[case[0] for case in READINGS],
)
def test_a_register_and_the_energy_believed(
    start_wh: int, readings_wh: list[int], energies_wh: list[int]
) -> None:
    meter = Meter.started(start_wh)
    believed: list[int] = []
    for reading_wh in readings_wh:
        meter = read(meter, reading_wh)
        believed.append(meter.energy_wh)
    assert believed == energies_wh


def test_a_second_transaction_counts_on_from_the_first() -> None:
    assert read(Meter.started(500, base_wh=2_000), 700).energy_wh == 2_200


@given(
    st.integers(-(10**6), 10**21),
    st.lists(st.integers(-(10**6), 10**9) | st.integers(0, 10**21), max_size=30),
)
def test_energy_never_falls_and_never_leaps(start_wh: int, readings_wh: list[int]) -> None:
    meter = Meter.started(start_wh)
    for reading_wh in readings_wh:
        before_wh = meter.energy_wh
        meter = read(meter, reading_wh)
        assert before_wh <= meter.energy_wh <= before_wh + MOST_WH_PER_READING


@given(st.integers(0, 10**9), st.lists(st.integers(0, MOST_WH_PER_READING), max_size=30))
def test_an_honest_register_is_believed_to_the_watt_hour(
    start_wh: int, gains_wh: list[int]
) -> None:
    meter, register_wh = Meter.started(start_wh), start_wh
    for gain_wh in gains_wh:
        register_wh += gain_wh
        meter = read(meter, register_wh)
    assert meter.energy_wh == sum(gains_wh)

"""Times and bills in words."""

from __future__ import annotations

import pytest

from agent.talk.wording import bill_line_detail, lasting
from agent.talk.words import words
from agent.tariff.model import BillLine, Dimension

ENGLISH = words("en")


@pytest.mark.parametrize(
    ("minutes", "told"),
    [
        (0, "0 min"),
        (119, "119 min"),
        (120, "2 h"),
        (125, "2 h 5 min"),
        (1439, "23 h 59 min"),
        (2728, "45 h"),
    ],
)
def test_a_time_to_come_is_as_exact_as_it_is_near(minutes: int, told: str) -> None:
    assert lasting(minutes) == told


@pytest.mark.parametrize(
    ("dimension", "quantity", "told"),
    [
        (Dimension.ENERGY, 2_190, "2.19 kWh × 300\N{NO-BREAK SPACE}sat/kWh"),
        (Dimension.TIME, 59_999, "59 s × 300\N{NO-BREAK SPACE}sat/h"),
        (Dimension.PARKING_TIME, 60_000, "1 min × 300\N{NO-BREAK SPACE}sat/min"),
        (Dimension.FLAT, 1, ""),
    ],
)
def test_a_line_of_a_bill_has_its_units(dimension: Dimension, quantity: int, told: str) -> None:
    assert bill_line_detail(BillLine(dimension, quantity, 300_000, 1), ENGLISH) == told

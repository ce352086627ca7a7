from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.machine.money import whole_sats_msat


@pytest.mark.parametrize(
    ("amount_msat", "whole_msat"),
    [(0, 0), (1, 0), (999, 0), (1_000, 1_000), (1_001, 1_000), (21_999, 21_000)],
)
def test_whole_satoshi_examples(amount_msat: int, whole_msat: int) -> None:
    assert whole_sats_msat(amount_msat) == whole_msat


@given(st.integers(0, 2_100_000_000_000_000_000))
def test_less_than_a_satoshi_is_cut_off_and_never_added(amount_msat: int) -> None:
    whole_msat = whole_sats_msat(amount_msat)
    assert whole_msat % 1_000 == 0
    assert 0 <= amount_msat - whole_msat < 1_000

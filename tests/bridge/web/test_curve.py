"""The power curve: bounded, in order, and true to the peak."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from agent.ports.site import PowerSample
from bridge.web.curve import MOST_POINTS, PowerCurve


def test_nothing_to_draw() -> None:
    assert PowerCurve().draw() is None
    assert PowerCurve([PowerSample(1, 11_000)]).draw() is None
    assert PowerCurve([PowerSample(1, 0), PowerSample(2, 0)]).draw() is None


def test_two_samples_make_a_line_across() -> None:
    drawn = PowerCurve([PowerSample(1000, 0), PowerSample(2000, 7400)]).draw()
    assert drawn is not None
    assert drawn.line == "M0 194L1000 6"
    assert drawn.area == "M0 194L1000 6V200H0z"
    assert drawn.top_w == 7400


@example([11_000] * (2 * MOST_POINTS + 1))
@example(list(range(10 * MOST_POINTS)))
@given(st.lists(st.integers(0, 350_000), min_size=2, max_size=2000))
def test_a_long_session_keeps_its_peak_and_stays_small(powers: list[int]) -> None:
    drawn = PowerCurve(PowerSample(i * 1000, power) for i, power in enumerate(powers)).draw()
    if max(powers) == 0:
        assert drawn is None
        return
    assert drawn is not None
    assert drawn.top_w == max(powers)
    assert drawn.line.count("L") <= 2 * MOST_POINTS


def test_old_samples_are_passed_over() -> None:
    curve = PowerCurve([PowerSample(1000, 100), PowerSample(2000, 200)])
    curve.add(PowerSample(1500, 9000))
    drawn = curve.draw()
    assert drawn is not None
    assert drawn.top_w == 200

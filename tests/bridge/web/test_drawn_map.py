"""The drawn map: every pin on the ground, to scale."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from bridge.web.drawn_map import HEIGHT, WIDTH, draw_map
from tests.bridge.paper.test_poster import charge_point

PLACES = st.tuples(st.floats(-85, 85), st.floats(-180, 180))


def test_without_places_there_is_no_map() -> None:
    assert draw_map([]) is None
    assert draw_map([charge_point()]) is None


@given(st.lists(PLACES, min_size=1, max_size=20))
def test_every_pin_is_on_the_ground(places: list[tuple[float, float]]) -> None:
    views = [replace(charge_point(), latitude=lat, longitude=lon) for lat, lon in places]
    drawn = draw_map(views, "https://tiles.example.org/{z}/{x}/{y}.png")
    assert drawn is not None
    for pin in drawn.pins:
        assert 0 <= pin.x <= WIDTH
        assert 0 <= pin.y <= HEIGHT
    assert 0 < drawn.scale_units <= WIDTH
    assert len(drawn.tiles) <= 16


def test_the_scale_is_right() -> None:
    near = [
        replace(charge_point(), latitude=52.5, longitude=13.40),
        replace(charge_point(), latitude=52.5, longitude=13.41),
    ]
    drawn = draw_map(near)
    assert drawn is not None
    metres = (drawn.pins[1].x - drawn.pins[0].x) * drawn.scale_m / drawn.scale_units
    assert 670 < metres < 685

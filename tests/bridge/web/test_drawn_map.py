"""The drawn map: every pin on the ground, to scale."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from agent.machine.events import Obstacle
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


@given(st.lists(PLACES, min_size=1, max_size=20), st.text("i ⚡", min_size=1, max_size=80))
def test_names_stay_on_the_ground_and_out_of_each_others_way(
    places: list[tuple[float, float]], name: str
) -> None:
    views = [replace(charge_point(), name=name, latitude=lat, longitude=lon) for lat, lon in places]
    drawn = draw_map(views)
    assert drawn is not None
    shown = [pin for pin in drawn.pins if pin.name]
    assert all(len(pin.name) <= 24 for pin in shown)
    assert all(0 < pin.x + pin.name_x < WIDTH for pin in shown)
    spots = {(pin.x + pin.name_x, pin.y) for pin in shown}
    assert len(spots) == len(shown)


def test_one_of_two_at_the_same_place_is_named() -> None:
    """Their names stood in each other."""
    here = replace(charge_point(), latitude=52.5, longitude=13.4)
    away = replace(here, name="Far away", longitude=13.6)
    drawn = draw_map([here, here, away])
    assert drawn is not None
    assert [pin.name for pin in drawn.pins] == ["", here.name, "Far away"]


def test_the_free_one_of_two_at_the_same_place_lies_on_top() -> None:
    free = replace(charge_point(), name="Free", latitude=52.5, longitude=13.4)
    taken = tuple(replace(one, obstacle=Obstacle.FAULTED) for one in free.connectors)
    broken = replace(free, name="Broken", connectors=taken)
    drawn = draw_map([free, broken])
    assert drawn is not None
    assert [pin.view.name for pin in drawn.pins] == ["Broken", "Free"]
    assert [pin.name for pin in drawn.pins] == ["", "Free"]


def test_the_scale_is_right() -> None:
    near = [
        replace(charge_point(), latitude=52.5, longitude=13.40),
        replace(charge_point(), latitude=52.5, longitude=13.41),
    ]
    drawn = draw_map(near)
    assert drawn is not None
    metres = (drawn.pins[1].x - drawn.pins[0].x) * drawn.scale_m / drawn.scale_units
    assert 670 < metres < 685

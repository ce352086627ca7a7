from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nips.location import (
    geohash,
    geohash_center,
    geohash_ladder,
    geohash_neighbourhood,
    geometry,
    place,
    rounded,
)

LATITUDES = st.floats(-90, 90)
LONGITUDES = st.floats(-180, 180)


@pytest.mark.parametrize(
    ("latitude", "longitude", "expected"),
    [
        (57.64911, 10.40744, "u4pruydqqvj"),
        (42.605, -5.603, "ezs42"),
        (0.0, 0.0, "s0000"),
        (-90.0, -180.0, "00000"),
        (90.0, 180.0, "zzzzz"),
    ],
)
def test_known_geohashes(latitude: float, longitude: float, expected: str) -> None:
    assert geohash(latitude, longitude, len(expected)) == expected


@given(LATITUDES, LONGITUDES, st.integers(1, 12))
def test_the_center_of_a_cell_is_in_the_cell(lat: float, lon: float, length: int) -> None:
    code = geohash(lat, lon, length)
    assert geohash(*geohash_center(code), length) == code


@given(LATITUDES, LONGITUDES, st.integers(3, 9))
def test_a_point_is_published_no_more_exactly_than_its_geohash(
    lat: float, lon: float, length: int
) -> None:
    neighbour = geohash_center(geohash(lat, lon, length))
    assert rounded(lat, lon, length) == rounded(*neighbour, length)


@given(LATITUDES, LONGITUDES, st.integers(1, 9))
def test_the_neighbourhood_has_the_cell_and_up_to_eight_more(
    lat: float, lon: float, length: int
) -> None:
    cells = geohash_neighbourhood(lat, lon, length)
    assert geohash(lat, lon, length) in cells
    assert len(cells) <= 9
    assert all(len(cell) == length for cell in cells)


def test_the_ladder_goes_from_three_up() -> None:
    assert geohash_ladder(52.5, 13.4, 5) == (("g", "u33"), ("g", "u33d"), ("g", "u33d8"))
    assert geohash_ladder(52.5, 13.4, 2) == (("g", "u3"),)


@pytest.mark.parametrize("point", [(91, 0), (0, 181), (float("nan"), 0)])
def test_a_point_off_the_globe_is_refused(point: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="latitude"):
        geohash(*point, 5)


@pytest.mark.parametrize("length", [0, 13])
def test_a_length_that_no_geohash_has_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 12"):
        geohash(0, 0, length)


@pytest.mark.parametrize("text", ["", "a", "u" * 13])
def test_a_text_that_is_no_geohash_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        geohash_center(text)


def test_places_hold_geojson_with_the_longitude_first() -> None:
    template = place(
        "CP001", "Old Mill", 52.5, 13.4, geohash_length=9, address="A 1", website="https://x.org"
    )
    feature = json.loads(template.content)
    assert feature["geometry"]["coordinates"] == pytest.approx([13.4, 52.5], abs=1e-4)
    assert feature["properties"]["address"] == "A 1"
    assert ("d", "CP001") in template.tags
    point = geometry(52.5, 13.4, geohash_length=9, pubkey="ab" * 32, event="cd" * 32)
    assert json.loads(point.content)["type"] == "Point"
    assert point.tags == (("e", "cd" * 32), ("p", "ab" * 32))

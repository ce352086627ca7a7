"""Charge points by distance, from connectors as relays tell of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.driver.search import MOST_KM, by_distance, cells_around, distance_km
from nips.event import Coordinate
from nips.location import geohash
from nips.status import KIND_CONNECTOR_STATUS, ConnectorState

MILL, HARBOUR = "aa" * 32, "bb" * 32
BERLIN = (52.52, 13.405)


def state(
    charge_point: str, connector: int, place: str, status: str = "Available", kind: str = "GBT_AC"
) -> ConnectorState:
    return ConnectorState(
        charge_point, connector, status, 1, 2, connector_type=kind, geohashes=(place[:3], place)
    )


def at(pubkey: str, shown: ConnectorState) -> tuple[Coordinate, ConnectorState]:
    return Coordinate(KIND_CONNECTOR_STATUS, pubkey, shown.identifier), shown


def test_connectors_become_charge_points_the_nearest_first() -> None:
    near, far = geohash(52.53, 13.41, 9), geohash(53.0, 13.4, 9)
    states = [
        at(HARBOUR, state("CP1", 1, far)),
        at(MILL, state("CP1", 2, near, "Charging")),
        at(MILL, state("CP1", 1, near)),
    ]
    first, second = by_distance(states, *BERLIN, within_km=100)
    assert (first.pubkey, first.free, [s.connector for s in first.connectors]) == (MILL, 1, [1, 2])
    assert first.distance_km == pytest.approx(1.16, abs=0.05)
    assert second.distance_km == pytest.approx(53.4, abs=0.5)
    assert [p.pubkey for p in by_distance(states, *BERLIN, within_km=5)] == [MILL]


def test_only_the_wanted_plug_and_only_those_with_a_place() -> None:
    here = geohash(*BERLIN, 6)
    states = [
        at(MILL, state("CP1", 1, here, kind="IEC_62196_T2")),
        at(HARBOUR, state("CP2", 1, here)),
        at(HARBOUR, ConnectorState("CP3", 1, "Available", 1, 2, geohashes=("no geohash!",))),
    ]
    found = by_distance(states, *BERLIN, within_km=5, connector_type="IEC_62196_T2")
    assert [p.charge_point for p in found] == ["CP1"]
    assert len(by_distance(states, *BERLIN, within_km=5)) == 2


def test_a_vague_place_is_found_although_its_middle_is_further_off() -> None:
    vague = at(MILL, state("CP1", 1, geohash(*BERLIN, 3)))
    (found,) = by_distance([vague], *BERLIN, within_km=1)
    assert found.vague_km > 100


@given(
    st.floats(-89, 89),
    st.floats(-180, 179.9),
    st.floats(1, MOST_KM),
    st.floats(0, 0.999),
    st.floats(-1, 1),
)
def test_the_cells_cover_all_that_is_near(
    latitude: float, longitude: float, within_km: float, share: float, side: float
) -> None:
    """Whatever point is near enough, its cell is asked for."""
    other_lat = max(-89.9, min(89.9, latitude + side * within_km * share / 111.2))
    other_lon = longitude
    for step in range(1, 60):
        candidate = (longitude + step * 0.05 * side + 180) % 360 - 180
        if distance_km(latitude, longitude, other_lat, candidate) > within_km * share:
            break
        other_lon = candidate
    if distance_km(latitude, longitude, other_lat, other_lon) <= within_km:
        assert geohash(other_lat, other_lon, 3) in cells_around(latitude, longitude, within_km)

"""What a driver makes of the connectors that relays told him of: charge points by distance."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from nips.event import Coordinate
from nips.location import geohash, geohash_center
from nips.status import ConnectorState, Price

EARTH_RADIUS_KM = 6371.0
SEARCH_LENGTH = 3
"""Every charge point publishes a geohash of this length, however vague its place is."""

MOST_KM = 500
_CELL_DEGREES = 1.4


@dataclass(frozen=True, slots=True)
class Found:
    """A charge point near the driver.

    Attributes:
        pubkey: hex.
        distance_km: to the middle of the smallest cell that it published; None without a place.
        vague_km: how wide that cell is.
        connectors: its states, by number.
    """

    pubkey: str
    charge_point: str
    distance_km: float | None
    vague_km: float
    connectors: tuple[ConnectorState, ...]

    @property
    def title(self) -> str:
        """Its name, or its id where it published none."""
        return self.connectors[0].title or self.charge_point

    @property
    def lud16(self) -> str:
        """The lightning address that pays it."""
        return next((state.lud16 for state in self.connectors if state.lud16), "")

    @property
    def prices(self) -> tuple[Price, ...]:
        """The components of its price."""
        return self.connectors[0].prices

    @property
    def free(self) -> int:
        """How many of its connectors could start now."""
        return sum(state.status in ("Available", "Preparing") for state in self.connectors)


def cells_around(latitude: float, longitude: float, within_km: float) -> tuple[str, ...]:
    """The geohashes to ask relays for: all cells that are that near to a point.

    Args:
        within_km: at most MOST_KM.
    """
    lat_reach = math.degrees(within_km / EARTH_RADIUS_KM)
    shrunk = max(0.05, math.cos(math.radians(min(89.0, abs(latitude) + lat_reach))))
    lon_reach = min(180.0, lat_reach / shrunk)
    cells: dict[str, None] = {}
    for lat in _steps(max(-90.0, latitude - lat_reach), min(90.0, latitude + lat_reach)):
        for lon in _steps(longitude - lon_reach, longitude + lon_reach):
            cells[geohash(lat, (lon + 180) % 360 - 180, SEARCH_LENGTH)] = None
    return tuple(cells)


def _steps(low: float, high: float) -> list[float]:
    """Points from one end to the other, none further from the next than a cell is wide."""
    count = max(1, math.ceil((high - low) / _CELL_DEGREES))
    return [low + (high - low) * step / count for step in range(count + 1)]


def distance_km(from_lat: float, from_lon: float, to_lat: float, to_lon: float) -> float:
    """The way between two points as the crow flies (haversine)."""
    lat1, lat2 = math.radians(from_lat), math.radians(to_lat)
    north, east = lat2 - lat1, math.radians(to_lon - from_lon)
    half = math.sin(north / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin(east / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(half)))


def by_distance(
    states: Iterable[tuple[Coordinate, ConnectorState]],
    latitude: float,
    longitude: float,
    *,
    within_km: float,
    connector_type: str = "",
) -> list[Found]:
    """The charge points that are near enough, the nearest first.

    Args:
        states: connectors, each with its event's address.
        within_km: how far off they may be.
        connector_type: an OCPI connector type that one of their connectors must have; "" for any.
    """
    points: dict[tuple[str, str], list[ConnectorState]] = {}
    for coordinate, state in states:
        points.setdefault((coordinate.pubkey, state.charge_point), []).append(state)
    found: list[Found] = []
    for (pubkey, charge_point), connectors in points.items():
        connectors.sort(key=lambda state: state.connector)
        if connector_type and all(s.connector_type != connector_type for s in connectors):
            continue
        placed = _place(connectors)
        if placed is None:
            continue
        away_km = distance_km(latitude, longitude, placed[0], placed[1])
        if away_km <= within_km + placed[2]:
            found.append(Found(pubkey, charge_point, away_km, placed[2], tuple(connectors)))
    return sorted(found, key=lambda point: point.distance_km or 0.0)


def _place(connectors: list[ConnectorState]) -> tuple[float, float, float] | None:
    """Latitude, longitude and how wide the cell is, by the longest geohash that is one."""
    for text in sorted({g for s in connectors for g in s.geohashes}, key=len, reverse=True):
        try:
            latitude, longitude = geohash_center(text)
        except ValueError:
            continue
        height_degrees = 180 / (1 << len(text) * 5 // 2)
        return latitude, longitude, math.radians(height_degrees) * EARTH_RADIUS_KM
    return None

"""Places: geohashes in `g` tags (NIP-52, NIP-99), and two drafts with GeoJSON.

RFC 7946 (GeoJSON): https://www.rfc-editor.org/rfc/rfc7946
Kind 37515, places: https://github.com/nostr-protocol/nips/pull/927
Kind 4326, geospatial types: https://github.com/nostr-protocol/nips/pull/136
"""

from __future__ import annotations

import json

from nips.event import EventTemplate, Tags

KIND_PLACE = 37_515
KIND_GEOMETRY = 4326

_ALPHABET = "0123456789bcdefghjkmnpqrstuvwxyz"
_BITS = 5


def geohash(latitude: float, longitude: float, length: int) -> str:
    """The geohash of a point (degrees, WGS 84) in `length` characters.

    Raises:
        ValueError: the point is not on Earth, or the length not between 1 and 12.
    """
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise ValueError("a point has a latitude within 90 and a longitude within 180 degrees")
    if not 1 <= length <= 12:
        raise ValueError("a geohash has between 1 and 12 characters")
    low = [-180.0, -90.0]
    high = [180.0, 90.0]
    point = (longitude, latitude)
    number = 0
    for bit in range(length * _BITS):
        axis = bit % 2
        middle = (low[axis] + high[axis]) / 2
        above = point[axis] >= middle
        number = number << 1 | above
        (low if above else high)[axis] = middle
    return "".join(
        _ALPHABET[number >> _BITS * (length - 1 - place) & 31] for place in range(length)
    )


def geohash_center(text: str) -> tuple[float, float]:
    """Latitude and longitude of the middle of a geohash's cell.

    Raises:
        ValueError: it is no geohash.
    """
    low = [-180.0, -90.0]
    high = [180.0, 90.0]
    bit = 0
    if not 1 <= len(text) <= 12:
        raise ValueError("a geohash has between 1 and 12 characters")
    for letter in text:
        value = _ALPHABET.index(letter)
        for place in range(_BITS - 1, -1, -1):
            axis = bit % 2
            middle = (low[axis] + high[axis]) / 2
            (low if value >> place & 1 else high)[axis] = middle
            bit += 1
    return (low[1] + high[1]) / 2, (low[0] + high[0]) / 2


def geohash_ladder(latitude: float, longitude: float, length: int) -> Tags:
    """`g` tags of all lengths from 3 to `length`: relays only find exact values."""
    full = geohash(latitude, longitude, length)
    return tuple(("g", full[:size]) for size in range(min(3, length), length + 1))


def geohash_neighbourhood(latitude: float, longitude: float, length: int) -> tuple[str, ...]:
    """The geohash of a point and those of the eight cells around it, for searches."""
    longitude_bits = (length * _BITS + 1) // 2
    width = 360 / (1 << longitude_bits)
    height = 180 / (1 << length * _BITS - longitude_bits)
    cells: dict[str, None] = {}
    for north in (0, 1, -1):
        for east in (0, 1, -1):
            lat = latitude + north * height
            lon = (longitude + east * width + 180) % 360 - 180
            if -90 <= lat <= 90:
                cells[geohash(lat, lon, length)] = None
    return tuple(cells)


def rounded(latitude: float, longitude: float, length: int) -> tuple[float, float]:
    """A point as exact as its geohash of `length` characters, and no more exact.

    A home charger's place must not leak through coordinates when its geohash is short.
    """
    lat, lon = geohash_center(geohash(latitude, longitude, length))
    return round(lat, 6), round(lon, 6)


def place(
    identifier: str,
    name: str,
    latitude: float,
    longitude: float,
    *,
    geohash_length: int,
    address: str = "",
    website: str = "",
) -> EventTemplate:
    """A place for map clients (kind 37515, draft)."""
    lat, lon = rounded(latitude, longitude, geohash_length)
    properties = {"name": name, "type": "charging_station"}
    if address:
        properties["address"] = address
    if website:
        properties["website"] = website
    feature = {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [lon, lat]},
        "properties": properties,
    }
    tags = (
        ("d", identifier),
        ("alt", f"A place: {name}"),
        ("t", "ev-charging"),
        *geohash_ladder(latitude, longitude, geohash_length),
    )
    return EventTemplate(KIND_PLACE, json.dumps(feature, ensure_ascii=False), tags)


def geometry(
    latitude: float, longitude: float, *, geohash_length: int, pubkey: str, event: str | None = None
) -> EventTemplate:
    """A bare GeoJSON point that belongs to a profile or an event (kind 4326, draft)."""
    lat, lon = rounded(latitude, longitude, geohash_length)
    tags: Tags = (("p", pubkey),)
    if event is not None:
        tags = (("e", event), *tags)
    point = {"type": "Point", "coordinates": [lon, lat]}
    return EventTemplate(KIND_GEOMETRY, json.dumps(point), tags)

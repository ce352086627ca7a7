"""A map without a map: the places of the charge points, drawn to scale; tiles where configured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from agent.ports.charge_point import ChargePointView

WIDTH, HEIGHT = 720, 400
_MARGIN = 60
_PIN_WIDTH, _PIN_HEIGHT = 30.0, 41.0
_LETTER_WIDTH, _NAME_HEIGHT, _NAME_GAP = 9.0, 20.0, 4.0
_LONGEST_NAME = 24
_TILE = 256
_MAX_ZOOM = 17


@dataclass(frozen=True, slots=True)
class Pin:
    """A charge point on the drawing, in its units.

    Attributes:
        name: what stands below it; "" where another name or pin would be in its way.
        name_x: the middle of that, from the pin.
    """

    view: ChargePointView
    x: float
    y: float
    name: str = ""
    name_x: float = 0.0


@dataclass(frozen=True, slots=True)
class Tile:
    """A tile behind the drawing."""

    url: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class DrawnMap:
    """Pins on a ground of WIDTH by HEIGHT units.

    Attributes:
        scale_m: a round number of metres for the scale bar.
        scale_units: how long that is on the drawing.
    """

    pins: tuple[Pin, ...]
    tiles: tuple[Tile, ...]
    scale_m: int
    scale_units: float
    width: int = WIDTH
    height: int = HEIGHT


def draw_map(views: Sequence[ChargePointView], tile_url: str = "") -> DrawnMap | None:
    """Draw the charge points that have a place; None when none has.

    Args:
        views: what may be shown.
        tile_url: URL of tiles with {z}, {x} and {y} in Web Mercator; "" for none.
    """
    placed = [
        (view, _mercator(view.latitude, view.longitude))
        for view in views
        if view.latitude is not None and view.longitude is not None
    ]
    if not placed:
        return None
    left = min(x for _, (x, _) in placed)
    right = max(x for _, (x, _) in placed)
    top = min(y for _, (_, y) in placed)
    bottom = max(y for _, (_, y) in placed)
    zoom = _fitting_zoom(right - left, bottom - top)
    size = _TILE * 2**zoom
    origin_x = (left + right) / 2 * size - WIDTH / 2
    origin_y = (top + bottom) / 2 * size - HEIGHT / 2
    pins = _named(
        [
            Pin(view, round(x * size - origin_x, 1), round(y * size - origin_y, 1))
            for view, (x, y) in placed
        ]
    )
    latitude = math.degrees(math.atan(math.sinh(math.pi * (1 - (top + bottom)))))
    metres_per_unit = 40_075_017 * math.cos(math.radians(latitude)) / size
    scale_m = _round_length(metres_per_unit * WIDTH / 5)
    tiles = _tiles(tile_url, zoom, origin_x, origin_y) if tile_url else ()
    return DrawnMap(pins, tiles, scale_m, round(scale_m / metres_per_unit, 1))


Box = tuple[float, float, float, float]
"""Left, top, right and bottom of something on the drawing."""


def _named(pins: Sequence[Pin]) -> tuple[Pin, ...]:
    """The pins in the order in which they are painted, with the names that have room.

    Of pins in the same place the one that is free lies on top, and has its name.
    """
    pins = sorted(pins, key=lambda pin: _is_free(pin.view))
    taken: list[Box] = [_pin_box(pin) for pin in pins]
    named: list[Pin] = []
    for pin in reversed(pins):
        name = pin.view.name
        if len(name) > _LONGEST_NAME:
            name = name[: _LONGEST_NAME - 1].rstrip() + "…"
        half = len(name) * _LETTER_WIDTH / 2
        middle = max(half, min(WIDTH - half, pin.x))
        box = (middle - half, pin.y + _NAME_GAP, middle + half, pin.y + _NAME_GAP + _NAME_HEIGHT)
        if any(_overlap(box, other) for other in taken):
            named.append(pin)
            continue
        taken.append(box)
        named.append(replace(pin, name=name, name_x=round(middle - pin.x, 1)))
    return tuple(reversed(named))


def _is_free(view: ChargePointView) -> bool:
    return any(connector.obstacle is None for connector in view.connectors)


def _pin_box(pin: Pin) -> Box:
    return pin.x - _PIN_WIDTH / 2, pin.y - _PIN_HEIGHT, pin.x + _PIN_WIDTH / 2, pin.y


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _mercator(latitude: float, longitude: float) -> tuple[float, float]:
    """Web Mercator, both axes from 0 to 1."""
    bounded = math.radians(max(-85.0, min(85.0, latitude)))
    y = (1 - math.asinh(math.tan(bounded)) / math.pi) / 2
    return (longitude + 180) / 360, y


def _fitting_zoom(width: float, height: float) -> int:
    for zoom in range(_MAX_ZOOM, 0, -1):
        size = _TILE * 2**zoom
        if width * size <= WIDTH - 2 * _MARGIN and height * size <= HEIGHT - 2 * _MARGIN:
            return zoom
    return 0


def _round_length(metres: float) -> int:
    """The largest of 1, 2 or 5 times a power of ten that is not longer."""
    magnitude = 10 ** int(math.log10(max(1.0, metres)))
    return max(step * magnitude for step in (1, 2, 5) if step * magnitude <= max(1.0, metres))


def _tiles(url: str, zoom: int, origin_x: float, origin_y: float) -> tuple[Tile, ...]:
    count = 2**zoom
    columns = range(math.floor(origin_x / _TILE), math.floor((origin_x + WIDTH) / _TILE) + 1)
    rows = range(math.floor(origin_y / _TILE), math.floor((origin_y + HEIGHT) / _TILE) + 1)
    return tuple(
        Tile(
            url.replace("{z}", str(zoom)).replace("{x}", str(x % count)).replace("{y}", str(y)),
            round(x * _TILE - origin_x, 1),
            round(y * _TILE - origin_y, 1),
        )
        for x in columns
        for y in rows
        if 0 <= y < count
    )

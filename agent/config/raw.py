"""The operator's file as TOML gave it, of which anything may be wrong: for what is to be said of
several keys at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast


def table(value: object) -> Mapping[str, Any]:
    """A value as a table; an empty one where it is none."""
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def charge_points(raw: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The tables of the charge points, in their order."""
    points = raw.get("charge_points")
    return [
        table(item) for item in cast("list[object]", points if isinstance(points, list) else [])
    ]

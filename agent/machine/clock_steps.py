"""A session whose clock was set: what was measured by it moves along. Pure.

Whoever sets the clock of a machine by hours has let no time pass: no minute is billed for it, and
no stop or deadline comes sooner or later.
"""

from __future__ import annotations

from typing import Any, TypeVar, cast

from msgspec import Struct
from msgspec.structs import replace

from agent.machine.events import ClockSet
from agent.machine.model import Session
from agent.machine.settling import Result

_MOMENTS = ("at_ms", "_since_ms", "_until_ms", "_deadline_ms")
"""How the names of moments end; all other times are durations."""
_WITH_MOMENTS = frozenset({"meter", "past", "read", "early_stop", "refunds", "corrections"})
"""What has moments in it that are compared with others."""

S = TypeVar("S", bound=Struct)


def move(session: Session, event: ClockSet) -> Result:
    """The session as if the clock had always shown what it shows now."""
    return _moved(session, event.by_ms), ()


def _moved(value: S, by_ms: int) -> S:
    changes: dict[str, Any] = {}
    for name in value.__struct_fields__:
        old = getattr(value, name)
        if name.endswith(_MOMENTS):
            # 0 and None say that there was no such moment.
            changes[name] = old and old + by_ms
        elif name in _WITH_MOMENTS:
            changes[name] = _part(old, by_ms)
    return replace(value, **changes)


def _part(value: object, by_ms: int) -> object:
    if isinstance(value, tuple):
        return tuple(_part(one, by_ms) for one in cast("tuple[object, ...]", value))
    return _moved(value, by_ms) if isinstance(value, Struct) else value

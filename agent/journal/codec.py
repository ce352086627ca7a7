"""The machine's frozen values as JSON and back; the machines themselves know nothing of it."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from agent.machine import effects as effects_module
from agent.machine import events as events_module
from agent.machine.effects import Effect
from agent.machine.events import Event
from agent.machine.model import Session

T = TypeVar("T")

_ENCODER = msgspec.json.Encoder()
_SESSION = msgspec.json.Decoder(Session)
_EVENTS: dict[str, type[Any]] = {
    name: kind for name, kind in vars(events_module).items() if hasattr(kind, "__slots__")
}
_EFFECTS: dict[str, type[Any]] = {
    name: kind for name, kind in vars(effects_module).items() if hasattr(kind, "__slots__")
}


def encode(value: object) -> bytes:
    """Any frozen dataclass of plain values as JSON."""
    return _ENCODER.encode(value)


def decode(data: bytes, kind: type[T]) -> T:
    """JSON as the frozen dataclass it was; raises msgspec.ValidationError on another shape."""
    return msgspec.json.decode(data, type=kind)


def decode_session(data: bytes) -> Session:
    """The snapshot of a session."""
    return _SESSION.decode(data)


def decode_event(kind: str, data: bytes) -> Event:
    """An event by the name of its class."""
    return msgspec.json.decode(data, type=_EVENTS[kind])


def decode_effect(kind: str, data: bytes) -> Effect:
    """An effect by the name of its class."""
    return msgspec.json.decode(data, type=_EFFECTS[kind])

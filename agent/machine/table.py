"""A transition table: which handler takes which event in which state. Data, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from agent.machine.errors import IllegalEvent
from agent.machine.events import Event

State = TypeVar("State", bound=str)
Subject = TypeVar("Subject")
Result = TypeVar("Result")
SomeEvent = TypeVar("SomeEvent")

Row = tuple[State, type[Any], Callable[[Subject, Any], Result]]


def row(
    state: State, event: type[SomeEvent], handler: Callable[[Subject, SomeEvent], Result]
) -> Row[State, Subject, Result]:
    """One row; the type checker holds the handler to the event's type."""
    return state, event, handler


def table(
    rows: Iterable[Row[State, Subject, Result]],
) -> dict[tuple[State, type[Any]], Callable[[Subject, Any], Result]]:
    """The rows by state and event; raises ValueError when two rows take the same."""
    built: dict[tuple[State, type[Any]], Callable[[Subject, Any], Result]] = {}
    for state, event, handler in rows:
        if (state, event) in built:
            raise ValueError(f"two rows for {state} and {event.__name__}")
        built[state, event] = handler
    return built


def look_up(
    rows: dict[tuple[State, type[Any]], Callable[[Subject, Any], Result]],
    state: State,
    event: Event,
) -> Callable[[Subject, Any], Result]:
    """The handler for an event in a state; raises IllegalEvent when there is none."""
    try:
        return rows[state, type(event)]
    except KeyError:
        raise IllegalEvent(state, event) from None

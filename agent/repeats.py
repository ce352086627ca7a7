"""Readings that a charger says twice, as after a lost answer or in the data of its stop.

Other events are told apart by their keys in the journal. A reading that is older than the last
one changes nothing in the machine, so that those of the last one's time are all to remember.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.machine.events import Event, MeterSampled


class Repeats:
    """The readings of each session's last time."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, set[str]]] = {}

    def without(self, session_id: str, events: Sequence[Event]) -> Sequence[Event]:
        """The events without readings that were heard before."""
        last = self._last.get(session_id)
        if last is None:
            return events
        at_ms, keys = last
        for event in events:
            if event.at_ms <= at_ms and event.key in keys:
                return [event for event in events if event.key not in keys]
        return events

    def heard(self, session_id: str, events: Sequence[Event]) -> None:
        """Events were stored."""
        for event in events:
            if type(event) is MeterSampled:
                last = self._last.get(session_id)
                if last is None or event.at_ms > last[0]:
                    self._last[session_id] = (event.at_ms, {event.key})
                elif event.at_ms == last[0]:
                    last[1].add(event.key)

    def forget(self, session_id: str) -> None:
        """Nothing more is expected of a session."""
        self._last.pop(session_id, None)

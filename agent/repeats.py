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
        if all(event.at_ms > at_ms or event.key not in keys for event in events):
            return events
        return [event for event in events if event.key not in keys]

    def heard(self, session_id: str, events: Sequence[Event]) -> None:
        """Events were stored."""
        for event in events:
            if type(event) is MeterSampled:
                at_ms, keys = self._last.get(session_id, (event.at_ms - 1, set[str]()))
                if event.at_ms > at_ms:
                    self._last[session_id] = (event.at_ms, {event.key})
                elif event.at_ms == at_ms:
                    keys.add(event.key)

    def forget(self, session_id: str) -> None:
        """Nothing more is expected of a session."""
        self._last.pop(session_id, None)

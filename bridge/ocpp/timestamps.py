"""Times as chargers write them, and how far their clocks are off."""

from __future__ import annotations

from datetime import UTC, datetime

EARLIEST_MS = 1_577_836_800_000
"""2020-01-01: a clock before this was never set."""

MAX_SKEW_NOISE_MS = 2_000
"""Differences up to this are travel time and rounding, and not the clock."""

MAX_AGE_MS = 90 * 86_400_000
"""Nothing that a charger kept while it was offline is older than this."""

_SECONDS_BELOW = 100_000_000_000


def parse(value: object) -> int | None:
    """A timestamp in any spelling seen in the field, as Unix ms; None when it is none.

    Without a zone it is read as UTC. Numbers are taken as Unix seconds or milliseconds.
    """
    if isinstance(value, str):
        text = value.strip()
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return _number(text)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000)
    return _number(value)


def _number(value: object) -> int | None:
    if isinstance(value, str):
        if not value.isascii() or not value.isdigit() or len(value) > 14:
            return None
        number = int(value)
    elif isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e14:
        number = int(value)
    else:
        return None
    if number == 0:
        return None
    return number * 1000 if number < _SECONDS_BELOW else number


def render(at_ms: int) -> str:
    """Unix ms as OCPP writes times: UTC, with milliseconds and a Z."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"


class Clock:
    """What is known of one charger's clock on one connection.

    A message of the moment was written just before it arrived: the smallest difference
    between arrival and timestamp is what the clock is behind. A timestamp from the future
    shows a clock that is ahead. Messages that the charger kept while it was offline show
    neither, so only what is written at the moment of sending is measured.
    """

    __slots__ = ("_behind_ms",)

    def __init__(self) -> None:
        self._behind_ms: int | None = None

    @property
    def behind_ms(self) -> int:
        """What to add to the charger's times to have ours; 0 while nothing was measured."""
        behind = self._behind_ms
        return 0 if behind is None or abs(behind) <= MAX_SKEW_NOISE_MS else behind

    def was_set(self) -> None:
        """We told the charger the time: what was measured before is void."""
        self._behind_ms = None

    def measure(self, written: object, arrived_ms: int) -> None:
        """Learn from a message that was written at the moment of sending."""
        at_ms = parse(written)
        if at_ms is None or at_ms < EARLIEST_MS:
            return
        behind = arrived_ms - at_ms
        if self._behind_ms is None or behind < self._behind_ms:
            self._behind_ms = behind

    def ours(self, written: object, arrived_ms: int) -> int:
        """A charger's timestamp in our time; the arrival where it makes no sense.

        Never later than the arrival: nothing is reported before it happened.
        """
        at_ms = parse(written)
        if at_ms is None or at_ms < EARLIEST_MS:
            return arrived_ms
        corrected = at_ms + self.behind_ms
        if arrived_ms - corrected > MAX_AGE_MS:
            return arrived_ms
        return min(corrected, arrived_ms)

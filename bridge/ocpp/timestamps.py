"""Times as chargers write them, and how far their clocks are off."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

EARLIEST_MS = 1_577_836_800_000
"""2020-01-01: a clock before this was never set."""

UNSET_MS = 5 * 365 * 86_400_000
"""A clock that is so far behind was never set: it counts from the charger's start on."""

MAX_SKEW_NOISE_MS = 2_000
"""Differences up to this are travel time and rounding, and not the clock."""

MAX_DELAY_MS = 30_000
"""A message that came within this of its writing came from a clock that is right."""

STEADY_TIMES = 3
"""So many messages in a row that are late by the same time, and it is the clock that is late."""

DOUBTED_TIMES = 2
"""So many are enough after the charger was away."""

STEADY_APART_MS = 5_000
"""What a charger had kept comes faster than this, whatever its timestamps say."""

MAX_AGE_MS = 90 * 86_400_000
"""Nothing that a charger kept while it was offline is older than this."""

_SECONDS_BELOW = 100_000_000_000

_SHORT = re.compile(r"(?<![0-9.])[0-9](?=[-+T :.Z]|$)")
"""A part of a time with one digit where two belong: `2026-1-2T3:04:05Z`."""


def parse(value: object) -> int | None:
    """A timestamp in any spelling seen in the field, as Unix ms; None when it is none.

    Without a zone it is read as UTC. Numbers are taken as Unix seconds or milliseconds.
    """
    return _read(value) if isinstance(value, str) else _number(value)


@lru_cache(maxsize=4096)
def _read(written: str) -> int | None:
    """Each is asked for more than once, and whole families of chargers say the same second."""
    text = written.strip()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(_SHORT.sub(r"0\g<0>", text))
        except ValueError:
            return _number(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


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
    """What is known of one charger's clock, over all of its connections.

    A message of the moment was written just before it arrived: the smallest difference
    between arrival and timestamp is what the clock is behind. A timestamp from the future
    shows a clock that is ahead. What the charger kept while it was offline arrives late and
    shows neither, so such messages make a clock look behind only where several of them, that
    came one after the other, are late by the same time: then it was set back, as local time
    is in autumn, or stood still while the charger was away. So does what seems to be of the
    moment, and is later than the clock was known to be: some chargers keep even their states.

    Args:
        behind_ms: what was measured before; None for nothing.
        on_change: called with what was measured, once it is another time.
    """

    __slots__ = (
        "_behind_ms",
        "_doubted",
        "_kept_ms",
        "_late_at_ms",
        "_late_by_ms",
        "_late_times",
        "_mixed",
        "_on_change",
        "_told",
    )

    def __init__(
        self, behind_ms: int | None = None, on_change: Callable[[int], None] | None = None
    ) -> None:
        self._behind_ms = self._kept_ms = behind_ms
        self._on_change = on_change
        self._doubted = True
        self._told = False
        self._late_by_ms = 0
        self._late_at_ms = 0
        self._late_times = 0
        self._mixed = False

    @property
    def behind_ms(self) -> int:
        """What to add to the charger's times to have ours; 0 while nothing was measured."""
        behind = self._behind_ms
        return 0 if behind is None or abs(behind) <= MAX_SKEW_NOISE_MS else behind

    @property
    def measured_ms(self) -> int | None:
        """What was measured of how far the clock is behind; None while nothing was."""
        return self._behind_ms

    def was_told(self) -> None:
        """We told the charger the time: it may set its clock now, or never."""
        self._told = True

    def began_anew(self) -> None:
        """The charger started: a clock that was never set did so too."""
        if self._behind_ms is not None and self._behind_ms > UNSET_MS:
            self._behind_ms = None
            self._doubted = True
            self._late_times = 0

    def reconnected(self) -> None:
        """The charger connected again: its clock may have stood still or lost its time."""
        self._doubted = True
        self._late_times = 0
        self._mixed = False

    def ours_was_set(self, by_ms: int) -> None:
        """Our clock was set: the charger's is behind by as much more.

        One that is ahead shows that by its next message, and may have done so already: a clock
        of ours that was set back is left to that.
        """
        if by_ms > 0 and self._behind_ms is not None:
            self._behind_ms += by_ms
            self._late_times = 0
            self._tell()

    def measure(self, written: object, arrived_ms: int, *, live: bool) -> None:
        """Learn from a timestamp.

        Args:
            written: as the charger wrote it.
            arrived_ms: when it came, by our clock.
            live: whether it was written at the moment of sending; False where the message
                may have waited in the charger.
        """
        at_ms = parse(written)
        if at_ms is None:
            return
        before = self._behind_ms
        if at_ms >= EARLIEST_MS:
            self._measure_set(arrived_ms - at_ms, arrived_ms, live=live)
        elif self._is_late_again(arrived_ms - at_ms, arrived_ms):
            # A clock that was never set may go all the same: what it says is of use then.
            self._behind_ms = arrived_ms - at_ms
            self._doubted = False
        if self._behind_ms != before:
            self._tell()

    def _measure_set(self, behind_ms: int, arrived_ms: int, *, live: bool) -> None:
        before = self._behind_ms
        is_right = -MAX_SKEW_NOISE_MS <= behind_ms <= MAX_DELAY_MS
        live = live and (before is None or behind_ms <= before + MAX_DELAY_MS)
        if self._told and (live or is_right):
            self._told = False
            self._behind_ms = behind_ms if live else min(behind_ms, 0)
            self._doubted = False
        elif self._is_news(behind_ms, live=live) or self._is_late_again(behind_ms, arrived_ms):
            self._behind_ms = behind_ms
            self._doubted = before is None and not live
        elif before is not None and behind_ms <= before + MAX_SKEW_NOISE_MS:
            self._doubted = False

    def _tell(self) -> None:
        """Have what was measured kept, where it is not the same but for noise."""
        behind_ms, kept_ms = self._behind_ms, self._kept_ms
        if behind_ms is None or self._on_change is None:
            return
        if kept_ms is None or abs(behind_ms - kept_ms) > MAX_SKEW_NOISE_MS:
            self._kept_ms = behind_ms
            self._on_change(behind_ms)

    def _is_news(self, behind_ms: int, *, live: bool) -> bool:
        before_ms = self._behind_ms
        if before_ms is None:
            return live or behind_ms < 0
        return behind_ms < before_ms

    def _is_late_again(self, behind_ms: int, arrived_ms: int) -> bool:
        """Whether the last messages were all late by this time, though they came apart."""
        if not self._doubted and behind_ms - self.behind_ms <= MAX_DELAY_MS:
            return False
        is_other = abs(behind_ms - self._late_by_ms) > MAX_SKEW_NOISE_MS
        if not self._late_times or is_other:
            # Of messages that were kept some are as late as the one before by chance.
            self._mixed = self._mixed or (self._late_times > 0 and is_other)
            self._late_by_ms, self._late_at_ms, self._late_times = behind_ms, arrived_ms, 1
        elif arrived_ms - self._late_at_ms >= STEADY_APART_MS:
            self._late_at_ms = arrived_ms
            self._late_times += 1
        is_enough = self._doubted and not self._mixed
        return self._late_times >= (DOUBTED_TIMES if is_enough else STEADY_TIMES)

    def ours(self, written: object, arrived_ms: int) -> int:
        """A charger's timestamp in our time; the arrival where it makes no sense.

        Never later than the arrival: nothing is reported before it happened.
        """
        at_ms = parse(written)
        if at_ms is None:
            return arrived_ms
        corrected = at_ms + self.behind_ms
        if arrived_ms - corrected > MAX_AGE_MS:
            return arrived_ms
        return corrected if corrected < arrived_ms else arrived_ms

    def can_date(self, written: object, arrived_ms: int) -> bool:
        """Whether a charger's timestamp makes sense in our time."""
        at_ms = parse(written)
        return at_ms is not None and arrived_ms - at_ms - self.behind_ms <= MAX_AGE_MS

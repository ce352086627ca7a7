"""The timeline of a charging session for a terminal: time, one lane per protocol, and words.

Pure: moments in, renderables out. Who prints them, and when, is not decided here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

MS_PER_S = 1000
_TIME_WIDTH = 8
_LANE_WIDTH = 6
_GAP = "  "
_NARROWEST = 12


class Lane(Enum):
    """Where something happened; the value is the lane's heading."""

    DRIVER = ""
    NOSTR = "nostr"
    OCPP = "ocpp"
    LIGHTNING = "⚡"


class Way(Enum):
    """Whether it went to the charge point or came from it; the value is its sign."""

    NONE = ("", "")
    TO = ("> ", "→ ")
    FROM = ("< ", "← ")


LANES = (Lane.NOSTR, Lane.OCPP, Lane.LIGHTNING)
_MARGIN = _TIME_WIDTH + len(_GAP) + _LANE_WIDTH * len(LANES)
_STYLES = {
    Lane.DRIVER: Style(bold=True),
    Lane.NOSTR: Style(color="magenta"),
    Lane.OCPP: Style(color="cyan"),
    Lane.LIGHTNING: Style(color="yellow"),
}
_DIM = Style(dim=True)
_CHAPTER = Style(bold=True, underline=True)


@dataclass(frozen=True, slots=True)
class Moment:
    """One thing that happened.

    Attributes:
        elapsed_ms: since the timeline began.
        lane: where it happened; DRIVER for what the person did.
        text: what, in a few words.
        detail: an identifier or an amount that explains it, shown dimmed.
        way: whether it went to the charge point, came from it, or neither.
    """

    elapsed_ms: int
    lane: Lane
    text: str
    detail: str = ""
    way: Way = Way.NONE

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The moment on one line, or on more with the lanes going on beside them."""
        pretty = _is_pretty(options)
        style = _STYLES[self.lane]
        words = Text().append(self.way.value[pretty] + self.text, style)
        if self.detail:
            words.append(_GAP).append(self.detail, _DIM)
        width = max(_NARROWEST, options.max_width - _MARGIN)
        for number, line in enumerate(words.wrap(console, width)):
            time = f"{self.elapsed_ms / MS_PER_S:.2f} s" if number == 0 else ""
            yield Segment(time.rjust(_TIME_WIDTH) + _GAP, _DIM)
            yield from _gutter(self.lane if number == 0 else Lane.DRIVER, pretty)
            line.rstrip()
            yield from line.render(console)
            yield Segment.line()


@dataclass(frozen=True, slots=True)
class Chapter:
    """A heading between moments: what the next ones are about."""

    title: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The heading on a line of its own, the lanes going on beside it."""
        yield Segment(" " * _TIME_WIDTH + _GAP)
        yield from _gutter(Lane.DRIVER, _is_pretty(options))
        yield Segment.line()
        yield Segment(" " * _TIME_WIDTH + _GAP)
        yield from _gutter(Lane.DRIVER, _is_pretty(options))
        yield from Text().append(self.title, _CHAPTER).render(console)
        yield Segment.line()


class Heading:
    """The names of the lanes, above the first moment."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """One line."""
        pretty = _is_pretty(options)
        yield Segment(" " * _TIME_WIDTH + _GAP)
        for lane in LANES:
            name = lane.value if pretty or lane.value.isascii() else "ln"
            text = Text().append(name, _STYLES[lane])
            text.align("center", _LANE_WIDTH)
            yield from text.render(console)
        yield Segment.line()


def _gutter(marked: Lane, pretty: bool) -> Iterator[Segment]:
    """The lanes beside one line, a dot in the lane where something happened."""
    for lane in LANES:
        sign, style = ("│" if pretty else "|"), _DIM
        if lane is marked:
            sign, style = ("●" if pretty else "*"), _STYLES[lane]
        before = (_LANE_WIDTH - 1) // 2
        yield Segment(" " * before)
        yield Segment(sign, style)
        yield Segment(" " * (_LANE_WIDTH - 1 - before))


def _is_pretty(options: ConsoleOptions) -> bool:
    """Whether the terminal can show more than ASCII."""
    return not options.ascii_only

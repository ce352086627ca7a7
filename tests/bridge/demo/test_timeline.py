"""The timeline as a person sees it, in a terminal, a narrow one, and a file."""

from __future__ import annotations

import io

from rich.console import Console, RenderableType

from bridge.demo.timeline import Chapter, Heading, Lane, Moment, Way

STORY = (
    Heading(),
    Chapter("Find"),
    Moment(0, Lane.DRIVER, "Dora looks for a charge point"),
    Moment(42, Lane.NOSTR, "I am Old Mill, west wall", "kind 0", Way.FROM),
    Chapter("Zap"),
    Moment(1_203, Lane.LIGHTNING, "2,000 sat", way=Way.TO),
    Moment(61_500, Lane.OCPP, "RemoteStartTransaction for connector 1, id tag 9f2c", way=Way.TO),
)

PRETTY = """\
          nostr  ocpp   ⚡
            │     │     │
            │     │     │   Find
  0.00 s    │     │     │   Dora looks for a charge point
  0.04 s    ●     │     │   ← I am Old Mill, west wall  kind 0
            │     │     │
            │     │     │   Zap
  1.20 s    │     │     ●   → 2,000 sat
 61.50 s    │     ●     │   → RemoteStartTransaction for connector
            │     │     │   1, id tag 9f2c
"""

PLAIN = """\
          nostr  ocpp   ln
            |     |     |
            |     |     |   Find
  0.00 s    |     |     |   Dora looks for a charge point
  0.04 s    *     |     |   < I am Old Mill, west wall  kind 0
            |     |     |
            |     |     |   Zap
  1.20 s    |     |     *   > 2,000 sat
 61.50 s    |     *     |   > RemoteStartTransaction for connector
            |     |     |   1, id tag 9f2c
"""


def drawn(*story: RenderableType, width: int, encoding: str, terminal: bool = False) -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    console = Console(
        file=file,
        width=width,
        force_terminal=terminal,
        color_system="standard" if terminal else None,
        legacy_windows=False,
    )
    for item in story:
        console.print(item, end="")
    file.seek(0)
    return file.read()


def without_line_ends(text: str) -> str:
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def test_in_a_file_it_is_text_without_colours() -> None:
    assert without_line_ends(drawn(*STORY, width=68, encoding="utf-8")) == PRETTY


def test_where_only_ascii_is_known() -> None:
    assert without_line_ends(drawn(*STORY, width=68, encoding="ascii")) == PLAIN


def test_in_a_terminal_each_lane_has_its_colour() -> None:
    def colour(lane: Lane) -> str:
        moment = Moment(0, lane, "x")
        return drawn(moment, width=80, encoding="utf-8", terminal=True)

    assert "\x1b[35m●\x1b[0m" in colour(Lane.NOSTR)
    assert "\x1b[36m●\x1b[0m" in colour(Lane.OCPP)
    assert "\x1b[33m●\x1b[0m" in colour(Lane.LIGHTNING)
    assert "\x1b[1mx\x1b[0m" in colour(Lane.DRIVER)


def test_nothing_is_cut_off_in_a_narrow_terminal() -> None:
    moment = Moment(0, Lane.OCPP, "one two three four five six", "seven eight")
    text = drawn(moment, width=40, encoding="utf-8")
    words = [word for line in text.splitlines() for word in line.split() if word.isalpha()]
    assert words == ["s", "one", "two", "three", "four", "five", "six", "seven", "eight"]
    assert all(len(line) <= 40 for line in text.splitlines())


def test_markup_in_a_name_is_only_text() -> None:
    moment = Moment(0, Lane.NOSTR, "[bold]Old Mill[/bold]")
    assert "[bold]Old Mill[/bold]" in drawn(moment, width=80, encoding="utf-8")

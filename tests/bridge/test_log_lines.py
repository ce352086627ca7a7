"""The lines of the log."""

from __future__ import annotations

import logging
import sys

from bridge.log_lines import LogLines


def line(message: str, *arguments: object, failed: bool = False) -> str:
    record = logging.LogRecord(
        "strom", logging.INFO, "", 1, message, arguments, sys.exc_info() if failed else None
    )
    return LogLines().format(record).split(" ", 2)[2]


def test_no_word_of_a_charger_moves_the_cursor_or_begins_a_line() -> None:
    evil = "\x1b[2J\x1b]0;x\x07\nERROR strom: all is lost\u202e"
    told = line("%s booted", evil)
    assert told == (r"INFO strom: \u001b[2J\u001b]0;x\u0007\nERROR strom: all is lost\u202e booted")


def test_letters_of_all_languages_stay() -> None:
    assert line("%s: Ladesäule 充電 ⚡", "CP001") == "INFO strom: CP001: Ladesäule 充電 ⚡"


def test_a_traceback_keeps_its_lines() -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        told = line("it failed", failed=True)
    assert told.startswith("INFO strom: it failed\nTraceback")
    assert told.endswith("ValueError: broken")

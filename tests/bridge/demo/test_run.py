"""The demo, whole: what it tells, that the money adds up, and that it leaves nothing behind."""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rich.console import Console

from bridge.demo.run import run_demo

_watchers: list[list[object]] = []


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if event == "socket.connect":
        for contacted in _watchers:
            contacted.append(arguments[1])


@contextmanager
def watched_connections() -> Generator[list[object]]:
    """The addresses that this process connects to meanwhile."""
    contacted: list[object] = []
    _watchers.append(contacted)
    if len(_watchers) == 1:
        # An audit hook stays for the life of the process: it is added once.
        sys.addaudithook(_audit)
    try:
        yield contacted
    finally:
        _watchers.remove(contacted)


def documented() -> str:
    """The demo as the README shows it."""
    readme = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
    return readme.partition("```text\n")[2].partition("```")[0]


def pattern_of(story: str) -> set[str]:
    """Its lines, without what is different each time: times, amounts, keys and codes.

    How often the meter was shown, and which message came first, differs too; and where nothing
    was rounded, the receipt says nothing of it.
    """
    lines: set[str] = set()
    for line in story.splitlines():
        line = re.sub(r"^ *[0-9.]+ s", "", line.replace("\N{NO-BREAK SPACE}", " "))
        line = re.sub(r"[0-9A-Za-z_-]*…[0-9A-Za-z]*|/s/\S+", "#", line)
        line = re.sub(r"\b[0-9a-f]{8}([0-9a-f]{8})?\b|[0-9][0-9.,]*", "#", line)
        words = line.split()
        if "Rounding:" not in words:
            lines.add(" ".join(words))
    return lines


async def test_the_story_ends_with_the_change_in_the_wallet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    told = io.StringIO()
    with watched_connections() as contacted:
        settled = await run_demo(Console(file=told, width=80, color_system=None), once=True)
    story = told.getvalue()
    assert settled, story
    assert "Every msat is accounted for." in story
    flat = " ".join(re.sub("[│●]", " ", story).split())
    places = [
        flat.index(part)
        for part in (
            "Dora looks on nostr",
            "kind 30716",
            "kind 0 cp001@127.0.0.1:",
            "zap request",
            "RemoteStartTransaction",
            "StartTransaction",
            "status: Charging",
            'Dora writes "status"',
            'Dora writes "topup 1000"',
            "pays 1,000 sat",
            'Mallory, who walks by, writes "stop"',
            'Dora writes "stop"',
            "StopTransaction",
            "her invoice",
            "are back",
            "Paid back",
        )
    ]
    assert places == sorted(places)
    assert pattern_of(documented()) <= pattern_of(story)
    assert "zap receipt, signature and invoice verified" in flat
    assert re.search(r"Paid +3,000.sat", story)
    assert all(str(address).startswith("('127.0.0.1'") for address in contacted), contacted
    assert os.listdir(tmp_path) == []

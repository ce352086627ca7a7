"""The README tells the truth: its commands run, its files load, its tables are complete."""

from __future__ import annotations

import re
import shlex
import sys
import tomllib
from pathlib import Path
from typing import cast

import pytest

from agent.config.tables import load
from agent.config.warnings import warnings
from bridge.cli import main
from nips.event import NostrEvent
from nips.status import (
    STATUSES,
    ConnectorState,
    Price,
    connector_status,
    parse_connector_status,
)

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
STATED = {"init", "check"}
"""Commands whose output the README shows."""


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def commands() -> list[tuple[str, str]]:
    """Each command of the README, and the output that stands below it."""
    found: list[tuple[str, str]] = []
    for block in blocks("console"):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def names_in(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=\[]", requirement)[0] for requirement in requirements}


def test_each_strom_command_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    inline = re.findall(r"`(strom [a-z][^`]*)`", README)
    for command in (*(command for command, _ in commands()), *inline):
        words = shlex.split(command)
        if words[0] != "strom":
            continue
        monkeypatch.setattr(sys, "argv", ["strom", words[1], "--help"])
        with pytest.raises(SystemExit) as left:
            main()
        assert not left.value.code, command
        shown = capsys.readouterr().out
        for option in (word for word in words[2:] if word.startswith("--")):
            assert option in shown, command


def test_each_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = [command.split()[1] for command, _ in commands() if command.startswith("make ")]
    named += re.findall(r"`make ([a-z]+)`", README)
    assert named
    assert set(named) <= targets


def test_the_outputs_are_the_real_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    compared: set[str] = set()
    for command, output in commands():
        words = shlex.split(command)
        if words[:1] != ["strom"] or words[1] not in STATED:
            continue
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit):
            main()
        written = capsys.readouterr()
        assert (written.err + written.out).replace("\N{NO-BREAK SPACE}", " ") == output
        compared.add(words[1])
    assert compared == STATED


def test_the_operators_file_is_valid_and_without_warnings(tmp_path: Path) -> None:
    text = next(block for block in blocks("toml") if block.startswith("[strom]"))
    (tmp_path / "secrets").mkdir()
    for name in ("admin", "CP001"):
        (tmp_path / "secrets" / name).write_text("0123456789abcdef")
        (tmp_path / "secrets" / name).chmod(0o600)
    path = tmp_path / "strom.toml"
    path.write_text(text)
    assert warnings(load(path)) == []


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    table = dict(re.findall(r"^\| ([a-z0-9-]+) \| (.+) \|$", README, re.MULTILINE))
    assert names_in(cast("list[str]", project["dependencies"])) == set(table)
    for name in names_in(cast("list[str]", project["optional-dependencies"]["dev"])):
        assert name in README, name


def test_every_picture_is_there() -> None:
    shown = re.findall(r"!\[.+?\]\((.+?)\)", README)
    shown += re.findall(r'<img src="([^"]+)" width="\d+" alt="[^"]+">', README)
    assert {ROOT / picture for picture in shown} == set((ROOT / "docs/pictures").iterdir())
    drawn = (ROOT / "docs/pictures/demo.svg").read_text()
    assert not re.search(r"url\(|<image|<script", drawn.replace("url(#", ""))


def test_the_example_of_a_connectors_state_is_what_the_code_writes() -> None:
    (example,) = [block for block in blocks("json") if '"kind": 30716' in block]
    event = NostrEvent.parse(example)
    written = connector_status(parse_connector_status(event))
    assert (written.kind, written.content, written.tags) == (event.kind, event.content, event.tags)


def test_the_table_of_a_connectors_state_names_every_tag() -> None:
    section = README.partition("### Kind 30716")[2].partition("### ")[0]
    named = {
        tag
        for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
        for tag in re.findall(r"`(\w+)`", row)
    }
    full = ConnectorState(
        "CP001",
        1,
        "Charging",
        updated_at=1,
        expires_at=2,
        title="x",
        location="x",
        connector_type="IEC_62196_T2",
        power_w=1,
        energy_wh=1,
        free_at=1,
        prices=(Price("energy", "1", "SAT", "kWh"),),
        lud16="a@b.org",
        geohashes=("u33",),
    )
    assert {tag[0] for tag in connector_status(full).tags} == named
    assert all(f"`{status}`" in section for status in STATUSES)

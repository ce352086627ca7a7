"""The catalogues: the same keys and values in each, and every key that is asked for."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path
from string import Formatter

import pytest

from agent.machine.events import Obstacle
from agent.machine.model import SessionState
from agent.talk.words import LANGUAGES, UnknownWord, preferred_language, words
from agent.tariff.model import Dimension

ROOT = Path(__file__).parents[3]
TEMPLATES = ROOT / "bridge" / "web" / "templates"


def placeholders(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_says_the_same(language: str) -> None:
    english, other = words("en").sentences, words(language).sentences
    assert other.keys() == english.keys()
    for key, sentence in english.items():
        assert placeholders(other[key]) == placeholders(sentence), key
        assert other[key].strip() == other[key] != "", key


def test_every_key_of_the_templates_exists() -> None:
    english = words("en")
    for template in TEMPLATES.rglob("*.html"):
        for key in re.findall(r"""\bt\(\s*["']([\w.]*[a-z])["']""", template.read_text("utf-8")):
            assert english.has(key), f"{template.name}: {key}"


def test_every_key_built_from_an_enum_exists() -> None:
    english = words("en")
    wanted = [f"obstacle.{item.name.lower()}" for item in Obstacle]
    wanted += [f"state.{item.lower()}" for item in SessionState]
    wanted += [f"bill.{item.lower()}" for item in Dimension]
    assert [key for key in wanted if not english.has(key)] == []


@pytest.mark.parametrize(
    ("language", "number", "sat", "kwh"),
    [
        ("en", "1,234.50", "6,000\xa0sat", "1.23"),
        ("de", "1.234,50", "6.000\xa0sat", "1,23"),
        ("fr", "1\u202f234,50", "6\u202f000\xa0sat", "1,23"),
    ],
)
def test_numbers(language: str, number: str, sat: str, kwh: str) -> None:
    said = words(language)
    assert said.number(Decimal("1234.5"), 2) == number
    assert said.sat(6_000_000) == sat
    assert said.kwh(1239) == kwh


def test_a_fraction_of_a_sat_shows() -> None:
    assert words("en").sat(1_500) == "1.500\xa0sat"


def test_unknown_keys_and_values_are_errors() -> None:
    with pytest.raises(UnknownWord, match=r"web\.nothing"):
        words("en")("web.nothing")
    with pytest.raises(UnknownWord, match="connector"):
        words("en")("web.plug_in")


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT,de;q=0.9,en;q=0.5", "de"),
        ("en;q=0.3,fr;q=0.8", "fr"),
        ("pl,nl;q=0.2", "nl"),
        ("pl", "en"),
        ("de;q=x,fr;q=0.1", "fr"),
        ("de;q=0", "en"),
        (",,;;q=1,*", "en"),
    ],
)
def test_preferred_language(header: str, language: str) -> None:
    assert preferred_language(header) == language

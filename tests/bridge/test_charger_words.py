"""What an operator sees of a charger, in words of each language."""

from __future__ import annotations

import pytest

from agent.talk.words import LANGUAGES, words
from bridge.charger_sheet import ChargerSheet, Setting, ShownFault
from bridge.charger_words import (
    certificate_words,
    clock_words,
    fault_words,
    means_words,
    place_words,
    state_words,
)
from bridge.ocpp.configuration.billing import Consequence
from bridge.ocpp.configuration.keys import Taken


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_are_words_for_each(language: str) -> None:
    for follows in Consequence:
        setting = Setting("Key", "20", "900", "refused", means=follows, beyond_wh=5_500)
        assert bool(means_words(setting, words(language))) == (follows is not Consequence.NONE)


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_are_words_for_each_state(language: str) -> None:
    told = {state_words(Setting("Key", "20", "60", state), words(language)) for state in Taken}
    assert len(told) == len(Taken)
    other = Setting("HeartbeatInterval", "20", "", Taken.ONLY_16, here="OCPPCommCtrlr.Heartbeat")
    assert "OCPPCommCtrlr.Heartbeat" in state_words(other, words(language))


@pytest.mark.parametrize(
    ("behind_ms", "told"),
    [
        (None, "not measured yet"),
        (0, "right"),
        (-2_000, "right"),
        (2_001, "2 s slow"),
        (190_000, "3 min slow"),
        (-7_200_000, "2 h fast"),
    ],
)
def test_a_clock_in_words(behind_ms: int | None, told: str) -> None:
    assert clock_words(behind_ms, words("en")) == told


def test_a_certificate_in_words() -> None:
    def told(expires_at_ms: int | None) -> str:
        sheet = ChargerSheet("CP001", connected=True, certificate_expires_at_ms=expires_at_ms)
        return certificate_words(sheet, 1_000_000_000, words("en"))

    assert told(None) == ""
    assert told(1_000_000_000 + 3 * 86_400_000 + 5) == "3 days left"
    assert told(999_999_999) == "has expired"


@pytest.mark.parametrize(
    ("language", "connector", "place", "told"),
    [
        ("en", 2, "Connector 2", "GroundFailure (E12) (for 3 min)"),
        ("en", 0, "Charger", "GroundFailure (E12) (for 3 min)"),
        ("de", 2, "Anschluss 2", "GroundFailure (E12) (seit 3 min)"),
        ("fr", 0, "Borne", "GroundFailure (E12) (depuis 3 min)"),
        ("nl", 0, "Laadpaal", "GroundFailure (E12) (sinds 3 min)"),
    ],
)
def test_what_is_wrong_in_words(language: str, connector: int, place: str, told: str) -> None:
    fault = ShownFault(connector, "GroundFailure (E12)", 1_000)
    assert place_words(connector, words(language)) == place
    assert fault_words(fault, 181_000, words(language)) == told


def test_what_is_wrong_by_a_clock_that_is_ahead_is_new() -> None:
    assert fault_words(ShownFault(0, "X", 9_000), 1_000, words("en")) == "X (for 0 s)"

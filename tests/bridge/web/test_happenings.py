"""What a driver's page tells of what happened in his session."""

from __future__ import annotations

import pytest

from agent.machine.events import ConnectorStatus, RefundDecided
from agent.talk.words import LANGUAGES, words
from agent.views import session_view
from bridge.web.sessions import happenings
from tests.agent.machine.examples import T0, after, asked_to_stop, booted, showed, starting


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_operators_word_is_told_without_his_name(language: str) -> None:
    events = [
        RefundDecided(f"decided:{arrived}", T0, 1, arrived, "alice") for arrived in (False, True)
    ]
    view = session_view(after(starting(), asked_to_stop(T0)), "", events)
    lost, arrived = (sentence for _, sentence in happenings(view, words(language)))
    assert lost != arrived
    assert "alice" not in str(view.events)
    if language == "en":
        assert arrived == "The operator confirmed your refund"
        assert "still yours" in lost


def test_preparing_is_not_called_plugged_in() -> None:
    """Some chargers prepare as soon as they are asked to start, as MicroOcpp; others also when a
    car stands there (OCPP 1.6, 7.7)."""
    events = [showed(T0, ConnectorStatus.PREPARING), booted(T0 + 1)]
    view = session_view(starting(), "", events)
    assert happenings(view, words("en")) == [
        (T0, "Getting ready"),
        (T0 + 1, "The charger started anew"),
    ]

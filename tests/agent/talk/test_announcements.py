"""What a driver is told without asking: in every language complete and short, and nothing twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.machine.effects import SendMessage, Topic
from agent.machine.events import Obstacle, StopBy
from agent.ports.site import TimelineEntry
from agent.talk.announcements import FICKLE_MS, announce
from agent.talk.words import LANGUAGES, words
from tests.agent.talk.examples import CLOSED, LINKS, OPEN


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("topic", [topic for topic in Topic if topic is not Topic.RECEIPT])
def test_every_topic_has_its_words(topic: Topic, language: str) -> None:
    view = CLOSED if topic in (Topic.FINISHED, Topic.NOT_STARTED, Topic.REFUND_DUE) else OPEN
    for obstacle in (None, *Obstacle) if topic is Topic.NOT_STARTED else (None,):
        effect = SendMessage(topic, 1_000_000, obstacle)
        text = announce(words(language), effect, view, LINKS)
        assert 0 < len(text) < 600
        assert "None" not in text
        assert "{" not in text
        assert "}" not in text


def test_finished_in_english() -> None:
    text = announce(words("en"), SendMessage(Topic.FINISHED, 3_164_000), CLOSED, LINKS)
    assert text.replace("\N{NO-BREAK SPACE}", " ").splitlines() == [
        "Finished: 6.12 kWh for 1,836 sat. Thank you!",
        "3,164 sat are still yours.",
        "Take it with your wallet:",
        LINKS.refund_lnurl,
        "or say: refund you@wallet.com",
    ]


def test_plug_in_in_german() -> None:
    text = announce(words("de"), SendMessage(Topic.PLUG_IN, 5_000_000), OPEN, LINKS)
    assert text.replace("\N{NO-BREAK SPACE}", " ").splitlines() == [
        "5.000 sat erhalten, danke!",
        "Bitte innerhalb von 2 min an Anschluss 2 einstecken. Das Laden beginnt von selbst.",
        "Ist bis dahin nichts eingesteckt, kommt alles zurück.",
        f"Verfolgen, beenden, aufladen: {LINKS.page_url}",
    ]


def test_who_asked_for_the_stop_is_not_told_twice() -> None:
    def told(*events: TimelineEntry, energy_wh: int = 10) -> str:
        view = replace(OPEN, events=events, energy_wh=energy_wh)
        return announce(words("en"), SendMessage(Topic.STOPPING), view, LINKS)

    paid = TimelineEntry(0, "PaymentSettled", {})
    assert told(paid, TimelineEntry(1, "StopRequested", {"by": StopBy.DRIVER})) == ""
    assert "operator" in told(paid, TimelineEntry(1, "StopRequested", {"by": StopBy.OPERATOR}))
    assert "used up" in told(paid)
    assert "No power" in told(paid, energy_wh=0)


def test_a_car_that_pauses_all_the_time_is_told_of_once() -> None:
    def told(topic: Topic, *pauses_at_ms: int) -> str:
        events = [
            TimelineEntry(at_ms, "ConnectorStatusChanged", {"status": "SuspendedEV"})
            for at_ms in pauses_at_ms
        ]
        view = replace(OPEN, events=tuple(events))
        return announce(words("en"), SendMessage(topic), view, LINKS)

    assert "Paused" in told(Topic.SUSPENDED, 0)
    assert "goes on" in told(Topic.RESUMED, 0)
    assert told(Topic.SUSPENDED, 0, 60_000) == told(Topic.RESUMED, 0, 60_000) == ""
    assert "Paused" in told(Topic.SUSPENDED, 0, 60_000, 60_000 + FICKLE_MS)

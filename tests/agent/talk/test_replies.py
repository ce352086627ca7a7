"""What is said: in every language complete, short, and without a gap."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources

import pytest

from agent.machine.events import ConnectorStatus
from agent.machine.refund import RefundState
from agent.ports.site import RefundView
from agent.receipts import Seller, receipt_of
from agent.talk import replies
from agent.talk.commands import Unknown, parse
from agent.talk.words import LANGUAGES, words
from tests.agent.machine.examples import HOUR, SAT, T0, after, charging, ended
from tests.agent.talk.examples import CLOSED, LINKS, OPEN


def test_the_money_is_told_as_it_stands() -> None:
    english = words("en")
    sending = replace(CLOSED, refunds=(RefundView(1, RefundState.SENDING, 3_164_000),))
    assert "on their way" in replies.money_back(english, sending, LINKS)
    paid = replace(CLOSED, owed_msat=0, refunded_msat=3_164_000, refunds=())
    assert "came back" in replies.money_back(english, paid, LINKS)
    used = replace(CLOSED, owed_msat=0, refunds=())
    assert "everything was used" in replies.money_back(english, used, LINKS)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_receipt_adds_up_on_paper(language: str) -> None:
    session = after(charging(5_000 * SAT), ended(T0 + HOUR, 46_120))
    receipt = receipt_of(session, (), Seller("CP001", "Old Mill"))
    assert receipt is not None
    text = replies.receipt(words(language), receipt, "{signed}")
    for figure in (1_836_000, 5_000_000, 3_164_000):
        assert words(language).sat(figure) in text
    assert text.splitlines()[-1] == "{signed}"
    assert LINKS.page_url not in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_help_teaches_words_that_are_understood(language: str) -> None:
    spoken = words(language)
    taught = spoken("dm.help", name="Old Mill", amount=5000).splitlines()[1:-1]
    for line in taught:
        for phrase in line.partition(" (")[0].split(", "):
            assert parse(phrase).command != Unknown(), phrase
    for phrase in spoken("dm.help_operator").partition(": ")[2].split(", "):
        assert parse(phrase).command != Unknown(), phrase


@pytest.mark.parametrize("language", LANGUAGES)
def test_catalogues_have_the_same_message_keys_and_gaps(language: str) -> None:
    def catalogue(name: str) -> dict[str, str]:
        text = resources.files("agent.talk.words").joinpath(f"{name}.json").read_text("utf-8")
        return json.loads(text)

    def gaps(text: str) -> set[str]:
        return {piece.partition("}")[0] for piece in text.split("{")[1:]}

    english = {k: gaps(v) for k, v in catalogue("en").items() if k.startswith("dm.")}
    other = {k: gaps(v) for k, v in catalogue(language).items() if k.startswith("dm.")}
    assert other == english


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_status_says_what_hinders_the_charge(language: str) -> None:
    """MicroOcpp with a fault, and with its network gone: it was said to charge with 0 kW."""
    said = words(language)

    def status(state: str, status: ConnectorStatus | None) -> str:
        view = replace(OPEN, state=state, status=status)
        return replies.own_status(said, view, LINKS, view.opened_at_ms)

    assert status("CHARGING", ConnectorStatus.CHARGING) == status("CHARGING", None)
    offline = status("CHARGING", ConnectorStatus.OFFLINE)
    assert said("hindrance.offline") in offline
    assert offline.replace(said("hindrance.offline") + "\n", "") == status("CHARGING", None)
    faulted = status("CHARGING", ConnectorStatus.FAULTED)
    assert said("hindrance.faulted") in faulted
    assert faulted.splitlines()[0] == status("SUSPENDED", None).splitlines()[0]
    assert said("hindrance.suspended_evse") in status("SUSPENDED", ConnectorStatus.SUSPENDED_EVSE)
    assert said("hindrance.offline_start") in status("STARTING", ConnectorStatus.OFFLINE)
    assert said("obstacle.faulted") in status("STARTING", ConnectorStatus.FAULTED)
    assert status("STARTING", ConnectorStatus.SUSPENDED_EV) == status("STARTING", None)

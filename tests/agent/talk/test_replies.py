"""What is said: in every language complete, short, and without a gap."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources

import pytest

from agent.links import links_of
from agent.machine.effects import SendMessage, Topic
from agent.machine.events import ConnectorStatus, Obstacle, StopBy
from agent.machine.refund import RefundState
from agent.ports.site import RefundView, SessionView, TimelineEntry
from agent.receipts import Seller, receipt_of
from agent.talk import replies
from agent.talk.commands import Unknown, parse
from agent.talk.words import LANGUAGES, words
from agent.tariff.model import Tariff, Usage, bill
from tests.agent.machine.examples import HOUR, SAT, T0, after, charging, ended

LINKS = links_of("https://charge.example.com", "CP001", "s3cr3t-s3cr3t-s3cr3t")
TARIFF = Tariff("day", 300_000, idle_per_minute_msat=10_000, idle_grace_ms=600_000)
OPEN = SessionView(
    id="3f9ac1d200b47e11",
    secret="s3cr3t-s3cr3t-s3cr3t",
    state="CHARGING",
    charge_point="CP001",
    connector=2,
    energy_wh=6_120,
    power_w=11_000,
    held_msat=0,
    paid_msat=5_000_000,
    cost_msat=1_836_000,
    credit_msat=3_164_000,
    owed_msat=0,
    refunded_msat=0,
    rounding_msat=0,
    refunds=(),
    bill=bill(TARIFF, Usage(6_120, 2_000_000, 900_000)).lines,
    tariff=TARIFF,
    opened_at_ms=1_800_000_000_000,
    start_deadline_ms=1_800_000_120_000,
    started_at_ms=1_800_000_030_000,
    closed_at_ms=None,
    credit_ends_at_ms=1_800_003_600_000,
    obstacle=None,
    payment_hashes=("ab" * 32,),
    events=(),
)
CLOSED = replace(
    OPEN,
    state="CLOSED",
    closed_at_ms=1_800_002_000_000,
    owed_msat=3_164_000,
    refunds=(RefundView(1, RefundState.DUE, 3_164_000),),
)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("topic", [topic for topic in Topic if topic is not Topic.RECEIPT])
def test_every_topic_has_its_words(topic: Topic, language: str) -> None:
    view = CLOSED if topic in (Topic.FINISHED, Topic.NOT_STARTED, Topic.REFUND_DUE) else OPEN
    for obstacle in (None, *Obstacle) if topic is Topic.NOT_STARTED else (None,):
        effect = SendMessage(topic, 1_000_000, obstacle)
        text = replies.announce(words(language), effect, view, LINKS)
        assert 0 < len(text) < 600
        assert "None" not in text
        assert "{" not in text
        assert "}" not in text


def test_finished_in_english() -> None:
    text = replies.announce(words("en"), SendMessage(Topic.FINISHED, 3_164_000), CLOSED, LINKS)
    assert text.replace("\N{NO-BREAK SPACE}", " ").splitlines() == [
        "Finished: 6.12 kWh for 1,836 sat. Thank you!",
        "3,164 sat are still yours.",
        "Take it with your wallet:",
        LINKS.refund_lnurl,
        "or say: refund you@wallet.com",
    ]


def test_plug_in_in_german() -> None:
    text = replies.announce(words("de"), SendMessage(Topic.PLUG_IN, 5_000_000), OPEN, LINKS)
    assert text.replace("\N{NO-BREAK SPACE}", " ").splitlines() == [
        "5.000 sat erhalten, danke!",
        "Bitte innerhalb von 2 min an Anschluss 2 einstecken. Das Laden beginnt von selbst.",
        "Ist bis dahin nichts eingesteckt, kommt alles zurück.",
        f"Verfolgen, beenden, aufladen: {LINKS.page_url}",
    ]


def test_who_asked_for_the_stop_is_not_told_twice() -> None:
    def told(*events: TimelineEntry, energy_wh: int = 10) -> str:
        view = replace(OPEN, events=events, energy_wh=energy_wh)
        return replies.announce(words("en"), SendMessage(Topic.STOPPING), view, LINKS)

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
        return replies.announce(words("en"), SendMessage(topic), view, LINKS)

    assert "Paused" in told(Topic.SUSPENDED, 0)
    assert "goes on" in told(Topic.RESUMED, 0)
    assert told(Topic.SUSPENDED, 0, 60_000) == told(Topic.RESUMED, 0, 60_000) == ""
    assert "Paused" in told(Topic.SUSPENDED, 0, 60_000, 60_000 + replies.FICKLE_MS)


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

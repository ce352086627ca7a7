"""What drivers and operators write, and what is understood."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agent.talk.commands import (
    Command,
    Disable,
    Enable,
    Help,
    ListSessions,
    Price,
    Receipt,
    Refund,
    Reset,
    SetTariff,
    Start,
    Status,
    Stop,
    StopAt,
    TopUp,
    Unknown,
    Unlock,
    parse,
)
from agent.talk.utterance import MOST_CHARACTERS
from agent.talk.vocabulary import PHRASES, Role, fold

INVOICE = "lnbc6700n1p" + "q" * 200
LNURL = "lnurl1dp68gurn8ghj7arpwejhgtnrdakj7mrww4exctmsv9usxrg8zt"

PHRASEBOOK: list[tuple[str, Command, str]] = [
    # Contract words
    ("help", Help(), ""),
    ("price", Price(), ""),
    ("status", Status(), ""),
    ("start 5000", Start(5000), ""),
    ("start 5000 2", Start(5000, 2), ""),
    ("stop", Stop(), ""),
    ("topup 2000", TopUp(2000), ""),
    ("refund bob@wallet.com", Refund("bob@wallet.com"), ""),
    (f"refund {LNURL}", Refund(LNURL), ""),
    (f"refund {INVOICE}", Refund(INVOICE), ""),
    ("receipt", Receipt(), ""),
    ("sessions", ListSessions(), ""),
    ("stop CP001", StopAt("CP001"), ""),
    ("stop 3f9ac1d200b47e11", StopAt("3f9ac1d200b47e11"), ""),
    ("reset", Reset(), ""),
    ("unlock", Unlock(), ""),
    ("enable", Enable(), ""),
    ("disable", Disable(), ""),
    ("tariff night", SetTariff("night"), ""),
    # English
    ("STOP!!!", Stop(), ""),
    ("please stop now, thanks!", Stop(), "en"),
    ("Can you please stop charging?", Stop(), "en"),
    ("I want to stop", Stop(), "en"),
    ("I have to stop now", Stop(), "en"),
    ("stop the charge", Stop(), "en"),
    ("stop my session please", Stop(), "en"),
    ("end charging", Stop(), "en"),
    ("End the session", Stop(), "en"),
    ("cancel", Stop(), "en"),
    ("please finish charging now", Stop(), "en"),
    ("No, stop!", Stop(), "en"),
    ("please stop, my wife is waiting", Stop(), "en"),
    ("stop and give me my money back", Stop(), "en"),
    ("stop and send me the receipt", Stop(), "en"),
    ("stop and refund to bob@wallet.com", Stop(), "en"),
    ("halt", Stop(), ""),
    ("emergency stop", Stop(), ""),
    ("stop connector 2", StopAt("2"), ""),
    ("stop 2", StopAt("2"), ""),
    ("stop session 3f9ac1d200b47e11 please", StopAt("3f9ac1d200b47e11"), "en"),
    ("stop westwall", StopAt("westwall"), ""),
    ("could you charge for 5000 sats on connector 2?", Start(5000, 2), "en"),
    ("charge my car", Start(), "en"),
    ("start", Start(), ""),
    ("Charge 5k", Start(5000), "en"),
    ("charge for 5,000 sats", Start(5000), "en"),
    ("I would like to charge my car for 10.000 sats please", Start(10_000), "en"),
    ("charge 2.5k sats", Start(2500), "en"),
    ("start charging with 500 sats at plug 1", Start(500, 1), "en"),
    ("begin with 1000 satoshis", Start(1000), "en"),
    ("start #2 5000", Start(5000, 2), ""),
    ("5000 sats, connector 1, charge", Start(5000, 1), "en"),
    ("start 5000 on the second connector", Start(5000, 2), "en"),
    ("start 1 000 000 sats", Start(1_000_000), ""),
    ("start 5'000", Start(5000), ""),
    ("start 5000sats", Start(5000), ""),
    ("start 12 thousand sats", Start(12_000), ""),
    ("charge to 80%", Start(), "en"),
    ("charge 10 kWh", Start(), "en"),
    ("charge for 5 euros", Start(), "en"),
    ("Hi, charge for 3000 sats", Start(3000), "en"),
    ("top up 5k", TopUp(5000), "en"),
    ("please top it up with 2,000 sats", TopUp(2000), "en"),
    ("top-up", TopUp(), "en"),
    ("add 1000 sats", TopUp(1000), "en"),
    ("top my session up", TopUp(), "en"),
    ("add credit 500", TopUp(500), "en"),
    ("how much is it?", Price(), "en"),
    ("What does it cost to charge here?", Price(), "en"),
    ("prices", Price(), "en"),
    ("what's your rate?", Price(), "en"),
    ("is it free of charge?", Price(), "en"),
    ("what is the tariff?", Price(), "en"),
    ("tariff", Price(), ""),
    ("are you free?", Status(), "en"),
    ("is it charging?", Status(), "en"),
    ("how long will it take?", Status(), "en"),
    ("how much is left?", Status(), "en"),
    ("how much have I used so far?", Status(), "en"),
    ("can I charge here?", Status(), "en"),
    ("Hello, what's the status of my charge?", Status(), "en"),
    ("balance", Status(), "en"),
    ("refund", Refund(), ""),
    ("where is my refund?", Refund(), "en"),
    ("I want my money back", Refund(), "en"),
    ("give me my money back", Refund(), "en"),
    ("give me my sats back", Refund(), "en"),
    ("is it done?", Status(), "en"),
    ("bist du schon fertig?", Status(), "de"),
    ("send the rest to bob@wallet.com please", Refund("bob@wallet.com"), "en"),
    (f"withdraw to {LNURL.upper()}", Refund(LNURL), "en"),
    (f"lightning:{INVOICE}", Refund(INVOICE), ""),
    ("refund to Bob@Wallet.com.", Refund("bob@wallet.com"), "en"),
    ("refund to driver@127.0.0.1:8080", Refund("driver@127.0.0.1:8080"), "en"),
    (f"refund https://pay.example.com/x?lightning={LNURL}", Refund(LNURL), ""),
    ("send me a receipt", Receipt(), "en"),
    ("Could I get the bill, please?", Receipt(), "en"),
    ("hello", Help(), "en"),
    ("?", Help(), ""),
    ("how do I stop?", Help(), "en"),
    ("how do I start?", Help(), "en"),
    ("how can I top up?", Help(), "en"),
    ("please reset the charger", Reset(), "en"),
    ("unlock connector 2", Unlock(2), ""),
    ("unlock 2", Unlock(2), ""),
    ("switch it off", Disable(), "en"),
    ("turn on", Enable(), "en"),
    ("set tariff to night", SetTariff("night"), "en"),
    ("change the tariff to day2", SetTariff("day2"), "en"),
    ("show sessions", ListSessions(), "en"),
    # German
    ("Stopp", Stop(), "de"),
    ("bitte anhalten", Stop(), "de"),
    ("Bitte stoppe das Laden", Stop(), "de"),
    ("Kannst du das Laden beenden?", Stop(), "de"),
    ("Ich will stoppen", Stop(), "de"),
    ("Ich möchte das Laden jetzt abbrechen", Stop(), "de"),
    ("hör auf", Stop(), "de"),
    ("Hör bitte auf!", Stop(), "de"),
    ("brich das Laden ab", Stop(), "de"),
    ("halte bitte an", Stop(), "de"),
    ("Nein, stopp!", Stop(), "de"),
    ("Ladevorgang beenden", Stop(), "de"),
    ("Stopp und Geld zurück", Stop(), "de"),
    ("stoppe CP001", StopAt("CP001"), "de"),
    ("laden 5000", Start(5000), "de"),
    ("laden 5.000", Start(5000), "de"),
    ("Lade mein Auto für 5 000 sats an Anschluss 2", Start(5000, 2), "de"),
    ("Kannst du für 2,5k sats laden?", Start(2500), "de"),
    ("Bitte aufladen für 3000 Sats", Start(3000), "de"),
    ("lade das Auto auf", Start(), "de"),
    ("Ich möchte laden", Start(), "de"),
    ("starte mit 10 tausend sats am zweiten Anschluss", Start(10_000, 2), "de"),
    ("Lade bitte 1.000,00 sats", Start(1000), "de"),
    ("Hallo, bitte für 5000 sats laden", Start(5000), "de"),
    ("Guthaben aufladen 2k", TopUp(2000), "de"),
    ("Guthaben 5000", TopUp(5000), "de"),
    ("bitte um 2000 aufstocken", TopUp(2000), "de"),
    ("Guthaben aufladen", TopUp(), "de"),
    ("lade 500 nach", TopUp(500), "de"),
    ("Guthaben?", Status(), "de"),
    ("Wie viel Guthaben habe ich noch?", Status(), "de"),
    ("Was kostet das?", Price(), "de"),
    ("was kostet laden hier", Price(), "de"),
    ("Preis", Price(), "de"),
    ("Wie teuer ist der Strom?", Price(), "de"),
    ("Tarif?", Price(), "de"),
    ("Wie weit bist du?", Status(), "de"),
    ("Ist noch was frei?", Status(), "de"),
    ("lädt es noch?", Status(), "de"),
    ("Kann ich hier laden?", Status(), "de"),
    ("Rückerstattung an bob@wallet.com", Refund("bob@wallet.com"), "de"),
    ("erstatte bitte an bob@wallet.com", Refund("bob@wallet.com"), "de"),
    ("Rueckerstattung", Refund(), "de"),
    ("zahle den Rest bitte aus", Refund(), "de"),
    ("Wo ist mein Geld?", Refund(), "de"),
    (f"schick den Rest an {LNURL}", Refund(LNURL), "de"),
    ("Quittung bitte", Receipt(), "de"),
    ("Ich brauche eine Rechnung", Receipt(), "de"),
    ("Hilfe", Help(), "de"),
    ("Wie kann ich das Laden stoppen?", Help(), "de"),
    ("Neustart", Reset(), "de"),
    ("Kabel entriegeln", Unlock(), "de"),
    ("schalte die Säule aus", Disable(), "de"),
    ("bitte einschalten", Enable(), "de"),
    ("Tarif nacht", SetTariff("nacht"), "de"),
    ("stelle den Tarif auf nacht", SetTariff("nacht"), "de"),
    ("Sitzungen", ListSessions(), "de"),
]

TRAPS = [
    "",
    " \n ",
    "5000",
    "2",
    "5k sats",
    "don't stop",
    "Don’t stop!",
    "do not stop",
    "please don't stop now",
    "never stop",
    "don't ever, ever stop",
    "please don't you dare stop",
    "never, under any circumstances, stop",
    "no stop",
    "stop? no!",
    "stop... not!",
    "stop, just kidding",
    "Stop! No, wait!",
    "stop, or rather don't",
    "why did you stop?",
    "did it stop",
    "when will you stop",
    "will you stop",
    "should I stop",
    "can I stop",
    "if I stop, what happens",
    "stop when full",
    "stop at 80%",
    "stop in 5 minutes",
    "stop at 17:30",
    "stop after 5000 sats",
    "stop 5000 sats",
    "stop later",
    "charge until I say stop",
    "start or stop",
    "don't charge",
    "don't start 5000",
    "start -5000",
    "start 1,5",
    "start 5000 or 6000",
    "start 2 5000",
    "start 99999999999999999999",
    "non-stop charging, great",
    "nonstop",
    "unstoppable",
    "I'll stop by tomorrow",
    "where is the next bus stop",
    "the stop",
    'type "stop" to end',
    "> stop",
    "https://example.com/stop",
    "stop cp001 cp002",
    "nicht stoppen",
    "bitte nicht stoppen!",
    "stopp nicht",
    "nein, nicht stoppen",
    "niemals anhalten",
    "ohne zu stoppen",
    "kein Stopp",
    "stoppen, wenn voll",
    "stopp um 17 Uhr",
    "stopp in 10 Minuten",
    "warum hast du angehalten? stopp?? warte",
    "hört nie auf",
    "das ist halt so",
    "schreib stopp zum Beenden",
    "der nächste Halt ist Berlin",
    "bob@wallet.com and eve@wallet.com refund",
    "don't refund to bob@wallet.com",
    "my mail is bob@wallet.com",
    "refund 500 to bob@wallet.com",
    "start 5000 refund bob@wallet.com",
    "do not reset",
    "don't unlock",
    "nicht abschalten",
    "should I disable it",
    "reset and unlock",
    "don't change the tariff to night",
    "lorem ipsum dolor sit amet",
    "thanks",
    "x" * 50_000,
    "stop " * 1000,
    "stop" + " please" * 70,
]


@pytest.mark.parametrize(("text", "command", "language"), PHRASEBOOK)
def test_phrasebook(text: str, command: Command, language: str) -> None:
    spoken = parse(text)
    assert spoken.command == command
    assert spoken.language == language


@pytest.mark.parametrize("text", TRAPS, ids=lambda text: text[:40])
def test_what_is_not_clear_is_unknown(text: str) -> None:
    assert parse(text).command == Unknown()


@pytest.mark.parametrize(("text", "command", "language"), PHRASEBOOK)
def test_case_and_courtesies_do_not_matter(text: str, command: Command, language: str) -> None:
    if not isinstance(command, StopAt | SetTariff) and "127.0.0.1" not in text:
        assert parse(f"  {text.upper()}  ").command == command
    assert parse(f"{text}\n[//]: # (nip18)").command == command


STOP_WORDS = {
    " ".join(phrase.words)
    for phrases in PHRASES.values()
    for phrase in phrases
    if Role.STOP in phrase.roles.values()
}
WORDS = sorted({" ".join(p.words) for phrases in PHRASES.values() for p in phrases})
SPOKEN = st.lists(
    st.sampled_from([*WORDS, "5000", "2", "CP001", ",", ".", "!", "?", "\n", "bob@wallet.com"]),
    max_size=8,
).map(" ".join)


@given(st.text(max_size=300) | SPOKEN)
@example("\N{ZERO WIDTH SPACE}st\N{ZERO WIDTH SPACE}op")
@example("١٢٣ start ٥٠٠٠")
@example("start 5²")
def test_nothing_raises_and_nothing_stops_without_a_stop_word(text: str) -> None:
    spoken = parse(text)
    assert spoken.language in ("", "en", "de")
    if isinstance(spoken.command, Stop | StopAt):
        visible = fold("".join(c for c in text if c.isprintable() or c.isspace()))
        assert any(word.split()[0] in visible for word in STOP_WORDS)


NEGATIONS = [("don't", "please"), ("do not", ""), ("never", ""), ("bitte nicht", "jetzt")]


@given(
    st.sampled_from(NEGATIONS),
    st.sampled_from(sorted(STOP_WORDS)),
    st.sampled_from(["", "please", "now", "bitte", "the charge", "das laden", "charging"]),
)
def test_negated_stops_do_not_stop(negation: tuple[str, str], word: str, after: str) -> None:
    before, between = negation
    text = f"{before} {between} {word} {after}"
    assert not isinstance(parse(text).command, Stop | StopAt)


@given(st.integers(1, 999_999_999), st.sampled_from([",", ".", " ", "'", ""]))
def test_thousands_marks(amount: int, mark: str) -> None:
    assert parse(f"start {amount:,}".replace(",", mark)).command == Start(amount)


@given(st.text(min_size=1, max_size=20))
def test_too_long_is_unknown(text: str) -> None:
    assert parse(text * (MOST_CHARACTERS + 1)).command == Unknown()

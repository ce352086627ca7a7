from __future__ import annotations

import json

import pytest
from nostr_sdk import Nip44Version, PublicKey, nip04_encrypt, nip44_encrypt

from nips.dms import (
    KIND_GIFT_WRAP,
    MAX_TEXT_CHARS,
    WRAP_BACKDATING_S,
    DmProtocol,
    compose_message,
    read_message,
    write_message,
)
from nips.errors import InvalidMessage
from nips.event import NostrEvent, event_id
from nips.identity import Identity
from tests.nips.support import NOW_S, key_of, now_s

CHARGER = key_of("charger")
DRIVER = key_of("driver")
MALLORY = key_of("mallory")
THROWAWAY = key_of("throwaway")
BOTH: list[DmProtocol] = ["nip04", "nip17"]


@pytest.mark.parametrize("protocol", BOTH)
@pytest.mark.parametrize("text", ["stop", "Grüße ⚡ 充電", "x" * 5000])
def test_a_message_is_read_by_its_recipient(protocol: DmProtocol, text: str) -> None:
    event = write_message(DRIVER, CHARGER.pubkey, text, protocol, NOW_S)
    message = read_message(CHARGER, NostrEvent.parse(event.to_json()))
    assert message.text == text
    assert message.sender == DRIVER.pubkey
    assert message.sent_at == NOW_S
    assert message.protocol == protocol


def test_a_gift_wrap_shows_neither_sender_nor_time() -> None:
    event = write_message(DRIVER, CHARGER.pubkey, "stop", "nip17", NOW_S)
    assert event.kind == KIND_GIFT_WRAP
    assert event.pubkey != DRIVER.pubkey
    assert DRIVER.pubkey not in event.to_json()
    assert now_s() - WRAP_BACKDATING_S - 60 <= event.created_at <= now_s() + 60


def test_the_same_message_wrapped_twice_has_one_id() -> None:
    one, two = (
        write_message(DRIVER, CHARGER.pubkey, "start 1000", "nip17", NOW_S) for _ in range(2)
    )
    assert one.id != two.id
    assert read_message(CHARGER, one).event_id == read_message(CHARGER, two).event_id


@pytest.mark.parametrize("protocol", BOTH)
def test_an_answer_names_the_message_that_it_answers(protocol: DmProtocol) -> None:
    asked = compose_message(DRIVER, CHARGER.pubkey, "status", protocol, NOW_S)
    heard = read_message(CHARGER, asked.event)
    assert (heard.event_id, heard.answers) == (asked.message_id, "")
    answer = write_message(CHARGER, DRIVER.pubkey, "free", protocol, NOW_S, answers=heard.event_id)
    assert read_message(DRIVER, answer).answers == asked.message_id
    assert ("e" in [tag[0] for tag in answer.tags]) == (protocol == "nip04")


@pytest.mark.parametrize(
    ("tags", "answers"),
    [
        ([["e"]], ""),
        ([["e", ""]], ""),
        ([["e", "x" * 64]], ""),
        ([[], ["e", "ab" * 32, "wss://relay.example.com", "reply"]], "ab" * 32),
        ([["e", "ab" * 32, "", "root"], ["e", "cd" * 32, "", "reply"]], "cd" * 32),
    ],
)
def test_how_others_name_what_they_answer(tags: list[list[str]], answers: str) -> None:
    message = read_message(CHARGER, wrapped(sealed(rumor(tags=tags))))
    assert (message.text, message.answers) == ("stop", answers)


@pytest.mark.parametrize("protocol", BOTH)
def test_nobody_else_reads_it(protocol: DmProtocol) -> None:
    event = write_message(DRIVER, CHARGER.pubkey, "stop", protocol, NOW_S)
    with pytest.raises(InvalidMessage):
        read_message(MALLORY, event)


def test_the_mark_of_some_clients_is_stripped() -> None:
    text = "stop\n\n[//]: # (nip18)"
    event = write_message(DRIVER, CHARGER.pubkey, text, "nip04", NOW_S)
    assert read_message(CHARGER, event).text == "stop"


def encrypted(sender: Identity, text: str) -> str:
    return nip44_encrypt(
        sender.keys.secret_key(), PublicKey.parse(CHARGER.pubkey), text, Nip44Version.V2
    )


def wrapped(seal_json: str) -> NostrEvent:
    return THROWAWAY.sign(
        KIND_GIFT_WRAP, encrypted(THROWAWAY, seal_json), [["p", CHARGER.pubkey]], NOW_S
    )


def rumor(**changes: object) -> dict[str, object]:
    fields: dict[str, object] = {
        "pubkey": DRIVER.pubkey,
        "created_at": NOW_S,
        "kind": 14,
        "tags": [["p", CHARGER.pubkey]],
        "content": "stop",
    }
    return fields | changes


def sealed(inside: object, sealer: Identity = DRIVER, kind: int = 13) -> str:
    text = inside if isinstance(inside, str) else json.dumps(inside)
    return sealer.sign(kind, encrypted(sealer, text), [], NOW_S).to_json()


def test_a_hand_made_wrap_is_read() -> None:
    message = read_message(CHARGER, wrapped(sealed(rumor())))
    assert message.text == "stop"
    expected = event_id(DRIVER.pubkey, NOW_S, 14, (("p", CHARGER.pubkey),), "stop")
    assert message.event_id == expected
    assert read_message(CHARGER, wrapped(sealed(rumor(id=expected)))).event_id == expected
    assert read_message(CHARGER, wrapped(sealed(rumor(tags=[])))).text == "stop"


@pytest.mark.parametrize(
    ("wrap", "reason"),
    [
        (wrapped(sealed(rumor(), sealer=MALLORY)), "author"),
        (wrapped(sealed(rumor(id="00" * 32))), "id"),
        (wrapped(sealed(rumor(kind=1))), "kind 1"),
        (wrapped(sealed(rumor(tags=[["p", MALLORY.pubkey]]))), "somebody else"),
        (wrapped(sealed(rumor(kind=True))), "not a nostr event"),
        (wrapped(sealed(rumor(created_at="now"))), "not a nostr event"),
        (wrapped(sealed(rumor(pubkey=None))), "not a nostr event"),
        (wrapped(sealed(rumor(tags={}))), "not a nostr event"),
        (wrapped(sealed(rumor(tags=[[1]]))), "not a nostr event"),
        (wrapped(sealed(rumor(tags=[["x"]] * 500))), "not a nostr event"),
        (wrapped(sealed(rumor(content="x" * (MAX_TEXT_CHARS + 1)))), "longer"),
        (wrapped(sealed("[]")), "JSON object"),
        (wrapped(sealed("{")), "JSON"),
        (wrapped(sealed("[" * 30_000)), "JSON"),
        (wrapped(sealed('{"a":' * 8_000)), "JSON"),
        (wrapped(sealed(rumor(), kind=1059)), "instead of a seal"),
        (wrapped(sealed(rumor()).replace('"kind":13', '"kind":14')), "no valid event"),
        (wrapped("[" * 30_000), "no valid event"),
        (wrapped("nothing"), "no valid event"),
        (wrapped(DRIVER.sign(13, "no payload", [], NOW_S).to_json()), "seal cannot"),
        (THROWAWAY.sign(1059, "no payload", [["p", CHARGER.pubkey]], NOW_S), "wrap cannot"),
        (THROWAWAY.sign(1059, "A" * 140_000, [["p", CHARGER.pubkey]], NOW_S), "too large"),
        (THROWAWAY.sign(1059, "A", [["p", MALLORY.pubkey]], NOW_S), "not for this"),
        (THROWAWAY.sign(1059, "A", [["p"]], NOW_S), "not for this"),
        (THROWAWAY.sign(1, "A", [["p", CHARGER.pubkey]], NOW_S), "kind 1 "),
        (DRIVER.sign(4, "plain words", [["p", CHARGER.pubkey]], NOW_S), "not encrypted"),
        (DRIVER.sign(4, "QUFB?iv=QUFB", [["p", CHARGER.pubkey]], NOW_S), "decrypted"),
        (DRIVER.sign(4, "A" * 70_000, [["p", CHARGER.pubkey]], NOW_S), "too long"),
        (DRIVER.sign(4, "x", [["p", CHARGER.pubkey]] * 101, NOW_S), "100 tags"),
    ],
)
def test_what_is_no_message_to_us_is_refused(wrap: NostrEvent, reason: str) -> None:
    with pytest.raises(InvalidMessage, match=reason):
        read_message(CHARGER, wrap)


def test_a_wrap_in_a_wrap_in_a_wrap_is_opened_once_only() -> None:
    inside = sealed(rumor())
    for _ in range(3):
        inside = wrapped(inside).to_json()
    with pytest.raises(InvalidMessage, match="1059 instead of a seal"):
        read_message(CHARGER, wrapped(inside))


def test_fifty_kilobytes_by_nip04_are_refused() -> None:
    content = nip04_encrypt(DRIVER.keys.secret_key(), PublicKey.parse(CHARGER.pubkey), "x" * 45_000)
    event = DRIVER.sign(4, content, [["p", CHARGER.pubkey]], NOW_S)
    with pytest.raises(InvalidMessage, match="longer"):
        read_message(CHARGER, event)


@pytest.mark.parametrize("protocol", BOTH)
def test_a_wrong_recipient_is_refused(protocol: DmProtocol) -> None:
    with pytest.raises(InvalidMessage):
        write_message(DRIVER, "nobody", "x", protocol, NOW_S)

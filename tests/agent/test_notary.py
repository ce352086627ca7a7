"""Receipts with a signature, and every way in which one can be wrong."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.notary import KIND_RECEIPT, InvalidReceipt, Notary, pack, read_receipt
from agent.ports.errors import Refused
from nips.identity import Identity
from tests.agent.test_receipts import RECEIPT

KEY = Identity.generate()
SIGNED = Notary({"CP001": KEY}).sign(RECEIPT)


def signed_content(content: str, kind: int = KIND_RECEIPT, session: str = RECEIPT.session) -> str:
    at_s = RECEIPT.as_of_ms // 1000
    return KEY.sign(kind, content, [["d", session]], at_s).to_json()


def test_what_was_signed_is_read() -> None:
    read = read_receipt(SIGNED)
    assert (read.pubkey, read.receipt) == (KEY.pubkey, RECEIPT)
    assert "\n" not in SIGNED


def test_the_same_receipt_has_the_same_id_and_a_later_one_replaces_it() -> None:
    again = json.loads(Notary({"CP001": KEY}).sign(RECEIPT))
    later = json.loads(Notary({"CP001": KEY}).sign(replace(RECEIPT, as_of_ms=2 * RECEIPT.as_of_ms)))
    first = json.loads(SIGNED)
    assert again["id"] == first["id"]
    assert later["tags"] == first["tags"] == [["d", RECEIPT.session]]
    assert later["created_at"] > first["created_at"]


def test_a_packed_receipt_is_one_short_word() -> None:
    word = pack(SIGNED)
    assert len(word) < 700
    assert " " not in word
    assert read_receipt(f"Receipt: Old Mill {{west}}\nCost: 3 sat\n{word}\n").receipt == RECEIPT
    other = word[:100] + ("A" if word[100] != "A" else "B") + word[101:]
    for changed in (word[:-9], other, word[:40] + word[60:], word[:20]):
        with pytest.raises(InvalidReceipt):
            read_receipt(changed)


def test_a_bomb_is_not_unpacked() -> None:
    with pytest.raises(InvalidReceipt, match="too long"):
        read_receipt(pack("{" + "a" * 50_000_000 + "}"))


def test_the_words_of_its_message_may_stand_around_it() -> None:
    assert read_receipt(f"Receipt: Old Mill\nCost: 3 sat\n{SIGNED}\n").receipt == RECEIPT


@given(st.integers(0, len(SIGNED) - 1), st.characters(codec="ascii"))
def test_a_changed_byte_is_refused_or_changes_nothing(place: int, character: str) -> None:
    changed = SIGNED[:place] + character + SIGNED[place + 1 :]
    with contextlib.suppress(InvalidReceipt):
        read = read_receipt(changed)
        assert (read.pubkey, read.receipt) == (KEY.pubkey, RECEIPT)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no signed receipt"),
        ("thank you", "no signed receipt"),
        ("}{", "no signed receipt"),
        ("{}", "changed, or never signed"),
        (SIGNED.replace("Old Mill", "New Mill"), "changed, or never signed"),
        ("{" + "a" * 200_000 + "}", "too long"),
        ('{"content":' + "[" * 50_000 + "}", "changed, or never signed"),
        (signed_content("hello", kind=1), "kind 1, not a receipt"),
        (signed_content("hello"), "not a receipt"),
        (signed_content("[" * 50_000), "not a receipt"),
        (signed_content("{}"), "not a receipt"),
    ],
)
def test_what_is_no_receipt_gets_a_sentence(text: str, why: str) -> None:
    with pytest.raises(InvalidReceipt, match=why):
        read_receipt(text)


def test_a_signature_does_not_make_wrong_sums_right() -> None:
    wrong = msgspec.json.encode(replace(RECEIPT, cost_msat=0)).decode()
    with pytest.raises(InvalidReceipt, match="does not add up"):
        read_receipt(signed_content(wrong))


def test_a_fraction_of_a_millisatoshi_is_no_amount() -> None:
    content = msgspec.json.encode(RECEIPT).decode()
    fraction = content.replace(f'"cost_msat":{RECEIPT.cost_msat}', '"cost_msat":1.5')
    with pytest.raises(InvalidReceipt, match="not a receipt"):
        read_receipt(signed_content(fraction))


def test_another_session_or_form_is_refused() -> None:
    content = msgspec.json.encode(RECEIPT).decode()
    with pytest.raises(InvalidReceipt, match="session and time"):
        read_receipt(signed_content(content, session="another"))
    newer = msgspec.json.encode(replace(RECEIPT, version=2)).decode()
    with pytest.raises(InvalidReceipt, match="form 2"):
        read_receipt(signed_content(newer))


def test_without_its_key_nothing_is_signed() -> None:
    with pytest.raises(Refused, match="no key"):
        Notary({}).sign(RECEIPT)

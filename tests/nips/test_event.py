from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nips.errors import InvalidEvent
from nips.event import MAX_EVENT_BYTES, Coordinate, NostrEvent, json_object, next_created_at
from tests.nips.support import NOW_S, key_of

ALICE = key_of("alice")
EVENT = ALICE.sign(1, "hello", [["p", "x"], ["e"], ["p", "y", "z"]], NOW_S)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(
    content=TEXT,
    tags=st.lists(st.lists(TEXT, min_size=1, max_size=4), max_size=4),
    kind=st.integers(0, 65_535),
    created_at=st.integers(0, 2**40),
)
def test_what_is_signed_is_parsed_whole(
    content: str, tags: list[list[str]], kind: int, created_at: int
) -> None:
    event = ALICE.sign(kind, content, tags, created_at)
    assert NostrEvent.parse(event.to_json()) == event


def test_tags_are_found_by_name() -> None:
    assert EVENT.tag("p") == "x"
    assert EVENT.tag("e") == ""
    assert EVENT.tag("a") is None
    assert EVENT.tags_named("p") == (("p", "x"), ("p", "y", "z"))


@pytest.mark.parametrize(
    "changed",
    [
        replace(EVENT, content="other"),
        replace(EVENT, created_at=NOW_S + 1),
        replace(EVENT, kind=2),
        replace(EVENT, tags=()),
        replace(EVENT, pubkey=key_of("bob").pubkey),
        replace(EVENT, sig="0" * 128),
        replace(EVENT, id="0" * 64),
    ],
)
def test_a_forged_event_is_refused(changed: NostrEvent) -> None:
    with pytest.raises(InvalidEvent):
        NostrEvent.parse(changed.to_json())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "[" * 100_000,
        '{"a":' * 50_000,
        "x" * (MAX_EVENT_BYTES + 1),
        EVENT.to_json().replace('"kind":1', '"kind":"1"'),
        EVENT.to_json().replace('"kind":1', '"kind":65536'),
        EVENT.to_json().replace('"kind":1', '"kind":-1'),
        EVENT.to_json().replace('"kind":1', '"kind":1,"kind":1'),
        EVENT.to_json().replace('["e"]', "[]"),
        EVENT.to_json().replace('["e"]', '["e",null]'),
        EVENT.to_json().replace("hello", "\ud800"),
        EVENT.to_json()[:-1],
    ],
)
def test_what_is_no_event_is_refused(text: str) -> None:
    with pytest.raises(InvalidEvent):
        NostrEvent.parse(text)


@given(st.text(max_size=200))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    with pytest.raises(InvalidEvent):
        NostrEvent.parse(text)


def test_signing_refuses_what_is_not_unicode() -> None:
    with pytest.raises(InvalidEvent):
        ALICE.sign(1, "\ud800", [], NOW_S)


def test_an_address_is_parsed_and_written() -> None:
    text = f"30716:{ALICE.pubkey}:CP001:1"
    assert Coordinate.parse(text) == Coordinate(30716, ALICE.pubkey, "CP001:1")
    assert str(Coordinate.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "30716", "30716:xyz:d", f"1:{ALICE.pubkey}:", f"70000:{ALICE.pubkey}:d", "x:y:z"],
)
def test_a_wrong_address_is_refused(text: str) -> None:
    with pytest.raises(InvalidEvent):
        Coordinate.parse(text)


def test_versions_are_at_least_a_second_apart() -> None:
    assert next_created_at(100, 90) == 101
    assert next_created_at(100, 100) == 101
    assert next_created_at(100, 200) == 200


@pytest.mark.parametrize("text", ["", "[]", "1", "[" * 100_000, '{"a":' * 100_000, "{"])
def test_a_strangers_json_is_an_object_or_refused(text: str) -> None:
    with pytest.raises(InvalidEvent):
        json_object(text, "it")


def test_extra_fields_do_no_harm() -> None:
    raw = json.loads(EVENT.to_json()) | {"seen": ["wss://relay.example.com"]}
    assert NostrEvent.parse(json.dumps(raw)) == EVENT

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st
from nostr_sdk import Event

from nips import sdk_buffer
from nips.event import NostrEvent
from tests.nips.support import NOW_S, key_of

ALICE = key_of("alice")


def test_it_is_installed_for_the_version_that_is_pinned() -> None:
    assert sdk_buffer.INSTALLED


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=3000))
def test_texts_arrive_as_they_are(text: str) -> None:
    event = ALICE.sign(1, text, [[text, "x"]], NOW_S)
    assert NostrEvent.parse(event.to_json()).content == text


def test_a_large_event_costs_no_time_to_speak_of() -> None:
    raw = ALICE.sign(1, "x" * 60_000, [], NOW_S).to_json()
    began = time.process_time()
    for _ in range(10):
        Event.from_json(raw)
    assert time.process_time() - began < 0.05

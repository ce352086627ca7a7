"""Which readings stay, whatever a session was like and wherever one was interrupted."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.journal.thinning import MOST_OF_A_MOMENT, Row, Thinning
from agent.machine.model import Session
from tests.agent.machine.examples import HOUR, MINUTE, SAT, T0, after, charging, ended, sampled

SESSION = after(
    charging(400 * SAT),
    sampled(T0 + 10 * MINUTE, 41_000),
    sampled(T0 + 11 * MINUTE, 4),
    sampled(T0 + 50 * MINUTE, 400),
    ended(T0 + HOUR, 504),
)
OTHERS = 6

times = st.integers(T0 - MINUTE, T0 + HOUR + MINUTE) | st.sampled_from(
    [T0 + 10 * MINUTE, T0 + 11 * MINUTE, T0 + HOUR]
)
stored = st.lists(times, max_size=80).map(lambda found: list(enumerate(found, start=1)))


def kept(rows: list[Row], session: Session = SESSION, others: int = OTHERS) -> list[Row]:
    gone = set(Thinning(session, others).gone(rows))
    return [row for row in rows if row[0] not in gone]


def test_what_decided_stays_with_the_reading_before() -> None:
    every = [T0 + number * MINUTE for number in range(61)]
    rows = list(enumerate(every, start=1))
    minutes = [(at_ms - T0) // MINUTE for _, at_ms in kept(rows, others=0)]
    # The first, the correction at 11 with the one before it, and the last with that before it.
    assert minutes == [0, 10, 11, 59, 60]
    others = [(at_ms - T0) // MINUTE for _, at_ms in kept(rows)]
    assert set(minutes) < set(others)
    assert len(others) <= len(minutes) + OTHERS
    # Spread over all of it.
    assert max(later - sooner for sooner, later in pairwise(others)) <= 60 // OTHERS


def test_a_moment_that_was_told_over_and_over_does_not_stay_whole() -> None:
    rows = [(number, T0 + 11 * MINUTE) for number in range(1, 100)]
    assert len(kept(rows, others=0)) <= 2 * MOST_OF_A_MOMENT


def test_a_session_that_never_charged_or_ended_at_once() -> None:
    never = replace(SESSION, meter=None, started_at_ms=None)
    assert kept([(1, T0), (2, T0 + 1), (3, T0 + 2)], never, others=0) == [(1, T0), (3, T0 + 2)]
    at_once = replace(SESSION, closed_at_ms=SESSION.started_at_ms)
    assert len(kept([(number, T0 + number) for number in range(50)], at_once)) <= 5
    assert kept([]) == []


@given(stored)
def test_no_more_than_is_meant_to_stay(rows: list[Row]) -> None:
    stay = kept(rows)
    moments = 1 + len(SESSION.meter.past.corrections if SESSION.meter else ())
    assert len(stay) <= OTHERS + 2 + 2 * MOST_OF_A_MOMENT * moments
    if rows:
        assert stay[0] == rows[0]
        assert stay[-1] == rows[-1]


@given(stored, st.lists(st.integers(0, 80), max_size=5))
def test_it_does_not_matter_in_which_pieces_they_come(rows: list[Row], cuts: list[int]) -> None:
    thinning, gone, last = Thinning(SESSION, OTHERS), list[int](), 0
    for cut in [*sorted(cuts), len(rows)]:
        gone += thinning.gone(rows[last:cut])
        last = max(last, min(cut, len(rows)))
    assert [row for row in rows if row[0] not in gone] == kept(rows)


@given(stored, st.integers(0, 80))
def test_who_was_interrupted_chooses_the_same_again(rows: list[Row], done: int) -> None:
    gone = set(Thinning(SESSION, OTHERS).gone(rows[:done]))
    left = [row for row in rows if row[0] not in gone]
    assert kept(left) == kept(rows)


@given(stored)
def test_what_stays_the_second_time_stayed_the_first(rows: list[Row]) -> None:
    once = kept(rows)
    assert kept(once) == once
    assert set(kept(once, others=0)) <= set(once)
    assert kept(once, others=0) == kept(rows, others=0)

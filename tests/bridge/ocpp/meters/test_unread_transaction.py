"""What intervals tell of a transaction of OCPP 1.6, in any order, twice, late or never."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.machine.events import MeterSampled, TransactionStarted, TransactionStopped
from agent.machine.meter import Source
from agent.machine.model import Session
from agent.machine.session import step
from bridge.ocpp.meters.intervals import Interval, Row
from bridge.ocpp.meters.readings import Reading
from bridge.ocpp.meters.unread_transaction import UnreadTransaction
from bridge.ocpp.timestamps import render
from tests.agent.machine.examples import SECOND, T0, starting

BEGAN = T0 + 10 * SECOND


def at(seconds: float, wh: int = 40, row: Row = Row.PERIODIC) -> Interval:
    """An interval that was over so many seconds after the start."""
    return Interval(row, BEGAN + int(seconds * 1000), wh * 1000)


def begun(register_wh: int | None = 0) -> UnreadTransaction:
    return UnreadTransaction.begun(1, register_wh, BEGAN)


CASES: list[tuple[str, list[Interval], int]] = [
    ("one after the other", [at(20), at(40), at(60)], 120),
    ("one of them twice", [at(20), at(40), at(20), at(40), at(60)], 120),
    ("one of them lost", [at(20), at(60)], 80),
    ("one of them late", [at(20), at(60), at(40)], 80),
    ("of before the start", [at(-20), at(0), at(20), at(40)], 80),
    ("that which ran at the start", [at(-5), at(15), at(35)], 40),
    ("without energy", [at(20), at(40, 0), at(60)], 80),
    ("below zero", [at(20), at(40, -40), at(60)], 80),
    ("strokes of the clock", [at(5, row=Row.CLOCK), at(25, row=Row.CLOCK)], 40),
    ("both, the same", [at(20), at(20, row=Row.CLOCK), at(40), at(40, row=Row.CLOCK)], 80),
]


@pytest.mark.parametrize("start_wh", [0, None, 40_000])
@pytest.mark.parametrize(("what", "told", "wh"), CASES, ids=[what for what, _, _ in CASES])
def test_what_is_summed_up(what: str, told: list[Interval], wh: int, start_wh: int | None) -> None:
    del what
    one_by_one = begun(start_wh)
    for one in told:
        one_by_one = one_by_one.after([one])
    _, reading = one_by_one.summed_up([])
    assert reading.register_wh == (start_wh or 0) + wh


def test_nothing_is_counted_without_intervals() -> None:
    assert not begun().tells
    told = begun().after([at(-20)])
    assert (told.tells, told.is_counted) == (True, False)
    assert begun().after([at(20, 0)]).is_counted


def test_its_power_is_that_of_its_moment() -> None:
    told = begun().after([at(20)])
    earlier = Reading(render(BEGAN + 10 * SECOND), None, 7_000)
    now = Reading(render(BEGAN + 20 * SECOND), None, 7_200)
    left, reading = told.summed_up([earlier, now])
    assert left == [earlier]
    assert reading == Reading(render(BEGAN + 20 * SECOND), 40, 7_200)


ASKED: list[tuple[str, list[tuple[Interval, bool]], int]] = [
    ("in between", [(at(20), False), (at(25, 10), True), (at(40), True)], 80),
    ("before the first", [(at(5, 10), True), (at(20), True), (at(40), False)], 40),
    ("as it would be over", [(at(20), False), (at(39, 38), True), (at(40), True)], 78),
    ("more often from then on", [(at(20), False), (at(30, 20), False), (at(40, 20), True)], 80),
]


@pytest.mark.parametrize(("what", "told", "wh"), ASKED, ids=[what for what, _, _ in ASKED])
def test_of_what_was_asked_for_only_whole_intervals_count(
    what: str, told: list[tuple[Interval, bool]], wh: int
) -> None:
    del what
    summed = begun()
    for one, is_asked in told:
        summed = summed.after([one], is_asked=is_asked)
    assert summed.tally.register_wh == wh


def stored(transaction: UnreadTransaction) -> UnreadTransaction:
    """As it is after a restart."""
    return msgspec.json.decode(msgspec.json.encode(transaction), type=UnreadTransaction)


def play(session: Session, transaction: UnreadTransaction) -> Session:
    """The session once the sum was reported."""
    if not transaction.is_counted:
        return session
    until_ms, wh = transaction.tally.until_ms, transaction.tally.register_wh
    sum_of = MeterSampled(f"sum:{until_ms}", until_ms, wh, source=Source.INTERVALS)
    return step(session, sum_of)[0]


DELIVERIES = st.lists(
    st.tuples(
        st.integers(1, 120),  # seconds that it took
        st.integers(0, 300),  # Wh that flowed
        st.lists(st.integers(0, 8), max_size=3),  # delivered so many messages late; never, or often
    ),
    max_size=25,
)


@given(
    st.none() | st.sampled_from([0, 40_000]),
    DELIVERIES,
    st.lists(st.integers(0, 40), max_size=3),
    st.sampled_from(["true", "none", "lifetime"]),
    st.booleans(),
)
def test_no_more_is_billed_than_flowed_in_the_paid_part(
    start_wh: int | None,
    intervals: list[tuple[int, int, list[int]]],
    earlier: list[int],
    stop: str,
    restarts: bool,
) -> None:
    """Whatever is lost, repeated or reordered, with restarts of Strom in between."""
    began = TransactionStarted("began", BEGAN, 7, start_wh, told_at_ms=BEGAN)
    session, _ = step(starting(10**9), began)
    transaction = begun(start_wh)
    at_s, flowed_wh = 0, 0
    messages = [(0, at(-seconds, 9_999)) for seconds in earlier]
    for index, (took_s, wh, delays) in enumerate(intervals):
        at_s += took_s
        flowed_wh += wh
        messages += [(index + delay, at(at_s, wh)) for delay in delays]
    for _, message in sorted(messages, key=lambda one: one[0]):
        transaction = transaction.after([message])
        transaction = stored(transaction) if restarts else transaction
        if message.energy_mwh % 2_000 == 0 or not restarts:
            # Strom may be killed between storing a sum and reporting it.
            session = play(session, transaction)
        assert session.energy_wh <= flowed_wh
    whole_told = all(0 in delays for _, _, delays in intervals) and not earlier
    in_order = all(set(delays) <= {0} for _, _, delays in intervals)
    session = play(session, transaction)
    if whole_told and in_order:
        assert session.energy_wh == flowed_wh
    register_wh = {"true": (start_wh or 0) + flowed_wh, "none": None, "lifetime": 10**10}[stop]
    end = TransactionStopped("ended", BEGAN + at_s * 1000, 7, register_wh)
    closed, _ = step(session, end)
    assert closed.energy_wh <= flowed_wh
    if stop == "true" and start_wh is not None:
        assert closed.energy_wh == flowed_wh

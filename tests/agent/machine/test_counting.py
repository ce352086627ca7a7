"""Energy that is summed up from intervals, and registers that are read meanwhile or at the end."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.journal import codec
from agent.machine.events import MeterSampled, StopBy, TransactionStarted
from agent.machine.evidence import evidence_of
from agent.machine.meter import Source
from agent.machine.metering import possible_wh
from agent.machine.model import Ending, Session, SessionState
from agent.machine.planning import stop_at
from tests.agent.machine.examples import (
    HOUR,
    MINUTE,
    SAT,
    SECOND,
    T0,
    after,
    ended,
    sampled,
    starting,
    waited,
)

BEGAN = T0 + 10 * SECOND
INTERVALS = Source.INTERVALS


def summed(at_ms: int, register_wh: int, power_w: int | None = None) -> MeterSampled:
    """A sum of intervals, as a register."""
    key = f"sum:{at_ms}:{register_wh}"
    return MeterSampled(key, at_ms, register_wh, power_w, source=INTERVALS)


def counting(
    start_wh: int | None, *sums_wh: int, every_ms: int = 10 * MINUTE, sats: int = 5_000
) -> Session:
    """A session that began with a register, and sums since then, one in ten minutes."""
    began = TransactionStarted("began", BEGAN, 7, start_wh, told_at_ms=BEGAN)
    session = after(starting(sats * SAT), began)
    sums = [
        summed(BEGAN + count * every_ms, (start_wh or 0) + sum_wh)
        for count, sum_wh in enumerate(sums_wh, 1)
    ]
    return after(session, *sums)


# register at the start, sums, register at the stop, energy billed, why
STOPS: list[tuple[int | None, list[int], int | None, int, Ending]] = [
    (0, [1_200, 2_400], None, 2_400, Ending.NO_REGISTER),
    (None, [1_200, 2_400], None, 2_400, Ending.NO_REGISTER),
    (40_000, [1_200, 2_400], None, 2_400, Ending.NO_REGISTER),
    # it tells what flowed since the start: less, the same, or what the last interval lacked
    (0, [1_200, 2_400], 2_300, 2_300, Ending.STOPPED),
    (0, [1_200, 2_400], 2_400, 2_400, Ending.STOPPED),
    (0, [1_200, 2_400], 2_900, 2_900, Ending.STOPPED),
    (40_000, [1_200, 2_400], 42_300, 2_300, Ending.STOPPED),
    (40_000, [1_200, 2_400], 42_900, 2_900, Ending.STOPPED),
    (40_000, [1_200, 2_400], 40_000, 0, Ending.STOPPED),
    # from zero while the start was a lifetime's
    (40_000, [1_200, 2_400], 2_300, 2_300, Ending.STOPPED),
    # more than the last interval can have lacked: others were lost on the way
    (0, [1_200], 9_000, 9_000, Ending.STOPPED),
    (40_000, [1_200], 49_000, 9_000, Ending.STOPPED),
    # a lifetime's, and the start was not read
    (0, [1_200, 2_400], 12_345_678, 2_400, Ending.NOT_BELIEVED),
    (None, [1_200, 2_400], 12_345_678, 2_400, Ending.NOT_BELIEVED),
    (None, [1_200, 2_400], 2_900, 2_400, Ending.NOT_BELIEVED),
    (40_000, [1_200, 2_400], 39_000, 2_400, Ending.NOT_BELIEVED),
    # the sum's own figure in kWh
    (0, [1_200, 2_400], 2, 2_400, Ending.NOT_BELIEVED),
    (40_000, [1_200, 2_400], 2, 2_400, Ending.NOT_BELIEVED),
    (40_000, [1_200, 2_400], 42, 2_400, Ending.NOT_BELIEVED),
]


@pytest.mark.parametrize(("start_wh", "sums_wh", "stop_wh", "billed_wh", "ending"), STOPS)
def test_what_is_billed_at_a_stop(
    start_wh: int | None, sums_wh: list[int], stop_wh: int | None, billed_wh: int, ending: Ending
) -> None:
    session = after(counting(start_wh, *sums_wh), ended(BEGAN + HOUR, stop_wh))
    assert (session.energy_wh, session.ending) == (billed_wh, ending)
    evidence = evidence_of(session)
    assert evidence is not None
    assert evidence.adds_up
    decided = Source.STOP if ending is Ending.STOPPED else INTERVALS
    assert evidence.end_source is decided


# register at the start, sums, a register read in between, energy then, a register after it, energy
BETWEEN: list[tuple[int | None, list[int], int, int, int, int]] = [
    (0, [1_200], 1_300, 1_300, 2_000, 2_000),
    (0, [1_200], 1_100, 1_100, 2_000, 2_000),
    (40_000, [1_200], 41_100, 1_100, 42_000, 2_000),
    (40_000, [1_200], 1_100, 1_100, 2_000, 2_000),
    # the meter's own register says nothing of what flowed before it was read
    (0, [1_200], 9_000_000, 1_200, 9_000_500, 1_700),
    (None, [1_200], 9_000_000, 1_200, 9_000_500, 1_700),
    (None, [1_200], 1_300, 1_200, 1_800, 1_700),
    (None, [1_200], 300, 1_200, 1_400, 2_300),
]


@pytest.mark.parametrize(("start_wh", "sums_wh", "wh", "energy_wh", "later_wh", "in_all"), BETWEEN)
def test_a_register_that_is_read_decides_from_then_on(
    start_wh: int | None, sums_wh: list[int], wh: int, energy_wh: int, later_wh: int, in_all: int
) -> None:
    session = after(counting(start_wh, *sums_wh), sampled(BEGAN + 20 * MINUTE, wh))
    assert session.energy_wh == energy_wh
    assert session.plan_power_w >= 0
    closed = after(session, ended(BEGAN + 30 * MINUTE, later_wh))
    assert (closed.energy_wh, closed.ending) == (in_all, Ending.STOPPED)
    evidence = evidence_of(closed)
    assert evidence is not None
    assert evidence.adds_up


def test_a_sum_that_no_connector_can_have_given_is_not_billed() -> None:
    session = counting(0, 1_200, 5_000_000, 5_001_200)
    assert session.energy_wh == 2_400


def test_a_sum_that_was_lost_and_begins_again_is_never_billed_twice() -> None:
    """As where Strom was killed before it had stored the last one."""
    session = counting(0, 1_200, 2_400, 2_000, 3_200)
    assert session.energy_wh <= 3_600


def test_sums_survive_a_restart() -> None:
    session = counting(40_000, 1_200, 2_400)
    stored = codec.decode(codec.encode(session), Session)
    assert stored == session
    assert after(stored, ended(BEGAN + HOUR, 49_000)).energy_wh == 9_000


def test_the_stop_is_planned_by_sums_and_an_outage_is_billed_by_the_last() -> None:
    sats = 1_800
    session = counting(0, 1_000, 2_000, sats=sats)
    # 6 kWh at 6 kW
    assert stop_at(session) == BEGAN + HOUR - session.policy.stop_lead_ms
    stopping = after(session, waited(BEGAN + HOUR))
    assert (stopping.state, stopping.stop_by) == (SessionState.STOPPING, StopBy.CREDIT)
    lost = after(replace(session, offline_since_ms=BEGAN + HOUR), waited(BEGAN + 3 * HOUR))
    assert (lost.energy_wh, lost.ending) == (2_000, Ending.LOST)
    assert lost.cost_msat == 600 * SAT


def test_power_is_not_below_zero_where_a_register_shows_less_than_the_sum() -> None:
    session = after(counting(0, 1_200), sampled(BEGAN + 20 * MINUTE, 700))
    assert (session.energy_wh, session.power_w, session.plan_power_w) == (700, 0, 0)


FLOWS = st.lists(
    st.tuples(st.integers(1, 20 * MINUTE), st.integers(0, 22_000), st.booleans()), max_size=20
)


@given(st.none() | st.just(0) | st.integers(1, 10**8), FLOWS, st.integers(-3_000, 10**8))
def test_no_more_is_billed_than_flowed_and_it_is_explained(
    start_wh: int | None, flows: list[tuple[int, int, bool]], lie_wh: int
) -> None:
    """Intervals of which some are lost, and then a true register, or none, or any."""
    session = counting(start_wh)
    at_ms, flowed_mw_ms, told_wh = BEGAN, 0, 0
    for took_ms, power_w, heard in flows:
        at_ms += took_ms
        gained_wh = (flowed_mw_ms + power_w * took_ms) // HOUR - flowed_mw_ms // HOUR
        flowed_mw_ms += power_w * took_ms
        if heard:
            told_wh += gained_wh
            session = after(session, summed(at_ms, (start_wh or 0) + told_wh))
        assert session.energy_wh <= told_wh
    true_wh = flowed_mw_ms // HOUR
    untold = after(session, ended(at_ms, None))
    assert untold.energy_wh <= told_wh <= true_wh
    told = after(session, ended(at_ms, None if start_wh is None else start_wh + true_wh))
    assert told.energy_wh <= true_wh
    if start_wh is not None and told.ending is Ending.STOPPED:
        assert told.energy_wh == true_wh
    lied = after(session, ended(at_ms, max(0, (start_wh or 0) + lie_wh)))
    for one in (untold, told, lied):
        evidence = evidence_of(one)
        assert evidence is None or evidence.adds_up
        assert one.energy_wh <= possible_wh(at_ms - BEGAN, one.max_power_w)

"""Energy that is told by intervals alone: nothing is counted twice, whatever comes in any order."""

from __future__ import annotations

from random import Random

import msgspec
import pytest

from bridge.ocpp.meters.intervals import Interval, Row, Tally

T0 = 1_790_000_000_000
WH = 1000


def told(*, is_all_his: bool = True) -> Tally:
    """A transaction that became a driver's at T0."""
    return Tally().anew(T0, 0, is_all_his=is_all_his)


def interval(second: int, wh: float, row: Row = Row.PERIODIC) -> Interval:
    return Interval(row, T0 + second * 1000, round(wh * WH))


def test_intervals_are_added_up() -> None:
    tally = told()
    for number, second in enumerate((20, 40, 60), 1):
        tally = tally.after([interval(second, 10.4)], number)
    assert (tally.energy_mwh, tally.register_wh) == (31_200, 31)


def test_it_goes_on_from_where_the_one_before_was() -> None:
    tally = Tally().anew(T0, 70, is_all_his=True).after([interval(20, 10)], 1)
    assert (tally.start_wh, tally.register_wh) == (70, 80)


@pytest.mark.parametrize("seq_no", [1, None])
def test_an_event_that_is_repeated_counts_once(seq_no: int | None) -> None:
    tally = told().after([interval(20, 10)], seq_no)
    assert tally.after([interval(20, 10)], seq_no) == tally


def test_a_repetition_that_is_dated_anew_counts_once() -> None:
    tally = told().after([interval(20, 10)], 4)
    assert tally.after([interval(50, 10)], 4).energy_mwh == 10 * WH
    assert tally.after([interval(50, 10)], 5).energy_mwh == 20 * WH


def test_what_is_lost_is_not_made_up_for() -> None:
    tally = told().after([interval(20, 10)], 1).after([interval(80, 10)], 4)
    assert tally.energy_mwh == 20 * WH


def test_what_comes_late_is_left_out() -> None:
    """Its time may be in what the next one told."""
    tally = told().after([interval(40, 20)], 2).after([interval(20, 10)], 1)
    assert tally.after([interval(30, 10)], None).energy_mwh == 20 * WH


def test_of_intervals_that_overlap_one_row_counts() -> None:
    """Strokes of the clock over what was sampled, and the other way round."""
    tally = told()
    for minute in range(1, 31):
        tally = tally.after([interval(minute * 60, 60)], 2 * minute)
        if minute % 15 == 0:
            tally = tally.after([interval(minute * 60, 900, Row.CLOCK)], 2 * minute + 1)
            tally = tally.after([interval(minute * 60 + 1, 900, Row.CLOCK)], 2 * minute + 1)
    assert tally.energy_mwh == 1800 * WH


def test_strokes_of_the_clock_count_from_the_second_on() -> None:
    """The first may have begun before the transaction."""
    tally = told()
    for number, second in enumerate((100, 1000, 1900)):
        tally = tally.after([interval(second, 90, Row.CLOCK)], number)
    assert tally.energy_mwh == 180 * WH


def test_what_may_have_flowed_for_somebody_else_is_not_counted() -> None:
    """The transaction was under way when it became this driver's."""
    tally = Tally().after([interval(-10, 50)], 1).anew(T0, 0, is_all_his=False)
    tally = tally.after([interval(10, 20)], 2).after([interval(30, 30)], 3)
    assert tally.energy_mwh == 30 * WH
    assert Tally().after([interval(10, 50)], 1).energy_mwh == 0
    tally = told(is_all_his=False).after([interval(10, 50)], 1)
    assert tally.after([interval(30, 30)], 2).energy_mwh == 30 * WH
    tally = told(is_all_his=False).after([interval(99, 200, Row.WHOLE)], 4)
    assert tally.energy_mwh == 0


@pytest.mark.parametrize(("wh", "total_wh"), [(15, 40), (40, 40), (65, 65)])
def test_the_end_tells_the_whole_or_the_rest(wh: int, total_wh: int) -> None:
    """That is believed which adds less: twice 20 Wh were counted."""
    tally = told().after([interval(20, 20)], 1).after([interval(40, 20)], 2)
    tally = tally.after([interval(50, wh, Row.WHOLE)], 3)
    assert tally.energy_mwh == total_wh * WH
    assert tally.after([interval(50, wh, Row.WHOLE)], 4).energy_mwh == total_wh * WH


def test_what_the_end_repeats_of_all_intervals() -> None:
    """They are longer than those that were told before: the one that overlaps is left out."""
    tally = told()
    for number, second in enumerate((20, 40, 60, 80)):
        tally = tally.after([interval(second, 20)], number)
    ended = [interval(second, 60, Row.ENDED_PERIODIC) for second in (240, 60, 180, 120)]
    tally = tally.after(ended, 9)
    assert tally.energy_mwh == (80 + 120) * WH


def test_an_end_with_all_intervals_and_none_before() -> None:
    ended = [interval(second, 60, Row.ENDED_PERIODIC) for second in (60, 120)]
    assert told().after([*ended, interval(130, 10, Row.WHOLE)], 9).energy_mwh == 120 * WH


@pytest.mark.parametrize("bad", [interval(20, -5), Interval(Row.PERIODIC, 0, 5000)])
def test_what_cannot_be_is_left_out(bad: Interval) -> None:
    assert told().after([bad], None) == told()


def test_a_register_that_is_read_after_all() -> None:
    """It counts from its first reading on, and what it covers is not added again."""
    tally = told().after([interval(20, 10)], 1)
    tally = tally.read(7_000_000 * WH, T0 + 30_000)
    assert tally.energy_mwh == 10 * WH
    tally = tally.after([interval(40, 10)], 2)
    assert tally.energy_mwh == 10 * WH
    tally = tally.read(7_000_005 * WH, T0 + 50_000)
    assert tally.energy_mwh == 15 * WH
    # A meter that began anew, and a reading that comes late.
    assert tally.read(3 * WH, T0 + 60_000).energy_mwh == 15 * WH
    assert tally.read(7_000_009 * WH, T0 + 45_000) == tally


def test_a_first_register_that_is_older_than_what_is_counted_says_nothing() -> None:
    tally = told().after([interval(20, 10)], 1)
    assert tally.read(500 * WH, T0 + 5_000) == tally


def test_it_is_kept_as_it_is() -> None:
    tally = told().after([interval(20, 10), interval(20, 9, Row.CLOCK)], 1)
    assert msgspec.json.decode(msgspec.json.encode(tally), type=Tally) == tally
    assert msgspec.json.encode(Tally()) == b"{}"


def test_from_a_register_on() -> None:
    """One that stands still does not cut the interval in which it was read."""
    tally = told().based_on(7_000 * WH, T0).shown(7_000 * WH, T0 + 1_000)
    assert tally.beyond_register_wh is None
    tally = tally.after([interval(20, 10)], 1)
    assert tally.beyond_register_wh == 7_010
    tally = tally.shown(7_015 * WH, T0 + 30_000)
    assert tally.beyond_register_wh is None
    tally = tally.after([interval(40, 10)], 2)
    assert tally.beyond_register_wh is None
    assert tally.after([interval(60, 10)], 3).beyond_register_wh == 7_025


@pytest.mark.parametrize("seed", range(60))
def test_no_more_is_counted_than_flowed(seed: int) -> None:
    """Rows of any length beside each other, with losses, repetitions, late events, registers from
    the start on or later, a driver who comes in the middle, and a last event with everything in
    it once more."""
    random = Random(seed)  # noqa: S311  no secret
    lasts_s = random.randrange(200, 2000)
    flow = [random.randrange(0, 4) * WH for _ in range(lasts_s + 1)]

    def between(begin_s: int, end_s: int) -> int:
        return sum(flow[max(0, begin_s) + 1 : end_s + 1])

    def row(length_s: int, offset_s: int, kind: Row) -> list[Interval]:
        ends = range(length_s - offset_s, lasts_s, length_s)
        return [
            Interval(kind, T0 + end * 1000, between(end - length_s, end)) for end in ends if end
        ]

    from_s = random.choice((0, 0, random.randrange(lasts_s)))
    has_register = random.random() < 0.5

    def his_own(tally: Tally) -> Tally:
        tally = tally.anew(T0 + from_s * 1000, 0, is_all_his=not from_s)
        if has_register:
            tally = tally.based_on(9_000 * WH + between(0, from_s), T0 + from_s * 1000)
        return tally

    tally = Tally() if from_s else his_own(Tally())
    periodic = row(random.choice((10, 20, 60)), 0, Row.PERIODIC)
    clock_s = random.choice((15, 60, 300))
    clock = row(clock_s, random.randrange(clock_s), Row.CLOCK)
    events = sorted([*periodic, *clock], key=lambda one: one.until_ms)
    his = not from_s
    for seq_no, one in enumerate(events):
        if not his and one.until_ms >= T0 + from_s * 1000:
            tally, his = his_own(tally), True
        if random.random() < 0.2:
            continue
        tally = tally.after([one], seq_no)
        if random.random() < 0.2:
            again = random.randrange(seq_no + 1)
            tally = tally.after([events[again]], again)
        if random.random() < 0.05:
            at_s = (one.until_ms - T0) // 1000 + random.randrange(3)
            if at_s <= lasts_s:
                register_mwh, at_ms = 9_000 * WH + between(0, at_s), T0 + at_s * 1000
                is_based = tally.shown_mwh is not None
                read = tally.shown if is_based else tally.read
                tally = read(register_mwh, at_ms)
    if not his:
        tally = his_own(tally)
    ended = row(random.choice((30, 90)), 0, Row.ENDED_PERIODIC)
    ended.append(Interval(Row.WHOLE, T0 + lasts_s * 1000, between(0, lasts_s)))
    if random.random() < 0.7:
        tally = tally.after(ended, len(events))
    assert 0 <= tally.energy_mwh - tally.start_mwh <= between(from_s, lasts_s)

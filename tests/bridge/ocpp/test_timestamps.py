"""Times in all spellings, and the charger's clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.ocpp import timestamps
from bridge.ocpp.timestamps import Clock

NOON_MS = 1_795_348_800_000  # 2026-11-22T12:00:00Z


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2026-11-22T12:00:00Z", NOON_MS),
        ("2026-11-22T12:00:00.5Z", NOON_MS + 500),
        ("2026-11-22T12:00:00.1234567Z", NOON_MS + 123),
        ("2026-11-22T13:00:00+01:00", NOON_MS),
        ("2026-11-22 12:00:00", NOON_MS),
        (" 2026-11-22T12:00:00 ", NOON_MS),
        ("20261122T120000Z", NOON_MS),
        ("2026-11-22T9:0:3Z", NOON_MS - 3 * 3_600_000 + 3_000),
        ("2026-1-2T03:04:5.25+01:00", 1_767_319_445_250),
        ("2026-11-22T12:00:0", NOON_MS),
        ("5", 5_000),
        (NOON_MS, NOON_MS),
        (NOON_MS // 1000, NOON_MS),
        (str(NOON_MS // 1000), NOON_MS),
        ("1970-01-01T00:00:00Z", 0),
        ("yesterday", None),
        ("", None),
        ("0", None),
        (None, None),
        (True, None),
        ({}, None),
        (-5, None),
        ("9" * 30, None),
    ],
)
def test_spellings(written: object, expected: int | None) -> None:
    assert timestamps.parse(written) == expected


@given(st.integers(0, 4_000_000_000_000))
def test_what_we_write_reads_back(at_ms: int) -> None:
    assert timestamps.parse(timestamps.render(at_ms)) == at_ms


def test_a_clock_that_is_right_is_left_alone() -> None:
    clock = Clock()
    clock.measure(timestamps.render(NOON_MS - 900), NOON_MS, live=True)
    assert clock.behind_ms == 0
    assert clock.ours(timestamps.render(NOON_MS - 60_000), NOON_MS) == NOON_MS - 60_000


def test_local_time_written_as_utc_is_corrected() -> None:
    clock = Clock()
    clock.measure(timestamps.render(NOON_MS - 3_600_000), NOON_MS + 300, live=True)
    assert clock.behind_ms == 3_600_300
    hour_ago = timestamps.render(NOON_MS - 7_200_000)
    assert clock.ours(hour_ago, NOON_MS + 300) == NOON_MS - 3_600_000 + 300


def test_a_clock_that_is_ahead_is_corrected() -> None:
    clock = Clock()
    clock.measure(timestamps.render(NOON_MS + 7_200_000), NOON_MS, live=False)
    assert clock.ours(timestamps.render(NOON_MS + 7_200_000 - 5000), NOON_MS) == NOON_MS - 5000


def test_a_message_that_waited_does_not_make_a_clock_look_behind() -> None:
    clock = Clock()
    clock.measure(timestamps.render(NOON_MS - 7_200_000), NOON_MS, live=False)
    assert clock.behind_ms == 0


@pytest.mark.parametrize("off_ms", [7_200_000, -7_200_000])
@pytest.mark.parametrize("live", [True, False])
def test_a_charger_that_sets_its_clock_is_believed_again(off_ms: int, live: bool) -> None:
    clock = Clock()
    clock.measure(timestamps.render(NOON_MS + off_ms), NOON_MS, live=True)
    clock.was_told()
    assert clock.behind_ms == -off_ms
    clock.measure(timestamps.render(NOON_MS - 300), NOON_MS, live=live)
    assert clock.behind_ms == 0


def test_a_charger_that_ignores_the_time_it_was_told_stays_corrected() -> None:
    clock = Clock()
    clock.measure(timestamps.render(NOON_MS - 7_200_000), NOON_MS, live=True)
    clock.was_told()
    clock.measure(timestamps.render(NOON_MS - 7_200_000 + 9000), NOON_MS + 9500, live=False)
    assert clock.behind_ms == 7_200_000


@pytest.mark.parametrize("written", ["1970-01-01T00:01:00Z", "yesterday", None, "2019-01-01"])
def test_a_senseless_time_is_that_of_arrival(written: object) -> None:
    clock = Clock()
    clock.measure(written, NOON_MS, live=True)
    assert clock.ours(written, NOON_MS) == NOON_MS


def test_a_queue_that_is_delivered_at_once_does_not_make_a_clock_look_behind() -> None:
    """MicroOcpp sends what happened while it was offline in one go, without a boot."""
    clock = Clock()
    for waited_s in (40, 30, 20, 10):
        clock.measure(timestamps.render(NOON_MS - waited_s * 1000), NOON_MS, live=False)
    assert clock.behind_ms == 0


def test_two_messages_from_different_times_that_are_as_late_show_a_clock_that_is_behind() -> None:
    clock = Clock()
    clock.measure(timestamps.render(NOON_MS - 3_600_000), NOON_MS + 100, live=False)
    clock.measure(timestamps.render(NOON_MS - 3_599_000), NOON_MS + 1_100, live=False)
    assert clock.behind_ms == 0
    clock.measure(timestamps.render(NOON_MS - 3_590_000), NOON_MS + 10_100, live=False)
    assert clock.behind_ms == 3_600_100


def test_readings_that_are_always_late_do_not_make_a_clock_look_behind_that_is_right() -> None:
    clock = Clock()
    clock.measure(timestamps.render(NOON_MS), NOON_MS + 50, live=True)
    clock.measure(timestamps.render(NOON_MS + 500), NOON_MS + 520, live=True)
    for second in range(0, 100, 10):
        at_ms = NOON_MS + second * 1000
        clock.measure(timestamps.render(at_ms), at_ms + 9_000, live=False)
    assert clock.behind_ms == 0


def test_a_clock_that_lost_its_time_between_two_connections_is_measured_again() -> None:
    clock = Clock()
    clock.measure(timestamps.render(NOON_MS), NOON_MS, live=True)
    clock.reconnected()
    for second in (0, 10):
        at_ms = NOON_MS + second * 1000
        clock.measure(timestamps.render(at_ms - 7_200_000), at_ms, live=False)
    assert clock.behind_ms == 7_200_000


def test_nothing_is_reported_before_it_happened() -> None:
    assert Clock().ours(timestamps.render(NOON_MS + 60_000), NOON_MS) == NOON_MS


def _late(clock: Clock, off_ms: int, arrivals_ms: list[int]) -> int:
    for arrived_ms in arrivals_ms:
        clock.measure(timestamps.render(arrived_ms - off_ms), arrived_ms, live=False)
    return clock.behind_ms


@pytest.mark.parametrize("before_ms", [None, -3_600_000, -7_200_000])
def test_a_clock_that_is_set_back_is_noticed_by_what_comes_steadily_late(
    before_ms: int | None,
) -> None:
    clock = Clock()
    if before_ms is not None:
        clock.measure(timestamps.render(NOON_MS - before_ms), NOON_MS, live=True)
    off_ms = (before_ms or 0) + 3_600_000
    later = [NOON_MS + 10_000 * number for number in range(1, 4)]
    # Of a clock that nothing is known of yet, two are enough.
    assert _late(clock, off_ms, later[: 1 if before_ms is None else 2]) == (before_ms or 0)
    assert _late(clock, off_ms, later[2:]) == (off_ms if off_ms else 0)


def test_what_was_kept_and_comes_at_once_does_not_set_a_clock_back() -> None:
    """Readings of every minute, an hour old, and delivered a second apart; or all of one time."""
    for spaced_ms in (60_000, 1_000):
        clock = Clock()
        clock.measure(timestamps.render(NOON_MS), NOON_MS, live=True)
        for number in range(20):
            written_ms = NOON_MS - 3_600_000 + spaced_ms * number
            clock.measure(timestamps.render(written_ms), NOON_MS + 1_000 * number, live=False)
            if number == 3:
                assert clock.behind_ms == 0
        assert clock.behind_ms == (0 if spaced_ms == 60_000 else 3_600_000)


def test_a_state_that_was_kept_does_not_make_a_clock_look_behind_that_was_right() -> None:
    """Some chargers boot, and send the states of an outage before those of now."""
    clock = Clock()
    clock.measure(timestamps.render(NOON_MS), NOON_MS, live=True)
    clock.reconnected()
    clock.was_told()
    back_ms = NOON_MS + 7_200_000
    for kept_ms in (NOON_MS + 60_000, NOON_MS + 60_000, NOON_MS + 90_000):
        clock.measure(timestamps.render(kept_ms), back_ms, live=True)
    assert clock.behind_ms == 0
    # It lost its time in the outage, as it turns out.
    for second in (10, 20, 30):
        at_ms = back_ms + second * 1000
        clock.measure(timestamps.render(at_ms - 3_600_000), at_ms, live=True)
    assert clock.behind_ms == 3_600_000


def test_what_was_measured_is_told_once_and_taken_up_again() -> None:
    told: list[int] = []
    clock = Clock(None, told.append)
    for off_ms in (3_600_500, 3_600_000, 3_600_900, 3_595_000):
        clock.measure(timestamps.render(NOON_MS - off_ms), NOON_MS, live=True)
    assert told == [3_600_500, 3_595_000]
    assert Clock(told[-1]).behind_ms == 3_595_000


def test_what_was_kept_and_comes_slowly_does_not_set_a_clock_back() -> None:
    """Two of many are as late as each other by chance: three are not."""
    clock = Clock()
    clock.measure(timestamps.render(NOON_MS), NOON_MS, live=True)
    clock.reconnected()
    back_ms = NOON_MS + 3_600_000
    for kept_s, sent_s in ((60, 0), (70, 4), (80, 11), (90, 21), (100, 26), (110, 36)):
        kept_ms = NOON_MS + kept_s * 1000
        clock.measure(timestamps.render(kept_ms), back_ms + sent_s * 1000, live=False)
    assert clock.behind_ms == 0


def test_a_clock_that_was_never_set_is_of_use_once_it_is_seen_to_go() -> None:
    clock = Clock()
    for second in (1_000, 1_010, 1_020):
        clock.measure(timestamps.render(second * 1000), NOON_MS + second * 1000, live=True)
    back_ms = NOON_MS + 5_000_000
    kept = [timestamps.render(second * 1000) for second in (1_030, 1_040, 1_050)]
    assert [clock.ours(one, back_ms) - NOON_MS for one in kept] == [1_030_000, 1_040_000, 1_050_000]
    assert clock.can_date(kept[0], back_ms)
    # It starts anew, and so does its clock.
    clock.reconnected()
    clock.began_anew()
    assert clock.ours(timestamps.render(7_000), back_ms + 9_000) == back_ms + 9_000
    # At last it is set, and what it kept from before is of no use any more.
    clock.measure(timestamps.render(back_ms + 20_000), back_ms + 20_100, live=True)
    assert clock.behind_ms == 0
    assert not clock.can_date(timestamps.render(9_000), back_ms + 20_200)


def test_a_clock_that_stands_still_since_1970_is_of_no_use() -> None:
    clock = Clock()
    for second in range(0, 200, 10):
        clock.measure("1970-01-01T00:00:00Z", NOON_MS + second * 1000, live=True)
    assert clock.behind_ms == 0
    assert clock.ours("1970-01-01T00:00:00Z", NOON_MS) == NOON_MS

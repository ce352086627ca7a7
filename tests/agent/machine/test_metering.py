"""Registers as chargers report them, lies included, and the energy that is believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.machine.meter import MOST_CORRECTIONS, Fix, Meter, Reading, Source
from agent.machine.metering import MOST_WAYS, possible_wh, read
from tests.agent.machine.examples import HOUR, MINUTE, SECOND

POWER_W = 22_000
EVERY_MS = 10 * MINUTE

# what the charger does, register at the start, readings, energy believed after each
READINGS: list[tuple[str, int, list[int], list[int]]] = [
    ("counts up", 40_000, [40_500, 41_000], [500, 1_000]),
    ("stands still", 40_000, [40_000, 40_000], [0, 0]),
    ("counts from zero in each transaction", 40_000, [500, 900], [500, 900]),
    ("counts from zero, and the stop is a lifetime value", 40_000, [500, 40_600], [500, 600]),
    ("counts from zero past the value of the start", 1_000, [400, 900, 1_400], [400, 900, 1_400]),
    ("falls below the start near zero", 1_000, [900, 1_100], [0, 100]),
    ("reads zero at first", 40_000, [0, 40_300], [0, 300]),
    ("reads zero for a while", 40_000, [41_000, 0, 0, 0, 41_200], [1_000] * 4 + [1_200]),
    ("misreads in two ways", 40_000, [41_000, 5, 0, 41_200], [1_000, 1_000, 1_000, 1_200]),
    (
        "loses power, then misreads",
        40_000,
        [41_000, 5, 300, 0, 400],
        [1_000] * 2 + [1_295] * 2 + [1_395],
    ),
    ("starts at zero after a loss of power", 40_000, [41_000, 5, 300], [1_000, 1_000, 1_295]),
    ("loses power twice", 40_000, [41_000, 5, 300, 0, 40], [1_000, 1_000, 1_295, 1_295, 1_335]),
    ("misreads once", 40_000, [41_000, 0, 41_200], [1_000, 1_000, 1_200]),
    ("misreads once, slightly", 40_000, [41_000, 40_990, 41_200], [1_000, 1_000, 1_200]),
    ("leaps once and comes back", 40_000, [41_000, 9_000_000, 41_200], [1_000, 1_000, 1_200]),
    ("leaps and stays", 40_000, [41_000, 9_000_000, 9_000_300], [1_000, 1_000, 1_300]),
    (
        "leaps by what no car takes in the time",
        40_000,
        [41_000, 48_000, 48_500],
        [1_000] * 2 + [1_500],
    ),
    ("leaps at each reading", 40_000, [50_000, 60_000, 70_000], [0, 0, 0]),
    ("says zero at the start", 0, [9_000_000, 9_000_300], [0, 300]),
    (
        "says zero at the start, and stops from zero",
        0,
        [9_000_000, 9_000_300, 1_500],
        [0, 300, 1_500],
    ),
    ("rounds its readings to less than the start", 40_004, [40_000, 40_010], [0, 6]),
    ("rounds down for good", 40_004, [40_000], [0]),
    ("garbage at the start", 10**20, [40_000_000, 40_000_200], [0, 200]),
    ("negative garbage at the start", -(10**20), [40_000, 40_200], [0, 200]),
    (
        "tells what waited after what is new, without a clock",
        40_000,
        [40_700, 40_250, 40_400, 40_550, 40_800],
        [700, 700, 700, 700, 800],
    ),
    (
        "a mistake that is possible",
        40_000,
        [40_100, 41_000, 40_200, 41_100],
        [100, 1000, 1000, 1100],
    ),
    ("a negative reading", 40_000, [-5, 40_300], [0, 300]),
    ("negative readings that rise", 4_000, [4_300, -4_350, -1, 4_500], [300, 300, 300, 500]),
    ("writes Wh as kWh", 40_000, [40_500_000, 41_000_000], [500, 1_000]),
    ("writes Wh as kWh, and the stop in Wh", 40_000, [40_500_000, 41_100], [500, 1_100]),
    (
        "writes Wh as kWh near zero: the second reading tells",
        0,
        [500_000, 1_000_000, 1_600_000, 1_700],
        [0, 1_000, 1_600, 1_700],
    ),
    (
        "leaps twice near zero, and not by the same unit",
        0,
        [500_000, 9_000_000, 1_000],
        [0, 0, 1_000],
    ),
    (
        "leaps more often than ways are kept, and stops by its start",
        40_000,
        [50_000, 60_000, 70_000, 80_000, 90_000, 100_000, 40_900],
        [0] * 6 + [900],
    ),
]


def after(start_wh: int, readings_wh: list[int]) -> list[Meter]:
    """The meter after each of these readings, one every ten minutes."""
    meters = [Meter.started(start_wh)]
    for number, reading_wh in enumerate(readings_wh, start=1):
        reading = Reading(reading_wh, number * EVERY_MS)
        meters.append(read(meters[-1], reading, POWER_W))
    return meters[1:]


def explains(meter: Meter) -> bool:
    """Whether start, end and corrections of a meter make its energy."""
    assert meter.past.start_wh is not None
    corrected_wh = sum(correction.energy_wh for correction in meter.past.corrections)
    return meter.energy_wh == meter.register_wh - meter.past.start_wh + corrected_wh


@pytest.mark.parametrize(
    ("start_wh", "readings_wh", "energies_wh"),
    [case[1:] for case in READINGS],
    ids=[case[0] for case in READINGS],
)
def test_a_register_and_the_energy_believed(
    start_wh: int, readings_wh: list[int], energies_wh: list[int]
) -> None:
    meters = after(start_wh, readings_wh)
    assert [meter.energy_wh for meter in meters] == energies_wh
    assert all(explains(meter) for meter in meters)


# what the charger does, register at the start, readings, what was done to them
FIXES: list[tuple[str, int, list[int], list[Fix]]] = [
    ("counts up", 40_000, [40_500, 41_000], []),
    ("loses power", 40_000, [41_000, 5, 300], [Fix.RESTARTED]),
    ("counts from zero", 40_000, [500, 900], [Fix.FROM_ZERO]),
    ("counts from zero, stops by its lifetime", 40_000, [500, 40_600], [Fix.MISREAD]),
    ("misreads once", 40_000, [41_000, 0, 41_200], [Fix.MISREAD]),
    ("falls to what was counted already", 40_000, [46_000, 45_900], []),
    ("falls below the start", 40_000, [39_990], [Fix.FELL]),
    ("leaps", 40_000, [41_000, 9_000_000], [Fix.LEAPT]),
    ("says zero at the start", 0, [9_000_000, 9_000_300], [Fix.LEAPT]),
    ("writes Wh as kWh", 40_000, [40_500_000, 41_000_000], [Fix.TAKEN_AS_WH]),
    ("writes Wh as kWh from zero", 0, [500_000, 1_000_000, 1_600_000], [Fix.TAKEN_AS_WH]),
]


@pytest.mark.parametrize(
    ("start_wh", "readings_wh", "fixes"),
    [case[1:] for case in FIXES],
    ids=[case[0] for case in FIXES],
)
def test_what_was_done_to_the_readings_is_kept(
    start_wh: int, readings_wh: list[int], fixes: list[Fix]
) -> None:
    corrections = after(start_wh, readings_wh)[-1].past.corrections
    assert [correction.fix for correction in corrections] == fixes


def test_kwh_written_as_wh_are_known_by_the_start() -> None:
    """lbbrhzn/ocpp#1989: 40.123 without a unit, while meterStart was 40,000 Wh."""
    meter = Meter.started(40_000)
    for minute, written_mwh in ((1, 40_123), (2, 40_300), (3, 40_650)):
        register = round(written_mwh / 1000)
        fraction = written_mwh - register * 1000
        reading = Reading(register, minute * MINUTE, fraction_mwh=fraction)
        meter = read(meter, reading, POWER_W)
    assert meter.energy_wh == 650
    assert [c.fix for c in meter.past.corrections] == [Fix.TAKEN_AS_KWH]
    stopped = read(meter, Reading(40_700, 4 * MINUTE, Source.STOP), POWER_W)
    assert (stopped.energy_wh, stopped.source) == (700, Source.STOP)
    assert explains(stopped)
    rounded_up = read(meter, Reading(41, 4 * MINUTE, Source.STOP), POWER_W)
    assert rounded_up.energy_wh == 650


def test_whole_kwh_may_be_rounded_up_and_are_not_taken_for_the_register() -> None:
    meter = read(Meter.started(40_000), Reading(41, 10 * MINUTE), POWER_W)
    assert meter.energy_wh == 41
    stopped = read(meter, Reading(40_600, 11 * MINUTE, Source.STOP), POWER_W)
    assert stopped.energy_wh == 600


@pytest.mark.parametrize(
    ("start_wh", "reading", "fix"),
    [
        (900_000, Reading(40_100, 10 * SECOND), Fix.FELL),
        (40_000, Reading(45, 10 * SECOND, fraction_mwh=500), Fix.FROM_ZERO),
        (40_000, Reading(45_500_000, 10 * SECOND), Fix.LEAPT),
    ],
)
def test_no_guess_needs_more_than_the_connector_likely_gives(
    start_wh: int, reading: Reading, fix: Fix
) -> None:
    """Also where readings as such are not held to its power: 40 kWh in ten seconds are no session
    that counts from zero, and 5.5 kWh no other unit."""
    meter = read(Meter.started(start_wh), reading, 0, POWER_W)
    assert [correction.fix for correction in meter.past.corrections] == [fix]
    assert meter.energy_wh <= 45
    plain = read(Meter.started(40_000), Reading(60_000, 10 * SECOND), 0, POWER_W)
    assert plain.energy_wh == 20_000


def test_a_zero_at_the_start_is_no_register_where_the_meter_has_counted_more() -> None:
    """Also where readings are not held to the connector's power, and the charger is young."""
    begun = Meter.started(0)
    first = read(begun, Reading(60_000, 20 * SECOND), 0, POWER_W)
    later = read(first, Reading(60_050, 40 * SECOND), 0, POWER_W)
    stopped = read(later, Reading(60_090, MINUTE, Source.STOP), 0, POWER_W)
    assert [meter.energy_wh for meter in (first, later, stopped)] == [0, 50, 90]
    assert (stopped.source, explains(stopped)) == (Source.STOP, True)
    unread = read(begun, Reading(60_000, MINUTE, Source.STOP), 0, POWER_W)
    assert (unread.energy_wh, unread.past.corrections[-1].fix) == (0, Fix.NOT_BELIEVED)
    # A meter that counts each transaction by itself, and gives more than its file says.
    assert read(begun, Reading(2_000, 20 * SECOND), 0, POWER_W).energy_wh == 2_000
    assert read(begun, Reading(60_000, 20 * SECOND), 0, 0).energy_wh == 60_000


@pytest.mark.parametrize("also_sampled", [False, True])
def test_wh_said_to_be_kwh_from_zero_bill_no_thousandfold(also_sampled: bool) -> None:
    """Seen at a simulator of 2.0.1 (ocpp-virtual-charge-point), also where readings are not held
    to the connector's power: 30 Wh in ten seconds, written as 30 kWh. Stations of 2.0.1 sample
    the register at the start as well."""
    meter = Meter.started(0)
    if also_sampled:
        meter = read(meter, Reading(0, 0), 0, POWER_W)
    energies: list[int] = []
    for second, register_wh in ((10, 30_010), (20, 60_030), (30, 90_020), (40, 120_000)):
        meter = read(meter, Reading(register_wh, second * SECOND), 0, POWER_W)
        energies.append(meter.energy_wh)
    assert energies == [0, 60, 90, 120]
    stopped = read(meter, Reading(131, 44 * SECOND, Source.STOP), 0, POWER_W)
    assert (stopped.energy_wh, explains(stopped)) == (131, True)
    assert [note.fix for note in stopped.past.corrections] == [Fix.TAKEN_AS_WH]


def test_readings_that_come_again_at_the_end_count_nothing_whatever_their_times() -> None:
    meter = after(40_000, [40_500, 41_000])[-1]
    again = meter
    for register_wh in (40_000, 40_500, 41_000, 41_050):
        again = read(again, Reading(register_wh, 21 * MINUTE, Source.END_SAMPLE), POWER_W)
    assert (again.energy_wh, again.source) == (1_050, Source.END_SAMPLE)
    stopped = read(again, Reading(41_060, 21 * MINUTE, Source.STOP), POWER_W)
    assert (stopped.energy_wh, stopped.past.corrections) == (1_060, ())


def test_a_stop_that_cannot_be_true_leaves_the_last_sample_to_decide() -> None:
    meter = after(40_000, [40_500])[-1]
    for register_wh in (9_000_000, 40_400, 3):
        stopped = read(meter, Reading(register_wh, 11 * MINUTE, Source.STOP), POWER_W)
        assert (stopped.energy_wh, stopped.register_wh) == (500, 40_500)
        assert stopped.source is Source.SAMPLE
        note = stopped.past.corrections[-1]
        assert (note.fix, note.reading_wh, note.energy_wh) == (Fix.NOT_BELIEVED, register_wh, 0)


@pytest.mark.parametrize(
    ("sampled_wh", "stopped_wh"),
    [(40_501, 40_500), (40_510, 40_501), (40_500, 40_401), (None, 39_999)],
    ids=["cut off", "two decimals", "one decimal", "no sample"],
)
def test_a_stop_that_is_lower_by_rounding_is_the_chargers_word(
    sampled_wh: int | None, stopped_wh: int
) -> None:
    """What was billed before stays billed, and why stands beside it."""
    started = Meter.started(40_000)
    meter = started if sampled_wh is None else after(40_000, [sampled_wh])[-1]
    stopped = read(meter, Reading(stopped_wh, 11 * MINUTE, Source.STOP), POWER_W)
    assert (stopped.source, stopped.register_wh) == (Source.STOP, stopped_wh)
    assert stopped.energy_wh == meter.energy_wh
    below_wh = meter.register_wh - stopped_wh
    note = stopped.past.corrections[-1]
    assert (note.fix, note.before_wh, note.energy_wh) == (
        Fix.ROUNDED,
        meter.register_wh,
        below_wh,
    )
    assert explains(stopped)


@pytest.mark.parametrize(
    ("sampled_wh", "stopped_wh"),
    [(40_501, 40_499), (40_510, 40_500), (40_500, 40_400), (None, 39_998)],
)
def test_what_rounding_does_not_explain_is_not_believed(
    sampled_wh: int | None, stopped_wh: int
) -> None:
    meter = Meter.started(40_000) if sampled_wh is None else after(40_000, [sampled_wh])[-1]
    stopped = read(meter, Reading(stopped_wh, 11 * MINUTE, Source.STOP), POWER_W)
    assert stopped.past.corrections[-1].fix is Fix.NOT_BELIEVED
    assert stopped.source is meter.source


def test_rounding_after_a_misreading_keeps_the_bill() -> None:
    meter = after(40_000, [40_501, 3, 40_600])[-1]
    stopped = read(meter, Reading(40_599, 31 * MINUTE, Source.STOP), POWER_W)
    assert (stopped.source, stopped.energy_wh) == (Source.STOP, 600)
    assert explains(stopped)


def test_a_stop_from_zero_without_any_sample_is_believed() -> None:
    stopped = read(Meter.started(40_000), Reading(1_500, HOUR, Source.STOP), POWER_W)
    assert (stopped.energy_wh, stopped.source) == (1_500, Source.STOP)


def test_small_leaps_at_each_second_do_not_add_up() -> None:
    """Each is within the margin of one reading, all together are not."""
    meter, register_wh = Meter.started(40_000), 40_000
    for second in range(1, 601):
        register_wh += 500
        meter = read(meter, Reading(register_wh, second * SECOND), POWER_W)
    assert meter.energy_wh <= possible_wh(600 * SECOND, POWER_W)
    assert explains(meter)


def test_a_clock_that_stands_still_gives_no_energy_without_end() -> None:
    meter = Meter.started(40_000)
    for number in range(1, 50):
        meter = read(meter, Reading(40_000 + 500 * number, 0), POWER_W)
    assert meter.energy_wh <= possible_wh(0, POWER_W)


def test_a_charger_that_comes_back_after_an_outage_is_believed() -> None:
    meter = after(40_000, [40_500])[-1]
    back = read(meter, Reading(60_500, 10 * MINUTE + HOUR), POWER_W)
    assert back.energy_wh == 20_500
    assert back.past.corrections == ()


def test_a_second_transaction_counts_on_from_the_first() -> None:
    meter = after(500, [2_500])[-1].began_again(7, 20 * MINUTE)
    meter = read(meter, Reading(207, 21 * MINUTE), POWER_W)
    assert meter.energy_wh == 2_200
    assert [c.fix for c in meter.past.corrections] == [Fix.BEGAN_AGAIN]
    assert explains(meter)


@pytest.mark.parametrize("start_wh", [40_000, 40_400])
def test_what_was_counted_before_the_start_of_another_transaction_came_counts_once(
    start_wh: int,
) -> None:
    """A charger that lost its power begins another transaction, whose readings come, without a
    number, before its start does; or it tells one start twice, each time as of now."""
    meter = after(40_000, [40_400, 40_700])[-1].began_again(start_wh, EVERY_MS)
    assert meter.energy_wh == 700
    assert explains(meter)
    meter = read(meter, Reading(40_900, 4 * EVERY_MS), POWER_W)
    assert meter.energy_wh == 900
    assert [c.fix for c in meter.past.corrections] == [Fix.BEGAN_AGAIN]
    assert explains(meter)


def test_a_register_that_counts_from_zero_in_each_transaction_is_added_up() -> None:
    meter = after(0, [700])[-1].began_again(0, 2 * EVERY_MS)
    assert read(meter, Reading(300, 3 * EVERY_MS), POWER_W).energy_wh == 1_000


def test_a_register_that_lost_a_little_with_the_power_counts_on_from_there() -> None:
    """Some meters write their register down now and then."""
    meter = after(40_000, [40_700])[-1]
    meter = read(meter, Reading(40_500, 2 * EVERY_MS), POWER_W, rebooted=True)
    assert [c.fix for c in meter.past.corrections] == [Fix.FELL]
    assert read(meter, Reading(40_600, 3 * EVERY_MS), POWER_W).energy_wh == 800


REGISTERS = st.integers(-(10**6), 10**9) | st.integers(0, 10**21) | st.integers(0, 60_000)
SOURCES = st.sampled_from([Source.SAMPLE] * 6 + [Source.END_SAMPLE, Source.STOP])


@given(
    st.integers(-(10**6), 10**21) | st.integers(0, 60_000),
    st.lists(
        st.tuples(REGISTERS, st.integers(0, HOUR), st.integers(-500, 500), SOURCES), max_size=30
    ),
)
def test_energy_never_falls_never_leaps_and_is_always_explained(
    start_wh: int, readings: list[tuple[int, int, int, Source]]
) -> None:
    meter, at_ms = Meter.started(start_wh), 0
    for register_wh, later_ms, fraction, source in readings:
        before = meter
        at_ms += later_ms
        meter = read(meter, Reading(register_wh, at_ms, source, fraction), POWER_W)
        assert before.energy_wh <= meter.energy_wh <= possible_wh(at_ms, POWER_W)
        assert explains(meter)
        assert len(meter.past.ways) <= MOST_WAYS
        assert len(meter.past.corrections) <= MOST_CORRECTIONS
        assert all(explains(way) for way in meter.past.ways)


@given(
    st.integers(0, 10**9),
    st.lists(st.tuples(st.integers(1, 24 * HOUR), st.integers(0, POWER_W)), max_size=30),
)
def test_an_honest_register_is_believed_to_the_watt_hour(
    start_wh: int, flows: list[tuple[int, int]]
) -> None:
    meter, at_ms, gained_wh = Meter.started(start_wh), 0, 0
    for elapsed_ms, power_w in flows:
        at_ms += elapsed_ms
        gained_wh += power_w * elapsed_ms // HOUR
        meter = read(meter, Reading(start_wh + gained_wh, at_ms), POWER_W)
    assert meter.energy_wh == gained_wh
    assert meter.past.corrections == ()

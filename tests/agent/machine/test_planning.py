"""When the stop is asked for, and when the charger is asked for a reading before it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.machine.deadlines import deadline
from agent.machine.effects import (
    CutPower,
    Effect,
    SendMessage,
    StopCharging,
    Topic,
    WatchAsUsual,
    WatchClosely,
)
from agent.machine.events import ConnectorStatus, StopBy
from agent.machine.model import Policy, Session, SessionState
from agent.machine.planning import ask_at, stop_at
from agent.machine.session import opened, step
from tests.agent.machine.examples import (
    HOUR,
    MINUTE,
    SAT,
    SECOND,
    T0,
    TARIFF,
    after,
    asked_to_stop,
    begun,
    ended,
    paid,
    sampled,
    showed,
    waited,
)

BEGUN = T0 + 10 * SECOND
POLICY = Policy(stop_lead_ms=SECOND, no_energy_timeout_ms=0)


def charging(amount_sat: int, max_power_w: int = 11_000, policy: Policy = POLICY) -> Session:
    """A session on a connector of this power, at its beginning: 300 sat a kWh."""
    session, _ = opened("s", "CP001", 1, policy, paid(amount_msat=amount_sat * SAT), max_power_w)
    return after(session, begun(BEGUN))


def test_full_power_is_feared_before_the_first_sample() -> None:
    # 330 sat buy 1.1 kWh, which 11 kW give in 6 minutes.
    assert abs((stop_at(charging(330)) or 0) - BEGUN - 6 * MINUTE) < 2 * SECOND


def test_the_first_sample_shows_how_much_the_car_takes() -> None:
    session = after(charging(330), sampled(BEGUN + MINUTE, 40_060))
    assert session.power_w == 3_600
    assert stop_at(session) == BEGUN + MINUTE + 1_040 * SECOND - SECOND


def test_of_reported_and_metered_power_the_greater_is_planned_with() -> None:
    session = after(charging(330), sampled(BEGUN + MINUTE, 40_120, power_w=3_600))
    assert session.plan_power_w == 7_200
    session = after(charging(330), sampled(BEGUN + MINUTE, 40_060, power_w=9_000))
    assert session.plan_power_w == 9_000


def test_a_coarse_register_is_no_reason_to_plan_with_more_than_the_connector_gives() -> None:
    session = after(charging(330), sampled(BEGUN + 20 * SECOND, 40_100, power_w=3_600))
    assert session.plan_power_w == 11_000


def test_power_that_no_such_connector_gives_is_not_planned_with() -> None:
    """Watts that are called kW would end every charge there at its first sample."""
    for power_w in (11_000_000, 10**13):
        session = after(charging(330), sampled(BEGUN + SECOND, None, power_w))
        assert (session.power_w, session.plan_power_w) == (0, 11_000)
        session = after(session, sampled(BEGUN + MINUTE, 40_060, power_w))
        assert (session.power_w, session.plan_power_w) == (3_600, 3_600)
    unchecked = replace(charging(330), check_meter=False)
    assert after(unchecked, sampled(BEGUN + SECOND, None, 3_700_000)).plan_power_w == 11_000
    assert after(unchecked, sampled(BEGUN + SECOND, None, 90_000)).plan_power_w == 90_000
    unknown = charging(330, max_power_w=0)
    assert after(unknown, sampled(BEGUN + SECOND, None, 10**13)).plan_power_w == 0
    little_more = after(charging(330), sampled(BEGUN + MINUTE, 40_060, 12_000))
    assert little_more.plan_power_w == 12_000


def test_a_reading_in_the_moment_of_the_start_says_nothing_of_the_power() -> None:
    """A begin sample follows the start within milliseconds, and a coarse register may move by
    much between the two: nobody is stopped for that."""
    for at_ms, register_wh in ((BEGUN + 10, 40_001), (BEGUN + SECOND, 40_100)):
        session = after(charging(330), sampled(at_ms, register_wh))
        assert (session.plan_power_w, session.power_w, session.peak_power_w) == (11_000, 0, 11_000)
        assert (stop_at(session) or 0) > BEGUN + 5 * MINUTE
        session = after(session, sampled(BEGUN + MINUTE, 40_100))
        assert (session.plan_power_w, session.power_w) == (6_000, 6_000)


def test_readings_that_come_fast_are_measured_over_some_seconds() -> None:
    readings = [sampled(BEGUN + n * 2 * SECOND, 40_000 + 25 * n) for n in range(1, 7)]
    session = after(charging(330), *readings[:2])
    assert (session.plan_power_w, session.power_w) == (11_000, 0)
    session = after(charging(330), *readings)
    assert (session.plan_power_w, session.power_w) == (45_000, 45_000)


def test_a_charger_is_asked_for_a_reading_shortly_before_the_planned_stop() -> None:
    session = charging(330)
    stop_ms = stop_at(session)
    assert stop_ms is not None
    assert deadline(session) == ask_at(session, stop_ms) == stop_ms - 5 * SECOND
    session, effects = step(session, waited(stop_ms - 5 * SECOND))
    assert effects == (WatchClosely(),)
    # It took a third of that: the stop is put off.
    later = after(session, sampled(stop_ms - 4 * SECOND, 40_400, power_w=4_000))
    assert (stop_at(later) or 0) > stop_ms + 8 * MINUTE


def test_a_charger_that_answers_nothing_is_stopped_as_planned() -> None:
    session = charging(330)
    stop_ms = stop_at(session)
    asked = 0
    while session.state is SessionState.CHARGING:
        session, effects = step(session, waited(deadline(session) or 0))
        asked += effects == (WatchClosely(),)
    assert (session.state, session.stop_by) == (SessionState.STOPPING, StopBy.CREDIT)
    assert (asked, session.stopping_since_ms) == (1, stop_ms)


def test_the_first_question_comes_early_enough_to_sample_more_often() -> None:
    session = after(
        charging(3_300),
        sampled(BEGUN + MINUTE, 40_183, power_w=11_000),
        sampled(BEGUN + 2 * MINUTE, 40_366, power_w=11_000),
    )
    stop_ms = stop_at(session)
    assert stop_ms is not None
    assert ask_at(session, stop_ms) == stop_ms - 2 * MINUTE


def test_a_car_that_could_take_more_is_looked_at_before_it_could_have_used_all() -> None:
    session = after(charging(3_300, 22_000), sampled(BEGUN + MINUTE, 40_010, power_w=600))
    full_ms = BEGUN + MINUTE + (11_000 - 10) * HOUR // 22_000
    assert abs((deadline(session) or 0) - full_ms) < 2 * SECOND
    assert (stop_at(session) or 0) > full_ms + 10 * HOUR


def test_a_car_that_goes_on_after_a_pause_is_feared_to_take_what_it_took_before() -> None:
    session = after(
        charging(3_300, 150_000),
        sampled(BEGUN + MINUTE, 40_500, power_w=50_000),
        showed(BEGUN + 2 * MINUTE, ConnectorStatus.SUSPENDED_EV),
    )
    assert stop_at(session) is None
    assert after(session, showed(BEGUN + HOUR, ConnectorStatus.CHARGING)).plan_power_w == 50_000


def test_what_was_changed_to_look_closer_is_undone_at_the_end() -> None:
    session = after(charging(330), waited(deadline(charging(330)) or 0))
    _, effects = step(session, ended(BEGUN + 5 * MINUTE, 40_900))
    assert WatchAsUsual() in effects
    _, effects = step(charging(330), ended(BEGUN + 5 * MINUTE, 40_900))
    assert WatchAsUsual() not in effects


def test_power_is_cut_once_a_stop_was_ignored_and_never_before() -> None:
    stopping, effects = step(charging(330), asked_to_stop(BEGUN + MINUTE))
    assert CutPower(7) not in effects
    stopping, effects = step(stopping, waited(deadline(stopping) or 0))
    assert effects == (StopCharging(7), CutPower(7))
    _, effects = step(stopping, waited(deadline(stopping) or 0))
    assert effects == (StopCharging(7),)


def credit_low(session: Session, at_ms: int, register_wh: int, power_w: int) -> SendMessage | None:
    _, effects = step(session, sampled(at_ms, register_wh, power_w))
    said = [e for e in effects if isinstance(e, SendMessage) and e.topic is Topic.CREDIT_LOW]
    return said[0] if said else None


def test_low_credit_is_told_by_minutes() -> None:
    """A fifth of a slow charge is hours; a fifth of a fast one is gone before it is read."""
    slow = charging(30_000, 3_700)
    assert credit_low(slow, BEGUN + 22 * HOUR, 40_000 + 81_000, 3_700) is None
    told = credit_low(slow, BEGUN + 27 * HOUR, 40_000 + 99_200, 3_700)
    assert told == SendMessage(Topic.CREDIT_LOW, 240 * SAT, minutes=12)
    fast = charging(6_000, 150_000)
    assert credit_low(fast, BEGUN + 5 * MINUTE, 40_000 + 9_000, 150_000) is None
    told = credit_low(fast, BEGUN + 5 * MINUTE, 40_000 + 12_000, 150_000)
    assert told == SendMessage(Topic.CREDIT_LOW, 2_400 * SAT, minutes=3)


@given(
    st.integers(1, 40),
    st.integers(1_400, 22_000),
    st.integers(5, 300),
    st.sampled_from([0, 2, 10]),
    st.booleans(),
)
def test_an_honest_charge_is_stopped_at_its_credit(
    minutes: int, power_w: int, interval_s: int, latency_s: int, answers: bool
) -> None:
    """The cost never passes the credit, and where the charger answers little of it is left."""
    amount_sat = max(100, power_w * minutes * 300 // 60_000)
    policy = replace(POLICY, stop_lead_ms=latency_s * SECOND)
    session = charging(amount_sat, 22_000, policy)
    at_ms, next_ms = BEGUN, BEGUN + interval_s * SECOND
    effects: tuple[Effect, ...] = ()
    asked = 0
    while session.state is SessionState.CHARGING:
        answered = effects == (WatchClosely(),) and answers
        due_ms = max(at_ms, deadline(session) or next_ms)
        at_ms = at_ms + SECOND if answered else min(next_ms, due_ms)
        if answered or at_ms == next_ms:
            next_ms += 0 if answered else interval_s * SECOND
            register_wh = 40_000 + power_w * (at_ms - BEGUN) // HOUR
            session, effects = step(session, sampled(at_ms, register_wh, power_w))
        else:
            session, effects = step(session, waited(at_ms))
            asked += effects == (WatchClosely(),)
    stopped_ms = at_ms + latency_s * SECOND
    final_wh = power_w * (stopped_ms - BEGUN) // HOUR
    session = after(session, ended(stopped_ms, 40_000 + final_wh))
    assert session.cost_msat <= amount_sat * SAT
    assert session.energy_wh == final_wh
    if answers:
        seconds_msat = 8 * power_w * TARIFF.energy_per_kwh_msat // 3_600_000
        assert session.paid_msat - session.cost_msat <= seconds_msat + 2 * 300 * SAT // 1_000
    assert asked < 200

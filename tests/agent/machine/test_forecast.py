"""When the credit ends: the closed form beside brute force, and whole charges."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from agent.machine.deadlines import deadline
from agent.machine.effects import StopCharging, WatchClosely
from agent.machine.events import ConnectorStatus
from agent.machine.forecast import credit_ends_at, no_energy_ends_at
from agent.machine.meter import Meter
from agent.machine.model import Payment, Policy, Session, SessionState
from agent.machine.session import step
from agent.tariff.model import MS_PER_HOUR, MS_PER_MINUTE, Tariff, Usage, bill
from tests.agent.machine.examples import (
    HOUR,
    MINUTE,
    SAT,
    SECOND,
    T0,
    TIMED,
    after,
    asked_to_stop,
    begun,
    charging,
    ended,
    sampled,
    showed,
    starting,
    waited,
)

BEGUN = T0 + 10 * SECOND
TARIFFS = st.builds(
    Tariff,
    st.just("t"),
    st.integers(0, 1_000 * SAT),
    st.integers(0, 5_000 * SAT),
    st.integers(0, 100 * SAT),
    st.integers(0, 30 * MINUTE),
    st.integers(0, 100 * SAT),
)


def cost_after(session: Session, later_ms: int) -> int:
    """The bill after some more time at the measured power, worked out step by step."""
    counted_ms = later_ms - session.counted_until_ms
    usage = session.usage
    if session.state is SessionState.CHARGING:
        usage = replace(usage, charging_ms=usage.charging_ms + counted_ms)
    elif session.status is ConnectorStatus.SUSPENDED_EV:
        usage = replace(usage, idle_ms=usage.idle_ms + counted_ms)
    gained_wh = session.power_w * max(0, later_ms - session.metered_at_ms) // MS_PER_HOUR
    return bill(session.tariff, replace(usage, energy_wh=usage.energy_wh + gained_wh)).total_msat


@st.composite
def running(draw: st.DrawFn) -> Session:
    """A session under way, with figures as they come."""
    state = draw(st.sampled_from([SessionState.CHARGING, SessionState.SUSPENDED]))
    paused = st.sampled_from([ConnectorStatus.SUSPENDED_EV, ConnectorStatus.SUSPENDED_EVSE])
    used = draw(
        st.builds(Usage, st.integers(1, 80_000), st.integers(0, 5 * HOUR), st.integers(0, 2 * HOUR))
    )
    metered_at_ms = BEGUN + draw(st.integers(0, HOUR))
    power_only_ms = draw(st.just(0) | st.integers(0, 10 * MINUTE))
    return replace(
        charging(tariff=draw(TARIFFS)),
        state=state,
        status=draw(paused) if state is SessionState.SUSPENDED else ConnectorStatus.CHARGING,
        payments=(Payment("aa", draw(st.integers(0, 200_000 * SAT)), T0),),
        energy_wh=used.energy_wh,
        charging_ms=used.charging_ms,
        idle_ms=used.idle_ms,
        power_w=draw(st.just(0) | st.integers(1, 400_000)),
        metered_at_ms=metered_at_ms,
        sampled_at_ms=metered_at_ms + power_only_ms,
        counted_until_ms=metered_at_ms + power_only_ms,
    )


@given(running())
def test_the_credit_ends_when_the_bill_reaches_it(session: Session) -> None:
    ends_at_ms = credit_ends_at(session)
    if ends_at_ms is None:
        assert cost_after(session, session.counted_until_ms + 30 * 24 * HOUR) <= session.credit_msat
        return
    now_ms = session.counted_until_ms
    if cost_after(session, now_ms) > session.credit_msat:
        assert ends_at_ms <= now_ms + 1
        return
    assume(ends_at_ms < now_ms + 1_000 * 24 * HOUR)
    at_end_msat = cost_after(session, ends_at_ms)
    # Each of the three lines of a bill is rounded down by itself, the forecast is not.
    assert at_end_msat <= session.credit_msat + 3
    # One more watt-hour and second cost more than is left: the stop was not asked for early.
    wh_ms = MS_PER_HOUR // session.power_w + 1 if session.power_w else 0
    later_ms = max(ends_at_ms, now_ms) + 2 * wh_ms + 2 * SECOND
    assert cost_after(session, later_ms) >= session.credit_msat - 10


@pytest.mark.parametrize(
    ("tariff", "amount_sat", "power_w", "ends_after_ms"),
    [
        (Tariff("kwh", 300 * SAT), 300, 10_000, 6 * MINUTE),
        (Tariff("kwh", 300 * SAT), 300, 0, None),
        (Tariff("hourly", 0, time_per_hour_msat=600 * SAT), 600, 10_000, HOUR),
        (Tariff("both", 60 * SAT, time_per_hour_msat=600 * SAT), 600, 10_000, 30 * MINUTE),
        (Tariff("flat", 0, flat_msat=500 * SAT), 500, 10_000, None),
        (Tariff("flat", 0, flat_msat=500 * SAT), 499, 10_000, 0),
        (Tariff("free", 0), 100, 10_000, None),
    ],
)
def test_examples_under_power(
    tariff: Tariff, amount_sat: int, power_w: int, ends_after_ms: int | None
) -> None:
    session = after(charging(amount_sat * SAT, tariff), sampled(BEGUN, 40_001, power_w))
    session = replace(session, charging_ms=0, counted_until_ms=BEGUN)
    ends_at_ms = credit_ends_at(session)
    if ends_after_ms is None:
        assert ends_at_ms is None
        return
    assert ends_at_ms is not None
    assert abs(ends_at_ms - BEGUN - ends_after_ms) < 2 * SECOND


def test_a_car_that_idles_uses_its_credit_up_after_the_grace() -> None:
    session = after(
        charging(600 * SAT, TIMED),
        sampled(BEGUN + SECOND, 40_001),
        showed(BEGUN + SECOND, ConnectorStatus.SUSPENDED_EV),
    )
    left_msat = session.credit_msat - session.bill.total_msat
    assert credit_ends_at(session) == (
        BEGUN + SECOND + 10 * MINUTE + left_msat * MS_PER_MINUTE // (20 * SAT)
    )


def test_a_car_that_idles_with_nothing_left_is_at_its_end_when_the_grace_is() -> None:
    """The credit is met exactly: nothing flows any more, but idling costs."""
    idling = after(
        charging(600 * SAT, TIMED),
        sampled(BEGUN + SECOND, 40_001),
        showed(BEGUN + SECOND, ConnectorStatus.SUSPENDED_EV),
    )
    spent = replace(idling, payments=(Payment("aa", idling.bill.total_msat, BEGUN),))
    assert credit_ends_at(spent) == BEGUN + SECOND + 10 * MINUTE


def test_a_charger_that_pauses_of_its_own_accord_costs_nothing() -> None:
    paused = showed(BEGUN + MINUTE, ConnectorStatus.SUSPENDED_EVSE)
    assert credit_ends_at(after(charging(tariff=TIMED), paused)) is None


def test_power_that_flows_while_the_charger_says_it_pauses_uses_the_credit_up() -> None:
    session = after(
        charging(300 * SAT),
        showed(BEGUN + MINUTE, ConnectorStatus.SUSPENDED_EVSE),
        sampled(BEGUN + 2 * MINUTE, 40_500, power_w=10_000),
    )
    assert credit_ends_at(session) == BEGUN + 2 * MINUTE + 3 * MINUTE


def test_samples_of_power_alone_do_not_put_the_end_of_the_credit_off() -> None:
    session = after(charging(300 * SAT), sampled(BEGUN, None, power_w=10_000))
    first = credit_ends_at(session)
    assert first is not None
    later = after(session, sampled(BEGUN + 3 * MINUTE, None, power_w=10_000))
    assert credit_ends_at(later) == first
    assert no_energy_ends_at(later) is None


def test_a_sample_that_says_nothing_changes_no_forecast() -> None:
    session = after(charging(300 * SAT), sampled(BEGUN + MINUTE, 40_100, power_w=10_000))
    silent = after(session, sampled(BEGUN + 2 * MINUTE, None))
    assert credit_ends_at(silent) == credit_ends_at(session)


def test_the_power_is_worked_out_where_the_charger_reports_none() -> None:
    session = after(charging(), sampled(BEGUN + 6 * MINUTE, 41_000))
    assert session.power_w == 10_000
    # Over the time since the register was last read, whatever was sampled between.
    session = after(
        session, sampled(BEGUN + 11 * MINUTE, None, 50), sampled(BEGUN + 12 * MINUTE, 42_000)
    )
    assert session.power_w == 10_000


# what is known -> the deadline, from T0
DEADLINES: list[tuple[str, Session, int | None]] = [
    ("starting", starting(), 120_000),
    ("no energy yet", charging(), 10_000 + 900_000),
    ("closed", after(charging(), ended(T0 + MINUTE, 41_000)), None),
    ("stopping", after(charging(), asked_to_stop(T0 + MINUTE)), 60_000 + 15_000),
    ("lost", after(charging(), showed(T0 + MINUTE, ConnectorStatus.OFFLINE)), 60_000 + HOUR),
    (
        "stopping and lost",
        after(charging(), asked_to_stop(T0 + MINUTE), showed(T0 + MINUTE, ConnectorStatus.OFFLINE)),
        60_000 + HOUR,
    ),
    (
        "vanishing",
        after(charging(), showed(T0 + MINUTE, ConnectorStatus.AVAILABLE)),
        60_000 + 60_000,
    ),
    (
        "vanishing and lost",
        after(
            charging(),
            showed(T0 + MINUTE, ConnectorStatus.AVAILABLE),
            showed(T0 + MINUTE, ConnectorStatus.OFFLINE),
        ),
        60_000 + 60_000,
    ),
    (
        "back, and vanished while it was away",
        after(
            charging(),
            showed(T0 + MINUTE, ConnectorStatus.OFFLINE),
            showed(T0 + 10 * MINUTE, ConnectorStatus.CHARGING),
            showed(T0 + 2 * MINUTE, ConnectorStatus.AVAILABLE),
        ),
        10 * MINUTE + 60_000,
    ),
    (
        "under power",
        after(charging(600 * SAT), sampled(BEGUN, 41_000, power_w=10_000)),
        10_000 + 6 * MINUTE - SECOND - 5 * SECOND,
    ),
    (
        "under power, and no question is answered",
        replace(
            after(charging(600 * SAT), sampled(BEGUN, 41_000, power_w=10_000)), asks_unanswered=2
        ),
        10_000 + 6 * MINUTE - SECOND,
    ),
]


@pytest.mark.parametrize(
    ("session", "expected_ms"),
    [case[1:] for case in DEADLINES],
    ids=[case[0] for case in DEADLINES],
)
def test_deadlines(session: Session, expected_ms: int | None) -> None:
    assert deadline(session) == (None if expected_ms is None else T0 + expected_ms)


@given(
    TARIFFS,
    st.integers(1, 20_000),
    st.integers(1_400, 350_000),
    st.integers(5, 300),
    st.sampled_from(["register", "power", "both"]),
)
def test_the_cost_of_an_honest_charge_meets_the_credit(
    tariff: Tariff, amount_sat: int, power_w: int, interval_s: int, kind: str
) -> None:
    """Law 7: the stop is planned from the measured power, not noticed after the credit was passed.

    Energy and time before the first sample are known to nobody; what they cost is borne.
    """
    policy = Policy(stop_lead_ms=0, no_energy_timeout_ms=0)
    session = after(starting(amount_sat * SAT, tariff, policy), begun(BEGUN, register_wh=0))
    at_ms = next_ms = BEGUN
    for _ in range(60):
        due_ms = deadline(session)
        if due_ms is not None and due_ms <= next_ms + interval_s * SECOND:
            at_ms = max(due_ms, at_ms)
            session, effects = step(session, waited(at_ms))
            if effects == (WatchClosely(),):
                continue
            assert effects[0] == StopCharging(7)
            break
        at_ms = next_ms = next_ms + interval_s * SECOND
        register_wh = power_w * (at_ms - BEGUN) // MS_PER_HOUR
        session = after(
            session,
            sampled(
                at_ms,
                None if kind == "power" else register_wh,
                None if kind == "register" else power_w,
            ),
        )
    else:
        return
    session = after(session, ended(at_ms, power_w * (at_ms - BEGUN) // MS_PER_HOUR))
    assert session.state is SessionState.CLOSED
    first_ms = BEGUN + interval_s * SECOND
    seen = Usage(power_w * interval_s * SECOND // MS_PER_HOUR + 1, interval_s * SECOND)
    # A register alone shows the power in whole watt-hours per interval only.
    coarse_wh = 0 if kind != "register" else 2 * (at_ms - first_ms) // (interval_s * SECOND) + 2
    coarse_msat = (coarse_wh + 1) * tariff.energy_per_kwh_msat // 1_000 + 3
    if bill(tariff, seen).total_msat < session.credit_msat:
        assert session.overshoot_msat <= coarse_msat


def test_a_meter_is_read_for_the_forecast_from_the_start() -> None:
    assert charging().meter == Meter.started(40_000, BEGUN)

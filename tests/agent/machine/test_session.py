"""What chargers and payers do in the wild, and what a session makes of it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from agent.machine.deadlines import deadline
from agent.machine.effects import Effect, SendMessage, StartCharging, StopCharging, Topic
from agent.machine.events import (
    ConnectorStatus,
    Event,
    Obstacle,
    StartRejected,
    StopBy,
    TransactionShown,
)
from agent.machine.model import Policy, Session, SessionState
from agent.machine.session import opened, step
from agent.tariff.model import Tariff
from tests.agent.machine.examples import (
    HOUR,
    MINUTE,
    POLICY,
    SAT,
    SECOND,
    T0,
    TIMED,
    after,
    asked_to_stop,
    begun,
    charging,
    ended,
    named,
    paid,
    sampled,
    showed,
    starting,
    waited,
)

HOURLY = Tariff("hourly", energy_per_kwh_msat=0, time_per_hour_msat=600 * SAT)
PAUSES = [ConnectorStatus.SUSPENDED_EV, ConnectorStatus.SUSPENDED_EVSE]


def test_a_payment_with_an_obstacle_goes_back_in_full() -> None:
    session, effects = opened("s", "CP001", 1, POLICY, paid(obstacle=Obstacle.OFFLINE))
    assert session.state is SessionState.CLOSED
    assert session.owed_msat == 1_000 * SAT
    assert named(effects) == "PublishZapReceipt PublishStatus Say:NOT_STARTED OfferRefund"
    assert SendMessage(Topic.NOT_STARTED, 1_000 * SAT, Obstacle.OFFLINE) in effects


def test_a_payment_hash_is_credited_once() -> None:
    for session in (starting(), charging(), after(charging(), ended(T0 + MINUTE, 41_000))):
        again, effects = step(session, replace(paid(at_ms=T0 + HOUR), key="another way"))
        assert again == session
        assert effects == ()


def test_a_session_costs_what_flowed_and_the_rest_is_owed() -> None:
    session = after(charging(), sampled(T0 + HOUR, 41_000), ended(T0 + 2 * HOUR, 41_501))
    assert session.cost_msat == 450_300
    assert session.owed_msat == 549_000
    assert session.rounding_msat == 700


def test_the_operator_bears_what_passes_the_credit() -> None:
    session = after(charging(), ended(T0 + HOUR, 44_000))
    assert (session.cost_msat, session.overshoot_msat) == (1_000 * SAT, 200 * SAT)
    assert session.refunds == ()


def test_a_first_no_ends_the_session_and_a_no_to_a_repeated_question_does_not() -> None:
    refused = StartRejected("no", T0 + 30 * SECOND)
    assert after(starting(), refused).obstacle is Obstacle.REJECTED
    asked_twice = after(starting(), showed(T0 + 25 * SECOND, ConnectorStatus.PREPARING))
    assert asked_twice.start_attempts == 2
    assert after(asked_twice, refused).state is SessionState.STARTING
    offline = StartRejected("gone", T0 + 30 * SECOND, Obstacle.OFFLINE)
    assert after(asked_twice, offline).obstacle is Obstacle.OFFLINE


@pytest.mark.parametrize(
    ("status", "silent", "obstacle"),
    [
        (ConnectorStatus.PREPARING, False, Obstacle.NOT_PLUGGED_IN),
        (ConnectorStatus.PREPARING, True, Obstacle.NOT_ANSWERING),
        (ConnectorStatus.OFFLINE, False, Obstacle.OFFLINE),
    ],
)
def test_who_never_plugs_in_gets_all_of_it_back(
    status: ConnectorStatus, silent: bool, obstacle: Obstacle
) -> None:
    waiting = after(starting(), showed(T0 + SECOND, status))
    early = waited(T0 + 119 * SECOND)
    assert step(waiting, early) == (waiting, ())
    session = after(waiting, waited(T0 + 120 * SECOND, silent=silent))
    assert session.obstacle is obstacle
    assert session.owed_msat == session.paid_msat


def test_a_transaction_that_begins_too_late_is_stopped_and_costs_nothing() -> None:
    missed = after(starting(), waited(T0 + 120 * SECOND))
    session, effects = step(missed, begun(T0 + 121 * SECOND))
    assert effects == (StopCharging(7),)
    assert after(session, ended(T0 + HOUR, 50_000)).cost_msat == 0


def test_a_charger_whose_clock_stands_at_1970_bills_no_half_century() -> None:
    session = after(
        starting(tariff=TIMED), begun(at_ms=5_000), sampled(T0 + MINUTE, 40_100, power_w=6_000)
    )
    assert session.charging_ms <= MINUTE
    assert deadline(session) is not None
    closed = after(session, ended(6_000, 40_100))
    assert closed.closed_at_ms is not None
    assert closed.started_at_ms is not None
    assert closed.opened_at_ms <= closed.started_at_ms <= closed.closed_at_ms


def test_a_stop_with_a_clock_that_lags_is_read_and_ends_no_earlier_than_the_last_sample() -> None:
    session = after(charging(), sampled(T0 + HOUR, 41_000), ended(T0 + MINUTE, 41_500))
    assert session.energy_wh == 1_500
    assert session.closed_at_ms == T0 + HOUR


def test_a_sample_older_than_the_last_says_nothing() -> None:
    session = after(charging(), sampled(T0 + HOUR, 42_000, 7_000))
    late = after(session, sampled(T0 + MINUTE, 40_100, 11_000))
    assert (late.energy_wh, late.power_w) == (2_000, 7_000)
    assert late.charging_ms == session.charging_ms


def test_a_stop_for_another_transaction_is_not_guessed_to_be_ours() -> None:
    session = charging()
    assert step(session, ended(T0 + MINUTE, 41_000, transaction_id=-1)) == (session, ())


def test_a_second_transaction_of_the_same_driver_is_adopted() -> None:
    session = after(
        charging(),
        sampled(T0 + MINUTE, 41_000),
        begun(T0 + 2 * MINUTE, transaction_id=8, register_wh=0),
        ended(T0 + 3 * MINUTE, 99_000, transaction_id=7),
        ended(T0 + 4 * MINUTE, 500, transaction_id=8),
    )
    assert session.energy_wh == 1_500


@pytest.mark.parametrize("state", ["charging", "stopping", "closed"])
def test_the_same_start_twice_changes_nothing(state: str) -> None:
    steps = {
        "charging": [],
        "stopping": [asked_to_stop(T0 + MINUTE)],
        "closed": [ended(T0 + MINUTE, 41_000)],
    }
    session = after(charging(), *steps[state])
    assert step(session, begun(T0 + 2 * MINUTE)) == (session, ())


def test_time_counts_as_charging_until_the_car_pauses_and_as_idle_from_then_on() -> None:
    session = after(
        charging(tariff=TIMED),
        showed(T0 + 70 * SECOND, ConnectorStatus.SUSPENDED_EV),
        sampled(T0 + 80 * SECOND, 40_001),
        showed(T0 + 90 * SECOND, ConnectorStatus.SUSPENDED_EVSE),
        showed(T0 + 100 * SECOND, ConnectorStatus.CHARGING),
        ended(T0 + 105 * SECOND, 40_002),
    )
    assert (session.charging_ms, session.idle_ms) == (65 * SECOND, 20 * SECOND)


@pytest.mark.parametrize("pause", PAUSES)
def test_a_pause_is_not_billed_as_charging_while_the_charger_is_asked_to_stop(
    pause: ConnectorStatus,
) -> None:
    session = after(
        charging(tariff=HOURLY),
        sampled(T0 + MINUTE, 40_100),
        showed(T0 + MINUTE, pause),
        asked_to_stop(T0 + 2 * MINUTE),
        ended(T0 + HOUR, 40_100),
    )
    assert session.charging_ms == 50 * SECOND


@pytest.mark.parametrize("pause", PAUSES)
def test_a_pause_reported_before_the_transaction_counts(pause: ConnectorStatus) -> None:
    session = after(starting(tariff=HOURLY), showed(T0 + SECOND, pause), begun())
    assert session.state is SessionState.SUSPENDED
    session = after(session, showed(T0 + HOUR, ConnectorStatus.CHARGING))
    assert (session.state, session.charging_ms) == (SessionState.CHARGING, 0)


def test_a_lost_charger_is_settled_by_its_last_reading() -> None:
    lost = after(
        charging(), sampled(T0 + MINUTE, 41_000), showed(T0 + MINUTE, ConnectorStatus.OFFLINE)
    )
    assert step(lost, waited(T0 + HOUR)) == (lost, ())
    session = after(lost, waited(T0 + MINUTE + HOUR))
    assert session.cost_msat == 300 * SAT


@pytest.mark.parametrize("back", [sampled(T0 + HOUR, 41_100), begun(T0 + HOUR, 8, 41_100)])
def test_any_word_of_a_lost_charger_brings_it_back(back: Event) -> None:
    lost = after(charging(), showed(T0 + MINUTE, ConnectorStatus.OFFLINE))
    assert after(lost, back).offline_since_ms is None


def test_a_stop_is_asked_for_again_as_soon_as_a_lost_charger_is_back() -> None:
    session = after(
        charging(), asked_to_stop(T0 + MINUTE), showed(T0 + MINUTE, ConnectorStatus.OFFLINE)
    )
    _, effects = step(session, showed(T0 + 2 * MINUTE, ConnectorStatus.CHARGING))
    assert StopCharging(7) in effects


def test_a_charger_that_will_not_stop_is_asked_again_and_given_up_at_last() -> None:
    session = after(charging(), sampled(T0 + MINUTE, 41_000), asked_to_stop(T0 + MINUTE))
    asked, effects = 0, tuple[Effect, ...]()
    while session.state is SessionState.STOPPING:
        at_ms = deadline(session)
        assert at_ms is not None
        session, effects = step(session, waited(at_ms))
        asked += StopCharging(7) in effects and session.state is SessionState.STOPPING
    assert asked == 9
    assert SendMessage(Topic.CHARGER_SILENT) in effects
    assert session.cost_msat == 300 * SAT


def test_a_connector_that_looks_free_ends_the_session_unless_energy_still_flows() -> None:
    free = after(charging(), showed(T0 + MINUTE, ConnectorStatus.AVAILABLE))
    assert after(free, waited(T0 + 2 * MINUTE)).state is SessionState.CLOSED
    for flows in (
        sampled(T0 + MINUTE, 40_100),
        showed(T0 + MINUTE, ConnectorStatus.CHARGING),
    ):
        assert after(free, flows, waited(T0 + 2 * MINUTE)).state is SessionState.CHARGING


def test_a_connector_that_charges_after_all_is_not_given_up_while_it_is_asked_to_stop() -> None:
    session = after(
        charging(),
        sampled(T0 + MINUTE, 40_100),
        showed(T0 + MINUTE, ConnectorStatus.FINISHING),
        asked_to_stop(T0 + MINUTE),
        showed(T0 + 90 * SECOND, ConnectorStatus.CHARGING),
        waited(T0 + 2 * MINUTE),
    )
    assert session.state is SessionState.STOPPING


def test_a_status_with_an_old_clock_ends_no_session() -> None:
    stale = showed(5_000, ConnectorStatus.PREPARING)
    session = after(charging(), sampled(T0 + MINUTE, 40_100), stale, waited(T0 + MINUTE))
    assert session.state is SessionState.CHARGING


def test_a_session_in_which_nothing_flows_is_ended() -> None:
    session = after(charging(), waited(T0 + 10 * SECOND + 15 * MINUTE))
    assert session.stop_by is StopBy.NO_ENERGY
    assert after(session, ended(T0 + HOUR, 40_000)).owed_msat == 1_000 * SAT


def test_the_driver_hears_once_that_his_credit_runs_low_and_again_after_a_top_up() -> None:
    low = sampled(T0 + HOUR, 42_700)
    session, effects = step(charging(), low)
    assert effects == (SendMessage(Topic.CREDIT_LOW, 190 * SAT, minutes=14),)
    session, effects = step(session, sampled(T0 + HOUR + SECOND, 42_800))
    assert effects == ()
    session = after(session, paid(T0 + HOUR, 100 * SAT, "bb"))
    _, effects = step(session, sampled(T0 + HOUR + MINUTE, 43_100))
    assert named(effects) == "Say:CREDIT_LOW"


def given_up() -> Session:
    """Settled by its last reading while the charger was away, its transaction still running."""
    return after(
        charging(),
        sampled(T0 + MINUTE, 41_000),
        showed(T0 + MINUTE, ConnectorStatus.OFFLINE),
        waited(T0 + MINUTE + HOUR),
    )


@pytest.mark.parametrize(
    "alive",
    [
        sampled(T0 + 2 * HOUR, 60_000),
        showed(T0 + 2 * HOUR, ConnectorStatus.CHARGING),
        showed(T0 + 2 * HOUR, ConnectorStatus.SUSPENDED_EV),
    ],
)
def test_a_charger_given_up_that_charges_on_is_asked_to_stop(alive: Event) -> None:
    session, effects = step(given_up(), alive)
    assert effects == (StopCharging(7),)
    assert session.cost_msat == 300 * SAT
    assert step(session, sampled(T0 + 2 * HOUR + SECOND, 60_001)) == (session, ())
    assert step(session, sampled(T0 + 2 * HOUR + 15 * SECOND, 60_002))[1] == effects


def test_a_charger_given_up_that_has_stopped_since_is_left_alone() -> None:
    stopped = after(given_up(), ended(T0 + 2 * HOUR, 60_000))
    assert stopped.cost_msat == 300 * SAT
    assert step(stopped, sampled(T0 + 3 * HOUR, 60_000)) == (stopped, ())
    ordinary = after(charging(), ended(T0 + HOUR, 41_000))
    assert step(ordinary, sampled(T0 + 2 * HOUR, 41_000)) == (ordinary, ())
    assert step(starting(), sampled(T0, 1)) == (starting(), ())


def test_a_new_start_for_a_closed_session_starts_nothing() -> None:
    closed = after(starting(), asked_to_stop(T0 + SECOND))
    for event in (showed(T0 + HOUR, ConnectorStatus.PREPARING), paid(T0 + HOUR, SAT, "bb")):
        _, effects = step(closed, event)
        assert not any(isinstance(effect, StartCharging) for effect in effects)


def test_the_driver_hears_now_and_then_how_far_it_is() -> None:
    session = charging(100_000 * SAT, policy=Policy(progress_ms=20 * MINUTE))
    told: list[int] = []
    for minute in range(1, 90):
        # From the 60th minute on nothing flows.
        energy_wh = 40_000 + 100 * min(minute, 60)
        event = sampled(T0 + minute * MINUTE, energy_wh, 6_000 if minute < 60 else 0)
        session, effects = step(session, event)
        if SendMessage(Topic.PROGRESS) in effects:
            told.append(minute)
    assert told == [21, 41]


def test_no_progress_unless_the_operator_wants_it_and_none_right_after_other_news() -> None:
    _, effects = step(charging(), sampled(T0 + 10 * HOUR, 40_100, 6_000))
    assert effects == ()
    session = charging(policy=Policy(progress_ms=20 * MINUTE))
    low, effects = step(session, sampled(T0 + HOUR, 42_700, 6_000))
    assert named(effects) == "Say:CREDIT_LOW"
    _, effects = step(low, sampled(T0 + HOUR + MINUTE, 42_710, 6_000))
    assert effects == ()


def test_a_reading_from_before_the_latest_transaction_says_nothing_of_what_runs() -> None:
    """It waited in the charger's queue while it lost its transaction and began another."""
    again = after(charging(), begun(T0 + MINUTE, transaction_id=8, register_wh=0))
    late = TransactionShown("shown", T0 + MINUTE, 7)
    assert after(again, late).transaction_id == 8
    assert after(again, TransactionShown("shown", T0 + MINUTE + 1, 7)).transaction_id == 7


def test_the_end_of_the_other_transaction_ends_a_session_that_is_to_stop() -> None:
    """Nothing was read in between: the charger says by its end which one ran."""
    again = after(charging(), begun(T0 + MINUTE, transaction_id=8, register_wh=40_000))
    early = after(again, ended(T0 + 2 * MINUTE, 40_100, transaction_id=7))
    assert early.state is SessionState.CHARGING
    stopping = after(early, asked_to_stop(T0 + 3 * MINUTE))
    closed = after(stopping, ended(T0 + 4 * MINUTE, 40_200, transaction_id=7))
    assert (closed.state, closed.energy_wh) == (SessionState.CLOSED, 200)


def test_a_session_is_a_value() -> None:
    """Snapshots are compared and kept: two sessions with the same history are the same."""
    one = opened("s", "CP001", 1, POLICY, paid())
    other = opened("s", "CP001", 1, POLICY, replace(paid()))
    assert one == other
    assert hash(one[0]) == hash(other[0])

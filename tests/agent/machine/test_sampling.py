"""Time that a driver pays for: only while his charge is known to go on.

Seen with the SAP simulator (killed in a session, its ATG moving the status of the connector) and
with MicroOcpp (outages and power losses).
"""

from __future__ import annotations

import pytest

from agent.machine.events import ConnectorStatus, Event, TransactionStopped
from agent.machine.model import Ending, Session, SessionState
from tests.agent.machine.examples import (
    MINUTE,
    SECOND,
    T0,
    after,
    begun,
    booted,
    charging,
    ended,
    sampled,
    showed,
    waited,
)

BEGUN = T0 + 10 * SECOND
AVAILABLE, PREPARING = ConnectorStatus.AVAILABLE, ConnectorStatus.PREPARING
CHARGING, FINISHING = ConnectorStatus.CHARGING, ConnectorStatus.FINISHING
OFFLINE, PAUSED = ConnectorStatus.OFFLINE, ConnectorStatus.SUSPENDED_EV


def at(minutes: float) -> int:
    return BEGUN + round(minutes * MINUTE)


def minutes(session: Session) -> float:
    return session.charging_ms / MINUTE


def lost_and_back(*events: Event) -> Session:
    """A meter read at minute 1, an outage from minute 2 to 62, and what the charger said then."""
    back = showed(at(62), CHARGING)
    return after(charging(), sampled(at(1), 40_100), showed(at(2), OFFLINE), back, *events)


def test_no_time_passes_while_the_connector_looks_free() -> None:
    flickering = (showed(at(2 + second), s) for second in (0, 1, 2) for s in (AVAILABLE, PREPARING))
    session = after(charging(), sampled(at(1), 40_100), *flickering)
    assert minutes(session) == 2
    closed = after(session, sampled(at(2.5), 40_100), waited(at(3)))
    assert (closed.ending, minutes(closed)) == (Ending.VANISHED, 2)


def test_time_has_passed_when_energy_flowed_although_it_looked_free() -> None:
    session = after(charging(), showed(at(1), PREPARING), sampled(at(3), 40_100))
    assert minutes(session) == 3


def test_time_in_which_it_looked_free_stays_out_when_it_charges_again() -> None:
    session = after(charging(), showed(at(1), FINISHING), showed(at(1.5), CHARGING))
    assert minutes(session) == 1
    assert minutes(after(session, sampled(at(4), 40_100))) == 3.5


def test_a_stop_after_the_connector_was_free_adds_no_time() -> None:
    closed = after(charging(), showed(at(2), FINISHING), ended(at(2.9), 40_200))
    assert (minutes(closed), closed.energy_wh) == (2, 200)


@pytest.mark.parametrize("shown", [showed(at(63), CHARGING), sampled(at(63), 41_000)])
def test_an_outage_counts_once_the_charger_shows_that_it_went_on(shown: Event) -> None:
    assert minutes(lost_and_back()) == 1
    assert minutes(lost_and_back(shown)) == 63


def test_an_outage_that_ends_with_a_free_connector_was_a_power_cut_and_does_not_count() -> None:
    session = lost_and_back(showed(at(62.1), AVAILABLE))
    closed = after(session, waited(at(63.1)))
    assert (closed.ending, minutes(closed)) == (Ending.VANISHED, 1)


def test_what_was_kept_in_an_outage_shows_nothing_of_the_rest_of_it() -> None:
    """The charge ended while the charger was lost, and it tells its state before its stop."""
    kept = lost_and_back(sampled(at(30), 40_500), sampled(at(40), 40_700))
    assert (minutes(kept), kept.unheard_since_ms) == (40, at(40))
    ended_then = after(kept, showed(at(62.1), FINISHING), ended(at(41), 40_710))
    assert (ended_then.energy_wh, minutes(ended_then)) == (710, 41)
    went_on = after(kept, sampled(at(63), 41_000), showed(at(64), FINISHING))
    assert (minutes(went_on), went_on.unheard_since_ms) == (64, None)


def test_a_stop_in_an_outage_counts_up_to_its_own_time() -> None:
    closed = lost_and_back(showed(at(40), AVAILABLE), ended(at(40), 41_000))
    assert (closed.state, minutes(closed)) == (SessionState.CLOSED, 40)


@pytest.mark.parametrize(
    "shown", [showed(at(63), CHARGING), sampled(at(63), 41_000), ended(at(63), 41_000)]
)
def test_an_outage_that_ends_with_a_boot_was_a_power_cut_whatever_goes_on_then(
    shown: Event,
) -> None:
    """MicroOcpp takes its transaction up again, or ends it for a car that was unplugged."""
    session = lost_and_back(booted(at(62)))
    assert minutes(session) == 1
    assert minutes(after(session, shown)) == 3


def test_a_boot_is_not_missed_by_a_clock_of_whole_seconds() -> None:
    shown = showed(at(62) - 900, CHARGING)
    heard = after(lost_and_back(booted(at(62))), shown, showed(at(63), CHARGING))
    assert (heard.unheard_since_ms, minutes(heard)) == (None, 3.015)


def test_what_was_kept_in_an_outage_that_ends_with_a_boot_counts_as_far_as_it_says() -> None:
    kept = lost_and_back(booted(at(62)), sampled(at(30), 40_500), sampled(at(40), 40_700))
    assert minutes(kept) == 40
    assert minutes(after(kept, showed(at(63), CHARGING))) == 41
    assert minutes(lost_and_back(booted(at(62)), ended(at(40), 40_700))) == 40


def test_a_boot_without_an_outage_says_nothing() -> None:
    session = after(charging(), sampled(at(1), 40_100), booted(at(2)), sampled(at(3), 40_300))
    assert minutes(session) == 3
    again = after(
        session, showed(at(4), OFFLINE), showed(at(9), CHARGING), showed(at(10), CHARGING)
    )
    assert minutes(again) == 10


def test_a_stop_that_waited_in_its_charger_takes_back_what_a_state_seemed_to_show() -> None:
    """Some chargers send a state that they kept as one of now, and the stop that came before it
    after it."""
    for state, charged, idle in ((CHARGING, 40, 0), (PAUSED, 2, 0)):
        shown = lost_and_back(showed(at(62.1), state))
        closed = after(shown, ended(at(40), 41_000))
        assert (closed.state, minutes(closed)) == (SessionState.CLOSED, charged)
        assert closed.idle_ms == idle
    paused = after(charging(), showed(at(10), PAUSED), showed(at(30), PAUSED))
    stopped = after(paused, ended(at(25), 41_000))
    assert (minutes(stopped), stopped.idle_ms) == (10, 15 * MINUTE)
    # It has no date of its own.
    assert after(paused, ended(0, 41_000)).idle_ms == 20 * MINUTE


def test_a_power_loss_ended_when_the_charger_was_lost_whatever_it_says() -> None:
    stop = TransactionStopped("ended", at(62), 7, 40_150, "PowerLoss")
    assert minutes(lost_and_back(stop)) == 2
    assert minutes(lost_and_back(showed(at(62), AVAILABLE), stop)) == 2


def test_a_state_that_was_kept_shows_nothing_of_the_rest_of_an_outage() -> None:
    kept = lost_and_back(showed(at(20), PAUSED), showed(at(30), CHARGING))
    assert (minutes(kept), kept.idle_ms, kept.unheard_since_ms) == (20, 10 * MINUTE, at(30))
    stop = TransactionStopped("ended", at(62.5), 7, 41_000, "PowerLoss")
    assert minutes(after(kept, stop)) == 20
    assert minutes(after(kept, showed(at(63), CHARGING))) == 53


def test_a_second_outage_is_counted_from_the_first_as_long_as_nothing_was_heard() -> None:
    session = lost_and_back(showed(at(63), OFFLINE), showed(at(70), CHARGING))
    assert session.unheard_since_ms == at(2)
    heard = after(session, sampled(at(71), 41_000))
    assert (heard.unheard_since_ms, minutes(heard)) == (None, 71)


def test_the_idle_time_of_a_lost_charger_counts_no_more_than_its_charging_time() -> None:
    paused = after(charging(), sampled(at(1), 40_100), showed(at(2), PAUSED))
    back = after(paused, showed(at(3), OFFLINE), showed(at(30), PAUSED))
    gone = after(back, showed(at(30.1), AVAILABLE), waited(at(31.1)))
    assert (gone.state, gone.idle_ms) == (SessionState.CLOSED, 0)
    assert after(back, showed(at(30.1), PAUSED)).idle_ms == 28.1 * MINUTE


def test_a_car_that_charges_again_unseen_is_not_idle() -> None:
    """Its charger lost the state in an outage; the meter shows what the car does."""
    paused = after(charging(), sampled(at(1), 40_100), showed(at(2), PAUSED))
    back = after(paused, showed(at(3), OFFLINE), showed(at(30), PAUSED))
    for power_w in (None, 7_200):
        went_on = after(back, sampled(at(32), 43_600, power_w), sampled(at(62), 47_200, power_w))
        assert (went_on.idle_ms, minutes(went_on)) == (0, 62)
    trickles = after(back, sampled(at(32), 40_103), sampled(at(62), 40_130, 60))
    assert (trickles.idle_ms, minutes(trickles)) == (60 * MINUTE, 2)
    coarse = after(paused, sampled(at(3), 40_200, 0), sampled(at(33), 40_200))
    assert (coarse.idle_ms, minutes(coarse)) == (31 * MINUTE, 2)


def test_a_car_that_charges_once_its_charger_is_back_was_not_idle_all_the_time() -> None:
    """Its charger shows what it does now before it is read: when it began to, nobody knows."""
    paused = after(charging(), sampled(at(1), 40_100), showed(at(2), PAUSED))
    back = after(paused, showed(at(3), OFFLINE), showed(at(30), PAUSED))
    for again in (at(30.1), at(30) - 5):
        went_on = after(back, showed(again, CHARGING), sampled(at(32), 43_600))
        assert went_on.idle_ms == MINUTE
        assert minutes(went_on) == 2 + (at(32) - again) / MINUTE
    kept = after(back, showed(at(20), CHARGING), sampled(at(32), 43_600))
    assert (kept.idle_ms, minutes(kept)) == (18 * MINUTE, 14)


def test_a_car_that_is_full_once_its_charger_is_back_did_not_charge_all_the_time() -> None:
    full = after(lost_and_back(), showed(at(62.1), PAUSED), showed(at(64.1), PAUSED))
    assert (minutes(full), full.idle_ms) == (2, 2 * MINUTE)
    kept = after(lost_and_back(), showed(at(20), PAUSED))
    assert minutes(kept) == 20


def test_a_transaction_that_begins_again_counts_from_its_own_start() -> None:
    """The charger had no power in between, or it would have gone on with the first."""
    again = begun(at(62), transaction_id=8, register_wh=40_100)
    session = after(charging(), sampled(at(1), 40_100), showed(at(2), OFFLINE), again)
    assert minutes(after(session, sampled(at(63), 40_150))) == 2

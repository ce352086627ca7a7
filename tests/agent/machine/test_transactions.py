"""A transaction's beginning and end as chargers tell them: elsewhere, unread, out of order."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from agent.machine.deadlines import deadline
from agent.machine.effects import SendCdr, StopCharging
from agent.machine.events import ConnectorStatus, StopBy, TransactionStarted
from agent.machine.evidence import evidence_of
from agent.machine.meter import Source
from agent.machine.model import Ending, Policy, SessionState
from agent.machine.session import step
from tests.agent.machine.examples import (
    MINUTE,
    POLICY,
    SECOND,
    T0,
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

BEGUN_MS = T0 + 10 * SECOND


def unread(connector: int = 0, max_power_w: int = 0, transaction_id: int = 7) -> TransactionStarted:
    """A start without a register."""
    return TransactionStarted(
        f"begun:{transaction_id}", BEGUN_MS, transaction_id, None, connector, max_power_w
    )


def test_the_session_moves_to_the_connector_where_its_transaction_began() -> None:
    waiting = after(starting(), showed(T0, ConnectorStatus.SUSPENDED_EV))
    moved = after(waiting, unread(connector=2, max_power_w=7_000))
    assert (moved.connector, moved.max_power_w, moved.plan_power_w) == (2, 7_000, 7_000)
    assert moved.state is SessionState.CHARGING
    same = after(waiting, unread(connector=1, max_power_w=7_000))
    assert (same.connector, same.max_power_w) == (1, waiting.max_power_w)
    again = after(charging(), unread(connector=2, max_power_w=7_000, transaction_id=8))
    assert (again.connector, again.max_power_w) == (2, 7_000)


def test_without_a_register_counting_begins_at_the_first_reading() -> None:
    session = after(starting(), unread())
    assert (session.meter, evidence_of(session)) == (None, None)
    session = after(session, sampled(T0 + MINUTE, None, power_w=5_000))
    assert session.meter is None
    session = after(session, sampled(T0 + 2 * MINUTE, 40_000))
    assert session.energy_wh == 0
    session = after(session, sampled(T0 + 3 * MINUTE, 40_100), ended(T0 + 4 * MINUTE, 40_300))
    evidence = evidence_of(session)
    assert session.energy_wh == 300
    assert evidence is not None
    assert (evidence.start_wh, evidence.start_at_ms) == (40_000, T0 + 2 * MINUTE)
    assert evidence.adds_up


def test_without_any_register_before_the_stop_nothing_was_counted() -> None:
    session = after(starting(), unread(), ended(T0 + MINUTE, 40_300))
    assert (session.energy_wh, session.ending) == (0, Ending.STOPPED)
    assert session.meter is not None
    assert session.meter.source is Source.STOP
    session = after(starting(), unread(), ended(T0 + MINUTE, None))
    assert (session.energy_wh, session.ending) == (0, Ending.NO_REGISTER)


def test_another_start_without_a_register_leaves_the_meter_as_it_is() -> None:
    session = after(charging(), sampled(T0 + MINUTE, 40_500), unread(transaction_id=8))
    assert session.transaction_id == 8
    session = after(session, sampled(T0 + 2 * MINUTE, 40_700))
    assert session.energy_wh == 700


def test_an_end_that_came_first_ends_what_begins_behind_it() -> None:
    waiting = after(starting(), ended(T0 + 20 * SECOND, 40_200, transaction_id=0))
    assert waiting.state is SessionState.STARTING
    session, effects = step(waiting, begun(BEGUN_MS))
    assert (session.state, session.energy_wh) == (SessionState.CLOSED, 200)
    assert (session.charging_ms, session.transaction_ended) == (10 * SECOND, True)
    assert SendCdr() in effects
    assert not any(isinstance(effect, StopCharging) for effect in effects)


def test_an_end_from_before_the_beginning_ends_nothing() -> None:
    waiting = after(starting(), ended(T0 + 5 * SECOND, 40_200, transaction_id=0))
    session = after(waiting, begun(BEGUN_MS))
    assert (session.state, session.early_stop) == (SessionState.CHARGING, None)


@pytest.mark.parametrize("stopping", [False, True])
@pytest.mark.parametrize("status", ["Available", "Preparing", "Finishing"])
def test_a_connector_that_was_free_before_the_start_says_nothing_of_now(
    status: str, stopping: bool
) -> None:
    session = charging()
    if stopping:
        session = after(session, asked_to_stop(T0 + MINUTE))
    old = showed(BEGUN_MS - 1, ConnectorStatus(status))
    assert after(session, old).vanished_since_ms is None
    now = showed(BEGUN_MS, ConnectorStatus(status))
    assert after(session, now).vanished_since_ms is not None


def test_a_fault_is_no_charging_time_and_no_power_is_planned_with() -> None:
    session = after(charging(), sampled(T0 + MINUTE, 40_500, power_w=11_000))
    before_ms = session.charging_ms
    faulted = after(session, showed(T0 + MINUTE, ConnectorStatus.FAULTED))
    assert (faulted.state, faulted.plan_power_w, faulted.power_w) == (SessionState.CHARGING, 0, 0)
    recovered = after(faulted, showed(T0 + 31 * MINUTE, ConnectorStatus.CHARGING))
    assert (recovered.charging_ms, recovered.idle_ms) == (before_ms, 0)
    assert recovered.plan_power_w == session.peak_power_w > 0
    assert recovered.faulted_since_ms is None
    on = after(recovered, sampled(T0 + 32 * MINUTE, 40_700))
    assert on.charging_ms == before_ms + MINUTE


def test_a_fault_that_lasts_ends_the_session() -> None:
    session = after(charging(), sampled(T0 + MINUTE, 40_500, power_w=11_000))
    faulted = after(session, showed(T0 + MINUTE, ConnectorStatus.FAULTED))
    again = after(faulted, showed(T0 + 5 * MINUTE, ConnectorStatus.FAULTED))
    still = after(again, sampled(T0 + 6 * MINUTE, 40_500, power_w=0))
    ends_ms = T0 + MINUTE + POLICY.no_energy_timeout_ms
    assert deadline(still) == ends_ms
    assert after(still, waited(ends_ms - 1)).state is SessionState.CHARGING
    assert after(still, waited(ends_ms)).stop_by is StopBy.NO_ENERGY
    rising = after(again, sampled(T0 + 6 * MINUTE, 40_600))
    assert rising.faulted_since_ms is None
    patient = after(replace(still, policy=Policy(no_energy_timeout_ms=0)), waited(ends_ms))
    assert patient.state is SessionState.CHARGING


def test_a_charger_that_is_lost_twice_is_lost_since_the_first_time() -> None:
    """A restart of Strom tells every session once more."""
    lost = after(charging(), showed(T0 + MINUTE, ConnectorStatus.OFFLINE))
    again = after(lost, showed(T0 + 5 * MINUTE, ConnectorStatus.OFFLINE))
    assert deadline(again) == deadline(lost) == T0 + MINUTE + POLICY.offline_timeout_ms


def test_power_that_flows_back_is_none() -> None:
    session = after(charging(), sampled(T0 + MINUTE, 40_100, power_w=-4_000))
    assert session.power_w == 0

"""What a reading of the meter changes in a session, and what the driver hears of it. Pure."""

from __future__ import annotations

from agent.machine import metering
from agent.machine.effects import SendMessage, Topic
from agent.machine.events import ConnectorStatus, MeterSampled
from agent.machine.forecast import MW_MS_PER_WH, is_idle
from agent.machine.frozen import replace
from agent.machine.metering import Reading
from agent.machine.model import Session, SessionState
from agent.machine.settling import Result

PAUSED = frozenset({ConnectorStatus.SUSPENDED_EV, ConnectorStatus.SUSPENDED_EVSE})
"""States of a connector in which a transaction goes on and no energy flows."""


def _times(session: Session, at_ms: int) -> tuple[int, int, int]:
    """Charging time, idle time, and up to when, counted up to a moment the charger vouched for."""
    charging_ms, idle_ms = session.charging_ms, session.idle_ms
    elapsed_ms = at_ms - session.counted_until_ms
    if elapsed_ms <= 0 or session.started_at_ms is None:
        return charging_ms, idle_ms, session.counted_until_ms
    if session.state is not SessionState.SUSPENDED and session.status not in PAUSED:
        charging_ms += elapsed_ms
    elif is_idle(session):
        idle_ms += elapsed_ms
    return charging_ms, idle_ms, at_ms


def counted(session: Session, at_ms: int) -> Session:
    """The session with its times counted up to a moment the charger vouched for."""
    charging_ms, idle_ms, until_ms = _times(session, at_ms)
    return replace(session, charging_ms=charging_ms, idle_ms=idle_ms, counted_until_ms=until_ms)


def metered(
    session: Session, at_ms: int, reading: Reading | None, power_w: int | None, counted_ms: int
) -> Session:
    """The session after a reading of its meter, its times counted up to `counted_ms`.

    Readings are the bulk of all events: everything changes in one copy.
    """
    charging_ms, idle_ms, until_ms = _times(session, counted_ms)
    meter = session.meter
    sampled_at_ms, metered_at_ms = session.sampled_at_ms, session.metered_at_ms
    energy_wh, new_power_w = session.energy_wh, session.power_w
    if meter is not None and at_ms >= sampled_at_ms:
        sampled_at_ms = at_ms
        if reading is not None:
            meter = metering.read(meter, reading, session.max_power_w)
            energy_wh = meter.energy_wh
            metered_at_ms = max(at_ms, metered_at_ms)
        if power_w is not None:
            new_power_w = max(0, power_w)
        elif metered_at_ms > session.metered_at_ms:
            gained = (energy_wh - session.energy_wh) * MW_MS_PER_WH
            new_power_w = gained // (metered_at_ms - session.metered_at_ms)
    return replace(
        session,
        meter=meter,
        energy_wh=energy_wh,
        power_w=new_power_w,
        sampled_at_ms=sampled_at_ms,
        metered_at_ms=metered_at_ms,
        charging_ms=charging_ms,
        idle_ms=idle_ms,
        counted_until_ms=until_ms,
        offline_since_ms=None,
        vanished_since_ms=None if energy_wh > session.energy_wh else session.vanished_since_ms,
    )


def sample(session: Session, event: MeterSampled) -> Result:
    """A reading of the meter; the driver hears when his credit runs low, and how far it is."""
    reading = None
    if event.register_wh is not None:
        reading = Reading(event.register_wh, event.at_ms, event.source, event.fraction_mwh)
    after = metered(session, event.at_ms, reading, event.power_w, event.at_ms)
    if after.state is SessionState.STOPPING:
        return after, ()
    low = (after.credit_msat - after.cost_now_msat) * 5 <= after.credit_msat
    if low and not after.credit_low_told:
        left = SendMessage(Topic.CREDIT_LOW, after.left_msat)
        told_at_ms = max(event.at_ms, after.progress_told_at_ms)
        return replace(after, credit_low_told=True, progress_told_at_ms=told_at_ms), (left,)
    if _is_progress_due(after, event.at_ms):
        return replace(after, progress_told_at_ms=event.at_ms), (SendMessage(Topic.PROGRESS),)
    return after, ()


def _is_progress_due(session: Session, at_ms: int) -> bool:
    """Whether it is time to tell the driver how far it is: while power flows, now and then."""
    every_ms = session.policy.progress_ms
    if not every_ms or session.state is not SessionState.CHARGING or not session.power_w:
        return False
    return at_ms >= max(session.progress_told_at_ms, session.started_at_ms or 0) + every_ms

"""When a session's credit will be used up, and when one without energy is ended. Pure."""

from __future__ import annotations

from agent.machine.events import ConnectorStatus
from agent.machine.model import CHARGING, SUSPENDED, Session
from agent.tariff.model import MS_PER_HOUR, MS_PER_MINUTE, WH_PER_KWH, Usage, total_msat

_MOST_DOUBLINGS = 3
_SUSPENDED_EV = ConnectorStatus.SUSPENDED_EV

MW_MS_PER_WH = MS_PER_HOUR
"""Watt times milliseconds in one watt-hour."""


def stop_repeats_at(session: Session) -> int:
    """When a stop that had no effect is asked for again, in Unix ms: after growing pauses."""
    doublings = min(max(session.stop_attempts - 1, 0), _MOST_DOUBLINGS)
    return session.stop_sent_at_ms + (session.policy.stop_repeat_ms << doublings)


def vanished_ends_at(session: Session) -> int | None:
    """Until when the stop of a session whose connector looks free may come, in Unix ms; None where
    it does not look so.

    A charger that was away may say first, with the time of then, that its car has left: its stop
    comes behind that.
    """
    if session.vanished_since_ms is None:
        return None
    since_ms = max(session.vanished_since_ms, session.back_at_ms)
    return since_ms + session.policy.vanished_timeout_ms


def credit_ends_at(session: Session) -> int | None:
    """When the credit will be used up at the measured power, in Unix ms; None for never."""
    return ends_at(session, session.power_w)


def unused_msat(session: Session, *, flows: bool = True) -> int:
    """What is left of the credit; below zero where that does not reach.

    Args:
        session: an open session.
        flows: whether energy is to flow: the first watt-hour brings in all that a session
            without energy does not pay.
    """
    energy_wh = session.energy_wh or int(flows)
    entry = Usage(energy_wh, session.charging_ms, session.idle_ms)
    return session.credit_msat - total_msat(session.tariff, entry)


def ends_at(session: Session, power_w: int, left_msat: int | None = None) -> int | None:
    """When the credit will be used up at a power, in Unix ms; None for never.

    Energy is reckoned from the last reading of the register and time from where it was
    last counted, so that samples of power alone do not put the end off. Prices are brought
    to one scale, msat * Wh/kWh * ms/h, to stay with integers.

    Args:
        session: of which.
        power_w: with which it goes on.
        left_msat: its `unused_msat` at that power, where that is known.
    """
    if session.state not in (CHARGING, SUSPENDED):
        return None
    tariff = session.tariff
    from_ms = session.counted_until_ms
    if left_msat is None:
        left_msat = unused_msat(session, flows=power_w > 0)
    rate = power_w * tariff.energy_per_kwh_msat
    left = left_msat * MW_MS_PER_WH * WH_PER_KWH - rate * (from_ms - session.metered_at_ms)
    if left < 0:
        return from_ms
    if session.state is CHARGING:
        rate += WH_PER_KWH * tariff.time_per_hour_msat
    elif is_idle(session):
        grace_ms = max(0, tariff.idle_grace_ms - session.idle_ms)
        if left >= rate * grace_ms:
            left -= rate * grace_ms
            from_ms += grace_ms
            rate += WH_PER_KWH * tariff.idle_per_minute_msat * (MS_PER_HOUR // MS_PER_MINUTE)
    return from_ms + left // rate if rate else None


def no_energy_ends_at(session: Session) -> int | None:
    """When a session in which nothing flows is ended, in Unix ms; None for never."""
    timeout_ms = session.policy.no_energy_timeout_ms
    if not timeout_ms:
        return None
    if session.faulted_since_ms is not None:
        return session.faulted_since_ms + timeout_ms
    if session.energy_wh or session.power_w or session.started_at_ms is None:
        return None
    return session.started_at_ms + timeout_ms


def is_idle(session: Session) -> bool:
    """Whether the car draws nothing of its own accord; a charger's own pause is not its fault."""
    return session.status is _SUSPENDED_EV

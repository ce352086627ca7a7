"""What a reading of the meter changes in a session, and what the driver hears of it. Pure."""

from __future__ import annotations

from msgspec.structs import replace

from agent.machine import counting, metering
from agent.machine.effects import SendMessage, Topic
from agent.machine.events import ConnectorStatus, ConnectorStatusChanged, MeterSampled
from agent.machine.forecast import MW_MS_PER_WH, credit_ends_at, is_idle
from agent.machine.meter import Meter, Reading, Source
from agent.machine.metering import MARGIN_PERCENT, MOST_POWER_W, UNCHECKED_TIMES
from agent.machine.model import CHARGING, STOPPING, SUSPENDED, Session
from agent.machine.settling import Result
from agent.tariff.model import MS_PER_MINUTE, total_msat

LEAST_BETWEEN_MS = 5_000
"""Two readings this near to each other say nothing of the power: coarse registers move by more
at once than flows, and the first sample may follow the start within milliseconds."""
LEAST_CHARGING_W = 1_000
"""A car that draws so much charges, whatever its connector's last state says: chargers lose states
in an outage. The least that AC charging takes is 6 A, 1.4 kW (IEC 61851-1)."""
CLOCK_LEEWAY_MS = 10_000
"""A charger's word may be dated so long before its boot, which is dated by our clock: many clocks
have whole seconds."""
LOW_MS = 15 * MS_PER_MINUTE
VERY_LOW_MS = 5 * MS_PER_MINUTE

_INTERVALS = Source.INTERVALS

PAUSED = frozenset({ConnectorStatus.SUSPENDED_EV, ConnectorStatus.SUSPENDED_EVSE})
"""States of a connector in which a transaction goes on and no energy flows."""
_NOT_POWERED = PAUSED | {ConnectorStatus.FAULTED}
LOOKS_FREE = frozenset(
    {ConnectorStatus.AVAILABLE, ConnectorStatus.PREPARING, ConnectorStatus.FINISHING}
)
"""States of a connector in which no transaction goes on."""


def _times(session: Session, at_ms: int, *, drew: bool = False) -> tuple[int, int, int]:
    """Charging time, idle time, and up to when, counted up to a moment the charger vouched for.

    `drew` says that the car was charging meanwhile, as the meter shows.
    """
    charging_ms, idle_ms = session.charging_ms, session.idle_ms
    if at_ms <= session.counted_until_ms or session.started_at_ms is None:
        return charging_ms, idle_ms, session.counted_until_ms
    elapsed_ms = at_ms - session.counted_until_ms - _silence_ms(session, at_ms)
    powered = session.state is not SUSPENDED and session.status not in _NOT_POWERED
    if powered or (drew and is_idle(session)):
        charging_ms += elapsed_ms
    elif is_idle(session):
        idle_ms += elapsed_ms
    return charging_ms, idle_ms, at_ms


def _silence_ms(session: Session, at_ms: int) -> int:
    """How much of the time that is not counted yet nothing can have flowed: from where the charger
    was lost to where it started anew."""
    lost_ms, booted_ms = session.unheard_since_ms, session.booted_at_ms
    if lost_ms is None or not lost_ms < booted_ms <= at_ms + CLOCK_LEEWAY_MS:
        return 0
    return max(0, min(booted_ms, at_ms) - max(lost_ms, session.counted_until_ms))


def counted(session: Session, at_ms: int) -> Session:
    """The session with its times counted up to a moment the charger vouched for."""
    charging_ms, idle_ms, until_ms = _times(session, at_ms)
    return replace(session, charging_ms=charging_ms, idle_ms=idle_ms, counted_until_ms=until_ms)


def vouched(session: Session, event: ConnectorStatusChanged) -> Session:
    """The session with that status, and its times as far as the status vouches for them.

    Time passes for a driver while his charge is known to go on. What a lost charger did is not
    known until it shows it: the first status after that is presumed, and one that looks free may
    come from a charger whose power was cut. While a connector looks free no time passes.
    """
    changed = replace(session, status=event.status, offline_since_ms=None)
    if session.offline_since_ms is not None:
        timed = replace(changed, back_at_ms=event.at_ms)
    elif session.vanished_since_ms is not None:
        until_ms = max(session.counted_until_ms, event.at_ms)
        goes_on = event.status not in LOOKS_FREE
        timed = replace(changed, counted_until_ms=until_ms) if goes_on else changed
    elif event.status in LOOKS_FREE and session.unheard_since_ms is not None:
        timed = changed
    else:
        timed = counted(session, _vouched_until_ms(session, event))
        until_ms = max(timed.counted_until_ms, event.at_ms)
        unheard_ms = session.unheard_since_ms
        if unheard_ms is not None:
            # A state that was kept shows nothing of the time after it.
            was_kept = _was_kept(session, event)
            unheard_ms = max(unheard_ms, event.at_ms) if was_kept else None
        timed = replace(
            timed, status=event.status, counted_until_ms=until_ms, unheard_since_ms=unheard_ms
        )
    if event.status not in LOOKS_FREE:
        return replace(timed, vanished_since_ms=None)
    if timed.vanished_since_ms is None:
        return replace(timed, vanished_since_ms=max(timed.counted_until_ms, event.at_ms))
    return timed


def _vouched_until_ms(session: Session, event: ConnectorStatusChanged) -> int:
    """Up to when a status counts the time: when a car went over to another state in a silence of
    its charger nobody knows, so that nothing of the silence counts."""
    lost_ms = session.unheard_since_ms
    if (
        lost_ms is None
        or _was_kept(session, event)
        or _counts_as(session.status) is _counts_as(event.status)
    ):
        return event.at_ms
    return min(lost_ms, event.at_ms)


def _was_kept(session: Session, event: ConnectorStatusChanged) -> bool:
    """Whether a charger that is back tells of the time before that."""
    return event.at_ms < session.back_at_ms - CLOCK_LEEWAY_MS


def _counts_as(status: ConnectorStatus) -> ConnectorStatus:
    return status if status in _NOT_POWERED else ConnectorStatus.CHARGING


def metered(
    session: Session, at_ms: int, reading: Reading | None, power_w: int | None, counted_ms: int
) -> Session:
    """The session after a reading of its meter, its times counted up to `counted_ms`.

    Readings are the bulk of all events: everything changes in one copy.
    """
    meter = session.meter
    sampled_at_ms, metered_at_ms = session.sampled_at_ms, session.metered_at_ms
    energy_wh, new_power_w = session.energy_wh, session.power_w
    plan_w, interval_ms = session.plan_power_w, session.interval_ms
    # A session of before this was kept is measured from its last reading.
    paced_at_ms = session.paced_at_ms or metered_at_ms
    paced_wh = session.paced_wh if session.paced_at_ms else energy_wh
    unanswered, unheard_ms = session.asks_unanswered, session.unheard_since_ms
    limit_w = session.max_power_w if session.check_meter else 0
    most_w = (session.max_power_w or MOST_POWER_W) * MARGIN_PERCENT
    if power_w is not None and power_w * 100 > (
        most_w if session.check_meter else UNCHECKED_TIMES * most_w
    ):
        # It is written in another unit than it says: planned with, it would end the charge now.
        # Unchecked, more is left to an operator's file that says too little.
        power_w = None
    if session.started_at_ms is not None and at_ms >= sampled_at_ms:
        sampled_at_ms = at_ms
        if reading is not None:
            summed_up = reading.source is _INTERVALS
            if meter is None and summed_up:
                meter = counting.begun(reading, session.started_at_ms, limit_w)
            elif meter is None:
                # The charger did not say where it began: nothing before this can be counted.
                meter = Meter.started(reading.register_wh, at_ms, reading.source)
                paced_at_ms = max(at_ms, metered_at_ms)
            elif summed_up or meter.source is _INTERVALS:
                meter = counting.read(meter, reading, limit_w, session.max_power_w)
            else:
                rebooted = session.booted_at_ms > meter.at_ms
                meter = metering.read(
                    meter, reading, limit_w, session.max_power_w, rebooted=rebooted
                )
            energy_wh = meter.energy_wh
            metered_at_ms = at_ms if at_ms > metered_at_ms else metered_at_ms
        if metered_at_ms > session.metered_at_ms:
            unanswered = 0
            if not session.watched:
                interval_ms = metered_at_ms - session.metered_at_ms
        shown_w: int | None = None
        # A car that has just been let charge takes nothing yet: the power of that moment is none
        # to plan the stop with.
        is_first_moment = at_ms - session.started_at_ms < LEAST_BETWEEN_MS
        elapsed_ms = metered_at_ms - paced_at_ms
        if elapsed_ms >= LEAST_BETWEEN_MS:
            # A register may show less than was summed up from intervals.
            paced_wh = paced_wh if paced_wh < energy_wh else energy_wh
            shown_w = (energy_wh - paced_wh) * MW_MS_PER_WH // elapsed_ms
            paced_wh, paced_at_ms = energy_wh, metered_at_ms
        if power_w is not None:
            new_power_w = power_w if power_w > 0 else 0
        elif shown_w is not None:
            new_power_w = shown_w
        if shown_w is not None:
            capped_w = limit_w if 0 < limit_w < shown_w else shown_w
            plan_w = new_power_w if new_power_w > capped_w else capped_w
        elif power_w is not None and (new_power_w >= LEAST_CHARGING_W or not is_first_moment):
            plan_w = new_power_w
    flows = energy_wh > session.energy_wh
    if session.vanished_since_ms is not None and not flows:
        counted_ms = session.counted_until_ms
    elif unheard_ms is not None:
        # What was kept in an outage shows that charging went on until then, and no longer.
        unheard_ms = None if at_ms >= session.back_at_ms else max(unheard_ms, at_ms)
    read_ms = metered_at_ms - session.metered_at_ms
    drew = (
        flows
        and (power_w is None or power_w >= LEAST_CHARGING_W)
        and (energy_wh - session.energy_wh) * MW_MS_PER_WH >= LEAST_CHARGING_W * read_ms
    )
    charging_ms, idle_ms, until_ms = _times(session, counted_ms, drew=drew)
    return replace(
        session,
        meter=meter,
        energy_wh=energy_wh,
        power_w=new_power_w,
        plan_power_w=plan_w,
        peak_power_w=plan_w if plan_w > session.peak_power_w else session.peak_power_w,
        paced_wh=paced_wh,
        paced_at_ms=paced_at_ms,
        interval_ms=interval_ms,
        asks_unanswered=unanswered,
        sampled_at_ms=sampled_at_ms,
        metered_at_ms=metered_at_ms,
        charging_ms=charging_ms,
        idle_ms=idle_ms,
        counted_until_ms=until_ms,
        offline_since_ms=None,
        vanished_since_ms=None if flows else session.vanished_since_ms,
        faulted_since_ms=None if flows else session.faulted_since_ms,
        unheard_since_ms=unheard_ms,
    )


def sample(session: Session, event: MeterSampled) -> Result:
    """A reading of the meter; the driver hears when his credit runs low, and how far it is."""
    reading = None
    if event.register_wh is not None:
        reading = Reading(event.register_wh, event.at_ms, event.source, event.fraction_mwh)
    after = metered(session, event.at_ms, reading, event.power_w, event.at_ms)
    if after.state is STOPPING:
        return after, ()
    low = None if after.credit_low_told else _credit_low(after, event.at_ms)
    if low is not None:
        told_at_ms = max(event.at_ms, after.progress_told_at_ms)
        return replace(after, credit_low_told=True, progress_told_at_ms=told_at_ms), (low,)
    if _is_progress_due(after, event.at_ms):
        return replace(after, progress_told_at_ms=event.at_ms), (SendMessage(Topic.PROGRESS),)
    return after, ()


def _credit_low(session: Session, at_ms: int) -> SendMessage | None:
    """What the driver hears when his credit runs low: in time to top it up, and not hours before.

    A fifth is left and a quarter of an hour, or half and five minutes.
    """
    credit_msat = session.credit_msat
    cost_msat = total_msat(session.tariff, session.usage)
    left_msat = credit_msat - cost_msat if cost_msat < credit_msat else 0
    if left_msat * 2 > credit_msat:
        return None
    ends_at_ms = credit_ends_at(session)
    left_ms = 0 if ends_at_ms is None else max(0, ends_at_ms - at_ms)
    is_fifth = left_msat * 5 <= credit_msat
    if left_ms > (LOW_MS if is_fifth else VERY_LOW_MS) or (ends_at_ms is None and not is_fifth):
        return None
    return SendMessage(Topic.CREDIT_LOW, session.left_msat, minutes=left_ms // MS_PER_MINUTE)


def _is_progress_due(session: Session, at_ms: int) -> bool:
    """Whether it is time to tell the driver how far it is: while power flows, now and then."""
    every_ms = session.policy.progress_ms
    if not every_ms or session.state is not CHARGING or not session.power_w:
        return False
    due_ms = at_ms - every_ms
    return due_ms >= session.progress_told_at_ms and due_ms >= (session.started_at_ms or 0)

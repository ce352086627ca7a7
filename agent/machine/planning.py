"""When the stop is asked for so that the cost meets the credit, and when to look closer. Pure.

Between two readings the power may change. The stop is planned with the most that the last
readings show, and with all that the connector gives while nothing was read yet. Where that
leaves the end in doubt the charger is asked for a reading: shortly before the planned stop, and
whenever full power could have used the credit up since the last reading. So a car that takes
less than was feared is not stopped too early, and one that takes more not too late.
"""

from __future__ import annotations

from agent.machine.forecast import MW_MS_PER_WH, ends_at
from agent.machine.model import CHARGING, SUSPENDED, Session
from agent.machine.money import whole_sats_msat
from agent.machine.sampling import counted
from agent.tariff.model import Usage, total_msat

ASK_BEFORE_MS = 5_000
"""A reading is asked for so long before the planned stop; one younger than this is new enough."""
LEAST_LEFT_MS = 5_500
"""With less time than this between a reading and the stop, no other is asked for."""
ASK_AGAIN_MS = 15_000
"""Between two looks at a car that takes less than it could."""
MOST_UNANSWERED = 2
"""So many questions without an answer, and no more are asked until the meter is read."""

SAYS_ITSELF_MS = 2_000
"""A charger that was lost and is back says within that time whether it went on or had no power: its
credit may be used up, or be there still."""

OFFER_MS = 60_000
"""How long an offer made while charging holds."""

SET_ASIDE_MS = OFFER_MS + 30_000
"""What may flow until an offer is claimed and the charger has stopped is not offered; what of it
did not flow is owed afterwards."""

_RUNNING = (CHARGING, SUSPENDED)


def stop_at(session: Session, left_msat: int | None = None) -> int | None:
    """When to ask for the stop, in Unix ms; None while the credit does not end.

    Args:
        session: an open session.
        left_msat: its unused credit, where that is known and it has had energy.
    """
    end_ms = ends_at(session, session.plan_power_w, left_msat)
    if end_ms is None:
        return None
    stop_ms = end_ms - session.policy.stop_lead_ms
    if session.unheard_since_ms is None or session.back_at_ms <= session.unheard_since_ms:
        return stop_ms
    return max(stop_ms, session.back_at_ms + SAYS_ITSELF_MS)


def left_at(session: Session, at_ms: int) -> int:
    """What will be left of the credit at a time, in msat and whole satoshi, where all flows until
    then that the stop is planned with.

    Args:
        session: an open session.
        at_ms: Unix ms.
    """
    unread_ms = max(0, at_ms - session.metered_at_ms)
    flows_wh = -(-session.plan_power_w * unread_ms // MW_MS_PER_WH)
    timed = counted(session, at_ms)
    usage = Usage(session.energy_wh + flows_wh, timed.charging_ms, timed.idle_ms)
    left_msat = max(0, session.taken_msat - total_msat(session.tariff, usage))
    return min(session.left_msat, whole_sats_msat(left_msat))


def claimable_at(session: Session, at_ms: int) -> int:
    """What of the credit of an open session can be claimed back at a time, in msat and whole
    satoshi; 0 once something was.

    Args:
        session: an open session.
        at_ms: Unix ms; what may flow in the time from then on that an offer holds is left out.
    """
    return 0 if session.claimed_msat else left_at(session, at_ms + SET_ASIDE_MS)


def ask_at(session: Session, stop_ms: int | None, left_msat: int | None = None) -> int | None:
    """When to ask for a reading; None for not before the meter is read, or the stop.

    Args:
        session: an open session.
        stop_ms: its planned stop.
        left_msat: as for `stop_at`.
    """
    if session.asks_unanswered >= MOST_UNANSWERED or session.state not in _RUNNING:
        return None
    metered_ms, asked_ms = session.metered_at_ms, session.asked_at_ms
    last_ms = metered_ms if metered_ms > asked_ms else asked_ms
    at_ms: int | None = None
    if stop_ms is not None:
        # The first question may make the charger sample more often, which takes an interval.
        early_ms = 0 if session.watched else 2 * session.interval_ms
        left_ms = stop_ms - last_ms
        young_ms = ASK_BEFORE_MS if left_ms > 2 * ASK_BEFORE_MS else left_ms // 2
        if left_ms >= LEAST_LEFT_MS:
            at_ms = max(stop_ms - max(ASK_BEFORE_MS, early_ms), last_ms + young_ms)
    if session.plan_power_w < session.max_power_w and session.state is CHARGING:
        worst_ms = ends_at(session, session.max_power_w, left_msat)
        if worst_ms is not None:
            worst_ms = max(worst_ms, last_ms + ASK_AGAIN_MS)
            at_ms = worst_ms if at_ms is None else min(at_ms, worst_ms)
    return None if at_ms is None or (stop_ms is not None and at_ms >= stop_ms) else at_ms

"""A session in each state, and what else makes a difference to the machine's tables."""

from __future__ import annotations

from agent.machine.deadlines import deadline
from agent.machine.effects import WatchClosely
from agent.machine.events import ConnectorStatus
from agent.machine.model import Session
from agent.machine.session import opened, step
from tests.agent.machine.examples import (
    HOUR,
    MINUTE,
    POLICY,
    SAT,
    SECOND,
    T0,
    after,
    asked_to_stop,
    begun,
    charging,
    claimed,
    ended,
    held,
    offered,
    sampled,
    sent,
    showed,
    starting,
    unplug_wanted,
    waited,
)

OFFER = offered(T0 + MINUTE, 500 * SAT, holds_ms=HOUR)
CHARGED = after(charging(), sampled(T0 + MINUTE, 41_000, power_w=3_000))
# What the wallet only holds.
HELD, _ = opened("session", "CP001", 1, POLICY, held())


def watched(session: Session) -> Session:
    """A session whose charger was asked for its meter near the end, and did not answer."""
    for _ in range(2):
        session, effects = step(session, waited(deadline(session) or 0))
        assert effects == (WatchClosely(),)
    return session


# The open sessions paid 1,000 sat and hold an offer of 500 sat; 1 kWh flowed, for 300 sat.
SESSIONS: dict[str, Session] = {
    "STARTING": after(starting(), OFFER),
    "STARTING/unplug": after(starting(), OFFER, unplug_wanted(T0 + SECOND)),
    "CHARGING": after(CHARGED, OFFER),
    "CHARGING/watched": after(watched(CHARGED), OFFER),
    "SUSPENDED": after(CHARGED, OFFER, showed(T0 + MINUTE, ConnectorStatus.SUSPENDED_EV)),
    "STOPPING": after(CHARGED, OFFER, asked_to_stop(T0 + MINUTE)),
    "CLOSED": after(CHARGED, ended(T0 + 2 * MINUTE, 41_000)),
    "CLOSED/paying": after(
        CHARGED,
        ended(T0 + 2 * MINUTE, 41_000),
        offered(T0 + 2 * MINUTE, 700 * SAT),
        claimed(T0 + 2 * MINUTE, 700 * SAT),
        sent(T0 + 2 * MINUTE),
    ),
    "STARTING/held": HELD,
    "CHARGING/held": after(HELD, begun(), sampled(T0 + MINUTE, 41_000, power_w=3_000)),
    "CLOSED/held": after(HELD, begun(), ended(T0 + 2 * MINUTE, 41_000)),
}
NOW = T0 + 3 * MINUTE

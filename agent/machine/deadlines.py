"""When a session's time comes: the next moment at which it wants to be told of the time. Pure."""

from __future__ import annotations

from agent.machine.forecast import (
    no_energy_ends_at,
    stop_repeats_at,
    unused_msat,
    vanished_ends_at,
)
from agent.machine.model import CLOSED, STARTING, STOPPING, Session
from agent.machine.planning import ask_at, stop_at


def deadline(session: Session) -> int | None:
    """When to send the session a DeadlineReached, in Unix ms; None while it only waits."""
    policy = session.policy
    if session.state is CLOSED:
        return None
    if session.state is STARTING:
        return session.start_deadline_ms
    times: list[int] = []
    vanished_ms = vanished_ends_at(session)
    if vanished_ms is not None:
        times.append(vanished_ms)
    if session.offline_since_ms is not None:
        times.append(session.offline_since_ms + policy.offline_timeout_ms)
    elif session.state is STOPPING:
        times.append(stop_repeats_at(session))
        times.append(session.stopping_since_ms + policy.stop_give_up_ms)
    else:
        left_msat = unused_msat(session) if session.energy_wh else None
        stop_ms = stop_at(session, left_msat)
        ends = (stop_ms, ask_at(session, stop_ms, left_msat), no_energy_ends_at(session))
        times.extend([at_ms for at_ms in ends if at_ms is not None])
    return min(times) if times else None

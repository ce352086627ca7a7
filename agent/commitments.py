"""What a charge point has promised now: who commands its charger must not break it."""

from __future__ import annotations

from agent.journal.journal import Journal
from agent.machine.events import ConnectorStatus
from agent.ports.charge_point import ChargePointView, Commitments
from agent.sessions import Sessions

_IN_USE = frozenset(
    {
        ConnectorStatus.PREPARING,
        ConnectorStatus.CHARGING,
        ConnectorStatus.SUSPENDED_EV,
        ConnectorStatus.SUSPENDED_EVSE,
        ConnectorStatus.RESERVED,
    }
)


def commitments(
    view: ChargePointView, sessions: Sessions, journal: Journal, now_ms: int
) -> Commitments:
    """The commitments of a charge point.

    Args:
        view: how its connectors are.
        sessions: its sessions.
        journal: knows the invoices that can still be paid.
        now_ms: Unix ms.
    """
    running = list(sessions.open())
    invoices = any(quote.charge_point == view.id for quote in journal.quotes.unsettled(now_ms))
    in_use = any(connector.status in _IN_USE for connector in view.connectors)
    return Commitments(
        connectors=frozenset(session.connector for session in running),
        transactions=frozenset(
            session.transaction_id for session in running if session.transaction_id is not None
        ),
        idle=not (running or invoices or in_use),
    )

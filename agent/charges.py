"""A session as its operator reads it: energy, cost, what decided it, what went beyond."""

from __future__ import annotations

from dataclasses import dataclass

from agent.machine.events import Obstacle
from agent.machine.evidence import MeterEvidence, evidence_of
from agent.machine.model import Ending, Session


@dataclass(frozen=True, slots=True)
class Charge:
    """One session; amounts in msat, energy in Wh, times in Unix ms.

    Attributes:
        session: its id, which is no secret.
        closed_at_ms: when it closed; None while it is open.
        paid_msat: what the driver paid.
        overshoot_wh: energy beyond the credit, which the operator bears.
        overshoot_msat: what it would have cost.
        stopped_by: who or what ended it; "" where the charger did by itself.
        ending: how the transaction ended; None where charging never began.
        obstacle: why it never began.
        meter: what decided its energy; None where charging never began.
    """

    session: str
    charge_point: str
    connector: int
    opened_at_ms: int
    started_at_ms: int | None
    closed_at_ms: int | None
    energy_wh: int
    cost_msat: int
    paid_msat: int
    overshoot_wh: int
    overshoot_msat: int
    stopped_by: str
    ending: Ending | None
    obstacle: Obstacle | None
    meter: MeterEvidence | None

    @property
    def corrections(self) -> int:
        """How many readings of the meter were set right."""
        return 0 if self.meter is None else sum(fix.count for fix in self.meter.corrections)


def charge_of(session: Session) -> Charge:
    """A session as its operator reads it."""
    return Charge(
        session=session.id,
        charge_point=session.charge_point,
        connector=session.connector,
        opened_at_ms=session.opened_at_ms,
        started_at_ms=session.started_at_ms,
        closed_at_ms=session.closed_at_ms,
        energy_wh=session.energy_wh,
        cost_msat=session.cost_msat,
        paid_msat=session.paid_msat,
        overshoot_wh=session.overshoot_wh,
        overshoot_msat=session.overshoot_msat,
        stopped_by=session.stop_by or "",
        ending=session.ending,
        obstacle=session.obstacle,
        meter=evidence_of(session),
    )

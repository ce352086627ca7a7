"""What decided the energy of a session, and why: the evidence behind its bill. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from agent.machine.meter import Correction, Source
from agent.machine.model import Ending, Session


@dataclass(frozen=True, slots=True)
class MeterEvidence:
    """The two readings between which a session was billed, and what was done to the rest.

    energy_wh = end_wh - start_wh + the energy of all corrections.

    Attributes:
        start_wh: the register that the charger named when charging began.
        start_at_ms: when, Unix ms.
        end_wh: the last register that was believed.
        end_at_ms: when that was.
        end_source: where it was read: START where nothing was read after it, INTERVALS where it
            was summed up from intervals.
        ending: why that reading is the last; None while charging.
        energy_wh: what is billed.
        corrections: what was done to readings that did not fit, in their order.
    """

    start_wh: int
    start_at_ms: int
    end_wh: int
    end_at_ms: int
    end_source: Source
    ending: Ending | None
    energy_wh: int
    corrections: tuple[Correction, ...] = ()

    @property
    def corrected_wh(self) -> int:
        """What the corrections add to the difference of the two registers."""
        return sum(correction.energy_wh for correction in self.corrections)

    @property
    def adds_up(self) -> bool:
        """Whether the readings and corrections explain the energy."""
        return self.energy_wh == self.end_wh - self.start_wh + self.corrected_wh


def evidence_of(session: Session) -> MeterEvidence | None:
    """The evidence for a session's energy; None where charging never began."""
    meter = session.meter
    if meter is None or meter.past.start_wh is None:
        return None
    return MeterEvidence(
        start_wh=meter.past.start_wh,
        start_at_ms=meter.past.start_at_ms,
        end_wh=meter.register_wh,
        end_at_ms=meter.at_ms,
        end_source=meter.source,
        ending=session.ending,
        energy_wh=session.energy_wh,
        corrections=meter.past.corrections,
    )

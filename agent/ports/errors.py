"""What the agent refuses, for the person who asked."""

from __future__ import annotations

from agent.journal.errors import JournalUnusable
from agent.machine.events import Obstacle


class AgentError(Exception):
    """Root of what the agent refuses; the text is a sentence for the person who asked."""


class UnknownChargePoint(AgentError):
    """No charge point of that id is configured."""


class UnknownSession(AgentError):
    """No session belongs to that secret or key."""


class Refused(AgentError):
    """The charge point will not do this now.

    Args:
        sentence: why, in English.
        obstacle: why, where it is about charging.
        word: key of the same sentence in the catalogues, behind "refused."; "" without one.
        passing: the same may go well a little later, with nothing changed.
        values: what is filled in there.
    """

    def __init__(
        self,
        sentence: str,
        obstacle: Obstacle | None = None,
        word: str = "",
        *,
        passing: bool = False,
        **values: object,
    ) -> None:
        super().__init__(sentence)
        self.passing = passing
        self.obstacle = obstacle
        self.word = word
        self.values = values


class NotThePayer(Refused):
    """Only the payer of a session may do this."""


class StopNotStored(JournalUnusable):
    """The charger was asked to stop, and nothing of that can be stored."""

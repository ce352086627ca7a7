"""What the machines refuse."""

from __future__ import annotations

from agent.machine.events import Event


class MachineError(Exception):
    """Root of the machines' errors."""


class IllegalEvent(MachineError):
    """The event cannot happen in this state; nothing was changed."""

    def __init__(self, state: str, event: Event) -> None:
        super().__init__(f"{type(event).__name__} cannot happen in state {state}")
        self.state = state
        self.event = event

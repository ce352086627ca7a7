"""What can go wrong between the command line and a running Strom; each text is a sentence."""

from __future__ import annotations


class ControlError(Exception):
    """Root of this room's errors."""


class CannotControl(ControlError):
    """The socket cannot be opened by this Strom."""


class NotRunning(ControlError):
    """No Strom listens there."""


class NotYours(ControlError):
    """The socket belongs to another user."""


class ControlRefused(ControlError):
    """The running Strom did not do what was asked; the text is its reason."""

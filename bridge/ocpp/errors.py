"""What can go wrong between Strom and a charger; each text is one sentence."""

from __future__ import annotations


class OcppError(Exception):
    """Root of this room's errors. Its text never holds a secret."""


class CallFailed(OcppError):
    """A call to the charger brought no usable answer."""


class NoAnswer(CallFailed):
    """The charger did not answer in time, or its connection was lost meanwhile."""


class CallRefused(CallFailed):
    """The charger answered with a CALLERROR.

    Attributes:
        code: its errorCode.
        description: its errorDescription, which may hold a secret.
    """

    def __init__(self, sentence: str, code: str, description: str = "") -> None:
        super().__init__(sentence)
        self.code = code
        self.description = description


class InvalidCall(OcppError):
    """What was to be sent does not fit its schema: nothing was sent."""


class NotSupported(OcppError):
    """A request of the charger that OCPP has and Strom does nothing for; the text says why."""


class InvalidFrame(OcppError):
    """A frame that cannot be taken as a message.

    Attributes:
        message_id: the id to answer under, a number where the charger used one; None when
            none could be found.
        code: the errorCode to answer with, by the names of OCPP-J 1.6 section 4.2.3.
    """

    def __init__(self, sentence: str, message_id: str | int | None, code: str) -> None:
        super().__init__(sentence)
        self.message_id = message_id
        self.code = code

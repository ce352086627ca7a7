"""What chargers say in the security extension, the same in OCPP 1.6 and 2.0.1.

OCPP 1.6 security whitepaper, edition 3, sections 3 to 5 and appendix 2 (security events):
https://openchargealliance.org/protocols/open-charge-point-protocol/
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from bridge.ocpp import frames
from bridge.ocpp.meters.readings import as_text
from bridge.ocpp.schemas import Payload

logger = logging.getLogger(__name__)

ALARMING = frozenset(
    {
        "AttemptedReplayAttacks",
        "FirmwareUpdated",
        "InvalidFirmwareSignature",
        "InvalidFirmwareSigningCertificate",
        "MaintenanceLoginAccepted",
        "MaintenanceLoginFailed",
        "MemoryExhaustion",
        "SecurityLogWasCleared",
        "TamperDetectionActivated",
    }
)
"""Events that operators are told of. The whitepaper's own list of critical ones is about what a
charger must report, and has what comes with every boot: restarts, a clock that was set."""

_REPORTS = frozenset(
    {
        "DiagnosticsStatusNotification",
        "FirmwareStatusNotification",
        "LogStatusNotification",
        "SignedFirmwareStatusNotification",
    }
)
_OWN = _REPORTS | {"SecurityEventNotification", "SignCertificate"}

Tell = Callable[[str, str, str], None]
"""Keeps a security event: charge point id, type, and what is known besides."""

Sign = Callable[[Payload], Awaitable[bool]]
"""Whether a SignCertificate is granted."""


class Handlers(Protocol):
    """Answers to what a charger says."""

    @property
    def error_codes(self) -> Mapping[str, str]:
        """Error codes that this version of OCPP spells otherwise than Strom."""
        ...

    @property
    def nameless(self) -> str | None:
        """The id to answer a frame under whose own cannot be read; None for no answer."""
        ...

    def decode(self, frame: bytes) -> frames.Message:
        """Read a frame; raises InvalidFrame for one that is no message."""
        ...

    def answer(self, action: str, payload: Payload) -> Awaitable[bytes] | None:
        """The answer to a call, as JSON; None where there is none to such an action."""
        ...


class SecurityExtension:
    """Handlers that answer the messages of the security extension, and leave the rest to others.

    Args:
        charge_point_id: who speaks.
        others: the handlers of all else.
        tell: keeps a security event.
        sign: decides on certificates that the charger wants to have signed.

    Attributes:
        decode: reads a frame, as the others do.
    """

    def __init__(self, charge_point_id: str, others: Handlers, tell: Tell, sign: Sign) -> None:
        self._id = charge_point_id
        self._others = others
        self.decode = others.decode
        self._tell = tell
        self._sign = sign

    @property
    def error_codes(self) -> Mapping[str, str]:
        """Error codes that this version of OCPP spells otherwise than Strom."""
        return self._others.error_codes

    @property
    def nameless(self) -> str | None:
        """The id to answer a frame under whose own cannot be read; None for no answer."""
        return self._others.nameless

    def answer(self, action: str, payload: Payload) -> Awaitable[bytes] | None:
        """The answer to a call, as JSON; None where there is none to such an action."""
        if action in _OWN:
            return self._own_answer(action, payload)
        return self._others.answer(action, payload)

    async def _own_answer(self, action: str, payload: Payload) -> bytes:
        if action == "SecurityEventNotification":
            kind = _plain(payload.get("type"), 50) or "an event without a type"
            info = _plain(payload.get("techInfo"), 255)
            level = logging.WARNING if kind in ALARMING else logging.INFO
            told = f"{kind} {info}" if info else kind
            logger.log(level, "%s reports a security event: %s", self._id, told)
            self._tell(self._id, kind, info)
            return frames.EMPTY
        if action == "SignCertificate":
            granted = await self._sign(payload)
            return b'{"status":"Accepted"}' if granted else b'{"status":"Rejected"}'
        logger.info("%s: %s %s", self._id, action, _plain(payload.get("status"), 50))
        return frames.EMPTY


def _plain(value: object, longest: int) -> str:
    """Text on one line, for the log and for messages."""
    text = " ".join(as_text(value, longest).split())
    return "".join(letter for letter in text if letter.isprintable())

"""The security events that chargers reported, as they are kept (security whitepaper, use case A04).

They are kept as messages are, bounded on the disk: see `bridge.ocpp.message_log`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bridge.ocpp.message_log import read
from bridge.ocpp.security.extension import ALARMING


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """One event.

    Attributes:
        at_ms: when it was reported, Unix ms.
        kind: its type by the whitepaper's names, or the charger's own.
        info: what the charger said besides; "" for nothing.
    """

    at_ms: int
    kind: str
    info: str

    @property
    def alarming(self) -> bool:
        """Whether operators were told of it."""
        return self.kind in ALARMING


class _Line(msgspec.Struct):
    type: str
    info: str = ""


def encoded(kind: str, info: str) -> bytes:
    """An event as a line of the log."""
    return msgspec.json.encode(_Line(kind, info))


def reported(folder: Path, charge_point_id: str) -> Sequence[SecurityEvent]:
    """The events of a charge point, the oldest first.

    Args:
        folder: where they are kept.
        charge_point_id: whose charger's.
    """
    found: list[SecurityEvent] = []
    for entry in read(folder, charge_point_id):
        try:
            line = msgspec.json.decode(entry.frame, type=_Line)
        except msgspec.MsgspecError:
            # The end of a line that was being written when the power went.
            continue
        found.append(SecurityEvent(entry.at_ms, line.type, line.info))
    return found

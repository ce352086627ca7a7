"""How a charger is asked anything, whatever version it speaks."""

from __future__ import annotations

from typing import Protocol

from bridge.ocpp.schemas import Payload


class Calls(Protocol):
    """The connection of a charger, to whoever asks it."""

    charge_point_id: str

    async def call(self, action: str, payload: Payload, timeout_s: float | None = None) -> Payload:
        """Ask and wait for the answer; raises CallFailed."""
        ...

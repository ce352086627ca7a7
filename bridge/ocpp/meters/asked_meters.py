"""When a charger was asked for its meter: what it tells then may be of an interval that still runs.

OCPP 1.6 section 5.17. Such values should say so (`Trigger`, section 7.32), and many do not.
"""

from __future__ import annotations

from collections.abc import Callable

from bridge.ocpp.calls import Calls
from bridge.ocpp.schemas import Payload

METER_VALUES = "MeterValues"


class AskedMeters:
    """The calls to a charger; implements `bridge.ocpp.v16.charger.Calls`.

    Args:
        calls: where they go.
        asked: called before one that asks for the meter.
    """

    def __init__(self, calls: Calls, asked: Callable[[], None]) -> None:
        self._calls = calls
        self._asked = asked
        self.charge_point_id = calls.charge_point_id

    async def call(self, action: str, payload: Payload, timeout_s: float | None = None) -> Payload:
        """Ask and wait for the answer; raises CallFailed."""
        if action == "TriggerMessage" and payload.get("requestedMessage") == METER_VALUES:
            self._asked()
        return await self._calls.call(action, payload, timeout_s)

"""What a charger of 1.6 is asked for so that it shows how it is."""

from __future__ import annotations

from typing import Protocol

from ocpp.v16 import call
from ocpp.v16.enums import MessageTrigger

from bridge.ocpp.schemas import Payload


class Sender(Protocol):
    """Sends messages of `ocpp.v16.call` to a charger."""

    async def send(self, message: object, timeout_s: float | None = None) -> Payload:
        """Send and wait for the answer; raises CallFailed or InvalidCall."""
        ...


async def ask_for_statuses(charger: Sender) -> None:
    """Have a charger that came back without a boot show its connectors (section 5.17).

    Raises:
        CallFailed: it did not answer; some know no triggers.
    """
    await charger.send(call.TriggerMessage(requested_message=MessageTrigger.status_notification))


async def ask_for_heartbeat(charger: Sender) -> None:
    """Have a charger that said nothing for long show that it is there (section 5.17).

    Raises:
        CallFailed: it did not answer, or refused; a refusal is a sign of life as well.
    """
    await charger.send(call.TriggerMessage(requested_message=MessageTrigger.heartbeat))

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


async def ask_for_status(charger: Sender, connector: int) -> None:
    """Have a charger show one connector (section 5.17).

    The connector is always named: without it some show the charger as a whole, and some fail.

    Raises:
        CallFailed: it did not answer; some know no triggers.
    """
    trigger = MessageTrigger.status_notification
    await charger.send(call.TriggerMessage(requested_message=trigger, connector_id=connector))


async def ask_for_heartbeat(charger: Sender) -> None:
    """Have a charger that said nothing for long show that it is there (section 5.17).

    Raises:
        CallFailed: it did not answer, or refused; a refusal is a sign of life as well.
    """
    await charger.send(call.TriggerMessage(requested_message=MessageTrigger.heartbeat))

"""What a charger says of itself at its boot."""

from __future__ import annotations

import logging

from agent.ports.charge_point import ChargePoint
from agent.ports.charger import Nameplate

logger = logging.getLogger(__name__)


async def introduce(charge_point: ChargePoint, nameplate: Nameplate) -> None:
    """Log and keep what a charger is; raises AgentError where it could not be stored."""
    before = await charge_point.nameplate()
    logger.info(
        "%s booted: %s %s, firmware %s",
        charge_point.id,
        nameplate.vendor or "unknown vendor",
        nameplate.model or "unknown model",
        nameplate.firmware or "unknown",
    )
    if before.firmware and before.firmware != nameplate.firmware:
        logger.info("%s: its firmware was %s before", charge_point.id, before.firmware)
    await charge_point.introduced(nameplate)

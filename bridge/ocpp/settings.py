"""A charger's configuration keys (OCPP 1.6 section 9): compared with what is wanted, and set.

Besides the operator's own wishes a charger must measure what is billed, often enough, and must
not give power away to unknown cards while it is offline.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from ocpp.v16 import call
from ocpp.v16.enums import MessageTrigger, ResetType

from bridge.ocpp.errors import CallFailed, InvalidCall
from bridge.ocpp.readings import POWER, REGISTER, as_text, objects
from bridge.ocpp.schemas import Payload

logger = logging.getLogger(__name__)

SLOWEST_SAMPLES_S = 60
WANTED_SAMPLES_S = 20
"""The register is read that often; the stop before the credit ends is planned from it."""

_SAMPLED = "MeterValuesSampledData"
_INTERVAL = "MeterValueSampleInterval"
_SECRETS = frozenset({"authorizationkey"})


class Sender(Protocol):
    """Sends messages of `ocpp.v16.call` to a charger."""

    async def send(self, message: object, timeout_s: float | None = None) -> Payload:
        """Send and wait for the answer; raises CallFailed or InvalidCall."""
        ...


@dataclass
class Outcome:
    """What became of the keys.

    Attributes:
        set_to: keys that differed and were set, with their new values.
        refused: keys that differ still, with the charger's answer.
        unknown: wanted keys that the charger does not have.
        needs_reboot: whether a key takes effect only after a reset.
    """

    set_to: dict[str, str] = field(default_factory=dict[str, str])
    refused: dict[str, str] = field(default_factory=dict[str, str])
    unknown: list[str] = field(default_factory=list[str])
    needs_reboot: bool = False


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


async def apply(charger: Sender, wanted: Mapping[str, str]) -> Outcome:
    """Compare a charger's keys with the wanted ones and set those that differ.

    Keys are compared without regard to case, values as chargers write them. A key that the
    charger refuses is left as it is.

    Raises:
        CallFailed: the charger did not answer.
    """
    names = sorted({*wanted, _SAMPLED, _INTERVAL, "AllowOfflineTxForUnknownId"})
    answer = await charger.send(call.GetConfiguration(key=names))
    present = {
        as_text(entry.get("key"), 50).lower(): as_text(entry.get("value"))
        for entry in objects(answer.get("configurationKey"))
    }
    outcome = Outcome()
    for key, value in wanted.items():
        if key.lower() not in present and key.lower() not in _SECRETS:
            outcome.unknown.append(key)
        elif not _same(present.get(key.lower(), ""), value):
            await _set(charger, outcome, key, [value])
    named = {key.lower() for key in wanted}
    for key, values in _needs(present).items():
        if key.lower() not in named:
            await _set(charger, outcome, key, values)
    return outcome


async def reset(charger: Sender) -> None:
    """Have the charger start anew (section 5.14).

    Raises:
        CallFailed: it did not answer.
    """
    await charger.send(call.Reset(type=ResetType.soft))


def _needs(present: Mapping[str, str]) -> dict[str, list[str]]:
    """Keys that must change for billing to work, each with values to try in their order."""
    needs: dict[str, list[str]] = {}
    sampled = present.get(_SAMPLED.lower())
    if sampled is not None:
        names = [name.strip() for name in sampled.split(",") if name.strip()]
        missing = [name for name in (REGISTER, POWER) if name not in names]
        if missing:
            whole = ",".join([*names, *missing])
            needs[_SAMPLED] = [whole, f"{REGISTER},{POWER}"]
            if REGISTER in missing:
                needs[_SAMPLED] += [",".join([*names, REGISTER]), REGISTER]
    interval = present.get(_INTERVAL.lower())
    if interval is not None and not (
        interval.isdecimal() and 0 < int(interval) <= SLOWEST_SAMPLES_S
    ):
        needs[_INTERVAL] = [str(WANTED_SAMPLES_S), str(SLOWEST_SAMPLES_S)]
    if present.get("allowofflinetxforunknownid", "").lower() == "true":
        needs["AllowOfflineTxForUnknownId"] = ["false"]
    return needs


async def _set(charger: Sender, outcome: Outcome, key: str, values: list[str]) -> None:
    """ChangeConfiguration (section 5.3) with the first value that the charger takes."""
    for value in values:
        try:
            answer = await charger.send(call.ChangeConfiguration(key=key, value=value))
        except InvalidCall as error:
            outcome.refused[key] = str(error)
            return
        status = as_text(answer.get("status"), 50)
        if status in ("Accepted", "RebootRequired"):
            outcome.needs_reboot |= status == "RebootRequired"
            outcome.refused.pop(key, None)
            outcome.set_to[key] = "***" if key.lower() in _SECRETS else value
            return
        outcome.refused[key] = status


def _same(present: str, wanted: str) -> bool:
    def plain(value: str) -> str:
        return ",".join(part.strip() for part in value.split(",")).lower()

    return plain(present) == plain(wanted)


async def settle(
    charge_point_id: str, charger: Sender, wanted: Mapping[str, str], *, may_reset: bool
) -> None:
    """Bring a charger's keys to what is wanted and say in the log what differed.

    Args:
        charge_point_id: for the log.
        charger: the charger.
        wanted: the operator's wishes.
        may_reset: whether it may be reset where a key needs that.
    """
    try:
        outcome = await apply(charger, wanted)
        if outcome.set_to:
            changes = ", ".join(f"{key} = {value}" for key, value in outcome.set_to.items())
            logger.info("%s: configuration set: %s", charge_point_id, changes)
        for key, answer in outcome.refused.items():
            logger.warning(
                "%s: %s stays as it is: the charger answered %s", charge_point_id, key, answer
            )
        if outcome.unknown:
            names = ", ".join(outcome.unknown)
            logger.warning("%s: the charger does not have: %s", charge_point_id, names)
        if outcome.needs_reboot and may_reset:
            logger.info("%s: is reset for its new configuration", charge_point_id)
            await reset(charger)
        elif outcome.needs_reboot:
            logger.warning("%s: must be reset for its new configuration", charge_point_id)
    except CallFailed as error:
        logger.info("%s: its configuration was not checked: %s", charge_point_id, error)

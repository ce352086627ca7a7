"""The keys that operators set by a message of their own: so the log can say who changed one."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from agent.ports.charge_point import ChargePoint
from bridge.ocpp.configuration.comparing import same
from bridge.ocpp.configuration.keys import keys_set
from bridge.ocpp.masking import is_secret
from bridge.ocpp.schemas import Payload

_NOTE = "set-by-hand"


async def sent(charge_point: ChargePoint, action: str, payload: Payload) -> None:
    """An operator sends a request; what it sets is noted, whatever the charger answers.

    Args:
        charge_point: to whose charger.
        action: of either version; `payload` keeps to its schema.
        payload: the request.
    """
    new = {key.lower(): value for key, value in keys_set(action, payload) if not is_secret(key)}
    if new:
        await _keep(charge_point, {**await changes(charge_point), **new})


async def changes(charge_point: ChargePoint) -> dict[str, str]:
    """The value that an operator last sent for a key, by its name in lower case."""
    try:
        return msgspec.json.decode(await charge_point.note(_NOTE) or "{}", type=dict[str, str])
    except msgspec.MsgspecError:
        return {}


def was_by_hand(sent: Mapping[str, str], key: str, present: Mapping[str, str]) -> bool:
    """Whether a key has the value that an operator sent for it.

    Args:
        sent: see `changes`.
        key: its name in lower case.
        present: the values that the charger has, by name in lower case.
    """
    return key in sent and key in present and same(present[key], sent[key])


async def forget(charge_point: ChargePoint, present: Mapping[str, str]) -> None:
    """What operators sent was seen at the charger.

    Args:
        charge_point: whose charger.
        present: the values that it has, by name in lower case.
    """
    known = await changes(charge_point)
    left = {key: sent for key, sent in known.items() if not was_by_hand(known, key, present)}
    if left != known:
        await _keep(charge_point, left)


async def _keep(charge_point: ChargePoint, values: Mapping[str, str]) -> None:
    await charge_point.keep_note(_NOTE, msgspec.json.encode(values).decode() if values else "")

"""What a station says is wrong with its components (OCPP 2.0.1, use case N07).

NotifyEvent tells of each component that it has a Problem, or that its AvailabilityState is Faulted,
with the vendor's code and words (EventDataType, techCode and techInfo), and when that is over.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agent.machine.events import ConnectorStatus
from agent.ports.charger import Fault
from bridge.ocpp.faults import CODE_LENGTH, INFO_LENGTH, plain
from bridge.ocpp.meters.readings import as_int
from bridge.ocpp.v201.values import evse_id, fields

_MOST = 50
"""A station that tells of more at once has the oldest forgotten."""

_PLACES = frozenset({"chargingstation", "evse", "connector"})
_GRAVE = _PLACES | {
    "acdcconverter",
    "connectorplugretentionlock",
    "connectorprotectionrelease",
    "controller",
    "controlmetering",
    "emergencystopsensor",
    "fiscalmetering",
    "groundisolationprotection",
    "overcurrentbreaker",
    "powercontactor",
    "rcd",
    "temperaturesensor",
}
"""Components (part 2, appendices, section 3.1) without which a connector is not safe, or meters
nothing: what is grave in OCPP 1.6 has to do with these."""

_Key = tuple[int, int, str, str, str]


class Faults201:
    """What is wrong with one station, by its components."""

    def __init__(self) -> None:
        self._faults: dict[_Key, Fault] = {}

    def of(self, evse: int) -> Fault | None:
        """The latest that is wrong with an EVSE, 0 for the station itself; None for nothing."""
        return next((self._faults[key] for key in reversed(self._faults) if key[0] == evse), None)

    def booted(self) -> frozenset[int]:
        """The station booted: what is still wrong it tells again.

        Returns:
            The EVSEs of which something was wrong.
        """
        evses = frozenset(key[0] for key in self._faults)
        self._faults.clear()
        return evses

    def showed(self, evse: int, plug: int, status: ConnectorStatus) -> bool:
        """A plug showed a state; returns whether that ends what was wrong with it."""
        if status is ConnectorStatus.FAULTED:
            return False
        over = [key for key in self._faults if key[:2] == (evse, plug) and _is_state(key)]
        for key in over:
            del self._faults[key]
        return bool(over)

    def take(self, item: dict[str, Any], at_ms: int) -> int | None:
        """Take an element of a NotifyEvent's eventData.

        Args:
            item: the element.
            at_ms: when that was, Unix ms.

        Returns:
            The EVSE that it is about, 0 for the station itself; None where it says nothing of a
            fault.
        """
        component = fields(item.get("component"))
        name = plain(component.get("name"), CODE_LENGTH)
        variable = plain(fields(item.get("variable")).get("name"), CODE_LENGTH)
        is_wrong = _is_wrong(variable.lower(), item.get("actualValue"))
        if is_wrong is None or not name:
            return None
        evse = evse_id(component)
        plug = as_int(fields(component.get("evse")).get("connectorId")) or 0
        instance = plain(component.get("instance"), CODE_LENGTH)
        key = (evse, plug, name.lower(), instance.lower(), variable.lower())
        known = self._faults.pop(key, None)
        if not is_wrong or item.get("cleared") in (True, "true"):
            return evse
        fault = Fault(
            "" if _is_state(key) else f"{name}.{variable}",
            plain(item.get("techCode"), CODE_LENGTH),
            plain(item.get("techInfo"), INFO_LENGTH),
            at_ms,
            is_grave=name.lower() in _GRAVE and not _is_state(key),
        )
        if fault.reason:
            if known is not None and known.vendor_code == fault.vendor_code:
                fault = replace(fault, since_ms=known.since_ms)
            self._faults[key] = fault
        if len(self._faults) > _MOST:
            del self._faults[next(iter(self._faults))]
        return evse


def _is_state(key: _Key) -> bool:
    """Whether it is the state of a place, which is shown and told of besides."""
    return key[2] in _PLACES and key[4] == "availabilitystate"


def _is_wrong(variable: str, value: object) -> bool | None:
    """Whether a variable's value tells that something is wrong; None where it tells nothing."""
    said = "true" if value is True else plain(value, CODE_LENGTH).lower()
    if variable == "problem":
        return said == "true"
    return said == "faulted" if variable == "availabilitystate" else None

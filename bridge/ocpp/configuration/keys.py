"""A charger's configuration as plain keys: configuration keys of 1.6, variables of 2.0.1."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, cast

from bridge.ocpp.calls import Calls
from bridge.ocpp.configuration.equivalents import is_variable, key_for, variable_for
from bridge.ocpp.errors import CallFailed, CallRefused, InvalidCall
from bridge.ocpp.meters.readings import as_int, as_text, objects
from bridge.ocpp.schemas import Payload, check_call

MOST_AT_ONCE = 50
MOST_VARIABLES_AT_ONCE = 10
"""Where a charger does not say how many it takes."""


@dataclass(frozen=True, slots=True)
class Present:
    """A key as the charger has it."""

    value: str
    readonly: bool = False


class Taken(StrEnum):
    """What a charger made of a new value."""

    SET = "set"
    NEEDS_RESET = "needs a reset"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    READONLY = "read-only"
    UNANSWERED = "no answer"
    NOT_DONE = "accepted, but not done"
    ONLY_16 = "only in OCPP 1.6"
    ONLY_201 = "only in OCPP 2.0.1"


class Keys(Protocol):
    """The configuration of a connected charger."""

    def foreign(self, name: str) -> tuple[Taken, str] | None:
        """For a name that is none in its version of OCPP: the state of such a key, and what it
        is called here, as far as that is known."""
        ...

    async def read(self, names: Sequence[str]) -> Mapping[str, Present]:
        """The keys that it has of these, by their name in lower case; raises CallFailed."""
        ...

    async def write(self, name: str, value: str) -> Taken:
        """Set a key; raises CallFailed when no answer came."""
        ...

    async def reset(self) -> None:
        """Have it start anew when nobody charges; raises CallFailed."""
        ...


class Keys16:
    """GetConfiguration and ChangeConfiguration, OCPP 1.6 sections 5.8 and 5.3."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def foreign(self, name: str) -> tuple[Taken, str] | None:
        """A variable of 2.0.1, and the key whose place it took."""
        return (Taken.ONLY_201, key_for(name)) if is_variable(name) else None

    async def read(self, names: Sequence[str]) -> Mapping[str, Present]:
        """The keys that it has of these, in pieces as large as it takes; raises CallFailed."""
        try:
            first, _ = await self._get(["GetConfigurationMaxKeys"])
            most = as_int(next((item.value for item in first.values()), None)) or MOST_AT_ONCE
            found: dict[str, Present] = {}
            is_told = False
            for piece in _pieces(names, max(1, most)):
                told, unknown = await self._get_whole(piece)
                found |= told
                is_told = is_told or bool(told or unknown)
            if is_told or not names:
                return found
        except CallRefused:
            # Some take no list of keys, or none with a key that they do not know.
            pass
        return (await self._get([]))[0]

    async def _get_whole(self, names: list[str]) -> tuple[dict[str, Present], set[str]]:
        """As `_get`, from a charger that answers with fewer keys than it was asked for."""
        found: dict[str, Present] = {}
        unknown: set[str] = set()
        while names:
            told, unknown_too = await self._get(names)
            found |= told
            unknown |= unknown_too
            left = [name for name in names if name.lower() not in told.keys() | unknown_too]
            if len(left) == len(names):
                break
            names = left
        return found, unknown

    async def _get(self, names: list[str]) -> tuple[dict[str, Present], set[str]]:
        """The keys that it has of these, and those that it says it does not know."""
        answer = await _ask(self._calls, "GetConfiguration", {"key": names} if names else {})
        told = {
            as_text(item.get("key"), 50).lower(): Present(
                as_text(item.get("value")), item.get("readonly") in (True, "true", "True", 1)
            )
            for item in objects(answer.get("configurationKey"))
        }
        unknown = answer.get("unknownKey")
        texts = cast("list[object]", unknown) if isinstance(unknown, list) else []
        return told, {as_text(name, 50).lower() for name in texts}

    async def write(self, name: str, value: str) -> Taken:
        """Set a key; raises CallFailed when no answer came."""
        try:
            change = {"key": name, "value": value}
            answer = await _ask(self._calls, "ChangeConfiguration", change)
        except (InvalidCall, CallRefused):
            return Taken.REFUSED
        match as_text(answer.get("status"), 50):
            case "Accepted":
                return Taken.SET
            case "RebootRequired":
                return Taken.NEEDS_RESET
            case "NotSupported":
                return Taken.UNKNOWN
            case _:
                return Taken.REFUSED

    async def reset(self) -> None:
        """Reset, OCPP 1.6 section 5.14."""
        await _expect_accepted(self._calls, "Reset", {"type": "Soft"}, "ocpp.v16")


_VARIABLE = re.compile(
    r"([^.\[\]@]+)(?:\[([^\]]+)\])?(?:@([0-9]{1,4})(?::([0-9]{1,4}))?)?"
    r"\.([^.\[\]]+)(?:\[([^\]]+)\])?"
)

_PLACE = re.compile(r"\[[^\]]*\]|@[0-9:]+")


class Keys201:
    """GetVariables and SetVariables, OCPP 2.0.1 use cases B06 and B05.

    A variable is named `Component.Variable`, either with its instance in brackets behind it. A
    component of an EVSE or of a connector has that behind an @: `EVSE@1.Power`,
    `Connector@1:2.Available`.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def foreign(self, name: str) -> tuple[Taken, str] | None:
        """A key of 1.6, and the variable that took its place."""
        return (Taken.ONLY_16, variable_for(name)) if _variable(name) is None else None

    async def read(self, names: Sequence[str]) -> Mapping[str, Present]:
        """The variables that it has of these, in pieces as large as it takes."""
        limit = "DeviceDataCtrlr.ItemsPerMessage[GetVariables]"
        first = await self._get([limit])
        most = as_int(next((item.value for item in first.values()), None))
        found: dict[str, Present] = {}
        for piece in _pieces([n for n in names if _variable(n)], most or MOST_VARIABLES_AT_ONCE):
            found |= await self._get(piece)
        return found

    async def _get(self, names: list[str]) -> dict[str, Present]:
        data = [_variable(name) for name in names]
        answer = await _ask(self._calls, "GetVariables", {"getVariableData": data}, "ocpp.v201")
        results = list(objects(answer.get("getVariableResult")))
        asked = [name.lower() for name in names]
        found: dict[str, Present] = {}
        for index, item in enumerate(results):
            name = variable_name(item).lower()
            in_order = len(results) == len(asked) and _bare(asked[index]) == _bare(name)
            if name not in asked and in_order:
                # Some stations leave out instances and EVSEs in their answer.
                name = asked[index]
            if item.get("attributeStatus") in ("Accepted", "Rejected"):
                found[name] = Present(as_text(item.get("attributeValue"), 2500))
        return found

    async def write(self, name: str, value: str) -> Taken:
        """Set a variable; raises CallFailed when no answer came."""
        variable = _variable(name)
        if variable is None:
            return Taken.UNKNOWN
        data = [variable | {"attributeValue": value}]
        try:
            answer = await _ask(self._calls, "SetVariables", {"setVariableData": data}, "ocpp.v201")
        except (InvalidCall, CallRefused):
            return Taken.REFUSED
        result = _first(answer.get("setVariableResult"))
        info = _first(result.get("attributeStatusInfo"))
        match as_text(result.get("attributeStatus"), 50):
            case "Accepted":
                return Taken.SET
            case "RebootRequired":
                return Taken.NEEDS_RESET
            case "UnknownComponent" | "UnknownVariable" | "NotSupportedAttributeType":
                return Taken.UNKNOWN
            case _:
                reason = as_text(info.get("reasonCode"), 20).lower()
                return Taken.READONLY if reason.startswith("readonly") else Taken.REFUSED

    async def reset(self) -> None:
        """Reset, use case B11."""
        await _expect_accepted(self._calls, "Reset", {"type": "OnIdle"}, "ocpp.v201")


async def _ask(calls: Calls, action: str, payload: Payload, package: str = "ocpp.v16") -> Payload:
    check_call(action, payload, package)
    return await calls.call(action, payload)


async def _expect_accepted(calls: Calls, action: str, payload: Payload, package: str) -> None:
    answer = await _ask(calls, action, payload, package)
    status = as_text(answer.get("status"), 50)
    if status not in ("Accepted", "Scheduled"):
        raise CallFailed(f"{action}: the charger answered {status}")


def _pieces(names: Sequence[str], most: int) -> Iterable[list[str]]:
    for start in range(0, len(names), most):
        yield list(names[start : start + most])


def _variable(name: str) -> dict[str, Any] | None:
    """A variable as 2.0.1 names it; None for a name that is none."""
    found = _VARIABLE.fullmatch(name)
    if found is None:
        return None
    name, component_instance, evse, connector, variable, instance = found.groups()
    component: dict[str, Any] = {"name": name}
    if component_instance:
        component["instance"] = component_instance
    if evse:
        component["evse"] = {"id": int(evse)}
        if connector:
            component["evse"]["connectorId"] = int(connector)
    return {
        "component": component,
        "variable": {"name": variable} | ({"instance": instance} if instance else {}),
    }


def _bare(name: str) -> str:
    """A variable's name without instances and EVSE."""
    return _PLACE.sub("", name)


def _first(value: object) -> Payload:
    return next(objects(value), Payload())


def variable_name(item: Payload) -> str:
    """The variable that an entry of GetVariables or SetVariables is about, in one text."""

    def part(fields: Payload) -> str:
        instance = as_text(fields.get("instance"), 50)
        return as_text(fields.get("name"), 50) + (f"[{instance}]" if instance else "")

    component = _first(item.get("component"))
    evse = _first(component.get("evse"))
    place = as_text(evse.get("id"), 4)
    connector = as_text(evse.get("connectorId"), 4)
    where = f"@{place}" + (f":{connector}" if connector else "") if place else ""
    return f"{part(component)}{where}.{part(_first(item.get('variable')))}"


def keys_set(action: str, payload: Payload) -> Iterator[tuple[str, str]]:
    """The configuration keys or variables that a request sets, each with its new value."""
    if action == "ChangeConfiguration":
        yield as_text(payload.get("key")), as_text(payload.get("value"))
    elif action == "SetVariables":
        for item in objects(payload.get("setVariableData")):
            yield variable_name(item), as_text(item.get("attributeValue"))

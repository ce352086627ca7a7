"""The `ocpp` library's message classes and JSON schemas, with compiled validators.

What Strom sends is checked against the schema of its message; what it receives is not:
real chargers do not keep to it.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any, cast

import jsonschema_rs
from ocpp import charge_point

from bridge.ocpp.errors import InvalidCall

Payload = dict[str, Any]

_library = cast(Any, charge_point)  # the library ships without types


_MOST_PROBLEMS = 5
_KINDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text in quotes",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object in braces",
}
_FORMATS = {
    "date-time": 'a time, such as "2026-01-31T08:00:00Z"',
    "uri": 'a URL, such as "https://example.com/file"',
}


def _schema(package: str, name: str) -> dict[str, Any]:
    source = files(package).joinpath("schemas", f"{name}.json").read_text(encoding="utf-8-sig")
    return json.loads(source)


@cache
def _validator(package: str, name: str) -> jsonschema_rs.Draft4Validator:
    return jsonschema_rs.Draft4Validator(_schema(package, name))


def _request_name(action: str, package: str) -> str:
    return action if package == "ocpp.v16" else f"{action}Request"


def check_call(action: str, payload: Payload, package: str = "ocpp.v16") -> None:
    """Check a request of ours.

    Raises:
        InvalidCall: it does not fit its schema, or there is no such action.
    """
    _check(package, _request_name(action, package), action, payload)


def check_result(action: str, payload: Payload, package: str = "ocpp.v16") -> None:
    """Check an answer of ours.

    Raises:
        InvalidCall: it does not fit its schema, or there is no such action.
    """
    _check(package, f"{action}Response", action, payload)


def is_valid_result(action: str, payload: Payload, package: str = "ocpp.v16") -> bool:
    """Whether a charger's answer fits its schema."""
    return _validator(package, f"{action}Response").is_valid(payload)


def _check(package: str, name: str, action: str, payload: Payload) -> None:
    try:
        validator = _validator(package, name)
    except FileNotFoundError:
        raise InvalidCall(f"there is no OCPP message {action}") from None
    if not validator.is_valid(payload):
        problems = [_problem(error) for error in validator.iter_errors(payload)]
        raise InvalidCall(f"{action} was not sent: {'; '.join(problems[:_MOST_PROBLEMS])}")


def _problem(error: jsonschema_rs.ValidationError) -> str:
    """What is wrong, by the field's name and never by its value, which may be a secret."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.instance_path]
    where = "".join(parts).removeprefix(".")
    kind = cast(Any, error.kind)
    named = where or "the payload"
    inside = f"{where}." if where else ""
    match kind.name:
        case "required":
            return f"{inside}{kind.property} is missing"
        case "additionalProperties":
            extra = ", ".join(f"{inside}{name}" for name in cast(list[str], kind.unexpected))
            return f"{extra}: there is no such field here"
        case "type":
            return f"{named}: expected {_listed(kind.types, _KINDS)}"
        case "enum":
            return f"{named}: expected one of {', '.join(map(str, kind.options))}"
        case "maxLength":
            return f"{named}: expected at most {kind.limit} characters"
        case "minItems":
            return f"{named}: expected at least {kind.limit} of them"
        case "maxItems":
            return f"{named}: expected at most {kind.limit} of them"
        case "format":
            return f"{named}: expected {_FORMATS.get(kind.format, kind.format)}"
        case other:
            return f"{named} does not keep to {other} of its schema"


def _listed(kinds: list[str], words: dict[str, str]) -> str:
    return " or ".join(words.get(kind, kind) for kind in kinds)


def fields_of(action: str, package: str = "ocpp.v16") -> list[tuple[str, bool]]:
    """The fields of a request, each with whether it must be there."""
    schema = _schema(package, _request_name(action, package))
    required: list[str] = schema.get("required", [])
    names = [name for name in schema.get("properties", {}) if name != "customData"]
    return [(name, True) for name in names if name in required] + [
        (name, False) for name in names if name not in required
    ]


def action_of(message: object) -> str:
    """The action that a message class of the library stands for."""
    return type(message).__name__


def payload_of(message: object) -> Payload:
    """A message of the library as JSON: camel case, without what is not set."""
    fields = _library.serialize_as_dict(message)
    return cast(Payload, _library.remove_nones(_library.snake_to_camel_case(fields)))

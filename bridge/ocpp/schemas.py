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


@cache
def _validator(package: str, name: str) -> jsonschema_rs.Draft4Validator:
    source = files(package).joinpath("schemas", f"{name}.json").read_text(encoding="utf-8-sig")
    return jsonschema_rs.Draft4Validator(json.loads(source))


def check_call(action: str, payload: Payload, package: str = "ocpp.v16") -> None:
    """Check a request of ours.

    Raises:
        InvalidCall: it does not fit its schema, or there is no such action.
    """
    name = action if package == "ocpp.v16" else f"{action}Request"
    _check(package, name, action, payload)


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
        error = next(iter(validator.iter_errors(payload)))
        where = "/".join(str(part) for part in error.instance_path) or "payload"
        raise InvalidCall(f"{action} was not sent: {where} does not fit the schema")


def action_of(message: object) -> str:
    """The action that a message class of the library stands for."""
    return type(message).__name__


def payload_of(message: object) -> Payload:
    """A message of the library as JSON: camel case, without what is not set."""
    fields = _library.serialize_as_dict(message)
    return cast(Payload, _library.remove_nones(_library.snake_to_camel_case(fields)))

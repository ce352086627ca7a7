"""The frames of OCPP-J: what travels in one websocket message.

OCPP-J 1.6 specification, section 4 "RPC framework":
https://openchargealliance.org/protocols/open-charge-point-protocol/
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any, cast

import msgspec

from bridge.ocpp.errors import InvalidFrame

CALL = 2
CALL_RESULT = 3
CALL_ERROR = 4

MAX_MESSAGE_ID = 255
"""Characters of a message id. The specification has 36; some chargers send more."""

MAX_DEPTH = 32
"""Levels of JSON in a frame. The deepest message of the specification has 9."""

FORMATION_VIOLATION = "FormationViolation"
PROTOCOL_ERROR = "ProtocolError"
MESSAGE_TYPE_NOT_SUPPORTED = "MessageTypeNotSupported"
"""In 1.6 this has no code of its own."""
NOT_IMPLEMENTED = "NotImplemented"
NOT_SUPPORTED = "NotSupported"
INTERNAL_ERROR = "InternalError"

EMPTY = b"{}"

_LARGE = frozenset({"MeterValues", "StopTransaction", "TransactionEvent"})

_FRAME_ID = re.compile(r'^\s*\[\s*2\s*,\s*"([^"\\]{1,255})"')
_FRAME_ACTION = re.compile(r'^\s*\[\s*2\s*,\s*"[^"\\]{1,255}"\s*,\s*"(\w{1,50})"')
_LONE_BACKSLASH = re.compile(r'\\(?!["\\/bfnrt]|u[0-9a-fA-F]{4})')
_HALF_CHARACTER = re.compile(
    r"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
"""An escape of UTF-16 without its other half: no text that can be stored. Group 1 is whole."""
_STRING = r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)'
_GAP = re.compile(
    _STRING + r"|([\[{])(?:\s*,)++|,(?:\s*,)*+\s*+(?=[\]}])|(,)(?:\s*,)++|(:)(?=\s*+[,}\]])",
    re.DOTALL,
)
"""A place where a value is missing: group 1 opens, 2 separates, 3 names; a string is none."""
_BRACKET = re.compile(_STRING + r"|[\[\]{}]", re.DOTALL)
_CLOSING = {"[": "]", "{": "}"}
_MOST_MENDED = 1 << 17
"""Characters: to look for gaps in a longer frame would keep other chargers waiting."""
_MOST_LOOKED_THROUGH = 1 << 20
"""Bytes: so would all other mending in a longer one."""
_MOST_BRACKETS = 200_000
"""So would more of them. A stop of the largest size, as short as readings can be, has fewer."""
_ANSWER = re.compile(r"\[\s*3\s*,")


class Call(msgspec.Struct, frozen=True):
    """A request; its payload is a dict, or what a version of OCPP makes of it at once."""

    message_id: str
    action: str
    payload: Any


class CallResult(msgspec.Struct, frozen=True):
    """An answer to a request of ours."""

    message_id: str
    payload: dict[str, Any]


class CallError(msgspec.Struct, frozen=True):
    """A refusal of a request of ours."""

    message_id: str
    code: str
    description: str


Message = Call | CallResult | CallError


def decode(frame: bytes) -> Message:
    """Read a frame.

    JSON that is broken in the ways chargers break it (lone backslashes, halves of characters,
    control characters, bytes that are not UTF-8, a byte order mark, trailing zeros, a comma or a
    name without a value, an answer without its last brackets) is mended.

    Raises:
        InvalidFrame: it is no message; says how to answer.
    """
    parts = _json(frame)
    if not isinstance(parts, list):
        raise InvalidFrame("the frame is not a JSON array", None, FORMATION_VIOLATION)
    items = cast("list[Any]", parts)
    if len(items) < 2:
        raise InvalidFrame("the frame is too short", None, FORMATION_VIOLATION)
    kind, message_id = items[0], items[1]
    if kind not in (CALL, CALL_RESULT, CALL_ERROR):
        raise InvalidFrame(
            "the message type is none of 2, 3 and 4", _as_id(message_id), MESSAGE_TYPE_NOT_SUPPORTED
        )
    if not isinstance(message_id, str) or not 0 < len(message_id) <= MAX_MESSAGE_ID:
        raise InvalidFrame("the message id is no text", _as_id(message_id), PROTOCOL_ERROR)
    if kind == CALL:
        return _call(message_id, items)
    if kind == CALL_RESULT:
        payload = items[2] if len(items) > 2 else None
        fields = cast("dict[str, Any]", payload) if isinstance(payload, dict) else {}
        return CallResult(message_id, fields)
    code = items[2] if len(items) > 2 else ""
    description = items[3] if len(items) > 3 else ""
    return CallError(message_id, str(code)[:50], str(description)[:255])


def _call(message_id: str, items: list[Any]) -> Call:
    if len(items) < 3 or not isinstance(items[2], str) or not items[2]:
        raise InvalidFrame("the call names no action", message_id, FORMATION_VIOLATION)
    payload = items[3] if len(items) > 3 else None
    if not isinstance(payload, dict):
        raise InvalidFrame("the call's payload is no JSON object", message_id, PROTOCOL_ERROR)
    return Call(message_id, items[2], cast("dict[str, Any]", payload))


def _as_id(value: object) -> str | int | None:
    """A message id to answer a broken frame under."""
    if isinstance(value, str) and 0 < len(value) <= MAX_MESSAGE_ID:
        return value
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 64:
        return value
    return None


def _json(frame: bytes) -> object:
    brackets = frame.count(b"[") + frame.count(b"{")
    if brackets > _MOST_BRACKETS:
        message_id = frame_id(frame)
        raise InvalidFrame("the frame has too many parts", message_id, FORMATION_VIOLATION)
    try:
        parts: object = msgspec.json.decode(frame)
    except RecursionError:
        raise InvalidFrame("the frame is nested too deeply", None, FORMATION_VIOLATION) from None
    except ValueError:
        parts = _mended_json(frame)
    if brackets > MAX_DEPTH and _deeper_than(parts, MAX_DEPTH):
        message_id = frame_id(frame)
        raise InvalidFrame("the frame is nested too deeply", message_id, FORMATION_VIOLATION)
    return parts


def _mended_json(frame: bytes) -> object:
    if len(frame) > _MOST_LOOKED_THROUGH:
        message = "the frame is not JSON, and too long to be mended"
        raise InvalidFrame(message, frame_id(frame), FORMATION_VIOLATION)
    text = frame.decode("utf-8", errors="replace").strip("\ufeff\x00 \t\r\n")
    text = _LONE_BACKSLASH.sub(r"\\\\", text)
    text = _HALF_CHARACTER.sub(lambda found: found.group(1) or "\ufffd", text)
    try:
        return json.loads(text, strict=False)
    except RecursionError:
        pass
    except ValueError:
        if len(text) <= _MOST_MENDED:
            with suppress(ValueError, RecursionError):
                return json.loads(_closed(_GAP.sub(_without_gap, text)), strict=False)
    raise InvalidFrame("the frame is not JSON", frame_id(frame), FORMATION_VIOLATION) from None


def _without_gap(found: re.Match[str]) -> str:
    if found.group().startswith('"'):
        return found.group()
    opening, separator, name = found.groups()
    return opening or separator or (":null" if name else "")


def _closed(text: str) -> str:
    """An answer with the brackets at its end that a charger forgot.

    Of what a charger says of its own accord, what is cut off may be worth money: it is left.
    """
    if _ANSWER.match(text) is None or text[-1:] not in ("]", "}"):
        return text
    open_ones: list[str] = []
    for found in _BRACKET.finditer(text):
        bracket = found.group()
        if bracket in _CLOSING:
            open_ones.append(_CLOSING[bracket])
        elif open_ones and bracket == open_ones[-1]:
            open_ones.pop()
    return text + "".join(reversed(open_ones[-MAX_DEPTH:]))


def _deeper_than(value: object, levels: int) -> bool:
    """Whether JSON is nested deeper, level by level: no recursion of our own."""
    row: list[object] = [value]
    for _ in range(levels + 1):
        below: list[object] = []
        for item in row:
            if isinstance(item, dict):
                below.extend(cast("dict[str, object]", item).values())
            elif isinstance(item, list):
                below.extend(cast("list[object]", item))
        if not below:
            return False
        row = below
    return True


def frame_id(frame: bytes) -> str | None:
    """The message id of a call whose JSON is broken, as far as it can be made out."""
    found = _FRAME_ID.match(frame[:600].decode("utf-8", errors="replace"))
    return found.group(1) if found else None


def frame_action(frame: bytes) -> str | None:
    """The action of a call whose JSON is broken, as far as it can be made out."""
    found = _FRAME_ACTION.match(frame[:600].decode("utf-8", errors="replace"))
    return found.group(1) if found else None


def may_be_large(frame: bytes) -> bool:
    """Whether a frame may be longer than others: an answer, or about a transaction."""
    action = frame_action(frame)
    return action in _LARGE if action is not None else frame_id(frame) is None


def encode_call(message_id: str, action: str, payload: dict[str, Any]) -> bytes:
    """A request as it goes over the wire."""
    return msgspec.json.encode([CALL, message_id, action, payload])


def encode_result(message_id: str, payload: bytes) -> bytes:
    """An answer as it goes over the wire; `payload` is JSON already."""
    return b"[3,%b,%b]" % (msgspec.json.encode(message_id), payload)


def encode_error(message_id: str | int, code: str, description: str) -> bytes:
    """A refusal as it goes over the wire."""
    return msgspec.json.encode([CALL_ERROR, message_id, code, description[:255], {}])

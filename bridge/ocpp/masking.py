"""Which parts of OCPP's messages are secret, and messages without them.

AuthorizationKey (1.6 security whitepaper ed. 3, section 2.1), BasicAuthPassword and the network
profiles of 2.0.1 (part 2, section 2.2 and use case B09), URLs with credentials (GetDiagnostics,
UpdateFirmware, GetLog), private keys in PEM, and what vendors call alike.
"""

from __future__ import annotations

import re
from typing import Any, cast

import msgspec

MASK = "***"

UNREADABLE = b"(unreadable, and may hold a secret)"

_MAX_DEPTH = 32

_WORDS = (
    r"authorizationkey|passw|passphrase|secret|private_?key|api_?key|credential"
    r"|sim_?pin|psk|wpa|wi-?fi_?key|wlan_?key"
)
_SECRET_NAME = re.compile(_WORDS, re.IGNORECASE)
_MARKS = (
    b"\\",
    b"//",
    b"key",
    b"variable",
    b'"data"',
    b"pass",
    b"secret",
    b"credential",
    b"connectiondata",
)
"""One of these, in lower case, is in every frame that has a secret, and hardly in any other:
looking for them is all that most frames cost. A backslash may hide any of the others."""

_PLAIN = re.compile(
    rb'\s*\[\s*(?:2\s*,\s*"[\w.-]*"\s*,\s*"Heartbeat"|3\s*,\s*"[\w.-]*")'
    rb"\s*,\s*\{\s*\}\s*\]\s*\Z"
)
"""Signs of life and empty answers: by far the most frames, but for readings of meters, which are
read before they are kept."""

_NAMING = frozenset(
    {"key", "component", "variable", "readonly", "attributeType", "attributeStatus", "type"}
)
"""Fields that say whose value an object holds, and are no value themselves."""

_USERINFO = re.compile(r"://[^\s\"]*@")
_IN_QUERY = re.compile(
    r"(?i)([?&;][^=&;#\s\"]*(?:token|sig|secret|passw|key|auth|cred)[^=&;#\s\"]*=)[^&;#\s\"]+"
)
_ASSIGNED = re.compile(rf"(?is)((?:{_WORDS})[\w.-]*[\"']?\s*[:=]\s*).+")
_PEM = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
)


def is_secret(name: str) -> bool:
    """Whether a configuration key or variable of that name holds a secret."""
    return _SECRET_NAME.search(name) is not None


def masked(frame: bytes) -> bytes:
    """A frame without its secrets. What cannot be read and may hold one is left out."""
    if _PLAIN.match(frame):
        return frame
    lower = frame.lower()
    # Every message passes here: a generator would take longer than the search.
    for mark in _MARKS:
        if mark in lower:
            break
    else:
        return frame
    try:
        message: object = msgspec.json.decode(frame)
    except (ValueError, RecursionError):
        return UNREADABLE
    return msgspec.json.encode(without_secrets(message))


def without_secrets(value: object, depth: int = 0) -> object:
    """JSON without its secrets: keys and passwords by their name, whatever object their value
    is in; the user's part and the signatures of URLs; private keys."""
    if depth > _MAX_DEPTH:
        return MASK
    if isinstance(value, str):
        return _plain_text(value, depth)
    if isinstance(value, list):
        return [without_secrets(item, depth + 1) for item in cast(list[object], value)]
    if not isinstance(value, dict):
        return value
    fields = cast(dict[str, Any], value)
    holds_secret = _names_a_secret(fields)
    # The VPN of a network profile (2.0.1 VPNType) calls its shared secret just "key".
    is_vpn = "server" in fields and "user" in fields
    return {
        name: MASK
        if is_secret(name) or (holds_secret and name not in _NAMING) or (is_vpn and name == "key")
        else without_secrets(item, depth + 1)
        for name, item in fields.items()
    }


def _names_a_secret(fields: dict[str, Any]) -> bool:
    return any(is_secret(_name(fields.get(field))) for field in ("key", "component", "variable"))


def _name(value: object) -> str:
    """A key's name: a text in 1.6, an object with `name` and `instance` in 2.0.1."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        parts = cast(dict[str, Any], value)
        return f"{parts.get('name')} {parts.get('instance')}"
    return ""


def _plain_text(text: str, depth: int) -> str:
    if is_secret(text) and text.lstrip()[:1] in ("{", "["):
        # The data of a DataTransfer is often JSON in a text.
        try:
            inner: object = msgspec.json.decode(text)
        except (ValueError, RecursionError):
            return MASK
        return msgspec.json.encode(without_secrets(inner, depth + 1)).decode()
    if "://" in text:
        text = _IN_QUERY.sub(rf"\1{MASK}", _USERINFO.sub(f"://{MASK}@", text))
    if "PRIVATE KEY" in text:
        text = _PEM.sub(MASK, text)
    return _ASSIGNED.sub(rf"\1{MASK}", text)

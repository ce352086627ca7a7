"""The HTTP request with which a charger opens its websocket, read with tolerance.

RFC 6455 section 4.2.1, https://www.rfc-editor.org/rfc/rfc6455; OCPP-J 1.6 section 3.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from urllib.parse import unquote

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.typing import Subprotocol

from bridge.ocpp.heard_connection import HeardConnection

OCPP16 = "ocpp1.6"
OCPP201 = "ocpp2.0.1"
SPOKEN = frozenset({OCPP16, OCPP201})

_KEY_BYTES = 16
_MAX_PATH = 500
_SUBPROTOCOL = "Sec-WebSocket-Protocol"
_BETWEEN = re.compile(r"[,;\s]+")


def id_in_path(path: str) -> str | None:
    """The charge point's id in the path of its URL.

    It is the last part. Chargers that append their id to a URL that has it already, that
    put the whole URL in its place, that begin with two slashes, or that escape it, are understood.
    """
    if len(path) > _MAX_PATH:
        return None
    plain = unquote(re.split(r"[?#]", path, maxsplit=1)[0])
    parts = [part.strip("\x00 \t\r\n") for part in plain.split("/")]
    return next((part for part in reversed(parts) if part), None)


def mend(request: Request) -> None:
    """Put into a handshake what some chargers leave out of it, and nobody needs.

    Autel's have no Connection (lbbrhzn/ocpp PR 1933); others name no version of the websocket, an
    empty subprotocol, or HTTP/1.0. A request that asks for no websocket stays as it is.
    """
    headers = request.headers
    if "websocket" not in _words(headers, "Upgrade"):
        return
    request.protocol = "HTTP/1.1"
    if "upgrade" not in _words(headers, "Connection"):
        _set(headers, "Connection", "Upgrade")
    if not _words(headers, "Sec-WebSocket-Version"):
        _set(headers, "Sec-WebSocket-Version", "13")
    if _SUBPROTOCOL in headers:
        _set(headers, _SUBPROTOCOL, ", ".join(offered_subprotocols(request)))


def fault(request: Request) -> str:
    """Why a request, mended where it can be, opens no websocket; "" where it does."""
    headers = request.headers
    if "websocket" not in _words(headers, "Upgrade"):
        return (
            "it asks for no websocket (there is no Upgrade in its request): where a proxy stands "
            "between, it must pass on Upgrade and Connection, and speak HTTP/1.1"
        )
    if request.method != "GET":
        return f"it asks with {request.method[:20]!r} and not with GET"
    if "13" not in _words(headers, "Sec-WebSocket-Version"):
        version = ", ".join(_words(headers, "Sec-WebSocket-Version"))[:20]
        return f"it speaks version {version!r} of the websocket protocol, and not 13"
    if not _is_key(headers.get_all("Sec-WebSocket-Key")):
        return "there is no Sec-WebSocket-Key of 16 bytes in its request"
    return ""


def offered_subprotocols(request: Request) -> list[str]:
    """What a charger offers to speak, however it separates them."""
    values = ",".join(request.headers.get_all(_SUBPROTOCOL))
    return [name for name in (word.strip("\"'") for word in _BETWEEN.split(values)) if name]


def spoken(name: str) -> str:
    """The subprotocol that a name means: some write it in capitals, some with a J for JSON."""
    return name.lower().removesuffix("j")


def chosen(offered: Sequence[str], version: str = "") -> str | None:
    """The first of the offered subprotocols that is spoken, in the charger's own spelling.

    Args:
        offered: in the order of the charger's preference.
        version: the only one that is spoken; "" for all.
    """
    known = {version} if version else SPOKEN
    return next((name for name in offered if spoken(name) in known), None)


def select_subprotocol(
    socket: ServerConnection, offered: Sequence[Subprotocol]
) -> Subprotocol | None:
    """The same, for a connection that was let in."""
    version = socket.version if isinstance(socket, HeardConnection) else ""
    found = chosen(offered, version)
    return None if found is None else Subprotocol(found)


def _is_key(values: Sequence[str]) -> bool:
    try:
        return len(values) == 1 and len(base64.b64decode(values[0], validate=True)) == _KEY_BYTES
    except ValueError:
        return False


def _words(headers: Headers, name: str) -> list[str]:
    """What a header lists, in lower case."""
    values = ",".join(headers.get_all(name)).lower()
    return [word for word in (part.strip() for part in values.split(",")) if word]


def _set(headers: Headers, name: str, value: str) -> None:
    if name in headers:
        del headers[name]
    if value:
        headers[name] = value

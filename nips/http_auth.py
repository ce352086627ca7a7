"""NIP-98: HTTP Auth. https://github.com/nostr-protocol/nips/blob/master/98.md"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable

from nips.errors import InvalidEvent, InvalidHttpAuth
from nips.event import NostrEvent
from nips.identity import Identity

KIND_HTTP_AUTH = 27_235
MAX_AGE_S = 60
MAX_HEADER_CHARS = 8192
MAX_REMEMBERED = 10_000


class HttpAuth:
    """Checks Authorization headers, each of which is good for one request.

    Args:
        clock: Unix time in milliseconds.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._used: dict[str, int] = {}

    def verify(self, header: str, url: str, method: str, body: bytes = b"") -> str:
        """The pubkey, hex, that signed this request.

        Args:
            header: the Authorization header.
            url: the absolute URL as the client sees it, with its query.
            body: the request's body; its hash must be in the event unless it is empty.

        Raises:
            InvalidHttpAuth: it is not valid for this request now, or was used before.
        """
        event = _parse(header)
        now_s = self._clock() // 1000
        if event.kind != KIND_HTTP_AUTH:
            raise InvalidHttpAuth(f"the authorization is of kind {event.kind}, not 27235")
        if abs(now_s - event.created_at) > MAX_AGE_S:
            raise InvalidHttpAuth("the authorization is older than 60 seconds, or in the future")
        if len(event.tags_named("u")) != 1 or event.tag("u") != url:
            raise InvalidHttpAuth("the authorization is for another URL")
        if len(event.tags_named("method")) != 1 or event.tag("method") != method.upper():
            raise InvalidHttpAuth("the authorization is for another method")
        digest = hashlib.sha256(body).hexdigest()
        payload = event.tag("payload")
        if (body or payload is not None) and not hmac.compare_digest(
            (payload or "").encode(), digest.encode()
        ):
            raise InvalidHttpAuth("the authorization is for another body (payload tag)")
        self._use_once(event, now_s)
        return event.pubkey

    def _use_once(self, event: NostrEvent, now_s: int) -> None:
        if event.id in self._used:
            raise InvalidHttpAuth("the authorization was used before")
        if len(self._used) >= MAX_REMEMBERED:
            self._used = {name: until for name, until in self._used.items() if until >= now_s}
            if len(self._used) >= MAX_REMEMBERED:
                raise InvalidHttpAuth("too many authorizations at once: try again in a minute")
        self._used[event.id] = event.created_at + MAX_AGE_S


def authorization(
    identity: Identity, url: str, method: str, created_at: int, body: bytes = b""
) -> str:
    """An Authorization header for one request, made at `created_at` (Unix seconds)."""
    tags = [["u", url], ["method", method.upper()]]
    if body:
        tags.append(["payload", hashlib.sha256(body).hexdigest()])
    event = identity.sign(KIND_HTTP_AUTH, "", tags, created_at)
    return "Nostr " + base64.b64encode(event.to_json().encode()).decode()


def _parse(header: str) -> NostrEvent:
    scheme, _, payload = header.partition(" ")
    if scheme.lower() != "nostr" or len(header) > MAX_HEADER_CHARS:
        raise InvalidHttpAuth('expected a header "Authorization: Nostr ..."')
    try:
        return NostrEvent.parse(base64.b64decode(payload.strip(), validate=True).decode())
    except (binascii.Error, ValueError, InvalidEvent):
        raise InvalidHttpAuth("the authorization holds no valid event") from None

"""URLs of relays that strangers name: which of them may be contacted."""

from __future__ import annotations

from urllib.parse import urlsplit

from nips.errors import InvalidRelayUrl
from nips.public_hosts import is_loopback, is_public_address

MAX_URL_CHARS = 200
_LOCAL_SUFFIXES = (".localhost", ".local", ".internal", ".lan", ".home", ".home.arpa", ".onion")


def normalised(url: str) -> str:
    """One text for one relay: lower-case scheme and host, no trailing slash, no fragment."""
    parts = urlsplit(url.strip())
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme.lower()}://{parts.netloc.lower()}{parts.path.rstrip('/')}{query}"


def check_relay_url(url: str) -> str:
    """The normalised URL of a relay that the operator named.

    Raises:
        InvalidRelayUrl: it is none.
    """
    try:
        parts = urlsplit(url.strip())
        usable = parts.scheme.lower() in ("ws", "wss") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise InvalidRelayUrl(f'"{url[:80]}" is no relay: expected wss://relay.example.com')
    return normalised(url)


def is_public_relay(url: str, *, allow_loopback: bool = False) -> bool:
    """Whether a relay named by a stranger may be contacted, as far as its URL tells.

    What a name resolves to is judged when it is connected to; see `nips.public_hosts`.
    """
    if len(url) > MAX_URL_CHARS or not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or port == 0 or parts.username is not None or parts.password is not None:
        return False
    if is_loopback(host):
        return allow_loopback and parts.scheme in ("ws", "wss")
    if parts.scheme != "wss":
        return False
    try:
        return is_public_address(host)
    except ValueError:
        pass
    # Forms such as 127.1, 0x7f.1 or 2130706433 are addresses to a resolver, not names.
    name = host.rstrip(".")
    last_label = name.rpartition(".")[2]
    if not last_label or last_label[0].isdigit():
        return False
    return "." in name and not f".{name}".endswith(_LOCAL_SUFFIXES)

"""URLs of relays that strangers name: which of them may be contacted."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from urllib.parse import urlsplit

from nips.errors import InvalidRelayUrl

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
    """Whether a relay named by a stranger may be contacted, as far as its URL tells."""
    if len(url) > MAX_URL_CHARS or not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or port == 0 or parts.username is not None or parts.password is not None:
        return False
    loopback = _is_loopback(host)
    if loopback:
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


def is_public_address(address: str) -> bool:
    """Whether an IP address is a public one.

    Raises:
        ValueError: it is no IP address.
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        inner = parsed.ipv4_mapped or parsed.sixtofour
        if inner is not None:
            parsed = inner
        elif parsed in ipaddress.ip_network("64:ff9b::/96"):
            parsed = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
    return parsed.is_global and not parsed.is_multicast


async def resolves_publicly(url: str, *, allow_loopback: bool = False) -> bool:
    """Whether every address behind a stranger's relay is public; False when it has none."""
    if not is_public_relay(url, allow_loopback=allow_loopback):
        return False
    parts = urlsplit(url)
    host = parts.hostname or ""
    if _is_loopback(host):
        return True
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, parts.port or 443, type=socket.SOCK_STREAM
        )
    except (OSError, UnicodeError):
        return False
    return bool(found) and all(is_public_address(str(entry[4][0])) for entry in found)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

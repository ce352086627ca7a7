"""Servers that strangers name: which addresses of them may be connected to.

A name is looked up for each connection, and the connection goes to an address out of that
answer. A name server that says something else the next time (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from nips.errors import NotFound, NotPublic

MAX_ADDRESSES = 3
"""Of so many addresses of one server one is expected to answer."""

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_CARRIERS = tuple(
    map(ipaddress.IPv6Network, ("::ffff:0:0/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))
)
"""IPv6 addresses that carry an IPv4 address inside, which no public server is found at
(RFC 4291, 8215, 3056, 4380)."""

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
"""The IP addresses behind a host name, for a port; raises OSError or UnicodeError without."""


async def system_lookup(host: str, port: int) -> list[str]:
    """What the resolver of this machine says."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


@dataclass(frozen=True, slots=True)
class PublicHosts:
    """The servers that strangers may make us connect to.

    Attributes:
        allow_loopback: also this machine where it is named as such, for development.
        lookup: finds the addresses behind a name.
        tls: whose certificates are trusted; None: the public authorities.
    """

    allow_loopback: bool = False
    lookup: Lookup = system_lookup
    tls: ssl.SSLContext | None = None

    def is_local(self, host: str) -> bool:
        """Whether a host is this machine, and may be connected to."""
        return self.allow_loopback and is_loopback(host)

    async def addresses(self, host: str, port: int) -> tuple[str, ...]:
        """Where a connection to a server may go, the resolver's favourite first.

        Args:
            host: a name or an IP address, without brackets.
            port: TCP.

        Raises:
            NotPublic: it has no address (NotFound), or one that is not public.
        """
        try:
            found = await self.lookup(host, port)
        except (OSError, UnicodeError):
            found = ()
        if not found:
            raise NotFound(f"there is no server {host}")
        allowed = is_loopback if self.is_local(host) else is_public_address
        if not all(allowed(address) for address in found):
            raise NotPublic(f"{host} is not a public server")
        return tuple(dict.fromkeys(found))[:MAX_ADDRESSES]


def is_loopback(host: str) -> bool:
    """Whether a host is named as this machine: `localhost`, or an address of its own."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_public_address(address: str) -> bool:
    """Whether an IP address is a public one.

    Raises:
        ValueError: it is no IP address.
    """
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address):
        if any(parsed in network for network in _CARRIERS):
            return False
        if parsed in _NAT64:
            # Where there is no IPv4, DNS64 makes such addresses of all names (RFC 6147).
            parsed = ipaddress.IPv4Address(int(parsed) & 0xFFFFFFFF)
    return parsed.is_global and not parsed.is_multicast

"""GET from servers that strangers name: what may be reached is decided before connecting.

Addresses are looked up once, checked, and connected to as checked, so that a name cannot
resolve to something else in between. What comes back is bounded in size and time.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any, cast
from urllib.parse import urljoin, urlsplit

import anyio
import httpx

_MAX_REDIRECTS = 2
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_CARRIERS = tuple(
    map(ip_network, ("::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"))
)
"""IPv6 addresses that carry an IPv4 address inside, which may be a private one (RFC 4291,
6052, 8215, 3056, 4380)."""

USER_AGENT = "Strom"


class FetchError(Exception):
    """Nothing usable came back; the sentence says why, without the URL's query."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came back: the body and its media type in lower case, without parameters."""

    body: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Gets what strangers name.

    Attributes:
        allow_loopback: also from this machine and by plain HTTP there, for development.
        timeout_s: for one request with all of its redirects.
    """

    allow_loopback: bool = False
    timeout_s: float = 10

    async def get(self, url: str, *, max_bytes: int, accept: str) -> Fetched:
        """GET a URL; redirects are followed within its host only.

        Raises:
            FetchError: not allowed, not reachable, too slow, too large, or not HTTP 200.
        """
        host = _host(url)
        try:
            with anyio.fail_after(self.timeout_s):
                for _ in range(_MAX_REDIRECTS + 1):
                    answer, onward = await self._once(url, max_bytes, accept)
                    if onward is None:
                        return answer
                    url = urljoin(url, onward)
                    if _host(url) != host:
                        raise FetchError(f"{host} sends us to another server")
        except TimeoutError:
            raise FetchError(f"{host} does not answer in time") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise FetchError(f"{host} cannot be reached ({type(error).__name__})") from None
        raise FetchError(f"{host} sends us around in circles")

    async def get_json(self, url: str, *, max_bytes: int = 65_536) -> Mapping[str, Any]:
        """GET a JSON object; raises FetchError."""
        fetched = await self.get(url, max_bytes=max_bytes, accept="application/json")
        host = urlsplit(url).hostname
        try:
            parsed = json.loads(fetched.body)
        except (ValueError, RecursionError):
            raise FetchError(f"{host} does not answer in JSON") from None
        if not isinstance(parsed, dict):
            raise FetchError(f"{host} does not answer with a JSON object")
        return cast("dict[str, Any]", parsed)

    async def _once(self, url: str, max_bytes: int, accept: str) -> tuple[Fetched, str | None]:
        parts = urlsplit(url)
        host = parts.hostname or ""
        address = await self._address(url)
        pinned = httpx.URL(url).copy_with(host=address)
        headers = {"Host": parts.netloc.rpartition("@")[2], "Accept": accept}
        headers |= {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
        async with (
            httpx.AsyncClient(timeout=self.timeout_s, trust_env=False) as client,
            client.stream(
                "GET", pinned, headers=headers, extensions={"sni_hostname": host}
            ) as answer,
        ):
            if answer.has_redirect_location:
                return Fetched(b"", ""), answer.headers["location"]
            if answer.status_code != 200:
                raise FetchError(f"{host} answers with HTTP {answer.status_code}")
            body = b""
            async for chunk in answer.aiter_raw():
                body += chunk
                if len(body) > max_bytes:
                    raise FetchError(f"{host} answers with more than {max_bytes} bytes")
            media_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
            return Fetched(body, media_type), None

    async def _address(self, url: str) -> str:
        """The address to connect to, as checked."""
        host, parts = _host(url), urlsplit(url)
        try:
            port = parts.port
        except ValueError:
            raise FetchError("the address is not a URL") from None
        local = self.allow_loopback and host in _LOOPBACK
        if parts.scheme != "https" and not (parts.scheme == "http" and local):
            raise FetchError(f"{host or 'the address'} must be reached by https")
        if not host or parts.username is not None or host.endswith(".onion"):
            raise FetchError("the address names no server that can be reached from here")
        try:
            found = await anyio.getaddrinfo(
                host, port or (443 if parts.scheme == "https" else 80), type=socket.SOCK_STREAM
            )
        except (OSError, UnicodeError):
            raise FetchError(f"there is no server {host}") from None
        addresses = [str(entry[4][0]) for entry in found]
        if not addresses or not all(_is_public(address) or local for address in addresses):
            raise FetchError(f"{host} is not a public server")
        return addresses[0]


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        raise FetchError("the address is not a URL") from None


def _is_public(address: str) -> bool:
    parsed = ip_address(address.partition("%")[0])
    if any(parsed in network for network in _CARRIERS):
        return False
    return parsed.is_global and not parsed.is_multicast

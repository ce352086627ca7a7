"""GET from servers that strangers name: what may be reached is decided before connecting.

Addresses are looked up once, checked, and connected to as checked, so that a name cannot
resolve to something else in between. What comes back is bounded in size and time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast
from urllib.parse import urljoin, urlsplit

import anyio
import httpx

from nips.errors import NotFound, NotPublic
from nips.public_hosts import PublicHosts

_MAX_REDIRECTS = 2
USER_AGENT = "Strom"


_BUSY = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


class FetchError(Exception):
    """Nothing usable came back; the sentence says why, without the URL's query.

    Attributes:
        passing: the server may answer a little later.
    """

    def __init__(self, sentence: str, *, passing: bool = False) -> None:
        super().__init__(sentence)
        self.passing = passing


@dataclass(frozen=True, slots=True)
class Fetched:
    """What came back: the body and its media type in lower case, without parameters."""

    body: bytes
    media_type: str


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Gets what strangers name.

    Attributes:
        hosts: from which servers; by plain HTTP from this machine alone, where that is allowed.
        timeout_s: for one request with all of its redirects.
        follows: also to other hosts; each of them is judged like the first.
    """

    hosts: PublicHosts = PublicHosts()
    timeout_s: float = 10
    follows: bool = False

    async def get(self, url: str, *, max_bytes: int, accept: str) -> Fetched:
        """GET a URL; redirects are followed within its host only, unless `follows`.

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
                    if not self.follows and _host(url) != host:
                        raise FetchError(f"{host} sends us to another server")
        except TimeoutError:
            raise FetchError(f"{host} does not answer in time", passing=True) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            sentence = f"{host} cannot be reached ({type(error).__name__})"
            raise FetchError(sentence, passing=isinstance(error, httpx.TransportError)) from None
        except ValueError:
            # Names that are none, half characters: each library has its own error for them.
            raise FetchError("the address is not a URL, or sends us to what is none") from None
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
        """The answer to one request, or where it sends us."""
        target = self._checked(url)
        port = target.port or (443 if target.scheme == "https" else 80)
        try:
            addresses = await self.hosts.addresses(target.raw_host.decode(), port)
        except NotPublic as error:
            # A name that is not found now may be when the line is back.
            raise FetchError(str(error), passing=isinstance(error, NotFound)) from None
        timeout = httpx.Timeout(self.timeout_s, connect=self.timeout_s / len(addresses))
        tls = True if self.hosts.tls is None else self.hosts.tls
        async with httpx.AsyncClient(timeout=timeout, trust_env=False, verify=tls) as client:
            *others, last = addresses
            for address in others:
                with suppress(httpx.ConnectError, httpx.ConnectTimeout):
                    return await _ask(client, target, address, max_bytes, accept)
            return await _ask(client, target, last, max_bytes, accept)

    def _checked(self, url: str) -> httpx.URL:
        """A URL that may be asked for, as far as itself tells."""
        host, parts = _host(url), urlsplit(url)
        local = self.hosts.is_local(host)
        if parts.scheme != "https" and not (parts.scheme == "http" and local):
            raise FetchError(f"{host or 'the address'} must be reached by https")
        if not host or parts.username is not None or host.endswith(".onion"):
            raise FetchError("the address names no server that can be reached from here")
        return httpx.URL(url)


async def _ask(
    client: httpx.AsyncClient, target: httpx.URL, address: str, max_bytes: int, accept: str
) -> tuple[Fetched, str | None]:
    """GET from one address of a server; the server is known by its name all the same."""
    host = target.raw_host.decode()
    headers = {"Host": target.netloc.decode(), "Accept": accept}
    headers |= {"User-Agent": USER_AGENT, "Accept-Encoding": "identity"}
    pinned = target.copy_with(host=address)
    named = {"sni_hostname": host}
    async with client.stream("GET", pinned, headers=headers, extensions=named) as answer:
        if answer.has_redirect_location:
            return Fetched(b"", ""), answer.headers["location"]
        if answer.status_code != 200:
            status = answer.status_code
            passing = status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _BUSY
            raise FetchError(f"{target.host} answers with HTTP {status}", passing=passing)
        body = b""
        async for chunk in answer.aiter_raw():
            body += chunk
            if len(body) > max_bytes:
                raise FetchError(f"{target.host} answers with more than {max_bytes} bytes")
        media_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        return Fetched(body, media_type), None


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        raise FetchError("the address is not a URL") from None

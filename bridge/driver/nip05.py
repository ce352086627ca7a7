"""NIP-05: the public key behind an internet identifier, which may be a lightning address too.

https://github.com/nostr-protocol/nips/blob/master/05.md
"""

from __future__ import annotations

from typing import cast

import httpx

from agent.config.values import LOOPBACK_HOSTS
from bridge.driver.errors import DriverError
from nips.event import HEX_64


async def pubkey_of(http: httpx.AsyncClient, identifier: str) -> tuple[str, tuple[str, ...]]:
    """Ask a domain whose name this is.

    Returns:
        The public key (hex), and relays where it is found.

    Raises:
        DriverError: the domain cannot be reached or does not know the name.
    """
    name, _, domain = identifier.strip().lower().partition("@")
    scheme = "http" if domain.rpartition(":")[0] in LOOPBACK_HOSTS else "https"
    unknown = DriverError(f"{domain} knows no nostr key of {name}; use the npub")
    url = f"{scheme}://{domain}/.well-known/nostr.json"
    try:
        found = _table((await http.get(url, params={"name": name})).json())
    except (httpx.HTTPError, httpx.InvalidURL):
        raise DriverError(f"{domain} cannot be reached") from None
    except ValueError:
        raise unknown from None
    pubkey = _table(found.get("names")).get(name)
    if not isinstance(pubkey, str) or not HEX_64.fullmatch(pubkey):
        raise unknown
    relays = _table(found.get("relays")).get(pubkey)
    urls = cast("list[object]", relays) if isinstance(relays, list) else []
    return pubkey, tuple(url for url in urls if isinstance(url, str))


def _table(value: object) -> dict[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}

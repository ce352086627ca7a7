"""Where money can be sent to or fetched from: the web address behind what people write.

https://github.com/lnurl/luds: LUD-01 and 17 (links), 16 (lightning addresses).
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit, urlunsplit

from nips import bech32
from nips.public_hosts import is_loopback

_ADDRESS = re.compile(r"([a-z0-9._+-]+)@([a-z0-9.-]+(?::[0-9]{1,5})?)", re.IGNORECASE)
_PREFIX = re.compile(r"^lightning:(//)?", re.IGNORECASE)
_MAX_CHARS = 2_048


class NoTarget(ValueError):
    """A text names nowhere that money could go or come from; the sentence says why."""


def target_url(target: str) -> str:
    """The URL behind a lightning address, any form of LNURL, or a page that carries one.

    Whether it may be asked is not said: an LNURL or a link can name any host, and plain HTTP.

    Raises:
        NoTarget: it is none of these.
    """
    text = target.strip()
    if len(text) > _MAX_CHARS:
        raise NoTarget("this is too long for a lightning address or LNURL")
    text = _PREFIX.sub("", text)
    address = _ADDRESS.fullmatch(text)
    if address is not None:
        name, host = address[1].lower(), address[2].lower()
        return f"{_scheme(host)}://{host}/.well-known/lnurlp/{name}"
    if text.lower().startswith("lnurl1"):
        try:
            return bech32.decode("lnurl", text).decode()
        except ValueError:
            raise NoTarget("this LNURL has a wrong or missing letter") from None
    try:
        parts = urlsplit(text)
        if parts.scheme in ("lnurlp", "lnurlw") and parts.netloc:
            return urlunsplit(parts._replace(scheme=_scheme(parts.netloc)))
    except ValueError:
        raise NoTarget("this is not a web address") from None
    if parts.scheme in ("http", "https") and parts.netloc:
        inner = parse_qs(parts.query).get("lightning")
        return target_url(inner[0]) if inner else text
    raise NoTarget("expected a lightning address, an LNURL or the web address of one")


def _scheme(authority: str) -> str:
    """LUD-16 and LUD-17: https, but for this machine itself."""
    return "http" if is_loopback(urlsplit(f"//{authority}").hostname or "") else "https"

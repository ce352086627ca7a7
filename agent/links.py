"""Every public URL of this Strom, and how a charge point is named in one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode, urlsplit

from lnurl.helpers import url_encode

from agent.ports.errors import UnknownChargePoint

_NAME = re.compile(r"([A-Za-z0-9][A-Za-z0-9_-]{0,47})(?:\.([1-9][0-9]?))?")
SECRET = re.compile(r"[A-Za-z0-9_-]{16,128}")


def parse_name(name: str) -> tuple[str, int | None]:
    """The charge point's id and the connector in a name such as `cp001` or `cp001.2`.

    Raises:
        UnknownChargePoint: no charge point can have that name.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise UnknownChargePoint("There is no charge point of that name here.")
    return match[1], int(match[2]) if match[2] else None


@dataclass(frozen=True, slots=True)
class Links:
    """Builds the URLs under `public_url` (no slash at its end)."""

    public_url: str

    @property
    def host(self) -> str:
        """Host and port: the domain of the lightning addresses."""
        return urlsplit(self.public_url).netloc

    def name(self, charge_point: str, connector: int | None = None) -> str:
        """How a charge point, or one connector of it, is named in URLs: in lower case."""
        return charge_point.lower() + (f".{connector}" if connector else "")

    def address(self, charge_point: str, connector: int | None = None) -> str:
        """The lightning address (LUD-16)."""
        return f"{self.name(charge_point, connector)}@{self.host}"

    def lnurl_url(
        self,
        charge_point: str,
        connector: int | None = None,
        *,
        secret: str | None = None,
        topup: bool = False,
    ) -> str:
        """The URL of the state-dependent LNURL; with a secret, the payer's own."""
        url = f"{self.public_url}/lnurl/{self.name(charge_point, connector)}"
        if secret is None:
            return url
        return f"{url}?{urlencode({'s': secret} | ({'topup': '1'} if topup else {}))}"

    def lnurl(
        self,
        charge_point: str,
        connector: int | None = None,
        *,
        secret: str | None = None,
        topup: bool = False,
    ) -> str:
        """The same as bech32 in capitals (LUD-01)."""
        url = self.lnurl_url(charge_point, connector, secret=secret, topup=topup)
        return url_encode(url)

    def pay_link(self, url: str) -> str:
        """An http(s) URL of an LNURL-pay as `lnurlp://` (LUD-17)."""
        return f"lnurlp://{url.partition('://')[2]}"

    def page(self, charge_point: str, connector: int | None = None) -> str:
        """The page of a charge point."""
        return f"{self.public_url}/cp/{self.name(charge_point, connector)}"

    def sticker(self, charge_point: str, connector: int | None = None) -> str:
        """What the QR code on a charge point says: its page, with the LNURL for a wallet.

        A camera opens the page; a wallet takes the `lightning` parameter (LUD-01 fallback).
        """
        lnurl = self.lnurl(charge_point, connector)
        return f"{self.page(charge_point, connector)}?lightning={lnurl}"

    def session(self, secret: str) -> str:
        """The driver's session page."""
        return f"{self.public_url}/s/{quote(secret, safe='')}"


@dataclass(frozen=True, slots=True)
class SessionLinks:
    """The payer's own links; whoever has them owns the session, so they go to him alone.

    Attributes:
        page_url: his session page.
        refund_lnurl: bech32 LNURL that pays out what is left or owed.
        topup_lnurl: bech32 LNURL that adds credit.
    """

    page_url: str = field(repr=False)
    refund_lnurl: str = field(repr=False)
    topup_lnurl: str = field(repr=False)


def links_of(public_url: str, charge_point: str, secret: str) -> SessionLinks:
    """The links of the session that a secret owns."""
    links = Links(public_url.rstrip("/"))
    return SessionLinks(
        page_url=links.session(secret),
        refund_lnurl=links.lnurl(charge_point, secret=secret),
        topup_lnurl=links.lnurl(charge_point, secret=secret, topup=True),
    )

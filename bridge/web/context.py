"""What the routes share, and the small things that each of them does with a request."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qs

from starlette.requests import HTTPConnection, Request

from agent.links import SECRET, parse_name
from agent.machine.money import MSAT_PER_SAT
from agent.ports.charge_point import ChargePoint, ChargePointView
from agent.ports.errors import AgentError, UnknownChargePoint, UnknownSession
from agent.ports.site import Site
from agent.talk.words import Words
from bridge.limits import RateLimit
from bridge.linking import Linking
from bridge.web.render import Renderer, WebSettings

_MAX_FORM_BYTES = 16_384
_GROUPED = re.compile(r"[0-9]{1,3}([.,'’])[0-9]{3}(?:\1[0-9]{3})*")
"""A whole number as the pages themselves show it: less than a satoshi is never asked for."""


class PlayWallet(Protocol):
    """The driver's side of the play-money wallet: there only when money is worth nothing."""

    async def driver_pay(self, bolt11: str) -> str:
        """Pay an invoice as the driver; the preimage in hex."""
        ...

    async def driver_invoice(self, amount_msat: int | None) -> tuple[str, str]:
        """An invoice of the driver's: payment request and payment hash."""
        ...

    async def driver_invoice_paid(self, payment_hash: str) -> bool:
        """Whether an invoice of the driver's was paid."""
        ...


class TooManyRequests(AgentError):
    """An address asks too often."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"Too many requests: wait {wait_s} seconds.")
        self.wait_s = wait_s


class BadForm(AgentError):
    """A form or parameter cannot be read; the text is a sentence for the driver."""


@dataclass(frozen=True, slots=True)
class Context:
    """What every route works with.

    Attributes:
        play: the play-money wallet where that is in use.
        clock: the time in Unix milliseconds.
        looks: the limit on reading.
        orders: the limit on what moves something.
    """

    site: Site
    settings: WebSettings
    renderer: Renderer
    linking: Linking
    play: PlayWallet | None
    clock: Callable[[], int]
    looks: RateLimit
    orders: RateLimit

    def words(self, connection: HTTPConnection) -> Words:
        """The words for the one who asks."""
        return self.renderer.words(connection)

    def look(self, connection: HTTPConnection) -> None:
        """Count a reading request; raises TooManyRequests."""
        _count(self.looks, connection)

    def order(self, connection: HTTPConnection) -> None:
        """Count a request that moves something; raises TooManyRequests."""
        _count(self.orders, connection)

    async def named(self, name: str) -> tuple[ChargePoint, ChargePointView, int | None]:
        """The charge point, its view and the connector behind a name in a URL.

        Raises:
            UnknownChargePoint: there is none of that name.
        """
        charge_point_id, connector = parse_name(name)
        charge_point = self.site.charge_point(charge_point_id)
        view = await charge_point.view()
        if connector is not None and connector not in [item.id for item in view.connectors]:
            raise UnknownChargePoint(f"{view.name} has no connector {connector}.")
        return charge_point, view, connector


def checked_secret(secret: str) -> str:
    """A secret that may be looked up; raises UnknownSession for what cannot be one."""
    if not SECRET.fullmatch(secret):
        raise UnknownSession("No session belongs to this link.")
    return secret


def wants_json(request: Request) -> bool:
    """Whether JSON is asked for rather than a page."""
    accepted = request.headers.get("accept", "")
    return "application/json" in accepted and "text/html" not in accepted


async def form(request: Request) -> dict[str, str]:
    """A URL-encoded form; of a field that stands twice the first counts.

    Raises:
        BadForm: it is too large or not a form.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM_BYTES:
            raise BadForm("That is more than a form can hold.")
    try:
        fields = parse_qs(body.decode("ascii"), strict_parsing=bool(body), max_num_fields=20)
    except ValueError:
        raise BadForm("That is not a form.") from None
    return {name: values[0].strip() for name, values in fields.items()}


def amount_msat_of(fields: dict[str, str], view: ChargePointView, said: Words) -> int:
    """The amount of a form: the field `other_sat` where filled in, else `sat`; in msat.

    Raises:
        BadForm: it is not a whole number of satoshi that may be paid here.
    """
    text = fields.get("other_sat") or fields.get("sat", "")
    digits = "".join(text.split())
    if _GROUPED.fullmatch(digits):
        digits = "".join(filter(str.isdigit, digits))
    plain = digits.isascii() and digits.isdecimal() and len(digits) <= 10
    amount_msat = int(digits) * MSAT_PER_SAT if plain else 0
    if not view.min_payment_msat <= amount_msat <= view.max_payment_msat:
        least, most = said.sats(view.min_payment_msat), said.sats(view.max_payment_msat)
        raise BadForm(said("web.amount_bounds", least=least, most=most))
    return amount_msat


def client_address(connection: HTTPConnection) -> str:
    """The address of the one who asks, as a trusted proxy in front of us says."""
    return connection.client.host if connection.client else ""


def _count(limit: RateLimit, connection: HTTPConnection) -> None:
    wait_s = limit.wait_s(client_address(connection))
    if wait_s:
        raise TooManyRequests(wait_s)

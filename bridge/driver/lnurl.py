"""LNURL from the payer's side: pay requests, their invoices, and withdrawals.

https://github.com/lnurl/luds: LUD-01 and 17 (links), 03 (withdraw), 06 (pay), 09 (success),
12 (comment), 16 (addresses); NIP-57 (zaps).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import cast
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import httpx

from agent.config.values import LOOPBACK_HOSTS
from bridge.driver.errors import DriverError
from bridge.targets import NoTarget, target_url
from nips.bolt11_facts import InvoiceFacts, decode_invoice
from nips.errors import NostrError
from nips.event import NostrEvent

_LONGEST_ANSWER = 100_000
_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class PayOffer:
    """A payRequest (LUD-06); amounts in msat, `zapper` is the receipts' signer if it takes zaps."""

    callback: str
    min_msat: int
    max_msat: int
    metadata: str
    comment_chars: int = 0
    zapper: str | None = None

    @property
    def text(self) -> str:
        """What the payment is for, in the payee's words; "" when he says nothing."""
        entries = _json(self.metadata)
        for entry in cast("list[object]", entries) if isinstance(entries, list) else []:
            match entry:
                case ["text/plain", str() as text]:
                    return text
                case _:
                    continue
        return ""


@dataclass(frozen=True, slots=True)
class WithdrawOffer:
    """A withdrawRequest (LUD-03); amounts in msat."""

    callback: str
    k1: str
    min_msat: int
    max_msat: int
    text: str


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice that is over what was asked for; `url` and `message` from LUD-09."""

    bolt11: str
    facts: InvoiceFacts
    url: str = ""
    message: str = ""


def url_of(target: str) -> str:
    """The web address behind a lightning address or any form of LNURL.

    Raises:
        DriverError: it is none of them, or not https (http is for loopback only).
    """
    try:
        return _safe(target_url(target))
    except NoTarget as error:
        raise DriverError(str(error)) from None


async def read(http: httpx.AsyncClient, target: str) -> PayOffer | WithdrawOffer:
    """Ask what a lightning address or LNURL offers now.

    Raises:
        DriverError: it cannot be reached, refuses with a reason, or is no LNURL.
    """
    url = url_of(target)
    answer = await _get(http, url, {})
    callback = _safe(_text(answer, "callback"))
    if _is_loopback(callback) and not _is_loopback(url):
        raise DriverError("the LNURL leads to this machine, which it is not from")
    match answer.get("tag"):
        case "payRequest":
            zapper = answer.get("nostrPubkey") if answer.get("allowsNostr") is True else None
            return PayOffer(
                callback=callback,
                min_msat=_whole(answer, "minSendable"),
                max_msat=_whole(answer, "maxSendable"),
                metadata=_text(answer, "metadata"),
                comment_chars=_whole(answer, "commentAllowed") if "commentAllowed" in answer else 0,
                zapper=zapper if isinstance(zapper, str) else None,
            )
        case "withdrawRequest":
            return WithdrawOffer(
                callback=callback,
                k1=_text(answer, "k1"),
                min_msat=_whole(answer, "minWithdrawable"),
                max_msat=_whole(answer, "maxWithdrawable"),
                text=_text(answer, "defaultDescription"),
            )
        case tag:
            raise DriverError(f"this LNURL is for something else ({str(tag)[:40]})")


async def pay_offer(http: httpx.AsyncClient, target: str) -> PayOffer:
    """Like `read`, for who wants to pay."""
    offer = await read(http, target)
    if not isinstance(offer, PayOffer):
        raise DriverError("this LNURL gives money back; it takes none now")
    return offer


async def withdraw_offer(http: httpx.AsyncClient, target: str) -> WithdrawOffer:
    """Like `read`, for who wants his money back."""
    offer = await read(http, target)
    if not isinstance(offer, WithdrawOffer):
        raise DriverError("this LNURL takes money; it gives none back now")
    return offer


async def invoice(
    http: httpx.AsyncClient,
    offer: PayOffer,
    amount_msat: int,
    *,
    comment: str = "",
    zap_request: NostrEvent | None = None,
) -> Invoice:
    """Ask for an invoice, and check that it is over what was asked for.

    Args:
        amount_msat: what to pay.
        comment: words for the payee (LUD-12); a zap has them in its request instead.
        zap_request: the signed request, if this is a zap (NIP-57).

    Raises:
        DriverError: refused with a reason, or another invoice than was asked for.
    """
    if not offer.min_msat <= amount_msat <= offer.max_msat:
        raise DriverError(
            f"between {offer.min_msat // 1000:,} and {offer.max_msat // 1000:,} sat can be paid"
        )
    query = {"amount": str(amount_msat)}
    if comment and zap_request is None:
        if len(comment) > offer.comment_chars:
            raise DriverError(f"a comment may have {offer.comment_chars} characters here")
        query["comment"] = comment
    committed = offer.metadata
    if zap_request is not None:
        committed = query["nostr"] = zap_request.to_json()
    answer = await _get(http, offer.callback, query)
    bolt11 = _text(answer, "pr")
    facts = facts_of(bolt11)
    if facts.amount_msat != amount_msat:
        raise DriverError("the invoice is over another amount than was asked for")
    if facts.description_hash != hashlib.sha256(committed.encode()).hexdigest():
        raise DriverError("the invoice is for something else than was shown")
    match answer.get("successAction"):
        case {"tag": "url", "url": str() as url}:
            return Invoice(bolt11, facts, url=url)
        case {"tag": "message", "message": str() as message}:
            return Invoice(bolt11, facts, message=message)
        case _:
            return Invoice(bolt11, facts)


async def withdraw(http: httpx.AsyncClient, offer: WithdrawOffer, bolt11: str) -> None:
    """Hand in an invoice of one's own, to be paid.

    Raises:
        DriverError: refused with a reason.
    """
    await _get(http, offer.callback, {"k1": offer.k1, "pr": bolt11})


def facts_of(bolt11: str) -> InvoiceFacts:
    """What an invoice says; raises DriverError when it cannot be read."""
    try:
        return decode_invoice(bolt11)
    except NostrError:
        raise DriverError("this is not a Lightning invoice that can be read") from None


def client() -> httpx.AsyncClient:
    """An HTTP client for these calls: no redirects, no patience without end."""
    return httpx.AsyncClient(timeout=_TIMEOUT_S, follow_redirects=False, trust_env=False)


async def _get(http: httpx.AsyncClient, url: str, query: dict[str, str]) -> dict[str, object]:
    parts = urlsplit(url)
    full = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *query.items()])
    host = parts.netloc
    try:
        answer = await http.get(urlunsplit(parts._replace(query=full)))
    except httpx.HTTPError as error:
        raise DriverError(f"{host} cannot be reached: {_reason(error)}") from None
    if len(answer.content) > _LONGEST_ANSWER:
        raise DriverError(f"{host} answered more than an LNURL may")
    found = _json(answer.text)
    if not isinstance(found, dict):
        raise DriverError(f"{host} has no LNURL there (HTTP {answer.status_code})")
    content = cast("dict[str, object]", found)
    if str(content.get("status", "")).upper() == "ERROR":
        raise DriverError(f"{host} says: {str(content.get('reason', 'no'))[:300]}")
    if not answer.is_success:
        raise DriverError(f"{host} has no LNURL there (HTTP {answer.status_code})")
    return content


def _reason(error: httpx.HTTPError) -> str:
    return str(error) or type(error).__name__


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _text(answer: dict[str, object], key: str) -> str:
    value = answer.get(key)
    if not isinstance(value, str):
        raise DriverError(f"the LNURL answer has no {key}")
    return value


def _whole(answer: dict[str, object], key: str) -> int:
    value = answer.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise DriverError(f"the LNURL answer has no {key}")
    return value


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in LOOPBACK_HOSTS


def _safe(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise DriverError("the LNURL holds no web address") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(url)):
        raise DriverError("expected an https address (http is for loopback only)")
    return url

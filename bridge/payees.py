"""Finds an invoice behind a lightning address or LNURL: Strom as the paying wallet.

LUD-01, 06, 12, 16, 17. https://github.com/lnurl/luds
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from agent.ports.errors import Refused
from bridge.fetch import Fetcher, FetchError
from bridge.targets import NoTarget, target_url
from nips.public_hosts import PublicHosts
from wallet.bolt11 import InvalidInvoice, decode

_MAX_REASON_CHARS = 200
_MAX_OFFER_BYTES = 262_144
"""Its metadata may hold a picture of 136,536 characters (LUD-06)."""


class LnurlPayees:
    """See `agent.ports.addresses`. Holds no connection open: nothing is to be closed.

    Args:
        allow_loopback: also reach wallets on this machine, for development.
        timeout_s: how long to wait for each of a wallet's two answers.
    """

    def __init__(self, *, allow_loopback: bool = False, timeout_s: float = 10) -> None:
        self._fetcher = Fetcher(PublicHosts(allow_loopback), timeout_s, follows=True)

    async def invoice(self, target: str, amount_msat: int, comment: str) -> str:
        """A BOLT 11 invoice over exactly `amount_msat`; raises Refused with the reason."""
        url = _url_of(target)
        try:
            offer = await self._fetcher.get_json(url, max_bytes=_MAX_OFFER_BYTES)
            self._check_offer(offer, amount_msat)
            callback = str(offer["callback"])
            query: dict[str, str | int] = {"amount": amount_msat}
            allowed = _whole(offer.get("commentAllowed"), math.floor)
            if allowed is not None and allowed > 0 and comment:
                query["comment"] = comment[:allowed]
            joint = "&" if urlsplit(callback).query else "?"
            answer = await self._fetcher.get_json(f"{callback}{joint}{urlencode(query)}")
        except FetchError as error:
            reason = _shown(str(error))
            raise Refused(
                f"no invoice can be had there: {reason}", word="no_invoice", passing=error.passing
            ) from None
        except ValueError:
            raise Refused("no invoice can be had there: its callback is not a URL") from None
        _check_error(answer)
        return _checked(answer.get("pr"), amount_msat)

    async def zapper(self, address: str) -> str:
        """See `agent.ports.addresses.Providers`."""
        try:
            url = _url_of(address)
            offer = await self._fetcher.get_json(url, max_bytes=_MAX_OFFER_BYTES)
        except FetchError as error:
            reason = _shown(str(error))
            sentence = f"its provider does not say who signs its zaps: {reason}"
            raise Refused(sentence, passing=error.passing) from None
        _check_error(offer)
        pubkey = offer.get("nostrPubkey")
        if offer.get("tag") != "payRequest" or offer.get("allowsNostr") is not True:
            raise Refused("its provider takes no zaps (NIP-57)")
        if not isinstance(pubkey, str) or not re.fullmatch(r"[0-9a-f]{64}", pubkey):
            raise Refused("its provider names no key that signs its zaps")
        return pubkey

    def _check_offer(self, offer: Mapping[str, Any], amount_msat: int) -> None:
        _check_error(offer)
        if offer.get("tag") != "payRequest":
            raise Refused(
                "nothing can be paid to that: it is not an LNURL for paying", word="no_target"
            )
        least = _whole(offer.get("minSendable"), math.ceil)
        most = _whole(offer.get("maxSendable"), math.floor)
        if least is None or most is None:
            raise Refused("that wallet does not say what can be paid to it")
        if not least <= amount_msat <= most:
            raise Refused(
                f"that wallet takes {least // 1000} to {most // 1000} sat, "
                f"not {amount_msat // 1000} sat"
            )
        if not isinstance(offer.get("metadata"), str) or not isinstance(offer.get("callback"), str):
            raise Refused("that wallet's answer is not complete")


def _whole(number: object, rounded: Callable[[float], int]) -> int | None:
    """A number that some servers write with a point; None for anything else."""
    if isinstance(number, float):
        return rounded(number) if math.isfinite(number) else None
    return number if isinstance(number, int) else None


def _url_of(target: str) -> str:
    try:
        return target_url(target)
    except NoTarget as error:
        raise Refused(str(error), word="no_target") from None


def _shown(text: str) -> str:
    """What a stranger wrote, for a driver and the log: half a character can be sent to neither."""
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()


def _check_error(answer: Mapping[str, Any]) -> None:
    if str(answer.get("status", "")).upper() == "ERROR":
        reason = _shown(str(answer.get("reason", ""))[:_MAX_REASON_CHARS])
        # Wallets on phones say so while they are not at hand.
        raise Refused(f"that wallet says: {reason or 'no'}", passing=True)


def _checked(pr: object, amount_msat: int) -> str:
    """The invoice, if it is over what was asked for.

    Whether it commits to the metadata (LUD-06) is not asked: the same server says both, and those
    of several services do not, primal.net's among them.
    """
    if not isinstance(pr, str):
        raise Refused("that wallet made no invoice", word="no_invoice")
    try:
        invoice = decode(pr)
    except InvalidInvoice as error:
        raise Refused(f"that wallet's invoice cannot be used: {error}") from None
    if invoice.amount_msat != amount_msat:
        raise Refused("that wallet's invoice is over another amount", word="no_invoice")
    return invoice.text

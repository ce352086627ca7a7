"""LUD-18: payer identity in payRequest. https://github.com/lnurl/luds/blob/luds/18.md

Nothing is mandatory. Strom asks for two things only: a key that makes the payer known
again (`auth`), and an address to which what he does not use can go back (`identifier`).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, cast

from lnurl import (
    LnurlPayResponsePayerData,
    LnurlPayResponsePayerDataOption,
    LnurlPayResponsePayerDataOptionAuth,
)

from bridge.linking import Linking
from bridge.lnurl.answers import BadRequest

MAX_CHARS = 4_096
_ADDRESS = re.compile(r"[a-z0-9._+-]+@[a-z0-9.-]+(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class PayerData:
    """What a payer said of himself.

    Attributes:
        raw: the text as it came, URL-decoded: it is hashed behind the metadata.
        linking_key: a key that he proved to hold, hex; None without proof.
        address: the lightning address that he gave, or "".
    """

    raw: str = ""
    linking_key: str | None = None
    address: str = ""


def offer(linking: Linking) -> LnurlPayResponsePayerData:
    """What a payer may say of himself, with a fresh challenge for his key."""
    return LnurlPayResponsePayerData(
        identifier=LnurlPayResponsePayerDataOption(mandatory=False),
        auth=LnurlPayResponsePayerDataOptionAuth(mandatory=False, k1=linking.challenge()),
    )


def parse(raw: str | None, linking: Linking) -> PayerData:
    """Read the `payerdata` parameter.

    Raises:
        BadRequest: it is not a JSON object, or a field in it has a wrong type.
        LinkingError: the proof of a key is not valid.
    """
    if not raw:
        return PayerData()
    try:
        parsed = json.loads(raw)
    except (ValueError, RecursionError):
        raise BadRequest("The payer data are not JSON.") from None
    if not isinstance(parsed, dict):
        raise BadRequest("The payer data are not a JSON object.")
    fields = cast("dict[str, Any]", parsed)
    identifier = fields.get("identifier") or ""
    if not isinstance(identifier, str) or len(identifier) > 320:
        raise BadRequest("The payer data's identifier is not an address.")
    address = identifier.strip().lower()
    key = _proved_key(fields.get("auth"), linking)
    return PayerData(raw, key, address if _ADDRESS.fullmatch(address) else "")


def _proved_key(auth: object, linking: Linking) -> str | None:
    if auth is None:
        return None
    proof = cast("dict[str, Any]", auth) if isinstance(auth, dict) else {}
    k1, key, signature = (proof.get(name) for name in ("k1", "key", "sig"))
    if not (isinstance(k1, str) and isinstance(key, str) and isinstance(signature, str)):
        raise BadRequest("The payer data's auth must have k1, key and sig.")
    return linking.prove(k1, key, signature)

"""LUD-18: payer identity in payRequest. https://github.com/lnurl/luds/blob/luds/18.md

Nothing is mandatory. Strom asks for two things only: a key that makes the payer known
again (`auth`), and an address to which what he does not use can go back (`identifier`).
"""

from __future__ import annotations

import json
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


@dataclass(frozen=True, slots=True)
class PayerData:
    """What a payer said of himself.

    Attributes:
        raw: the text as it came, URL-decoded: it is hashed behind the metadata.
        linking_key: a key that he proved to hold, hex; None without proof.
        identifier: his lightning address, "" when he gave none.
    """

    raw: str = ""
    linking_key: str | None = None
    identifier: str = ""


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
    if raw is None:
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
    return PayerData(raw, _proved_key(fields.get("auth"), linking), identifier)


def _proved_key(auth: object, linking: Linking) -> str | None:
    if auth is None:
        return None
    proof = cast("dict[str, Any]", auth) if isinstance(auth, dict) else {}
    k1, key, signature = (proof.get(name) for name in ("k1", "key", "sig"))
    if not (isinstance(k1, str) and isinstance(key, str) and isinstance(signature, str)):
        raise BadRequest("The payer data's auth must have k1, key and sig.")
    return linking.prove(k1, key, signature)

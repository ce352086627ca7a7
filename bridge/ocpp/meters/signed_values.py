"""Signed meter values in OCPP messages, taken out as they are; nothing here raises.

OCPP 1.6 has them as a value of format SignedData, either bare or, after OCA's application note
"Signed Meter Values", as JSON with the fields of 2.0.1's SignedMeterValueType.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, cast

from agent.signed_values import MOST_CHARS, SignedValue
from bridge.ocpp.meters.readings import as_text, objects

MOST_VALUES = 32
"""So many of one message are kept."""


def signed_values(meter_value: object, time_of: Callable[[object], int]) -> list[SignedValue]:
    """The signed values in a `meterValue` or `transactionData` list, of 1.6 or 2.0.1.

    Args:
        meter_value: the list.
        time_of: a timestamp of the charger in our time.
    """
    found: list[SignedValue] = []
    for element in objects(meter_value):
        for sample in _unusual(element.get("sampledValue")):
            if sample.get("format") != "SignedData" and "signedMeterValue" not in sample:
                continue
            value = _signed(sample, time_of(element.get("timestamp")))
            if value is not None and len(found) < MOST_VALUES:
                found.append(value)
    return found


def _unusual(sampled: object) -> list[dict[str, Any]]:
    """The samples that may be signed: few are, and every message of a meter passes here."""
    samples = cast("list[object]", sampled) if isinstance(sampled, list) else [sampled]
    return [
        cast("dict[str, Any]", sample)
        for sample in samples
        if isinstance(sample, dict) and ("format" in sample or "signedMeterValue" in sample)
    ]


def _signed(sample: dict[str, Any], at_ms: int) -> SignedValue | None:
    context = _text(sample.get("context"), 50)
    wrapped: object = sample.get("signedMeterValue")
    data: object = sample.get("value")
    if isinstance(wrapped, dict):
        data = cast("dict[str, object]", wrapped).get("signedMeterData")
    if not isinstance(data, str) or not 0 < len(data) <= MOST_CHARS or _has_surrogates(data):
        return None
    if not isinstance(wrapped, dict):
        wrapped = _json(data)
    fields = cast("dict[str, object]", wrapped) if isinstance(wrapped, dict) else {}
    inner = fields.get("signedMeterData")
    return SignedValue(
        data=data,
        at_ms=at_ms,
        context=context,
        encoding=_text(fields.get("encodingMethod"), 50),
        signing_method=_text(fields.get("signingMethod"), 50),
        public_key=_text(fields.get("publicKey"), 4_096),
        inner="" if inner == data else _text(inner, MOST_CHARS),
    )


def _has_surrogates(text: str) -> bool:
    """Whether text holds half characters, which JSON can write and nothing can store."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def _text(value: object, limit: int) -> str:
    text = as_text(value, limit)
    return "" if _has_surrogates(text) else text


def _json(text: str) -> object:
    if not text.startswith("{"):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None

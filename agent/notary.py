"""Signed receipts: a receipt as a nostr event with the charge point's signature, and its check.

The event has an addressable kind of our own, so that by the rules of NIP-01 a later receipt of
a session replaces an earlier one wherever both are kept. It is handed to the payer and to
nobody else: no relay ever gets it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from agent.ports import Refused
from agent.receipts import VERSION, Receipt, faults
from nips.errors import InvalidEvent
from nips.event import NostrEvent
from nips.identity import Identity

KIND_RECEIPT = 30717
"""An addressable kind; free in the registry of kinds as of July 2026."""

MAX_RECEIPT_CHARS = 131_072

_DECODER = msgspec.json.Decoder(Receipt, strict=True)


class InvalidReceipt(Exception):
    """It proves nothing; the text is a sentence that says why."""


@dataclass(frozen=True, slots=True)
class SignedReceipt:
    """A receipt that its charge point vouches for.

    Attributes:
        event_id: hex.
        pubkey: of the charge point that signed it, hex.
        receipt: what it says.
    """

    event_id: str
    pubkey: str
    receipt: Receipt


class Notary:
    """Signs receipts in the name of the charge points.

    Args:
        identities: of each charge point, by its id.
    """

    def __init__(self, identities: Mapping[str, Identity]) -> None:
        self._identities = identities

    def sign(self, receipt: Receipt) -> str:
        """The receipt as a signed event, in JSON on one line; the same receipt, the same id.

        Raises:
            Refused: the charge point has left the operator's file, and its key with it.
        """
        identity = self._identities.get(receipt.charge_point.id)
        if identity is None:
            raise Refused("this charge point has no key any more to sign a receipt with")
        content = msgspec.json.encode(receipt).decode()
        tags = [["d", receipt.session]]
        at_s = receipt.as_of_ms // 1000
        return identity.sign(KIND_RECEIPT, content, tags, at_s).to_json()


def read_receipt(text: str) -> SignedReceipt:
    """Check a signed receipt: its signature, its form, and the laws of money.

    Args:
        text: the event's JSON; words around it, as in the message it came with, are allowed.

    Raises:
        InvalidReceipt: the first thing that is wrong with it.
    """
    begin, end = text.find("{"), text.rfind("}")
    if begin < 0 or end < begin:
        raise InvalidReceipt("there is no signed receipt in it: expected a nostr event in JSON")
    if end - begin > MAX_RECEIPT_CHARS:
        raise InvalidReceipt("it is too long for a receipt")
    try:
        event = NostrEvent.parse(text[begin : end + 1])
    except InvalidEvent as error:
        raise InvalidReceipt(f"it was changed, or never signed: {error}") from None
    if event.kind != KIND_RECEIPT:
        raise InvalidReceipt(f"it is an event of kind {event.kind}, not a receipt ({KIND_RECEIPT})")
    try:
        receipt = _DECODER.decode(event.content)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidReceipt(f"what was signed is not a receipt: {error}") from None
    if receipt.version != VERSION:
        raise InvalidReceipt(f"it has form {receipt.version}; this Strom reads form {VERSION}")
    if event.tag("d") != receipt.session or event.created_at != receipt.as_of_ms // 1000:
        raise InvalidReceipt("session and time of its event are not those of the receipt inside")
    for fault in faults(receipt):
        raise InvalidReceipt(f"its signature is right, but it does not add up: {fault}")
    return SignedReceipt(event.id, event.pubkey, receipt)

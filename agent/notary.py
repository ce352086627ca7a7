"""Signed receipts: a receipt as a nostr event with the charge point's signature, and its check.

The event has an addressable kind of our own, so that by the rules of NIP-01 a later receipt of
a session replaces an earlier one wherever both are kept. It is handed to the payer and to
nobody else: no relay ever gets it.
"""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from agent.ports.errors import Refused
from agent.receipts import VERSION, Receipt, faults
from nips.errors import InvalidEvent
from nips.event import NostrEvent
from nips.identity import Identity

KIND_RECEIPT = 30717
"""An addressable kind; free in the registry of kinds as of July 2026."""

MAX_RECEIPT_CHARS = 131_072

PACKED = "stromreceipt1"
"""How a packed receipt begins: one word that fits a message and the limits of small relays."""

_PACKED_WORD = re.compile(rf"\b{PACKED}([A-Za-z0-9_-]+)")
_DICTIONARY = (
    b'{"id":"","pubkey":"","created_at":18,"kind":30717,"tags":[["d",""]],"content":"{'
    b'\\"session\\":\\"\\",\\"charge_point\\":{\\"id\\":\\"CP001\\",\\"name\\":\\"\\",\\"address\\":\\"\\"},'
    b'\\"connector\\":1,\\"as_of_ms\\":18,\\"opened_at_ms\\":18,\\"started_at_ms\\":18,'
    b'\\"closed_at_ms\\":18,\\"energy_wh\\":,\\"charging_ms\\":,\\"idle_ms\\":0,\\"meter_start_wh\\":,'
    b'\\"meter_stop_wh\\":,\\"tariff\\":{\\"name\\":\\"day\\",\\"energy_per_kwh_msat\\":300000,'
    b'\\"time_per_hour_msat\\":0,\\"idle_per_minute_msat\\":0,\\"idle_grace_ms\\":600000,'
    b'\\"flat_msat\\":0,\\"tax_percent\\":0,\\"rate\\":null},\\"lines\\":[{\\"dimension\\":\\"ENERGY\\",\\"quantity\\":,'
    b'\\"price_msat\\":300000,\\"amount_msat\\":},{\\"dimension\\":\\"TIME\\",\\"PARKING_TIME\\",\\"FLAT\\"'
    b'}],\\"cost_msat\\":,\\"waived_msat\\":0,\\"paid_msat\\":000,\\"refunded_msat\\":0,\\"owed_msat\\":000,'
    b'\\"rounding_msat\\":,\\"payments\\":[{\\"payment_hash\\":\\"\\",\\"amount_msat\\":000,\\"at_ms\\":18}],'
    b'\\"refunds\\":[{\\"no\\":1,\\"state\\":\\"DUE\\",\\"PAID\\",\\"amount_msat\\":000,\\"payment_hash\\":\\"\\"}],'
    b'\\"obstacle\\":null,\\"tax_msat\\":0,\\"version\\":1}","sig":"'
)
"""What receipts have in common, for zlib. Never to be changed: packed receipts are for keeps."""

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


def pack(signed: str) -> str:
    """A signed receipt as one short word."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=_DICTIONARY)
    packed = packer.compress(signed.encode()) + packer.flush()
    return PACKED + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def _unpacked(text: str) -> str:
    """The event in a text: of its packed word, or as it stands; raises InvalidReceipt."""
    word = _PACKED_WORD.search(text)
    if word is None:
        begin, end = text.find("{"), text.rfind("}")
        if begin < 0 or end < begin:
            raise InvalidReceipt("there is no signed receipt in it")
        return text[begin : end + 1]
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS, zdict=_DICTIONARY)
    try:
        packed = base64.urlsafe_b64decode(word[1] + "=" * (-len(word[1]) % 4))
        return unpacker.decompress(packed, MAX_RECEIPT_CHARS + 1).decode()
    except (binascii.Error, zlib.error, UnicodeDecodeError):
        raise InvalidReceipt("it was changed or cut off: its last word cannot be read") from None


def read_receipt(text: str) -> SignedReceipt:
    """Check a signed receipt: its signature, its form, and the laws of money.

    Args:
        text: the event's JSON, or packed into a word; words around it, as in the message it
            came with, are allowed.

    Raises:
        InvalidReceipt: the first thing that is wrong with it.
    """
    signed = _unpacked(text)
    if len(signed) > MAX_RECEIPT_CHARS:
        raise InvalidReceipt("it is too long for a receipt")
    try:
        event = NostrEvent.parse(signed)
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

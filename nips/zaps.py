"""NIP-57: Lightning zaps. https://github.com/nostr-protocol/nips/blob/master/57.md

The raw text of a zap request is what the invoice commits to: it is kept, hashed and
published as it came, and never written anew.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NoReturn

from nips.bolt11_facts import InvoiceFacts, decode_invoice
from nips.errors import InvalidEvent, InvalidZapReceipt, InvalidZapRequest
from nips.event import HEX_64, Coordinate, NostrEvent
from nips.identity import Identity
from nips.relay_urls import is_public_relay, normalised

KIND_ZAP_REQUEST = 9734
KIND_ZAP_RECEIPT = 9735

MAX_REQUEST_CHARS = 32_768
"""A larger one would not fit into a receipt that relays accept (65,536 bytes, escaped)."""
MAX_TAGS = 100
MAX_RECEIPT_RELAYS = 10
_DIGITS = re.compile(r"\d{1,18}")


@dataclass(frozen=True, slots=True)
class ZapRequest:
    """A zap request that passed the server's rules.

    Attributes:
        raw: the text as it came; its SHA-256 belongs into the invoice.
        event_id: hex.
        signer: the pubkey that signed it, hex; a throwaway key when `sender` is None.
        sender: the payer's pubkey, hex; None when the zap is anonymous or private.
        recipient: whom it pays, hex.
        amount_msat: the `amount` tag; None when it names none.
        relays: where the payer wants the receipt: a stranger's words, see `receipt_relays`.
        comment: the payer's words.
        event: the zapped event's id, hex, or None.
        coordinate: the zapped event's address, or None.
        zapped_kind: the `k` tag, or None.
        is_private: True when the payer's name and words are encrypted for the recipient.
        created_at: Unix seconds, as the payer says.
    """

    raw: str
    event_id: str
    signer: str
    sender: str | None
    recipient: str
    amount_msat: int | None
    relays: tuple[str, ...]
    comment: str
    event: str | None
    coordinate: Coordinate | None
    zapped_kind: int | None
    is_private: bool
    created_at: int

    @property
    def description_hash(self) -> str:
        """What the invoice's `h` field must be, hex."""
        return hashlib.sha256(self.raw.encode()).hexdigest()


def parse_zap_request(
    raw: str,
    *,
    recipient_pubkey: str,
    amount_msat: int | None,
    own_relays: Sequence[str],
    coordinates: Collection[Coordinate] | None = None,
) -> ZapRequest:
    """Parse a zap request by the rules for servers (appendix D).

    Args:
        raw: the `nostr` query parameter, URL-decoded.
        recipient_pubkey: the one who is paid, hex.
        amount_msat: the `amount` query parameter; None outside a callback.
        own_relays: used when the request names none.
        coordinates: the addresses that may be zapped; None: any address of the recipient.

    Raises:
        InvalidZapRequest: a sentence for the driver.
    """
    if len(raw) > MAX_REQUEST_CHARS:
        _refuse("The zap request is too long.")
    try:
        event = NostrEvent.parse(raw)
    except InvalidEvent as error:
        raise InvalidZapRequest(f"The zap request is not valid: {error}.") from None
    if event.kind != KIND_ZAP_REQUEST:
        _refuse(f"The zap request is an event of kind {event.kind}, but must be of kind 9734.")
    if not event.tags:
        _refuse("The zap request has no tags.")
    if len(event.tags) > MAX_TAGS:
        _refuse(f"The zap request has more than {MAX_TAGS} tags.")
    recipients = event.tags_named("p")
    if len(recipients) != 1:
        _refuse("The zap request must name exactly one recipient (p tag).")
    if event.tag("p") != recipient_pubkey:
        _refuse("The zap request is meant for somebody else (p tag).")
    issuers = event.tags_named("P")
    if len(issuers) > 1 or (issuers and event.tag("P") != recipient_pubkey):
        _refuse("The zap request names another issuer of the receipt (P tag).")
    anon = event.tags_named("anon")
    is_private = any(len(tag) > 1 and tag[1] for tag in anon)
    relay_tags = event.tags_named("relays")
    relays = tuple(url for tag in relay_tags for url in tag[1:] if url)
    return ZapRequest(
        raw=raw,
        event_id=event.id,
        signer=event.pubkey,
        sender=None if anon else event.pubkey,
        recipient=recipient_pubkey,
        amount_msat=_amount(event, amount_msat),
        relays=relays or tuple(own_relays),
        comment=event.content,
        event=_zapped_event(event),
        coordinate=_zapped_coordinate(event, recipient_pubkey, coordinates),
        zapped_kind=_zapped_kind(event),
        is_private=is_private,
        created_at=event.created_at,
    )


def _refuse(sentence: str) -> NoReturn:
    raise InvalidZapRequest(sentence)


def _single(event: NostrEvent, name: str) -> str | None:
    if len(event.tags_named(name)) > 1:
        _refuse(f"The zap request has more than one {name} tag.")
    return event.tag(name)


def _amount(event: NostrEvent, queried_msat: int | None) -> int | None:
    text = _single(event, "amount")
    if text is None:
        return None
    if not _DIGITS.fullmatch(text):
        _refuse("The zap request's amount is not a number of millisats.")
    amount_msat = int(text)
    if queried_msat is not None and amount_msat != queried_msat:
        _refuse(
            f"The zap request is over {amount_msat} msat, but {queried_msat} msat were asked for."
        )
    return amount_msat


def _zapped_event(event: NostrEvent) -> str | None:
    zapped = _single(event, "e")
    if zapped is not None and not HEX_64.fullmatch(zapped):
        _refuse("The zap request's e tag is not an event id.")
    return zapped


def _zapped_coordinate(
    event: NostrEvent, recipient: str, allowed: Collection[Coordinate] | None
) -> Coordinate | None:
    text = _single(event, "a")
    if text is None:
        return None
    try:
        coordinate = Coordinate.parse(text)
    except InvalidEvent as error:
        raise InvalidZapRequest(f"The zap request's a tag is wrong: {error}.") from None
    if coordinate.pubkey != recipient or (allowed is not None and coordinate not in allowed):
        _refuse("The zap request is for an event that is not of this charge point (a tag).")
    return coordinate


def _zapped_kind(event: NostrEvent) -> int | None:
    text = _single(event, "k")
    if text is None:
        return None
    if not _DIGITS.fullmatch(text) or int(text) > 65_535:
        _refuse("The zap request's k tag is not an event kind.")
    return int(text)


def zap_request(
    payer: Identity,
    *,
    recipient_pubkey: str,
    amount_msat: int,
    relays: Sequence[str],
    comment: str,
    created_at: int,
    coordinate: Coordinate | None = None,
    event: str | None = None,
    lnurl: str | None = None,
    anonymous: bool = False,
) -> NostrEvent:
    """What a payer's client sends to the LNURL callback (appendix A).

    Args:
        payer: who signs; when `anonymous`, pass a fresh throwaway identity.
        created_at: Unix seconds.
    """
    tags = [["relays", *relays], ["amount", str(amount_msat)], ["p", recipient_pubkey]]
    if lnurl is not None:
        tags.append(["lnurl", lnurl])
    if event is not None:
        tags.append(["e", event])
    if coordinate is not None:
        tags += [["a", str(coordinate)], ["k", str(coordinate.kind)]]
    if anonymous:
        tags.append(["anon", ""])
    return payer.sign(KIND_ZAP_REQUEST, comment, tags, created_at)


def zap_receipt(
    identity: Identity,
    raw_request: str,
    bolt11: str,
    paid_at_s: int,
    preimage: str | None = None,
) -> NostrEvent:
    """The receipt of a zap (appendix E); the same arguments give the same event id.

    Args:
        raw_request: the zap request as it came.
        paid_at_s: when the invoice was paid, Unix seconds.

    Raises:
        InvalidEvent: the request is no event.
    """
    request = NostrEvent.parse(raw_request)
    tags: list[Sequence[str]] = [
        tag for name in ("p", "e", "a", "k") for tag in request.tags_named(name)[:1]
    ]
    tags += [("P", request.pubkey), ("bolt11", bolt11), ("description", raw_request)]
    if preimage is not None:
        tags.append(("preimage", preimage))
    return identity.sign(KIND_ZAP_RECEIPT, "", tags, paid_at_s)


def receipt_relays(
    request: ZapRequest, own_relays: Sequence[str], *, allow_loopback: bool = False
) -> tuple[str, ...]:
    """Where to publish a receipt: our own relays, then those of the payer's that are harmless.

    The list in a request is a stranger's: at most ten of it are used, none that is not
    wss://, and none whose host is a private, local or otherwise special address.

    Args:
        allow_loopback: also use ws:// relays on this machine, for development.
    """
    chosen = list(dict.fromkeys(normalised(url) for url in own_relays))
    taken = 0
    for url in request.relays:
        if taken == MAX_RECEIPT_RELAYS:
            break
        if is_public_relay(url, allow_loopback=allow_loopback):
            if normalised(url) not in chosen:
                chosen.append(normalised(url))
            taken += 1
    return tuple(chosen)


@dataclass(frozen=True, slots=True)
class CheckedReceipt:
    """A receipt that is consistent in itself. It still energises nothing: the wallet decides.

    Attributes:
        event_id: the receipt's id, hex.
        request: the zap request inside.
        bolt11: its invoice.
        invoice: what its invoice says.
        paid_at_s: Unix seconds, as the issuer says.
        preimage: hex, checked against the payment hash; None when the receipt has none.
    """

    event_id: str
    request: ZapRequest
    bolt11: str
    invoice: InvoiceFacts
    paid_at_s: int
    preimage: str | None


def check_receipt(
    receipt: NostrEvent,
    *,
    recipient_pubkey: str,
    issuer_pubkey: str,
    network: str,
    payee: str | None = None,
    needs_description_hash: bool = True,
    invoice: InvoiceFacts | None = None,
) -> CheckedReceipt:
    """Check a receipt by a third party's LNURL server (appendix F, and more).

    A shared provider signs receipts for all its users with one key: this check alone is no
    proof that anybody paid us. Confirm the payment hash with the wallet.

    Args:
        receipt: a verified event.
        recipient_pubkey: the one who was to be paid, hex.
        issuer_pubkey: the `nostrPubkey` of our own LNURL at that provider, hex.
        network: BOLT 11 prefix of the network: "bc", "tb", "bcrt", "tbs".
        payee: node that must have made the invoice, hex; None when the provider's is unknown.
        needs_description_hash: False for providers known to leave it out.
        invoice: facts of the receipt's invoice; None to decode it here.

    Raises:
        InvalidZapReceipt: with the rule that it breaks.
    """
    if receipt.kind != KIND_ZAP_RECEIPT:
        raise InvalidZapReceipt(f"not a zap receipt but kind {receipt.kind}")
    if receipt.pubkey != issuer_pubkey:
        raise InvalidZapReceipt("the receipt is signed by another key than our provider's")
    if len(receipt.tags_named("p")) != 1 or receipt.tag("p") != recipient_pubkey:
        raise InvalidZapReceipt("the receipt is not for this charge point (p tag)")
    bolt11, description = receipt.tag("bolt11"), receipt.tag("description")
    if len(receipt.tags_named("bolt11")) != 1 or not bolt11:
        raise InvalidZapReceipt("the receipt must have one invoice (bolt11 tag)")
    if len(receipt.tags_named("description")) != 1 or not description:
        raise InvalidZapReceipt("the receipt must have one zap request (description tag)")
    facts = decode_invoice(bolt11) if invoice is None else invoice
    try:
        request = parse_zap_request(
            description,
            recipient_pubkey=recipient_pubkey,
            amount_msat=facts.amount_msat,
            own_relays=(),
        )
    except InvalidZapRequest as error:
        raise InvalidZapReceipt(f"the receipt's zap request is invalid: {error}") from None
    _check_copies(receipt, request)
    if facts.amount_msat is None:
        raise InvalidZapReceipt("the receipt's invoice names no amount")
    if facts.network != network:
        raise InvalidZapReceipt(f'the invoice is for network "{facts.network}", not "{network}"')
    if payee is not None and facts.payee != payee:
        raise InvalidZapReceipt("the invoice was made by another node than our provider's")
    if facts.description_hash is None and needs_description_hash:
        raise InvalidZapReceipt("the invoice does not commit to the zap request (h field)")
    if facts.description_hash not in (None, request.description_hash):
        raise InvalidZapReceipt("the invoice commits to another zap request (h field)")
    if receipt.created_at >= facts.expires_at_s:
        raise InvalidZapReceipt("the invoice had expired when the receipt says it was paid")
    return CheckedReceipt(
        event_id=receipt.id,
        request=request,
        bolt11=bolt11,
        invoice=facts,
        paid_at_s=receipt.created_at,
        preimage=_checked_preimage(receipt, facts),
    )


def _check_copies(receipt: NostrEvent, request: ZapRequest) -> None:
    if len(receipt.tags_named("P")) > 1 or receipt.tag("P") not in (None, request.signer):
        raise InvalidZapReceipt("the receipt names another payer than its request (P tag)")
    if receipt.tag("e") not in (None, request.event):
        raise InvalidZapReceipt("the receipt is for another event than its request (e tag)")
    coordinate = None if request.coordinate is None else str(request.coordinate)
    if receipt.tag("a") not in (None, coordinate):
        raise InvalidZapReceipt("the receipt is for another address than its request (a tag)")


def _checked_preimage(receipt: NostrEvent, facts: InvoiceFacts) -> str | None:
    preimage = receipt.tag("preimage")
    if not preimage:
        return None
    if not HEX_64.fullmatch(preimage):
        raise InvalidZapReceipt("the receipt's preimage is not 64 hex digits")
    if hashlib.sha256(bytes.fromhex(preimage)).hexdigest() != facts.payment_hash:
        raise InvalidZapReceipt("the receipt's preimage does not open its invoice")
    return preimage

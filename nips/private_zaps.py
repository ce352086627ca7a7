"""Private zaps: NIP-57's `anon` tag with a value, as Damus and Amethyst write it.

Not in the NIP itself; the format is that of https://github.com/damus-io/damus.

The request is signed by a throwaway key. Its `anon` tag holds `pzap1..._iv1...`: an event of
kind 9733, signed by the payer, encrypted as in NIP-04 between the throwaway key and the
recipient. Only the recipient learns who paid and what he wrote.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from nostr_sdk import NostrSdkError, PublicKey, nip04_decrypt, nip04_encrypt

from nips import bech32
from nips.errors import InvalidEvent, InvalidZapRequest
from nips.event import NostrEvent
from nips.identity import Identity
from nips.zaps import KIND_ZAP_REQUEST, MAX_REQUEST_CHARS, ZapRequest

KIND_PRIVATE_ZAP = 9733


@dataclass(frozen=True, slots=True)
class PrivateZap:
    """What only the recipient may know: the payer, hex, and his words."""

    sender: str
    comment: str


def read_private_zap(identity: Identity, request: ZapRequest) -> PrivateZap:
    """Decrypt a private zap as its recipient.

    Raises:
        InvalidZapRequest: it is not private, not for us, or forged.
    """
    outer = NostrEvent.parse(request.raw)
    payload = outer.tag("anon") or ""
    ciphertext, separator, iv = payload.partition("_")
    if not separator or len(payload) > MAX_REQUEST_CHARS:
        raise InvalidZapRequest("The zap request holds no private zap (anon tag).")
    try:
        packed = base64.b64encode(bech32.decode("pzap", ciphertext)).decode()
        packed += "?iv=" + base64.b64encode(bech32.decode("iv", iv)).decode()
        text = nip04_decrypt(identity.keys.secret_key(), PublicKey.parse(outer.pubkey), packed)
        inner = NostrEvent.parse(text)
    except (ValueError, NostrSdkError, InvalidEvent):
        raise InvalidZapRequest("The private zap cannot be read by this charge point.") from None
    if inner.kind != KIND_PRIVATE_ZAP:
        raise InvalidZapRequest("The private zap holds something else than a zap.")
    # Somebody who once received a private zap must not be able to pass it off as new here.
    same_target = inner.tag("p") == request.recipient and inner.tag("e") in (None, request.event)
    if not same_target:
        raise InvalidZapRequest("The private zap was made for somebody else.")
    return PrivateZap(inner.pubkey, inner.content)


def private_zap_request(
    payer: Identity,
    *,
    recipient_pubkey: str,
    amount_msat: int,
    relays: Sequence[str],
    comment: str,
    created_at: int,
    event: str | None = None,
) -> NostrEvent:
    """A zap request whose payer only the recipient learns.

    The throwaway key is derived as Damus does it, so that the payer can read his own later.
    """
    target = event or recipient_pubkey
    seed = payer.keys.secret_key().to_hex() + target + str(created_at)
    throwaway = Identity.from_nsec(hashlib.sha256(seed.encode()).hexdigest())
    links = [["p", recipient_pubkey]] + ([["e", event]] if event else [])
    inner = payer.sign(KIND_PRIVATE_ZAP, comment, links, created_at)
    packed = nip04_encrypt(
        throwaway.keys.secret_key(), PublicKey.parse(recipient_pubkey), inner.to_json()
    )
    ciphertext, _, iv = packed.partition("?iv=")
    anon = (
        bech32.encode("pzap", base64.b64decode(ciphertext))
        + "_"
        + bech32.encode("iv", base64.b64decode(iv))
    )
    tags = [["relays", *relays], ["amount", str(amount_msat)], *links, ["anon", anon]]
    return throwaway.sign(KIND_ZAP_REQUEST, "", tags, created_at)

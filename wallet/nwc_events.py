"""The events of a wallet connection: signed, sealed for the wallet, and its own opened.

https://github.com/nostr-protocol/nips/blob/master/47.md
https://github.com/nostr-protocol/nips/blob/master/04.md (the older seal)
https://github.com/nostr-protocol/nips/blob/master/44.md
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from coincurve import PrivateKey, PublicKeyXOnly
from nostr_sdk import (
    Keys,
    Nip44Version,
    PublicKey,
    nip04_decrypt,
    nip04_encrypt,
    nip44_decrypt,
    nip44_encrypt,
)

from wallet.nwc_connection import Connection


class Seal:
    """The keys of one wallet connection.

    Args:
        connection: the wallet connection.

    Attributes:
        pubkey: ours, hex.
    """

    def __init__(self, connection: Connection) -> None:
        self._secret = Keys.parse(connection.secret).secret_key()
        self._signer = PrivateKey.from_hex(connection.secret)
        self._wallet = PublicKey.parse(connection.wallet)
        self.pubkey = Keys.parse(connection.secret).public_key().to_hex()

    def encrypt(self, text: str, *, nip44: bool) -> str:
        """A text that the wallet alone can read."""
        if nip44:
            return nip44_encrypt(self._secret, self._wallet, text, Nip44Version.V2)
        return nip04_encrypt(self._secret, self._wallet, text)

    def decrypt(self, content: str) -> str:
        """What the wallet wrote to us; raises what is none of it (NostrSdkError)."""
        if "?iv=" in content:
            return nip04_decrypt(self._secret, self._wallet, content)
        return nip44_decrypt(self._secret, self._wallet, content)

    def event(self, kind: int, tags: list[list[str]], content: str, now_s: int) -> dict[str, Any]:
        """An event of ours, signed."""
        event: dict[str, Any] = {
            "pubkey": self.pubkey,
            "created_at": now_s,
            "kind": kind,
            "tags": tags,
            "content": content,
        }
        digest = _digest(event)
        return event | {"id": digest.hex(), "sig": self._signer.sign_schnorr(digest).hex()}


def _digest(event: dict[str, Any]) -> bytes:
    """The id of an event (NIP-01)."""
    fields = [event[name] for name in ("pubkey", "created_at", "kind", "tags", "content")]
    text = json.dumps([0, *fields], separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).digest()


def is_genuine(event: dict[str, Any]) -> bool:
    """Whether an event has the id and the signature of who it says that it is by."""
    digest = _digest(event)
    return event["id"] == digest.hex() and PublicKeyXOnly(bytes.fromhex(event["pubkey"])).verify(
        bytes.fromhex(event["sig"]), digest
    )

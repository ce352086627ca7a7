"""LUD-04: auth base spec. https://github.com/lnurl/luds/blob/luds/04.md

A wallet proves that it holds a linking key by signing a challenge, `k1`. Strom uses it in
two places: in the payer data of a payment (LUD-18), which makes the key an owner of the
session, and on a charge point's page, where the same key opens that session again.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable

from lnurl.helpers import lnurlauth_verify

_TTL_MS = 15 * 60_000
_REMEMBERED = 10_000
_FINGERPRINT_BYTES = 10


class LinkingError(Exception):
    """The proof is not valid; the text is a sentence for the driver."""


class Linking:
    """Makes challenges, checks answers, and remembers who answered.

    Challenges are not stored: a challenge carries its own expiry and authenticator, so that
    scans that lead to nothing cost no memory. Each is answered once.

    Args:
        clock: the time in Unix milliseconds.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._authentication_secret = secrets.token_bytes(32)
        self._answered: OrderedDict[str, str] = OrderedDict()

    def challenge(self, token: str = "") -> str:
        """A new k1, 32 bytes in hex; only the browser that holds `token` may ask who answered."""
        bound = _fingerprint(token) if token else secrets.token_bytes(_FINGERPRINT_BYTES)
        head = (self._clock() + _TTL_MS).to_bytes(6) + bound
        return (head + self._seal(head)).hex()

    def _seal(self, head: bytes) -> bytes:
        return hmac.digest(self._authentication_secret, head, "sha256")[:16]

    def prove(self, k1: str, key: str, signature: str) -> str:
        """Check a signed challenge and use it up.

        Args:
            k1: the challenge, hex.
            key: the compressed linking key, hex.
            signature: DER-encoded ECDSA signature of k1, hex.

        Returns:
            The linking key in lower-case hex.

        Raises:
            LinkingError: not our challenge, too old, used, or not signed by that key.
        """
        try:
            challenge = bytes.fromhex(k1)
        except ValueError:
            raise LinkingError("The challenge is not written in hex.") from None
        head, seal = challenge[:16], challenge[16:]
        if not hmac.compare_digest(seal, self._seal(head)):
            raise LinkingError("This challenge is not one of ours: scan the code again.")
        if int.from_bytes(head[:6]) < self._clock():
            raise LinkingError("This challenge has expired: scan the code again.")
        if challenge.hex() in self._answered:
            raise LinkingError("This challenge was used already: scan the code again.")
        try:
            valid = len(key) == 66 and lnurlauth_verify(challenge.hex(), key, signature)
        except ValueError:
            valid = False
        if not valid:
            raise LinkingError("The signature does not belong to that key.")
        self._answered[challenge.hex()] = key.lower()
        if len(self._answered) > _REMEMBERED:
            self._answered.popitem(last=False)
        return key.lower()

    def answer(self, k1: str, token: str) -> str | None:
        """The key that answered the challenge bound to a token; None while none has."""
        bound = k1[12 : 12 + 2 * _FINGERPRINT_BYTES].lower()
        if not hmac.compare_digest(bound.encode(), _fingerprint(token).hex().encode()):
            return None
        return self._answered.get(k1.lower())


def _fingerprint(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()[:_FINGERPRINT_BYTES]

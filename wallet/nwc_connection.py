"""A wallet connection of NIP-47: the one text that a wallet's owner hands out, and what is in it.

https://github.com/nostr-protocol/nips/blob/master/47.md
"""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from nostr_sdk import Keys, NostrSdkError, PublicKey

from wallet.base import WalletConfigError

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class Connection:
    """A wallet connection, which its owner hands out as one secret text."""

    wallet: str
    relays: tuple[str, ...]
    secret: str = field(repr=False)


def parse(text: str) -> Connection:
    """Read a wallet connection.

    Raises:
        WalletConfigError: it is malformed; the secret is not repeated.
    """
    try:
        parts = urlsplit(text.strip())
        options = parse_qs(parts.query)
        wallet = PublicKey.parse(parts.netloc or parts.path).to_hex()
        secret = Keys.parse(options["secret"][0]).secret_key().to_hex()
    except (ValueError, KeyError, NostrSdkError):
        parts, options, wallet, secret = urlsplit(""), {}, "", ""
    relays = tuple(options.get("relay", []))
    if not secret or parts.scheme != "nostr+walletconnect" or not relays:
        raise WalletConfigError(
            "the wallet connection cannot be read: expected "
            "nostr+walletconnect://PUBKEY?relay=wss://...&secret=... in the file"
        )
    for relay in relays:
        url = urlsplit(relay)
        if url.scheme != "wss" and not (url.scheme == "ws" and url.hostname in LOOPBACK_HOSTS):
            raise WalletConfigError(
                f"the wallet connection names the relay {relay}: expected wss:// "
                "(ws:// is for loopback only)"
            )
    return Connection(wallet, relays, secret)

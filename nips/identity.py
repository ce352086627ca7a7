"""NIP-06: Key derivation from mnemonic seed phrase; NIP-19: bech32-encoded entities.

https://github.com/nostr-protocol/nips/blob/master/06.md
https://github.com/nostr-protocol/nips/blob/master/19.md
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from nostr_sdk import (
    Coordinate as SdkCoordinate,
)
from nostr_sdk import (
    Keys,
    Kind,
    Nip19Coordinate,
    Nip19Profile,
    NostrSdkError,
    PublicKey,
    RelayUrl,
)

from nips.bip39_words import ENGLISH
from nips.errors import InvalidKey, InvalidRelayUrl
from nips.event import Coordinate, EventTemplate, NostrEvent, event_id, freeze_tags

_BITS_PER_WORD = 11


@dataclass(frozen=True, slots=True, eq=False)
class Identity:
    """A nostr key pair. Its text form shows the public key and nothing else.

    Attributes:
        pubkey: hex.
        keys: for the modules of this room only.
    """

    pubkey: str
    keys: Keys = field(repr=False)

    @classmethod
    def from_mnemonic(cls, words: str, account: int = 0) -> Identity:
        """Derive the key m/44'/1237'/account'/0/0.

        Raises:
            InvalidKey: the words are no BIP-39 mnemonic, or the account is out of range.
        """
        if not 0 <= account < 2**31:
            raise InvalidKey("the account of a seed must be between 0 and 2147483647")
        try:
            return cls._of(Keys.from_mnemonic(" ".join(words.split()), account=account))
        except NostrSdkError:
            # The SDK's text may quote a word of the seed.
            raise InvalidKey("the seed is not a valid BIP-39 mnemonic: check its words") from None

    @classmethod
    def from_nsec(cls, text: str) -> Identity:
        """Read a secret key, as nsec1... or hex.

        Raises:
            InvalidKey: it is none.
        """
        try:
            return cls._of(Keys.parse(text.strip()))
        except NostrSdkError:
            raise InvalidKey("not a secret key: expected nsec1... or 64 hex digits") from None

    @classmethod
    def generate(cls) -> Identity:
        """A fresh random key pair."""
        return cls._of(Keys.generate())

    @classmethod
    def _of(cls, keys: Keys) -> Identity:
        return cls(keys.public_key().to_hex(), keys)

    @property
    def npub(self) -> str:
        """The public key as npub1..."""
        return encode_npub(self.pubkey)

    @property
    def nsec(self) -> str:
        """The secret key as nsec1..., to be written to a 0600 file and nowhere else."""
        return self.keys.secret_key().to_bech32()

    def nprofile(self, relays: Sequence[str]) -> str:
        """The public key with relays where it is found, as nprofile1..."""
        return encode_nprofile(self.pubkey, relays)

    def sign(
        self, kind: int, content: str, tags: Iterable[Sequence[str]], created_at: int
    ) -> NostrEvent:
        """Sign an event; nothing is added to the tags and nothing taken away.

        Args:
            created_at: Unix seconds.

        Raises:
            InvalidEvent: a text is not valid Unicode.
        """
        frozen = freeze_tags(tags)
        identifier = event_id(self.pubkey, created_at, kind, frozen, content)
        sig = self.keys.sign_schnorr(bytes.fromhex(identifier))
        return NostrEvent(identifier, self.pubkey, created_at, kind, frozen, content, sig)

    def sign_template(self, template: EventTemplate, created_at: int) -> NostrEvent:
        """Sign what a template says, at a time in Unix seconds."""
        return self.sign(template.kind, template.content, template.tags, created_at)


def generate_mnemonic() -> str:
    """A fresh BIP-39 mnemonic of twelve English words (128 random bits)."""
    return mnemonic_of(secrets.token_bytes(16))


def mnemonic_of(entropy: bytes) -> str:
    """The BIP-39 mnemonic of 16 to 32 bytes of entropy (a multiple of 4)."""
    checksum_bits = len(entropy) * 8 // 32
    checksum = hashlib.sha256(entropy).digest()[0] >> (8 - checksum_bits)
    number = int.from_bytes(entropy, "big") << checksum_bits | checksum
    count = (len(entropy) * 8 + checksum_bits) // _BITS_PER_WORD
    mask = (1 << _BITS_PER_WORD) - 1
    return " ".join(
        ENGLISH[number >> _BITS_PER_WORD * (count - 1 - place) & mask] for place in range(count)
    )


def encode_npub(pubkey: str) -> str:
    """A hex public key as npub1..."""
    return _public_key(pubkey).to_bech32()


def decode_npub(text: str) -> str:
    """The hex public key of an npub1..., an nprofile1..., a nostr: URI of them, or hex itself.

    Raises:
        InvalidKey: it is none of these.
    """
    text = text.strip().removeprefix("nostr:")
    if text.startswith("nprofile1"):
        return decode_nprofile(text)[0]
    return _public_key(text).to_hex()


def encode_nprofile(pubkey: str, relays: Sequence[str]) -> str:
    """A hex public key and its relays as nprofile1..."""
    return Nip19Profile(_public_key(pubkey), _relay_urls(relays)).to_bech32()


def decode_nprofile(text: str) -> tuple[str, tuple[str, ...]]:
    """The hex public key and the relays of an nprofile1...

    Raises:
        InvalidKey: it is none.
    """
    try:
        profile = Nip19Profile.from_bech32(text.strip().removeprefix("nostr:"))
    except NostrSdkError:
        raise InvalidKey("not a nostr profile: expected nprofile1...") from None
    return profile.public_key().to_hex(), tuple(str(url) for url in profile.relays())


def encode_naddr(coordinate: Coordinate, relays: Sequence[str]) -> str:
    """The address of a replaceable event as naddr1..."""
    target = SdkCoordinate(
        Kind(coordinate.kind), _public_key(coordinate.pubkey), coordinate.identifier
    )
    return Nip19Coordinate(target, _relay_urls(relays)).to_bech32()


def decode_naddr(text: str) -> tuple[Coordinate, tuple[str, ...]]:
    """The address and the relays of an naddr1...

    Raises:
        InvalidKey: it is none.
    """
    try:
        address = Nip19Coordinate.from_bech32(text.strip().removeprefix("nostr:"))
    except NostrSdkError:
        raise InvalidKey("not the address of an event: expected naddr1...") from None
    inner = address.coordinate()
    coordinate = Coordinate(inner.kind().as_u16(), inner.public_key().to_hex(), inner.identifier())
    return coordinate, tuple(str(url) for url in address.relays())


def _public_key(text: str) -> PublicKey:
    try:
        return PublicKey.parse(text)
    except NostrSdkError:
        # Somebody may have pasted his secret key here: the text is not repeated.
        raise InvalidKey("not a public key: expected npub1... or 64 hex digits") from None


def _relay_urls(relays: Sequence[str]) -> list[RelayUrl]:
    try:
        return [RelayUrl.parse(url) for url in relays]
    except NostrSdkError:
        raise InvalidRelayUrl("expected relay URLs, such as wss://relay.example.com") from None

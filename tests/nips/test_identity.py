from __future__ import annotations

import pytest

from nips import bech32
from nips.bip39_words import ENGLISH
from nips.errors import InvalidKey, InvalidRelayUrl
from nips.event import Coordinate
from nips.identity import (
    Identity,
    decode_naddr,
    decode_nprofile,
    decode_npub,
    encode_naddr,
    encode_nprofile,
    generate_mnemonic,
    mnemonic_of,
)
from tests.nips.support import key_of

ALICE = key_of("alice")


@pytest.mark.parametrize(
    ("words", "pubkey", "nsec"),
    [
        (
            "leader monkey parrot ring guide accident before fence cannon height naive bean",
            "17162c921dc4d2518f9a101db33695df1afb56ab82f5ff3e5da6eec3ca5cd917",
            "nsec10allq0gjx7fddtzef0ax00mdps9t2kmtrldkyjfs8l5xruwvh2dq0lhhkp",
        ),
        (
            "what bleak badge arrange retreat wolf trade produce cricket blur garlic valid "
            "proud rude strong choose busy staff weather area salt hollow arm fade",
            "d41b22899549e1f3d335a31002cfd382174006e166d3e658e3a5eecdb6463573",
            "nsec1c9wh8zl9kkfkqjs79wk97xwx62phx45u3y4aymaf0tfq5v0gt70sl2y0p2",
        ),
    ],
)
def test_nip06_vectors(words: str, pubkey: str, nsec: str) -> None:
    identity = Identity.from_mnemonic(words, 0)
    assert identity.pubkey == pubkey
    assert identity.nsec[:4] == "nsec"
    if pubkey.startswith("1716"):
        assert identity.nsec == nsec


def test_each_account_has_its_own_key() -> None:
    words = generate_mnemonic()
    assert len({Identity.from_mnemonic(words, account).pubkey for account in range(5)}) == 5
    assert len(words.split()) == 12
    assert set(words.split()) <= set(ENGLISH)


@pytest.mark.parametrize(
    ("entropy", "words"),
    [
        ("00" * 16, "abandon " * 11 + "about"),
        ("7f" * 16, "legal winner thank year wave sausage worth useful legal winner thank yellow"),
        ("ff" * 32, "zoo " * 23 + "vote"),
    ],
)
def test_bip39_vectors(entropy: str, words: str) -> None:
    assert mnemonic_of(bytes.fromhex(entropy)) == words


def test_the_secret_key_shows_in_no_text() -> None:
    secret = ALICE.keys.secret_key().to_hex()
    for text in (repr(ALICE), str(ALICE), f"{ALICE!r}"):
        assert secret not in text
        assert ALICE.nsec not in text
    assert ALICE.pubkey in repr(ALICE)


@pytest.mark.parametrize("words", ["", "abandon " * 12, "one two three", "x" * 5000])
def test_a_wrong_mnemonic_is_refused_without_being_repeated(words: str) -> None:
    with pytest.raises(InvalidKey) as caught:
        Identity.from_mnemonic(words, 0)
    assert not words.split() or words.split()[0] not in str(caught.value).split()


def test_a_wrong_account_is_refused() -> None:
    with pytest.raises(InvalidKey):
        Identity.from_mnemonic(generate_mnemonic(), -1)


@pytest.mark.parametrize("text", ["", "nsec1xyz", "0" * 64, "npub1", ALICE.npub])
def test_a_wrong_secret_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidKey):
        Identity.from_nsec(text)


def test_a_secret_key_is_read_back() -> None:
    assert Identity.from_nsec(ALICE.nsec + "\n").pubkey == ALICE.pubkey
    assert Identity.generate().pubkey != Identity.generate().pubkey


def test_names_are_read_back() -> None:
    relays = ("wss://relay.example.com", "ws://127.0.0.1:7777")
    coordinate = Coordinate(30716, ALICE.pubkey, "CP001:1")
    assert decode_npub(ALICE.npub) == ALICE.pubkey
    assert decode_npub(f"nostr:{ALICE.npub}") == ALICE.pubkey
    assert decode_npub(ALICE.pubkey) == ALICE.pubkey
    assert decode_npub(ALICE.nprofile(relays)) == ALICE.pubkey
    assert decode_nprofile(encode_nprofile(ALICE.pubkey, relays)) == (ALICE.pubkey, relays)
    assert decode_naddr(encode_naddr(coordinate, relays)) == (coordinate, relays)


@pytest.mark.parametrize("text", ["", "npub1", "xyz", ALICE.nsec])
def test_wrong_names_are_refused_without_being_repeated(text: str) -> None:
    for decode in (decode_npub, decode_nprofile, decode_naddr):
        with pytest.raises(InvalidKey) as caught:
            decode(text)
        assert ALICE.nsec not in str(caught.value)


def test_a_wrong_relay_url_is_refused() -> None:
    with pytest.raises(InvalidRelayUrl):
        ALICE.nprofile(["http://x"])


@pytest.mark.parametrize("size", [0, 1, 16, 33, 700])
def test_bech32_of_any_length_is_read_back(size: int) -> None:
    data = bytes(number % 256 for number in range(size))
    assert bech32.decode("pzap", bech32.encode("pzap", data)) == data
    assert bech32.decode("pzap", bech32.encode("pzap", data).upper()) == data


@pytest.mark.parametrize(
    "text", ["", "pzap", "pzap1", "iv1qqqqqqq", "pzap1bbbbbbb", "pzap1qqqqqqqq", "Pzap1qqqqqqqq"]
)
def test_wrong_bech32_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="bech32"):
        bech32.decode("pzap", text)

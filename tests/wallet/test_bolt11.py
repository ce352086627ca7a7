"""Invoices read and written; the examples are BOLT 11's own."""

from __future__ import annotations

import hashlib
import os

import bolt11 as package
import pytest
from coincurve import PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from wallet import bolt11
from wallet.bolt11 import InvalidInvoice

KEY = bytes.fromhex("e126f68f7eafcc8b74f54d269fe206be715000f94dac067d1c04a8ca3b2db734")
NODE_ID = "03e7156ae33b0a208d0744199163177e909e80176e55d97a2f221ede0f934dd9ad"
PAYMENT_HASH = "0001020304050607080900010203040506070809000102030405060708090102"
DONATION = (
    "lnbc1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcyq5rq"
    "wzqfqqqsyqcyq5rqwzqfqypqdpl2pkx2ctnv5sxxmmwwd5kgetjypeh2ursdae8g6twvus8g6rfwvs8qun0dfjkxaq9qrsgq35"
    "7wnc5r2ueh7ck6q93dj32dlqnls087fxdwk8qakdyafkq3yap9us6v52vjjsrvywa6rt52cm9r9zqt8r2t7mlcwspyetp5h2tz"
    "tugp9lfyql"
)
COFFEE = (
    "lnbc2500u1pvjluezsp5zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zyg3zygspp5qqqsyqcyq5rqwzqfqqqsyqcy"
    "q5rqwzqfqqqsyqcyq5rqwzqfqypqdq5xysxxatsyp3k7enxv4jsxqzpu9qrsgquk0rl77nj30yxdy8j9vdx85fkpmdla2087ne"
    "0xh8nhedh8w27kyke0lp53ut353s06fv3qfegext0eh0ymjpf39tuven09sam30g4vgpfna3rh"
)


def make(
    *,
    amount_msat: int | None = 21_000,
    description: str | bytes = "charging",
    expiry_s: int = 600,
    network: str = "regtest",
) -> str:
    return bolt11.sign(
        KEY,
        network=network,
        payment_hash=PAYMENT_HASH,
        payment_secret=bytes(32),
        amount_msat=amount_msat,
        description=description,
        timestamp_s=1_790_000_000,
        expiry_s=expiry_s,
    )


def test_example_without_amount() -> None:
    read = bolt11.decode(DONATION)
    assert read.amount_msat is None
    assert read.description == "Please consider supporting this project"
    assert read.description_hash is None
    assert read.payment_hash == PAYMENT_HASH
    assert read.payee == NODE_ID
    assert read.network == "bitcoin"
    assert read.timestamp_s == 1496314658
    assert read.expires_at_ms == (1496314658 + 3600) * 1000


def test_example_with_amount_and_expiry() -> None:
    read = bolt11.decode(COFFEE, network="bitcoin")
    assert read.amount_msat == 250_000_000
    assert read.description == "1 cup coffee"
    assert read.expires_at_ms == (1496314658 + 60) * 1000


@pytest.mark.parametrize(
    "written", [COFFEE.upper(), f" lightning:{COFFEE}\n", f"LIGHTNING:{COFFEE.upper()}"]
)
def test_ways_to_write_an_invoice(written: str) -> None:
    assert bolt11.decode(written) == bolt11.decode(COFFEE)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no invoice"),
        ("lightning:", "no invoice"),
        ("user@example.com", "not a Lightning invoice"),
        ("LNURL1DP68GURN8GHJ7", "damaged"),
        ("ln", "damaged"),
        ("lnbc", "damaged"),
        ("lnxx1qqqqq", "damaged"),
        (COFFEE[:-1], "damaged"),
        (COFFEE[:-1] + "q", "damaged"),
        (COFFEE.replace("2500u", "2600u"), "damaged"),
        (COFFEE[:30] + COFFEE[30:].upper(), "mixes"),
        ("lnbc" + "q" * 5000, "longer"),
        (COFFEE.replace("2500u", "25u1"), "damaged"),
        (COFFEE.replace("2500u", "2500000001p"), "fraction"),
        (COFFEE.replace("2500u", "0u"), "cannot ask"),
        (COFFEE.replace("2500u", "99999999"), "cannot ask"),
    ],
)
def test_bad_invoices(text: str, sentence: str) -> None:
    with pytest.raises(InvalidInvoice, match=sentence):
        bolt11.decode(text)


def test_another_network_is_refused() -> None:
    with pytest.raises(InvalidInvoice, match="for bitcoin, but this wallet is on regtest"):
        bolt11.decode(COFFEE, network="regtest")


def test_an_empty_description_is_one() -> None:
    assert bolt11.decode(make(description="")).description == ""


@given(
    amount_msat=st.none() | st.integers(1, bolt11.MAX_AMOUNT_MSAT),
    description=st.text(max_size=100) | st.binary(min_size=32, max_size=32),
    expiry_s=st.integers(1, 10**7),
    network=st.sampled_from(sorted(bolt11.PREFIXES)),
)
def test_what_is_signed_is_read(
    amount_msat: int | None, description: str | bytes, expiry_s: int, network: str
) -> None:
    text = make(
        amount_msat=amount_msat, description=description, expiry_s=expiry_s, network=network
    )
    read = bolt11.decode(text, network=network)
    assert read.amount_msat == amount_msat
    assert read.expires_at_ms == (1_790_000_000 + expiry_s) * 1000
    assert read.payee == PrivateKey(KEY).public_key.format().hex()
    if isinstance(description, bytes):
        assert (read.description, read.description_hash) == (None, description.hex())
    else:
        assert (read.description, read.description_hash) == (description, None)


@pytest.mark.parametrize("amount_msat", [0, -1, bolt11.MAX_AMOUNT_MSAT + 1])
def test_impossible_amounts_are_not_signed(amount_msat: int) -> None:
    with pytest.raises(InvalidInvoice):
        make(amount_msat=amount_msat)


@given(position=st.integers(0, len(COFFEE) - 1), character=st.characters(codec="utf-8"))
def test_hostile_text_never_gets_through(position: int, character: str) -> None:
    text = COFFEE[:position] + character + COFFEE[position + 1 :]
    if text.strip().lower() in (COFFEE, COFFEE[1:], COFFEE[:-1]):
        return
    with pytest.raises(InvalidInvoice):
        bolt11.decode(text)


def test_description_hash_is_that_of_the_text() -> None:
    text = os.urandom(700)
    read = bolt11.decode(make(description=hashlib.sha256(text).digest()))
    assert read.description_hash == hashlib.sha256(text).hexdigest()


@pytest.mark.parametrize("keep_payee", [False, True])
def test_it_reads_what_the_package_reads(keep_payee: bool) -> None:
    for text in (DONATION, COFFEE, make(), make(amount_msat=None, description=bytes(32))):
        theirs = package.decode(text, ignore_exceptions=True)
        rewritten = package.encode(theirs, KEY.hex(), ignore_exceptions=True, keep_payee=keep_payee)
        ours = bolt11.decode(rewritten)
        assert ours.payment_hash == theirs.payment_hash
        assert ours.payee == theirs.payee
        assert ours.amount_msat == theirs.amount_msat
        assert ours.description == theirs.description
        assert ours.description_hash == theirs.description_hash
        assert ours.timestamp_s == theirs.date
        assert ours.expires_at_ms == (theirs.date + theirs.expiry) * 1000


def test_another_nodes_signature_is_refused() -> None:
    theirs = package.decode(make(), ignore_exceptions=True)
    forged = package.encode(theirs, "11" * 32, ignore_exceptions=True, keep_payee=True)
    with pytest.raises(InvalidInvoice, match="not its payee's"):
        bolt11.decode(forged)

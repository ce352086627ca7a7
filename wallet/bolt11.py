"""BOLT 11: Invoice Protocol for Lightning Payments, as this room needs it.

https://github.com/lightning/bolts/blob/master/11-payment-encoding.md

Invoices are written by the `bolt11` package and read here: on every invoice that a backend
makes the reader is on the way to the driver, and it is several times as fast. It parses
whole or raises InvalidInvoice: mixed case, fractions of a millisatoshi and overlong input
are refused; an empty description is one, as wallets make them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import bolt11 as package
from bech32 import CHARSET, bech32_decode
from coincurve import PublicKey

from wallet.base import WalletError

NETWORKS = {"bc": "bitcoin", "tb": "testnet", "tbs": "signet", "bcrt": "regtest"}
PREFIXES = {network: prefix for prefix, network in NETWORKS.items()}

# What does not fit a QR code is no invoice to be scanned.
MAX_LENGTH = 4096
# No channel is that large, and the package writes whole thousands of bitcoin wrongly.
MAX_AMOUNT_MSAT = 999 * 100_000_000_000

_HRP = re.compile(r"ln(?P<prefix>bcrt|bc|tbs|tb)(?:(?P<number>[0-9]+)(?P<unit>[munp]?))?")
_DECI_MSAT = {"": 10**12, "m": 10**9, "u": 10**6, "n": 10**3, "p": 1}
_MIN_FINAL_CLTV_EXPIRY = 80
_DEFAULT_EXPIRY_S = 3600
_MAX_EXPIRY_S = 100 * 366 * 86_400
# In words of five bits.
_TIMESTAMP_WORDS, _SIGNATURE_WORDS, _HASH_WORDS, _PAYEE_WORDS = 7, 104, 52, 53


class InvalidInvoice(WalletError):
    """A text is not an invoice, or not one that can be used here; the sentence says why."""


@dataclass(frozen=True, slots=True)
class Bolt11:
    """An invoice as anyone can read it.

    Attributes:
        text: the payment request in lower case, without a `lightning:` prefix.
        payment_hash: hex.
        amount_msat: what it asks for; None when it leaves the amount to the payer.
        description: the plain description; None when it has a hash instead.
        description_hash: hex SHA-256 of a description given elsewhere; None without.
        payee: hex public key of the node that signed it.
        timestamp_s: when it was made, Unix seconds.
        expires_at_ms: Unix milliseconds after which it should not be paid.
        network: "bitcoin", "testnet", "signet" or "regtest".
    """

    text: str
    payment_hash: str
    amount_msat: int | None
    description: str | None
    description_hash: str | None
    payee: str
    timestamp_s: int
    expires_at_ms: int
    network: str


def decode(text: str, *, network: str | None = None) -> Bolt11:
    """Read an invoice and check its signature; whether it expired is for the caller to judge.

    Args:
        text: the payment request, also in upper case or behind `lightning:`.
        network: the network it must be for; None for any.

    Raises:
        InvalidInvoice: it is malformed, or for another network.
    """
    request = _normalised(text)
    prefix, amount_msat = _prefix_and_amount(request)
    if network is not None and NETWORKS[prefix] != network:
        raise InvalidInvoice(
            f"the invoice is for {NETWORKS[prefix]}, but this wallet is on {network}"
        )
    _, words = bech32_decode(request)
    if words is None or len(words) < _TIMESTAMP_WORDS + _SIGNATURE_WORDS:
        raise InvalidInvoice("the invoice is damaged (its checksum is wrong)")
    body, signature = words[:-_SIGNATURE_WORDS], words[-_SIGNATURE_WORDS:]
    fields = _fields(body[_TIMESTAMP_WORDS:])
    payment_hash = _hash_field(fields, "p")
    if payment_hash is None:
        raise InvalidInvoice("the invoice has no payment hash")
    payee = _payee(request.rpartition("1")[0], body, _octets(signature), fields.get("n"))
    timestamp_s = _number(body[:_TIMESTAMP_WORDS])
    expiry_s = _number(fields["x"]) if "x" in fields else _DEFAULT_EXPIRY_S
    description_hash = _hash_field(fields, "h")
    description = _text(fields["d"]) if "d" in fields and description_hash is None else None
    has_secret = _hash_field(fields, "s") is not None
    if not has_secret:
        raise InvalidInvoice("the invoice lacks a payment secret, which every node requires")
    if description is None and description_hash is None:
        raise InvalidInvoice("the invoice has neither a description nor the hash of one")
    return Bolt11(
        text=request,
        payment_hash=payment_hash,
        amount_msat=amount_msat,
        description=description,
        description_hash=description_hash,
        payee=payee,
        timestamp_s=timestamp_s,
        expires_at_ms=(timestamp_s + expiry_s) * 1000,
        network=NETWORKS[prefix],
    )


def sign(
    private_key: bytes,
    *,
    network: str,
    payment_hash: str,
    payment_secret: bytes,
    amount_msat: int | None,
    description: str | bytes,
    timestamp_s: int,
    expiry_s: int,
) -> str:
    """Make an invoice.

    Args:
        private_key: the node's secp256k1 key, 32 bytes.
        network: a name as in `Bolt11.network`.
        payment_hash: hex.
        payment_secret: 32 random bytes.
        amount_msat: what it asks for, 1 or more; None leaves it to the payer.
        description: a plain description, or the 32 bytes of a description's SHA-256.
        timestamp_s: now, in Unix seconds.
        expiry_s: seconds from then until it should not be paid any more.

    Raises:
        InvalidInvoice: no invoice can ask for this amount.
    """
    if amount_msat is not None:
        _check_amount(amount_msat)
    tags = package.Tags()
    tags.add(package.TagChar.payment_hash, payment_hash)
    tags.add(package.TagChar.payment_secret, payment_secret.hex())
    if isinstance(description, bytes):
        tags.add(package.TagChar.description_hash, description.hex())
    else:
        tags.add(package.TagChar.description, description)
    tags.add(package.TagChar.expire_time, expiry_s)
    tags.add(package.TagChar.min_final_cltv_expiry, _MIN_FINAL_CLTV_EXPIRY)
    tags.add(
        package.TagChar.features,
        package.Features.from_feature_list(
            {
                package.Feature.var_onion_optin: package.FeatureState.required,
                package.Feature.payment_secret: package.FeatureState.required,
            }
        ),
    )
    invoice = package.Bolt11(
        currency=PREFIXES[network],
        amount_msat=None if amount_msat is None else package.MilliSatoshi(amount_msat),
        date=timestamp_s,
        tags=tags,
    )
    return package.encode(invoice, private_key.hex(), ignore_exceptions=True)


def _normalised(text: str) -> str:
    request = text.strip()
    if request[:10].lower() == "lightning:":
        request = request[10:]
    if not request:
        raise InvalidInvoice("there is no invoice")
    if len(request) > MAX_LENGTH:
        raise InvalidInvoice(f"the invoice is longer than {MAX_LENGTH} characters")
    if request not in (request.lower(), request.upper()):
        raise InvalidInvoice("the invoice mixes upper and lower case")
    request = request.lower()
    if not request.startswith("ln"):
        raise InvalidInvoice("this is not a Lightning invoice: it does not begin with lnbc")
    return request


def _prefix_and_amount(request: str) -> tuple[str, int | None]:
    """The currency prefix and the amount in msat, from the part before the last "1"."""
    hrp, separator, _ = request.rpartition("1")
    match = _HRP.fullmatch(hrp)
    if not separator or match is None:
        raise InvalidInvoice("the invoice is damaged, or for a network that is not known here")
    if match["number"] is None:
        return match["prefix"], None
    amount_msat, fraction = divmod(int(match["number"]) * _DECI_MSAT[match["unit"]], 10)
    if fraction:
        raise InvalidInvoice("the invoice asks for a fraction of a millisatoshi")
    _check_amount(amount_msat)
    return match["prefix"], amount_msat


def _check_amount(amount_msat: int) -> None:
    if not 0 < amount_msat <= MAX_AMOUNT_MSAT:
        raise InvalidInvoice(f"an invoice cannot ask for {amount_msat} msat")


def _fields(words: list[int]) -> dict[str, list[int]]:
    """The tagged fields, the first one of each kind; those of a wrong length are skipped."""
    fields: dict[str, list[int]] = {}
    lengths = dict.fromkeys("phs", _HASH_WORDS) | {"n": _PAYEE_WORDS}
    position = 0
    while position < len(words):
        if position + 3 > len(words):
            raise InvalidInvoice("the invoice is damaged (a field is cut off)")
        kind = CHARSET[words[position]]
        length = words[position + 1] * 32 + words[position + 2]
        value = words[position + 3 : position + 3 + length]
        if len(value) < length:
            raise InvalidInvoice("the invoice is damaged (a field is cut off)")
        if length == lengths.get(kind, length):
            fields.setdefault(kind, value)
        position += 3 + length
    return fields


def _payee(hrp: str, body: list[int], signature: bytes, named: list[int] | None) -> str:
    """The key that signed: the named one if its signature is right, else the recovered one."""
    message = hrp.encode() + _octets(body, pad=True)
    if named is None:
        recovered = _recovered(signature, message)
        if recovered is None:
            raise InvalidInvoice("the invoice is damaged (its signature is wrong)")
        return recovered
    # With a named payee the recovery id does not count.
    payee = _octets(named).hex()
    for recovery_id in range(4):
        if _recovered(signature[:64] + bytes([recovery_id]), message) == payee:
            return payee
    raise InvalidInvoice("the invoice is damaged (its signature is not its payee's)")


def _recovered(signature: bytes, message: bytes) -> str | None:
    """The public key behind a signature, hex; None when there is none."""
    try:
        return PublicKey.from_signature_and_message(signature, message).format().hex()
    # coincurve raises ValueError for some bad signatures and a bare Exception for others.
    except Exception:  # noqa: BLE001
        return None


def _number(words: list[int]) -> int:
    number = 0
    for word in words:
        number = number * 32 + word
    return min(number, _MAX_EXPIRY_S * 100)


def _octets(words: list[int], *, pad: bool = False) -> bytes:
    """Words of five bits as bytes; what is over is cut off, or filled up with zeros."""
    number = 0
    for word in words:
        number = number << 5 | word
    bits = len(words) * 5
    length = -(-bits // 8) if pad else bits // 8
    over = length * 8 - bits
    return (number << over if over >= 0 else number >> -over).to_bytes(length, "big")


def _hash_field(fields: dict[str, list[int]], kind: str) -> str | None:
    return _octets(fields[kind]).hex() if kind in fields else None


def _text(words: list[int]) -> str:
    try:
        return _octets(words).decode()
    except UnicodeDecodeError:
        raise InvalidInvoice("the invoice is damaged (its description is no text)") from None

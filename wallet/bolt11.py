"""BOLT 11: Invoice Protocol for Lightning Payments, as this room needs it.

https://github.com/lightning/bolts/blob/master/11-payment-encoding.md

A typed wrapper over the `bolt11` package that parses whole or raises InvalidInvoice. It
is stricter where the package is lax (mixed case, fractions of a millisatoshi, overlong
input) and laxer where wallets are (an empty description is a description).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import bolt11 as package

from wallet.base import WalletError

NETWORKS = {"bc": "bitcoin", "tb": "testnet", "tbs": "signet", "bcrt": "regtest"}
PREFIXES = {network: prefix for prefix, network in NETWORKS.items()}

# The package decodes in quadratic time; the longest invoice that fits a QR code is far shorter.
MAX_LENGTH = 4096
# No channel is that large, and the package writes whole thousands of bitcoin wrongly.
MAX_AMOUNT_MSAT = 999 * 100_000_000_000

_HRP = re.compile(r"ln(?P<prefix>bcrt|bc|tbs|tb)(?:(?P<number>[0-9]+)(?P<unit>[munp]?))?")
_DECI_MSAT = {"": 10**12, "m": 10**9, "u": 10**6, "n": 10**3, "p": 1}
_MIN_FINAL_CLTV_EXPIRY = 80


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
    try:
        parsed = package.decode(request, ignore_exceptions=True)
        payment_hash = parsed.payment_hash
        payee = parsed.payee
        expiry_s = parsed.expiry
        description, description_hash = parsed.description, parsed.description_hash
        has_secret = parsed.payment_secret is not None
    # The package lets through whatever bitstring and coincurve raise on hostile bytes, and
    # they share no root below Exception.
    except Exception as error:  # noqa: BLE001
        raise InvalidInvoice(f"the invoice is damaged ({type(error).__name__})") from None
    if payee is None or not has_secret:
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
        timestamp_s=parsed.date,
        expires_at_ms=(parsed.date + expiry_s) * 1000,
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

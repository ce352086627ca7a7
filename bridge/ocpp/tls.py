"""TLS for chargers: security profiles 2 (server certificate) and 3 (client certificate too).

OCPP 1.6 security whitepaper, edition 3:
https://openchargealliance.org/protocols/open-charge-point-protocol/
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from bridge.ocpp.errors import OcppError

logger = logging.getLogger(__name__)

WARN_DAYS = 30
_MS_PER_DAY = 86_400_000
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18


class TlsUnusable(OcppError):
    """A certificate or key cannot be used; the text says which and why."""


def server_context(certificate: Path, key: Path, client_ca: Path | None = None) -> ssl.SSLContext:
    """What the server shows of itself, and whose client certificates it takes.

    Args:
        certificate: PEM chain of the server, its own certificate first.
        key: its private key, PEM without a password.
        client_ca: PEM of the authorities of client certificates; with it a charger may show
            one, and `AuthPolicy.client_certificate` demands it.

    Raises:
        TlsUnusable: a file is missing, or certificate and key do not fit.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise TlsUnusable(f"{certificate} and {key} cannot be used: {_reason(error)}") from None
    if client_ca is not None:
        try:
            context.load_verify_locations(client_ca)
        except (OSError, ssl.SSLError) as error:
            raise TlsUnusable(f"{client_ca} cannot be used: {_reason(error)}") from None
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "it is not PEM"
    return error.strerror or "it cannot be read"


def expires_at_ms(certificate: Path) -> int:
    """When the first certificate of a PEM file expires, in Unix ms.

    Raises:
        TlsUnusable: there is no certificate in it.
    """
    try:
        text = certificate.read_text(encoding="ascii")
        begin, end = text.index("-----BEGIN CERT"), text.index("-----END CERT")
        der = ssl.PEM_cert_to_DER_cert(f"{text[begin:end]}-----END CERTIFICATE-----\n")
        fields = _children(_children(der)[0][1])
        fields = _children(fields[0][1])
        validity = fields[4 if fields[0][0] == 0xA0 else 3][1]
        kind, written = _children(validity)[1]
        return _time_ms(kind, written.decode("ascii"))
    except (OSError, ValueError, IndexError) as error:
        raise TlsUnusable(f"{certificate} holds no readable certificate: {error}") from None


def _children(der: bytes) -> Sequence[tuple[int, bytes]]:
    """Tag and content of each element of DER (X.690), one level deep."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(der):
        tag, length, at = der[at], der[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length, at = int.from_bytes(der[at : at + size], "big"), at + size
        found.append((tag, der[at : at + length]))
        at += length
    return found


def _time_ms(kind: int, written: str) -> int:
    if kind == _UTC_TIME:
        # RFC 5280, section 4.1.2.5.1: two digits up to 49 belong to this century.
        written = ("20" if int(written[:2]) < 50 else "19") + written
    elif kind != _GENERALIZED_TIME:
        raise ValueError("its validity is no time")
    moment = datetime.strptime(written, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


def warn_of_expiry(certificate: Path, now_ms: int) -> int:
    """Log a warning when a certificate expires soon; returns the days that are left.

    Raises:
        TlsUnusable: there is no certificate in the file.
    """
    left = (expires_at_ms(certificate) - now_ms) // _MS_PER_DAY
    if left < 0:
        logger.error("the certificate %s has expired: chargers refuse to connect", certificate)
    elif left < WARN_DAYS:
        logger.warning("the certificate %s expires in %d days: renew it", certificate, left)
    return left


def common_name(peer_certificate: object) -> str:
    """The common name of a verified client certificate as `ssl` gives it; "" for none."""
    if not isinstance(peer_certificate, dict):
        return ""
    subject = cast(dict[str, Any], peer_certificate).get("subject", ())
    for names in subject:
        for key, value in names:
            if key == "commonName":
                return str(value)
    return ""

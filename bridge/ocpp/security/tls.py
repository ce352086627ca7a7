"""TLS for chargers: security profiles 2 (server certificate) and 3 (client certificate too).

OCPP 1.6 security whitepaper, edition 3:
https://openchargealliance.org/protocols/open-charge-point-protocol/
"""

from __future__ import annotations

import logging
import re
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, cast

from bridge.ocpp.errors import OcppError

logger = logging.getLogger(__name__)

_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_NO_CHECK_TIME = 0x200000
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)

# Those that the whitepaper demands of a central system are among them. The ones without forward
# secrecy come last: only a charger that knows no other gets them.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:kRSA+AESGCM:!aNULL:!eNULL:!PSK"

_LOCKED = "the key has a password, which Strom cannot know: store it without one"
_FILE_REASONS = {
    "KEY_VALUES_MISMATCH": "the key is not the one of this certificate",
    "KEY_TYPE_MISMATCH": "the key is not the one of this certificate",
    "NO_CERTIFICATE_OR_CRL_FOUND": "there is no certificate in it",
    "EE_KEY_TOO_SMALL": "its key is too short",
    "CA_KEY_TOO_SMALL": "the key of an authority in its chain is too short",
}
_HANDSHAKE_REASONS = {
    "HTTP_REQUEST": "it came without TLS: its URL must begin with wss://",
    "WRONG_VERSION_NUMBER": "it came without TLS: its URL must begin with wss://",
    "UNSUPPORTED_PROTOCOL": "its TLS is older than version 1.2",
    "NO_SHARED_CIPHER": "it knows no cipher suite that is safe",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not trust the authority of Strom's certificate",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it does not take Strom's certificate",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it does not take Strom's certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "for it Strom's certificate has expired: see its clock",
}
_COMPLAIN_EVERY_S = 60.0


class TlsUnusable(OcppError):
    """A certificate or key cannot be used; the text says which and why."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The files behind TLS, all of them PEM.

    Attributes:
        certificate: chain of the server, its own certificate first.
        key: its private key, without a password.
        client_ca: the authorities of client certificates; with it a charger may show one, and
            `AuthPolicy.profile` 3 demands it.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """What a certificate says of itself.

    Attributes:
        names: host names and addresses it is good for, or else its common name.
        issuer: who signed it.
        chain: how many certificates its file has.
        expires_at_ms: when the first of them expires, in Unix ms.
    """

    names: Sequence[str]
    issuer: str
    chain: int
    expires_at_ms: int


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """What the server shows of itself, and whose client certificates it takes.

    Raises:
        TlsUnusable: a file is missing, or certificate and key do not fit.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.sslobject_class = _Watched
    try:
        # Without a password OpenSSL would ask for one at the terminal.
        context.load_cert_chain(files.certificate, files.key, password="")
    except (OSError, ssl.SSLError) as error:
        both = f"{files.certificate} and {files.key}"
        reason = _LOCKED if _is_locked(files.key) else _reason(error)
        raise TlsUnusable(f"{both} cannot be used: {reason}") from None
    if files.client_ca is not None:
        try:
            context.load_verify_locations(files.client_ca)
        except (OSError, ssl.SSLError) as error:
            raise TlsUnusable(f"{files.client_ca} cannot be used: {_reason(error)}") from None
        context.verify_mode = ssl.CERT_OPTIONAL
        # So that an authority may be one below a root, or a charger's own certificate.
        context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    return context


def _is_locked(key: Path) -> bool:
    try:
        return "ENCRYPTED" in key.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return _FILE_REASONS.get(error.reason or "", error.reason or "it is not PEM")
    return error.strerror or "it cannot be read"


class _Watched(ssl.SSLObject):
    """Says why a handshake failed; asyncio keeps that to itself."""

    _told_at_s: ClassVar[dict[str, float]] = {}

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError as error:
            self._tell(error)
            raise

    def _tell(self, error: ssl.SSLError) -> None:
        """Once in a while for each reason: ports are scanned, and chargers come again."""
        reason = _HANDSHAKE_REASONS.get(error.reason or "", error.reason or "it broke off")
        if isinstance(error, ssl.SSLCertVerificationError):
            reason = f"its client certificate is not taken: {error.verify_message}"
        now_s = time.monotonic()
        if now_s - self._told_at_s.get(reason, -_COMPLAIN_EVERY_S) >= _COMPLAIN_EVERY_S:
            self._told_at_s[reason] = now_s
            logger.warning("a charger's TLS connection failed: %s", reason)


def examine(files: TlsFiles) -> Shown:
    """Try certificate, key and chain in a handshake as a charger's, all but the dates.

    The charger trusts the last certificate in the file and must get from there to the first.

    Raises:
        TlsUnusable: they do not work; the text says why.
    """
    server = server_context(files)
    blocks = _blocks(files.certificate)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    client.load_verify_locations(cadata=blocks[-1])
    try:
        certificate = _handshake(server, client)
    except ssl.SSLError as error:
        message = getattr(error, "verify_message", None) or _reason(error)
        raise TlsUnusable(f"chargers cannot use {files.certificate}: {message}") from None
    alternatives = [str(value) for _, value in certificate.get("subjectAltName", ())]
    return Shown(
        names=alternatives or [_name(certificate, "subject")],
        issuer=_name(certificate, "issuer") or _name(certificate, "issuer", "organizationName"),
        chain=len(blocks),
        expires_at_ms=expires_at_ms(files.certificate),
    )


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> dict[str, Any]:
    """Connect two sides in memory; the server's certificate as the client saw it."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = ssl.SSLContext.wrap_bio(server, up, down, server_side=True)
    theirs = client.wrap_bio(down, up, server_hostname="strom")
    for _ in range(10):
        if _advance(theirs.do_handshake) and _advance(ours.do_handshake):
            break
        _advance(ours.do_handshake)
    return cast(dict[str, Any], theirs.getpeercert() or {})


def _advance(step: Callable[[], None]) -> bool:
    try:
        step()
    except ssl.SSLWantReadError:
        return False
    return True


def expires_at_ms(certificate: Path) -> int:
    """When the first certificate of a PEM file expires, in Unix ms: of all in it the earliest.

    Raises:
        TlsUnusable: there is no certificate in it, or one that cannot be read.
    """
    try:
        return min(_not_after_ms(block) for block in _blocks(certificate))
    except (ValueError, IndexError) as error:
        raise TlsUnusable(f"{certificate} holds no readable certificate: {error}") from None


def _blocks(certificate: Path) -> list[str]:
    """The certificates in a PEM file, as PEM; at least one."""
    try:
        blocks = _PEM.findall(certificate.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise TlsUnusable(f"{certificate} holds no readable certificate: {error}") from None
    if not blocks:
        raise TlsUnusable(f"{certificate} holds no readable certificate: there is none in PEM")
    return blocks


def _not_after_ms(pem: str) -> int:
    """RFC 5280, section 4.1: tbsCertificate's validity."""
    fields = _children(_children(ssl.PEM_cert_to_DER_cert(pem))[0][1])
    fields = _children(fields[0][1])
    validity = fields[4 if fields[0][0] == 0xA0 else 3][1]
    kind, written = _children(validity)[1]
    return _time_ms(kind, written.decode("ascii"))


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


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """What a charger showed of itself; its chain was verified.

    Attributes:
        names: its common name and the DNS names it is good for.
        expires_at_ms: in Unix ms.
    """

    names: frozenset[str]
    expires_at_ms: int


def client_certificate(peer_certificate: object) -> ClientCertificate | None:
    """A verified client certificate as `ssl` gives it; None when none was shown."""
    if not isinstance(peer_certificate, dict) or not peer_certificate:
        return None
    fields = cast(dict[str, Any], peer_certificate)
    names = [_name(fields, "subject")]
    names += [str(value) for kind, value in fields.get("subjectAltName", ()) if kind == "DNS"]
    until_s = ssl.cert_time_to_seconds(str(fields.get("notAfter")))
    return ClientCertificate(frozenset(filter(None, names)), int(until_s) * 1000)


def _name(certificate: dict[str, Any], side: str, kind: str = "commonName") -> str:
    """The common name, or another one, of subject or issuer; "" for none."""
    for names in certificate.get(side, ()):
        for key, value in names:
            if key == kind:
                return str(value)
    return ""

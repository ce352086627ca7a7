"""Signs the certificates of chargers (security profile 3), by an authority of the operator's own.

OCPP 1.6 security whitepaper, edition 3, use cases A02 and A03, requirements on keys A00.FR.501
and on; X.509: RFC 5280; certificate requests: RFC 2986.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bridge.ocpp.errors import OcppError

LEAST_RSA_BITS = 2048
LEAST_CURVE_BITS = 224
MOST_RSA_BITS = 8192
MOST_REQUEST = 5500
"""Characters, as OCPP's schemas have it."""
CLOCKS_ARE_OFF = timedelta(days=1)
"""A certificate is valid from so long ago, for chargers whose clock is slow."""

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_SAFE_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)


class AuthorityUnusable(OcppError):
    """The operator's authority cannot sign; the text says which file and why."""


class RequestRefused(OcppError):
    """A charger's request is not signed; the text says why."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A new certificate.

    Attributes:
        chain: in PEM, itself first; authorities below a root follow.
        expires_at_ms: Unix ms.
    """

    chain: str
    expires_at_ms: int


class Authority:
    """Signs with the key of an authority.

    Args:
        certificate: the authority's own, in PEM.
        key: its key, in PEM and without a password.
        client_ca: the authorities whose certificates let chargers in: it must be among them.
        days: how long a certificate is valid.
        clock: our time in Unix ms.

    Raises:
        AuthorityUnusable: it cannot sign, or nobody would take what it signs.
    """

    def __init__(
        self, certificate: Path, key: Path, client_ca: Path, days: int, clock: Callable[[], int]
    ) -> None:
        self._days = days
        self._clock = clock
        try:
            self._own = x509.load_pem_x509_certificate(certificate.read_bytes())
            trusted = x509.load_pem_x509_certificates(client_ca.read_bytes())
        except (OSError, ValueError) as error:
            raise AuthorityUnusable(
                f"{certificate} and {client_ca} hold no readable certificates: {error}"
            ) from None
        self._key = _key_of(key)
        if self._key.public_key() != self._own.public_key():
            raise AuthorityUnusable(f"{key} is not the key of {certificate}")
        if not _may_sign(self._own):
            raise AuthorityUnusable(f"{certificate} is not the certificate of an authority")
        if self._own not in trusted and not any(_issued(self._own, one) for one in trusted):
            raise AuthorityUnusable(
                f"{certificate} is not among the authorities of {client_ca}: chargers with its "
                "certificates would be refused; add it there"
            )

    @property
    def expires_at_ms(self) -> int:
        """When the authority's own certificate expires, Unix ms."""
        return _ms(self._own.not_valid_after_utc)

    def issue(self, request: str, name: str) -> Issued:
        """Sign a charger's certificate request.

        Args:
            request: in PEM.
            name: the common name that it must have.

        Raises:
            RequestRefused: it cannot be read, is not for this name, or its key is too weak.
        """
        asked = _read(request)
        key = _checked_key(asked)
        if not isinstance(asked.signature_hash_algorithm, _SAFE_HASHES):
            raise RequestRefused("it is signed by a hash that is weaker than SHA-256")
        names = asked.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if [str(one.value).lower() for one in names] != [name.lower()]:
            shown = ", ".join(repr(str(one.value)) for one in names) or "nobody"
            raise RequestRefused(f'it is for {shown}, and not for "{name}"')
        now = datetime.fromtimestamp(self._clock() / 1000, UTC)
        until = min(now + timedelta(days=self._days), self._own.not_valid_after_utc)
        if until <= now:
            raise RequestRefused("the authority's own certificate has expired")
        signed = self._build(key, name, now, until)
        chain = signed.public_bytes(serialization.Encoding.PEM)
        if self._own.issuer != self._own.subject:
            chain += self._own.public_bytes(serialization.Encoding.PEM)
        return Issued(chain.decode(), _ms(until))

    def _build(self, key: PublicKey, name: str, now: datetime, until: datetime) -> x509.Certificate:
        """Only the key is the charger's; all else that it asked for is left out."""
        owners = self._own.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[:1]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name), *owners])
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=isinstance(key, rsa.RSAPublicKey),
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=False,
            crl_sign=False,
            encipher_only=False,
            decipher_only=False,
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._own.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(max(now - CLOCKS_ARE_OFF, self._own.not_valid_before_utc))
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(_key_identifier(self._own), critical=False)
        )
        return builder.sign(self._key, hashes.SHA256(), rsa_padding=self._padding())

    def _padding(self) -> padding.PSS | padding.PKCS1v15 | None:
        """As the authority's own certificate is signed: what its chargers can verify."""
        if not isinstance(self._key, rsa.RSAPrivateKey):
            return None
        own = self._own.signature_algorithm_parameters
        return own if isinstance(own, padding.PSS) else padding.PKCS1v15()


def _key_of(path: Path) -> PrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except TypeError:
        raise AuthorityUnusable(
            f"{path} has a password, which Strom cannot know: store it without one"
        ) from None
    except (OSError, ValueError, UnsupportedAlgorithm):
        raise AuthorityUnusable(f"{path} holds no readable private key") from None
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise AuthorityUnusable(f"{path} is neither an RSA nor an elliptic curve key")
    return key


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (x509.ExtensionNotFound, ValueError):
        return False
    return found.value.ca


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _key_identifier(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """As the authority names its own key, for that is how a chain is found."""
    try:
        own = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        key = authority.public_key()
        if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
            raise AuthorityUnusable("the authority's key is of a kind that is not known") from None
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _read(request: str) -> x509.CertificateSigningRequest:
    if len(request) > MOST_REQUEST:
        raise RequestRefused(f"it is longer than {MOST_REQUEST} characters")
    try:
        asked = x509.load_pem_x509_csr(request.encode())
        is_own = asked.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature):
        raise RequestRefused("it is no readable certificate request") from None
    if not is_own:
        raise RequestRefused("it is not signed by its own key")
    return asked


def _checked_key(asked: x509.CertificateSigningRequest) -> PublicKey:
    """The key of a request, where it is strong enough."""
    try:
        key = asked.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise RequestRefused("its key cannot be read") from None
    if isinstance(key, rsa.RSAPublicKey):
        if not LEAST_RSA_BITS <= key.key_size <= MOST_RSA_BITS:
            raise RequestRefused(
                f"its RSA key has {key.key_size} bits: expected {LEAST_RSA_BITS} to {MOST_RSA_BITS}"
            )
        return key
    if isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.key_size < LEAST_CURVE_BITS:
            raise RequestRefused(
                f"its curve has {key.curve.key_size} bits: expected {LEAST_CURVE_BITS} at least"
            )
        return key
    raise RequestRefused("its key is neither RSA nor of an elliptic curve")


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)

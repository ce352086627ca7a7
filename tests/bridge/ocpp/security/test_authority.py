"""Certificates for chargers: who gets one, what is in it, and which authorities cannot sign."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bridge.ocpp.security.authority import Authority, AuthorityUnusable, RequestRefused
from tests.bridge.ocpp.pki import Authority as Pki
from tests.bridge.ocpp.wire import now_ms

DAY_MS = 86_400_000
Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def curve_key(curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(curve or ec.SECP256R1())


def request(key: Key, *names: str, extra: bool = False) -> str:
    """A certificate request in PEM, for common names."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if extra:
        # It would like to be an authority, and a server of another name.
        builder = builder.add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        ).add_extension(x509.SubjectAlternativeName([x509.DNSName("evil.example")]), critical=False)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(serialization.Encoding.PEM).decode()


def key_file(pki: Pki) -> Path:
    path = pki.folder / f"{pki.name}.key"
    pki.ca.private_key_pem.write_to_path(path)
    path.chmod(0o600)
    return path


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


@pytest.fixture
def authority(pki: Pki) -> Authority:
    return Authority(pki.file, key_file(pki), pki.file, 365, now_ms)


@pytest.mark.parametrize("make", [rsa_key, curve_key, lambda: curve_key(ec.SECP384R1())])
def test_a_charger_gets_what_lets_it_in_and_no_more(
    authority: Authority, pki: Pki, make: Callable[[], Key]
) -> None:
    key = make()
    issued = authority.issue(request(key, "cp001", extra=True), "CP001")
    (made,) = x509.load_pem_x509_certificates(issued.chain.encode())
    root = x509.load_pem_x509_certificate(pki.file.read_bytes())
    made.verify_directly_issued_by(root)
    assert made.public_key() == key.public_key()
    assert [one.value for one in made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [
        "CP001"
    ]
    found = made.extensions
    assert not found.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = found.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    with pytest.raises(x509.ExtensionNotFound):
        found.get_extension_for_class(x509.SubjectAlternativeName)
    assert abs(issued.expires_at_ms - now_ms() - 365 * DAY_MS) < 60_000
    # A charger whose clock is slow can use it at once.
    assert made.not_valid_before_utc < datetime.now(UTC)
    # No two have the same number.
    again = authority.issue(request(key, "CP001"), "CP001")
    (other,) = x509.load_pem_x509_certificates(again.chain.encode())
    assert other.serial_number != made.serial_number


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (lambda: request(curve_key(), "CP002"), "it is for 'CP002', and not for \"CP001\""),
        (lambda: request(curve_key(), "CP001", "CP002"), "it is for 'CP001', 'CP002'"),
        (lambda: request(curve_key()), "it is for nobody"),
        (lambda: request(rsa_key(1024), "CP001"), "its RSA key has 1024 bits"),
        (lambda: request(curve_key(ec.SECP192R1()), "CP001"), "its curve has 192 bits"),
        (lambda: request(ed25519.Ed25519PrivateKey.generate(), "CP001"), "neither RSA nor"),
        (lambda: "", "no readable certificate request"),
        (lambda: "nonsense", "no readable certificate request"),
        (lambda: "x" * 6_000, "longer than 5500"),
        (lambda: "\ud800", "no readable certificate request"),
        (
            lambda: request(curve_key(), "CP001").replace("MI", "MJ", 1),
            "no readable certificate request",
        ),
    ],
)
def test_what_is_not_signed(authority: Authority, asked: Callable[[], str], reason: str) -> None:
    with pytest.raises(RequestRefused) as caught:
        authority.issue(asked(), "CP001")
    assert reason in str(caught.value)


def test_a_request_that_another_key_signed_is_refused(authority: Authority) -> None:
    lines = request(curve_key(), "CP001").splitlines()
    body = "".join(lines[1:-1])
    # The last bytes are the signature.
    broken = body[:-8] + ("AAAA" if body[-8:-4] != "AAAA" else "BBBB") + body[-4:]
    pem = "\n".join([lines[0], broken, lines[-1]])
    with pytest.raises(RequestRefused):
        authority.issue(pem, "CP001")


def test_no_certificate_outlives_its_authority(pki: Pki) -> None:
    root = x509.load_pem_x509_certificate(pki.file.read_bytes())
    end_ms = int(root.not_valid_after_utc.timestamp() * 1000)
    authority = Authority(pki.file, key_file(pki), pki.file, 365, lambda: end_ms - 10 * DAY_MS)
    assert authority.expires_at_ms == end_ms
    assert authority.issue(request(curve_key(), "CP001"), "CP001").expires_at_ms == end_ms
    late = Authority(pki.file, key_file(pki), pki.file, 365, lambda: end_ms + 1)
    with pytest.raises(RequestRefused, match="own certificate has expired"):
        late.issue(request(curve_key(), "CP001"), "CP001")


def test_an_authority_below_a_root_comes_with_the_certificate(tmp_path: Path) -> None:
    root = Pki(tmp_path, "root")
    below = Pki(tmp_path, "below", root.ca.create_child_ca())
    authority = Authority(below.file, key_file(below), root.file, 365, now_ms)
    issued = authority.issue(request(curve_key(), "CP001"), "CP001")
    leaf, middle = x509.load_pem_x509_certificates(issued.chain.encode())
    leaf.verify_directly_issued_by(middle)
    middle.verify_directly_issued_by(x509.load_pem_x509_certificate(root.file.read_bytes()))


def test_who_cannot_sign_is_told_so(tmp_path: Path, pki: Pki) -> None:
    other = Pki(tmp_path, "other")
    leaf, leaf_key = pki.issue("leaf", "leaf.example")
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        curve_key().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    for certificate, key, client_ca, reason in (
        (pki.file, key_file(other), pki.file, "is not the key of"),
        (leaf, leaf_key, pki.file, "is not the certificate of an authority"),
        (pki.file, key_file(pki), other.file, "is not among the authorities of"),
        (junk, key_file(pki), pki.file, "hold no readable certificates"),
        (pki.file, junk, pki.file, "holds no readable private key"),
        (pki.file, locked, pki.file, "has a password, which Strom cannot know"),
        (pki.file, tmp_path / "nothing", pki.file, "holds no readable private key"),
    ):
        with pytest.raises(AuthorityUnusable) as caught:
            Authority(certificate, key, client_ca, 365, now_ms)
        assert reason in str(caught.value)

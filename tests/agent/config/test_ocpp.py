"""Security profiles in the operator's file: what goes together, and what does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config.errors import ConfigError
from agent.config.tables import load
from agent.config.warnings import warnings
from tests.agent.config.files import POINT

TLS_TABLE = """
[ocpp]
tls_listen = "127.0.0.1:9443"
certificate = "tls/strom.pem"
key = "tls/strom.key"
"""
CLIENT_CA = 'client_ca = "tls/chargers.pem"\n'
PASSWORD = 'password_file = "secrets/CP001"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("tls/strom.pem", "tls/strom.key", "tls/chargers.pem", "secrets/CP001"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("0123456789abcdef")
        file.chmod(0o600)
    return tmp_path


def written(folder: Path, text: str) -> Path:
    path = folder / "strom.toml"
    path.write_text(text)
    return path


def problems(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(written(folder, text))
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "least"),
    [
        (POINT, 0),
        (POINT + PASSWORD, 1),
        (POINT + "security_profile = 0", 0),
        (POINT + PASSWORD + "security_profile = 1", 1),
        (TLS_TABLE + POINT + PASSWORD + "security_profile = 2", 2),
        (TLS_TABLE + CLIENT_CA + POINT + "security_profile = 3", 3),
        (TLS_TABLE + CLIENT_CA + POINT + 'security_profile = 3\ncertificate_name = "SN1"', 3),
    ],
)
def test_what_goes_together(folder: Path, text: str, least: int) -> None:
    assert load(written(folder, text)).charge_points[0].least_profile == least


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            POINT + "security_profile = 1",
            ["security_profile = 1: expected a password_file besides: this profile asks for it"],
        ),
        (
            POINT + "security_profile = 2",
            [
                "security_profile = 2: expected a password_file besides: this profile asks for it",
                "security_profile = 2: expected tls_listen in [ocpp] besides: "
                "this profile is over TLS",
            ],
        ),
        (
            POINT + "security_profile = 3",
            [
                "security_profile = 3: expected tls_listen in [ocpp] besides: "
                "this profile is over TLS",
            ],
        ),
        (
            TLS_TABLE + POINT + "security_profile = 3",
            [
                "security_profile = 3: expected client_ca in [ocpp] besides: "
                "it says whose client certificates count"
            ],
        ),
        (
            POINT + PASSWORD + "security_profile = 0",
            ["security_profile = 0: expected no password_file besides: this profile asks for none"],
        ),
        (
            TLS_TABLE + CLIENT_CA + POINT + PASSWORD + "security_profile = 3",
            ["security_profile = 3: expected no password_file besides: this profile asks for none"],
        ),
        (
            POINT + 'certificate_name = "SN1"',
            [
                'certificate_name = "SN1": expected security_profile = 3 besides: '
                + "no other one has it"
            ],
        ),
        (
            POINT + "rotate_password = true",
            ["rotate_password = true: expected a password_file besides: the first password"],
        ),
        (
            POINT
            + PASSWORD
            + 'rotate_password = true\nocpp_settings = { authorizationKey = "hush" }',
            [
                "ocpp_settings: expected no authorizationKey here: a password has its place in "
                + "password_file"
            ],
        ),
        (
            POINT + "security_profile = 4",
            ["security_profile = 4: expected a whole number from 0 to 3"],
        ),
        (
            POINT + "security_profile = true",
            ["security_profile = true: expected a whole number from 0 to 3"],
        ),
    ],
)
def test_what_does_not(folder: Path, text: str, expected: list[str]) -> None:
    assert problems(folder, text) == [f'charge_points[0] "CP001" .{one}' for one in expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '[ocpp]\ntls_listen = "127.0.0.1:9443"',
            [
                "ocpp.certificate is missing: ocpp.tls_listen needs it",
                "ocpp.key is missing: ocpp.tls_listen needs it",
            ],
        ),
        (
            '[ocpp]\nclient_ca = "tls/chargers.pem"',
            ["ocpp.tls_listen is missing: ocpp.client_ca has no use without it"],
        ),
        (
            TLS_TABLE + CLIENT_CA + 'ca_certificate = "tls/chargers.pem"\n' + POINT,
            ["ocpp.ca_key is missing: ocpp.ca_certificate has no use without it"],
        ),
        (
            TLS_TABLE + CLIENT_CA + 'ca_key = "tls/strom.key"\n' + POINT,
            ["ocpp.ca_certificate is missing: ocpp.ca_key has no use without it"],
        ),
        (
            TLS_TABLE
            + 'ca_certificate = "tls/chargers.pem"\nca_key = "tls/strom.key"\n'
            + "certificate_days = 0\n"
            + POINT,
            [
                "ocpp.certificate_days = 0: expected a whole number from 1 to 3650",
                "ocpp.client_ca is missing: without it nobody comes in with a certificate",
            ],
        ),
        (
            TLS_TABLE.replace("9443", "9000"),
            [
                'ocpp.tls_listen = "127.0.0.1:9000": expected another address than '
                "strom.ocpp_listen has"
            ],
        ),
        (
            TLS_TABLE.replace("tls/strom.pem", "tls/none.pem"),
            ['ocpp.certificate = "tls/none.pem": the file does not exist'],
        ),
        (
            '[ocpp]\ntls_listn = "x"',
            ['ocpp.tls_listn is not a key that Strom knows; did you mean "tls_listen"?'],
        ),
    ],
)
def test_the_table_for_tls(folder: Path, text: str, expected: list[str]) -> None:
    assert problems(folder, text) == expected


def test_a_key_in_place_of_its_file_is_not_shown(folder: Path) -> None:
    text = TLS_TABLE.replace('"tls/strom.key"', '"-----BEGIN PRIVATE KEY-----MC4CAQAwBQYDK2VwBCIE"')
    [problem] = problems(folder, text)
    assert problem.startswith("ocpp.key: expected the path of a file that holds the secret")
    assert "MC4C" not in problem


def test_the_key_is_the_owners_alone(folder: Path) -> None:
    (folder / "secrets" / "seed").write_text("0123456789abcdef")
    (folder / "secrets" / "seed").chmod(0o600)
    text = TLS_TABLE + '[nostr]\nrelays = ["wss://relay.example.com"]' + POINT + PASSWORD
    assert warnings(load(written(folder, text))) == []
    key = folder / "tls" / "strom.key"
    key.chmod(0o644)
    [warning] = warnings(load(written(folder, text)))
    assert warning.startswith(f"{key} can be read by other users")


def test_profile_3_has_no_use_for_a_password(folder: Path) -> None:
    relays = '[nostr]\nrelays = ["wss://relay.example.com"]'
    text = TLS_TABLE + CLIENT_CA + relays + POINT + "security_profile = 3"
    assert warnings(load(written(folder, text))) == []

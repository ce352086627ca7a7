"""What an operator is told about a file that is valid."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.config.tables import load
from agent.config.warnings import warnings
from tests.agent.config.files import POINT

TABLES = """
[strom]
admin_password_file = "secrets/admin"
[nostr]
relays = ["wss://relay.example.com"]
"""
QUIET = TABLES + POINT + 'password_file = "secrets/CP001"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    for name in ("admin", "CP001", "seed"):
        (secrets / name).write_text("0123456789abcdef")
        (secrets / name).chmod(0o600)
    return tmp_path


def warned(folder: Path, text: str) -> list[str]:
    path = folder / "strom.toml"
    path.write_text(text)
    return warnings(load(path))


def test_nothing_is_said_about_a_file_without_flaws(folder: Path) -> None:
    assert warned(folder, QUIET) == []


@pytest.mark.parametrize("name", ["admin", "CP001", "seed"])
@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_secret_that_others_can_read(folder: Path, name: str, mode: int) -> None:
    file = folder / "secrets" / name
    file.chmod(mode)
    [warning] = warned(folder, QUIET)
    assert warning == (
        f'{file} can be read by other users of this machine; "chmod 600 {file}" mends it'
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("[strom]", '[strom]\npublic_url = "https://x.example"', "wallet.url: dev:// is play"),
        ("[tariffs.day]", "[tariffs.night]\n[tariffs.day]", "tariffs.night: no charge point uses"),
        ("energy_per_kwh = 300", "energy_per_kwh = 0", "tariffs.day: every price is 0"),
        ('"wss://relay.example.com"', "", "nostr.relays: there is no relay"),
        (
            'password_file = "secrets/CP001"',
            'password_file = "secrets/CP001"\nconnectors = [{ id = 1, max_power_w = 22 }]',
            'charge_points[0] "CP001": connector 1 has max_power_w = 22, which is in W: 22 kW',
        ),
        (
            'password_file = "secrets/CP001"',
            "",
            'charge_points[0] "CP001" has no password_file: whoever reaches 127.0.0.1:9000 can',
        ),
    ],
)
def test_what_is_allowed_and_probably_not_meant(
    folder: Path, old: str, new: str, expected: str
) -> None:
    # Only the last occurrence: "password_file" is part of "admin_password_file".
    head, tail = QUIET.rsplit(old, 1)
    [warning] = warned(folder, head + new + tail)
    assert warning.startswith(expected)


def test_many_charge_points_without_passwords_are_one_sentence(folder: Path) -> None:
    table = '[[charge_points]]\nid = "CP{}"\nname = "Old Mill"\ntariff = "day"\n'
    text = QUIET + "".join(table.format(number) for number in range(2, 102))
    assert warned(folder, text) == [
        "charge_points: CP2, CP3, CP4, CP5, CP6 and 95 more have no password_file: whoever "
        "reaches 127.0.0.1:9000 can pretend to be one of them"
    ]


def test_a_short_password_is_named_but_not_shown(folder: Path) -> None:
    (folder / "secrets" / "CP001").write_text("hunter2")
    [warning] = warned(folder, QUIET)
    assert warning.startswith('charge_points[0] "CP001" .password_file: the password is shorter')
    assert "hunter2" not in warning


def test_a_file_without_charge_points(folder: Path) -> None:
    head = QUIET[: QUIET.index("[tariffs")]
    assert warned(folder, head) == [
        "charge_points: there is none yet; add a table [[charge_points]]"
    ]

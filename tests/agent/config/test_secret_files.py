"""Files with secrets, and secrets where none belong: what is told of them, and what never is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.config.tables import load
from tests.agent.config.files import POINT, only_problem, problems, written


@pytest.mark.parametrize("key", ["password_file", "nsec_file"])
def test_a_file_with_a_secret_must_exist_and_say_something(tmp_path: Path, key: str) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    missing = secrets / "CP001"
    where = f'charge_points[0] "CP001" .{key}: '
    text = POINT + f'{key} = "secrets/CP001"'
    assert only_problem(tmp_path, text) == f'{where}"{missing}" does not exist'
    missing.write_text(" \n")
    assert only_problem(tmp_path, text) == f'{where}"{missing}" is empty'
    missing.write_bytes(b"\xff\xfe")
    assert only_problem(tmp_path, text) == f'{where}"{missing}" is not text'
    missing.unlink()
    missing.mkdir()
    assert only_problem(tmp_path, text) == f'{where}"{missing}" is a folder'


def test_the_seed_file_may_be_missing_but_not_empty(tmp_path: Path) -> None:
    seed = tmp_path / "secrets" / "seed"
    seed.parent.mkdir()
    assert load(written(tmp_path, "")).nostr.seed_file == seed
    seed.write_text("")
    assert only_problem(tmp_path, "") == f'nostr.seed_file: "{seed}" is empty'


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_secrets_of_another_user(tmp_path: Path) -> None:
    closed = tmp_path / "secrets"
    closed.mkdir(mode=0)
    assert only_problem(tmp_path, "").endswith(
        "cannot be read by you: run strom as the user whose file it is"
    )
    both = problems(tmp_path, '[strom]\ndata_dir = "secrets/data"')
    assert [problem.partition(" ")[0] for problem in both] == ["strom.data_dir", "nostr.seed_file:"]
    assert all("run strom as" in problem for problem in both)


@pytest.mark.parametrize(
    "text",
    [
        '[strom]\nadmin_password_file = "HUSH"',
        '[strom]\nadmin_password = "HUSH"',
        '[strom]\npublic_url = "https://me:HUSH@example.com"',
        '[nostr]\nrelays = ["wss://me:HUSH@relay.example.com"]',
        '[nostr]\noperators = ["nsec1HUSH"]',
        '[nostr]\nseed = "HUSH"',
        '[nostr]\nseed_file = ["HUSH"]',
        '[wallet]\nurl = "HUSH"',
        '[wallet]\nurl = ["lnd://x?macaroon=HUSH"]',
        '[wallet]\nmacaroon = "HUSH"',
        POINT + 'password_file = "HUSH"',
        POINT + 'password_file = "HU/SH"',
        POINT + 'nsec_file = "nsec1HUSH"',
        POINT + 'nsec = "nsec1HUSH"',
        POINT + 'website = "nsec1HUSH"',
        POINT + 'picture = "ftp://me:HUSH@example.com"',
    ],
)
def test_a_secret_in_the_wrong_place_is_never_repeated(tmp_path: Path, text: str) -> None:
    for problem in problems(tmp_path, text):
        assert "HUSH" not in problem
        assert "HU/SH" not in problem

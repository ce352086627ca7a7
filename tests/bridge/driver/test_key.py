"""The driver's key, kept between commands."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from bridge.driver.errors import DriverError
from bridge.driver.key import open_key


def test_it_is_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "strom" / "driver.nsec"
    first, made = open_key(path, make=True)
    assert made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    second, made = open_key(path, make=True)
    assert not made
    assert first.pubkey == second.pubkey


def test_a_file_that_was_named_is_never_made(tmp_path: Path) -> None:
    with pytest.raises(DriverError, match="does not exist"):
        open_key(tmp_path / "nsec", make=False)
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_a_key_is_not_quoted(tmp_path: Path) -> None:
    path = tmp_path / "nsec"
    path.write_text("nsec1hush")
    with pytest.raises(DriverError, match="not a secret key") as caught:
        open_key(path, make=True)
    assert "hush" not in str(caught.value)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DriverError, match="cannot be made"):
        open_key(tmp_path / "file" / "nsec", make=True)

"""The charge points' keys: stable, private, and never mixed up."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.config.keys import KeyFileError, account_of, open_identities, peek_identities
from agent.config.tables import Config
from nips.identity import Identity, generate_mnemonic

# The first test vector of NIP-06.
WORDS = "leader monkey parrot ring guide accident before fence cannon height naive bean"


def config_of(folder: Path, ids: Sequence[str], **nsec_files: Path) -> Config:
    return Config.model_validate(
        {
            "nostr": {"seed_file": folder / "secrets" / "seed"},
            "tariffs": {"day": {}},
            "charge_points": [
                {"id": name, "name": name, "tariff": "day", "nsec_file": nsec_files.get(name)}
                for name in ids
            ],
        }
    )


def pubkeys(config: Config) -> dict[str, str]:
    return {name: identity.pubkey for name, identity in open_identities(config).items()}


def test_the_seed_is_made_at_the_first_start_for_the_owner_alone(tmp_path: Path) -> None:
    config = config_of(tmp_path, ["CP001"])
    first = pubkeys(config)
    seed = config.nostr.seed_file
    assert stat.S_IMODE(seed.stat().st_mode) == 0o600
    assert stat.S_IMODE(seed.parent.stat().st_mode) == 0o700
    assert [file.name for file in seed.parent.iterdir()] == ["seed"]
    assert len(seed.read_text().splitlines()[-1].split()) == 12
    assert pubkeys(config) == first


def test_looking_writes_nothing(tmp_path: Path) -> None:
    config = config_of(tmp_path, ["CP001"])
    assert peek_identities(config) == {}
    assert list(tmp_path.iterdir()) == []
    made = pubkeys(config)
    assert {name: key.pubkey for name, key in peek_identities(config).items()} == made


def test_a_key_stays_when_charge_points_come_go_and_change_places(tmp_path: Path) -> None:
    before = pubkeys(config_of(tmp_path, ["CP001", "CP002", "CP003"]))
    after = pubkeys(config_of(tmp_path, ["CP003", "CP000", "cp002"]))
    assert after["CP003"] == before["CP003"]
    assert after["cp002"] == before["CP002"]
    assert after["CP000"] not in before.values()


def test_a_seed_of_ones_own_is_words_in_a_file(tmp_path: Path) -> None:
    config = config_of(tmp_path, ["CP001"])
    config.nostr.seed_file.parent.mkdir()
    config.nostr.seed_file.write_text(f"\n  {WORDS.replace(' ', '  ')}\n")
    expected = Identity.from_mnemonic(WORDS, account_of("CP001"))
    assert pubkeys(config) == {"CP001": expected.pubkey}


def test_the_accounts_are_fixed_for_ever() -> None:
    assert account_of("CP001") == account_of("cp001") == 1_728_933_592
    assert Identity.from_mnemonic(WORDS, account_of("CP001")).pubkey == (
        "9c3348688fd8cbbe73ea74e582b68e6085e2493dcb23f428b7e7c84e080538d5"
    )


@given(st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=48))
def test_every_account_is_one_that_nip06_can_derive(charge_point_id: str) -> None:
    assert 0 <= account_of(charge_point_id) < 2**31


def test_a_key_file_of_its_own_needs_no_seed(tmp_path: Path) -> None:
    own = Identity.generate()
    file = tmp_path / "nsec"
    file.write_text(f"{own.nsec}\n")
    config = config_of(tmp_path, ["CP001"], CP001=file)
    assert pubkeys(config) == {"CP001": own.pubkey}
    assert not config.nostr.seed_file.exists()


def test_two_charge_points_with_one_key_are_refused(tmp_path: Path) -> None:
    own = Identity.generate()
    for name in ("a", "b"):
        (tmp_path / name).write_text(own.nsec)
    config = config_of(tmp_path, ["CP001", "CP002"], CP001=tmp_path / "a", CP002=tmp_path / "b")
    with pytest.raises(KeyFileError, match="CP001 and CP002 have the same key"):
        open_identities(config)


def test_broken_key_files_are_named_and_never_quoted(tmp_path: Path) -> None:
    file = tmp_path / "nsec"
    file.write_text("nsec1hush")
    config = config_of(tmp_path, ["CP001"], CP001=file)
    with pytest.raises(KeyFileError, match=f"{file}: not a secret key") as caught:
        open_identities(config)
    assert "hush" not in str(caught.value)

    config = config_of(tmp_path, ["CP001"])
    seed = config.nostr.seed_file
    seed.parent.mkdir()
    seed.write_text(generate_mnemonic() + " hush")
    with pytest.raises(KeyFileError, match=f"{seed}: ") as caught:
        open_identities(config)
    assert "hush" not in str(caught.value)
    seed.write_text("")
    with pytest.raises(KeyFileError, match="is empty"):
        open_identities(config)


def test_a_seed_file_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("a file where the folder should be")
    with pytest.raises(KeyFileError, match="secrets/seed cannot be made: "):
        open_identities(config_of(tmp_path, ["CP001"]))

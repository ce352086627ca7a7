"""`strom init` and `strom check`, as an operator meets them."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from nips import bech32
from tests.bridge.cli.command import Strom

BROKEN = """
[strom]
http_listn = "x"
[nostr]
operators = ["nsec1hush"]
"""


def test_the_version(strom: Strom) -> None:
    ran = strom("--version")
    assert (ran.code, ran.out) == (0, f"strom {version('strom')}\n")


def test_help_has_the_commands_by_who_needs_them(strom: Strom) -> None:
    for arguments in (["--help"], ["-h"], []):
        ran = strom(*arguments)
        assert "For the operator" in ran.out
        assert "For the driver" in ran.out
        assert "zap a charge point and it charges" in ran.out


def test_init_writes_a_file_that_check_accepts(strom: Strom, tmp_path: Path) -> None:
    made = strom("init")
    assert made.code == 0
    assert "strom check" in made.out
    ran = strom("check")
    assert ran.code == 0
    assert "strom.toml is valid: 1 charge point." in ran.out
    assert ran.err.startswith('warning: charge_points[0] "CP001" has no password_file')
    assert sorted(path.name for path in tmp_path.iterdir()) == ["strom.toml"]


def test_init_spares_what_is_there(strom: Strom, tmp_path: Path) -> None:
    file = tmp_path / "strom.toml"
    file.write_text("mine")
    ran = strom("init")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "error: strom.toml is there already; --force overwrites it\n"
    assert file.read_text() == "mine"
    assert strom("init", "--force").code == 0
    assert file.read_text() != "mine"


def test_init_somewhere_else(strom: Strom) -> None:
    assert "strom serve --config other.toml" in strom("init", "other.toml").out
    ran = strom("init", "no/such/folder/strom.toml")
    assert ran.code == 1
    assert ran.err == (
        "error: no/such/folder/strom.toml cannot be written: no such file or directory\n"
    )


def test_check_shows_what_would_be_published(strom: Strom, tmp_path: Path) -> None:
    strom("init")
    file = tmp_path / "strom.toml"
    text = file.read_text()
    file.write_text(
        text.replace("http://127.0.0.1:8080", "https://charge.example.com")
        .replace("# location", "location")
        .replace("# lud16", "lud16")
    )
    seed = tmp_path / "secrets" / "seed"
    seed.parent.mkdir()
    seed.write_text(
        "leader monkey parrot ring guide accident before fence cannon height naive bean"
    )
    seed.chmod(0o600)
    shown = strom("check").out.replace("\N{NO-BREAK SPACE}", " ")
    for part in (
        "CP001  My charge point",
        "npub1nse5s6y0mr9muul2wnjc9d5wvzz7yjfaev3lg29hulyyuzq98r2s5x6uhp",
        "cp001@charge.example.com",
        "https://charge.example.com/cp/cp001",
        "zaps     go to name@provider.example",
        "300 sat/kWh",
        "100 to 200,000 sat",
        "Mill Lane 1, geohash u33dc0cpp, 5 m across",
        "1: IEC_62196_T2 22.0 kW",
        "ws://127.0.0.1:9000/ocpp/CP001",
    ):
        assert part in shown, part
    lnurl = next(word for word in shown.split() if word.startswith("LNURL1"))
    assert bech32.decode("lnurl", lnurl) == b"https://charge.example.com/lnurl/cp001"


def test_check_shows_the_url_of_a_charger_with_a_name_of_its_own(
    strom: Strom, tmp_path: Path
) -> None:
    strom("init")
    file = tmp_path / "strom.toml"
    file.write_text(file.read_text().replace('# charger_id = ""', 'charger_id = "DE*ABC*E1:2 b"'))
    assert "ws://127.0.0.1:9000/ocpp/DE*ABC*E1:2%20b" in strom("check").out


def test_check_tells_every_mistake_and_no_secret(strom: Strom, tmp_path: Path) -> None:
    (tmp_path / "strom.toml").write_text(BROKEN)
    ran = strom("check")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: strom.toml has 2 mistakes:\n  strom.http_listn is not a key")
    assert "hush" not in ran.err


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            '[wallet]\nurl = "gold:"',
            'error: wallet.url: the wallet URL has the unknown scheme "gold"',
        ),
        ("[wallet", "error: strom.toml: the file is not valid TOML: expected"),
    ],
)
def test_check_asks_the_wallet_and_the_parser(
    strom: Strom, tmp_path: Path, text: str, expected: str
) -> None:
    (tmp_path / "strom.toml").write_text(text)
    ran = strom("check")
    assert ran.code == 1
    assert ran.err.startswith(expected)


def test_check_without_a_file(strom: Strom) -> None:
    ran = strom("check")
    assert ran.code == 1
    assert ran.err == 'error: strom.toml: the file does not exist; "strom init" writes one\n'


def test_a_wrong_command_line_is_told_with_code_2(strom: Strom) -> None:
    ran = strom("chek")
    assert ran.code == 2
    assert "Did you mean 'check'?" in ran.err
    assert strom("check", "--confg", "x").code == 2


def test_a_terminal_that_knows_ascii_only_gets_its_answer(tmp_path: Path) -> None:
    (tmp_path / "strom.toml").write_text(
        '[tariffs.t]\n[[charge_points]]\nid = "A"\nname = "Mühle ⚡"\ntariff = "t"\n'
    )
    ran = subprocess.run(
        [sys.executable, "-m", "bridge.cli", "check"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "M?hle ?" in ran.stdout

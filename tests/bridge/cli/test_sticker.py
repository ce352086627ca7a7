"""`strom qr`: the code in a terminal and in files, and posters that other programs can scan."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bridge.cli.command import Strom
from tests.bridge.paper.test_poster import program, read_codes


def test_the_qr_code_of_a_charge_point(strom: Strom, tmp_path: Path) -> None:
    strom("init")
    ran = strom("qr", "cp001")
    assert ran.code == 0
    assert "http://127.0.0.1:8080/cp/cp001?lightning=LNURL1" in ran.out
    assert "▀" in ran.out
    assert "/cp/cp001.1?lightning=" in strom("qr", "CP001.1").out
    for name in ("x.svg", "x.png", "x.pdf"):
        assert strom("qr", "CP001", "--output", name).out.startswith(f"Wrote {name}: http://")
        assert (tmp_path / name).stat().st_size > 500


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["CP01"], 'strom.toml has no charge point "CP01"; did you mean "CP001"?'),
        (["CP001.2"], "CP001 has no connector 2"),
        (["CP001", "-o", "x.bmp"], "x.bmp: expected a name that ends in .svg, .png or .pdf"),
        (["CP001", "-o", "no/x.svg"], "no/x.svg cannot be written: no such file or directory"),
    ],
)
def test_qr_codes_that_cannot_be(strom: Strom, arguments: list[str], expected: str) -> None:
    strom("init")
    ran = strom("qr", *arguments)
    assert (ran.code, ran.err) == (1, f"error: {expected}\n")


def test_a_terminal_that_has_no_blocks_is_told_where_to_look(tmp_path: Path) -> None:
    """It showed question marks that nobody can scan."""
    environment = {**os.environ, "PYTHONPATH": str(Path.cwd()), "PYTHONIOENCODING": "ascii"}
    strom = [sys.executable, "-m", "bridge.cli"]
    subprocess.run([*strom, "init"], cwd=tmp_path, env=environment, check=True)
    ran = subprocess.run(
        [*strom, "qr", "CP001"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == (
        "error: this terminal cannot show the code, as its encoding is ascii: write it to a file, "
        "such as --output CP001.svg\n"
    )


@pytest.mark.parametrize("paper", ["A6", "A4"])
def test_a_poster_from_the_operators_file_can_be_scanned(
    strom: Strom, tmp_path: Path, paper: str
) -> None:
    pdftoppm = program("pdftoppm", "poppler-utils")
    strom("init")
    ran = strom("qr", "CP001.1", "--poster", paper, "--language", "de")
    assert (ran.code, ran.out) == (0, f"Wrote CP001-{paper}.pdf: a poster for CP001 on {paper}\n")
    sheet = tmp_path / f"CP001-{paper}.pdf"
    subprocess.run([pdftoppm, "-r", "150", "-png", sheet, tmp_path / "sheet"], check=True)
    (picture,) = tmp_path.glob("sheet*.png")
    codes = sorted(read_codes(picture))
    assert codes[0].startswith("http://127.0.0.1:8080/cp/cp001.1?lightning=LNURL1")
    assert codes[1].startswith("nostr:nprofile1")
    assert (tmp_path / "secrets" / "seed").exists()


def test_letters_that_a_pdf_lacks_are_told_of(strom: Strom, tmp_path: Path) -> None:
    """An Arabic name was left out, and nobody was told."""
    strom("init")
    file = tmp_path / "strom.toml"
    file.write_text(file.read_text().replace("My charge point", "محطة ⚡ Łódź"))
    ran = strom("qr", "CP001", "--poster", "A6")
    assert ran.code == 0
    assert ran.err == (
        "warning: the letters of PDFs lack محطة⚡, which is left out: a poster as .svg, printed by "
        "a browser, has them\n"
    )
    assert strom("qr", "CP001", "--poster", "A6", "-o", "x.svg").err == ""
    assert "محطة ⚡ Łódź" in (tmp_path / "x.svg").read_text()


def test_a_poster_as_svg(strom: Strom, tmp_path: Path) -> None:
    strom("init")
    assert strom("qr", "CP001", "--poster", "A4", "-o", "x.svg").code == 0
    assert 'width="210.0mm"' in (tmp_path / "x.svg").read_text()
    refused = strom("qr", "CP001", "--poster", "A4", "-o", "x.png")
    assert (refused.code, "as .pdf or .svg" in refused.err) == (1, True)

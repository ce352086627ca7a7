"""The poster, read by programs that know nothing of how it was drawn."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from agent.links import Links
from agent.machine.events import ConnectorStatus
from agent.ports.charge_point import ChargePointView, ConnectorView
from agent.talk.words import LANGUAGES, words
from agent.tariff.model import Tariff
from bridge.paper.pdf import A4_MM, A6_MM
from bridge.paper.poster import Paper, poster_pdf, poster_svg
from nips.identity import Identity

LINKS = Links("https://charge.example.com")
IDENTITY = Identity.generate()
NPROFILE = "nprofile1" + "q" * 120


def charge_point(name: str = "Old Mill, west wall") -> ChargePointView:
    return ChargePointView(
        id="CP001",
        name=name,
        about="",
        picture="",
        website="",
        npub=IDENTITY.npub,
        nprofile=NPROFILE,
        pubkey=IDENTITY.pubkey,
        lightning_address="cp001@charge.example.com",
        tariff=Tariff("day", 300_000, 60_000, 10_000, 600_000, 50_000),
        min_payment_msat=100_000,
        max_payment_msat=200_000_000,
        online=True,
        connectors=(ConnectorView(1, ConnectorStatus.AVAILABLE, None),),
        address="Mühlenweg 3, Łódź, Θεσσαλονίκη",
    )


def program(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"needs {name} (Debian: apt-get install {package})")
    return path


def read_codes(picture: Path) -> set[str]:
    zbarimg = program("zbarimg", "zbar-tools")
    done = subprocess.run(
        [zbarimg, "--raw", "--quiet", str(picture)], capture_output=True, text=True, check=False
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("paper", ["A6", "A4"])
def test_the_printed_sheet_can_be_scanned(tmp_path: Path, paper: Paper) -> None:
    pdftoppm = program("pdftoppm", "poppler-utils")
    sheet = tmp_path / "poster.pdf"
    sheet.write_bytes(poster_pdf(charge_point(), LINKS, words("en"), paper=paper))
    subprocess.run([pdftoppm, "-r", "150", "-png", sheet, tmp_path / "sheet"], check=True)
    (picture,) = tmp_path.glob("sheet*.png")
    assert read_codes(picture) == {LINKS.sticker("CP001"), f"nostr:{NPROFILE}"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_svg_is_whole_and_says_what_it_must(language: str) -> None:
    svg = poster_svg(charge_point("Mill <&> Co"), LINKS, words(language), connector=2)
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own text
    texts = " ".join(root.itertext())
    assert "Mill <&> Co · 2" in texts
    assert "cp001.2@charge.example.com" in texts
    assert "sat/kWh" in texts
    assert (root.get("width"), root.get("height")) == ("105.0mm", "148.0mm")


def test_a_long_name_stays_on_the_sheet() -> None:
    svg = poster_svg(charge_point("A very long name " * 8), LINKS, words("en"))
    assert "…" in svg


@pytest.mark.parametrize("id_length", [5, 20, 32, 48])
def test_a_lightning_address_is_never_cut(id_length: int) -> None:
    view = replace(charge_point(), id="W" * id_length)
    host = "a-rather-long-name.of-a-server.charging.example.com"
    svg = poster_svg(view, Links(f"https://{host}"), words("en"), connector=12)
    root = ElementTree.fromstring(svg)  # noqa: S314 - our own text
    assert "w" * id_length + f".12@{host}" in "".join(root.itertext())


def test_the_same_poster_is_the_same_file() -> None:
    first = poster_pdf(charge_point(), LINKS, words("de"))
    assert first == poster_pdf(charge_point(), LINKS, words("de"))
    assert first.startswith(b"%PDF-")
    assert len(first) < 120_000


def test_papers_are_what_they_are_called() -> None:
    assert (A6_MM, A4_MM) == ((105.0, 148.0), (210.0, 297.0))


def test_a_name_that_the_letters_lack_is_told_by_its_id(tmp_path: Path) -> None:
    """Above the code was nothing but black."""
    pdftotext = program("pdftotext", "poppler-utils")
    sheet = tmp_path / "sheet.pdf"
    sheet.write_bytes(poster_pdf(charge_point("محطة"), LINKS, words("en")))
    read = subprocess.run([pdftotext, sheet, "-"], capture_output=True, text=True, check=True)
    assert read.stdout.splitlines()[0] == "CP001"
    sheet.write_bytes(poster_pdf(charge_point("⚡ Łódź"), LINKS, words("en")))
    read = subprocess.run([pdftotext, sheet, "-"], capture_output=True, text=True, check=True)
    assert read.stdout.splitlines()[0].strip().endswith("Łódź")

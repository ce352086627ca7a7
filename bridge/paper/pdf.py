"""A sheet of paper as PDF: the few things that posters and receipts draw, in millimetres.

A thin wrapper over fpdf2, with a font of our own embedded: the fonts that every PDF reader
has know Western European letters only.
"""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import resources
from typing import Literal, Self

from fpdf import FPDF
from fpdf.fonts import TTFFont

from bridge.paper.qr import QUIET_ZONE, qr_matrix

Align = Literal["left", "middle", "right"]
A4_MM = (210.0, 297.0)
A6_MM = (105.0, 148.0)

_FONT = "StromSans"
_POINTS_PER_MM = 72 / 25.4


class Sheet:
    """A document of sheets of one size; the origin is at the upper left.

    A context manager: leaving it closes the font files.

    Args:
        size_mm: width and height.
        title: the document's title.
        created_at_ms: the document's date, Unix milliseconds.
    """

    def __init__(self, size_mm: tuple[float, float], title: str, created_at_ms: int) -> None:
        self._pdf = FPDF(unit="mm", format=size_mm)
        self._pdf.set_auto_page_break(False)
        self._pdf.set_title(title)
        self._pdf.set_creator("Strom")
        self._pdf.set_creation_date(datetime.fromtimestamp(created_at_ms / 1000, UTC))
        fonts = resources.files("bridge.paper").joinpath("fonts")
        for style, file in (("", "StromSans.ttf"), ("B", "StromSans-Bold.ttf")):
            with resources.as_file(fonts.joinpath(file)) as path:
                self._pdf.add_font(_FONT, style, path)
        self.add()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for font in self._pdf.fonts.values():
            if isinstance(font, TTFFont):
                font.close()

    def add(self) -> None:
        """Begin another sheet."""
        self._pdf.add_page()

    def width(self, text: str, size_mm: float, bold: bool = False) -> float:
        """How wide a text is, in mm, in letters of a size."""
        self._pdf.set_font(_FONT, "B" if bold else "", size_mm * _POINTS_PER_MM)
        return self._pdf.get_string_width(text)

    def lacks(self, text: str) -> str:
        """The letters of a text that the font does not have and the paper will not show."""
        fonts = [font for font in self._pdf.fonts.values() if isinstance(font, TTFFont)]
        shown = dict.fromkeys(letter for letter in text if letter.isprintable())
        return "".join(
            letter for letter in shown if any(ord(letter) not in font.cmap for font in fonts)
        )

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size_mm: float,
        *,
        bold: bool = False,
        colour: str = "#000000",
        align: Align = "left",
    ) -> None:
        """A line of text; `y` is its base line."""
        width = self.width(text, size_mm, bold)
        start = x - {"left": 0.0, "middle": width / 2, "right": width}[align]
        self._pdf.set_text_color(*_rgb(colour))
        self._pdf.text(start, y, text)

    def box(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        """A filled rectangle."""
        self._pdf.set_fill_color(*_rgb(colour))
        self._pdf.rect(x, y, width, height, style="F")

    def line(self, x: float, y: float, to_x: float, width_mm: float, colour: str) -> None:
        """A horizontal line."""
        self.box(x, y - width_mm / 2, to_x - x, width_mm, colour)

    def qr(self, x: float, y: float, size: float, text: str) -> None:
        """A QR code with its quiet zone in a square."""
        matrix = qr_matrix(text)
        module = size / (len(matrix) + 2 * QUIET_ZONE)
        self.box(x, y, size, size, "#ffffff")
        self._pdf.set_fill_color(0, 0, 0)
        for row_no, row in enumerate(matrix):
            column = 0
            while column < len(row):
                run = 0
                while column + run < len(row) and row[column + run]:
                    run += 1
                if run:
                    self._pdf.rect(
                        x + (column + QUIET_ZONE) * module,
                        y + (row_no + QUIET_ZONE) * module,
                        run * module,
                        module,
                        style="F",
                    )
                column += run + 1

    def bytes(self) -> bytes:
        """The finished document."""
        return bytes(self._pdf.output())


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)

"""The sticker on a charge point, to be printed: what is drawn, once, as SVG and as PDF.

The large QR code is the page of the charge point with the LNURL for wallets in it (LUD-01
fallback); the small one is the charge point's nostr profile (NIP-19 nprofile).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal
from xml.sax.saxutils import escape

from agent.links import Links
from agent.ports.charge_point import ChargePointView
from agent.talk.wording import PriceLine, price_lines
from agent.talk.words import Words
from bridge.paper.pdf import A4_MM, A6_MM, Align, Sheet
from bridge.paper.qr import QUIET_ZONE, qr_matrix, qr_path

Paper = Literal["A6", "A4"]

_WIDTH, _HEIGHT = A6_MM
_SIZES: dict[Paper, tuple[float, float]] = {"A6": A6_MM, "A4": A4_MM}
_INK, _VOLT, _PAPER, _SOFT = "#161811", "#d3f34b", "#ffffff", "#5a5e50"
_MARGIN = 8.0
_SMALLEST = 0.6
"""Texts get that small, measured by their size, before they are cut."""


@dataclass(frozen=True, slots=True)
class _Box:
    x: float
    y: float
    width: float
    height: float
    colour: str


@dataclass(frozen=True, slots=True)
class _Text:
    x: float
    y: float
    text: str
    size: float
    bold: bool = False
    colour: str = _INK
    align: Align = "left"


@dataclass(frozen=True, slots=True)
class _Qr:
    x: float
    y: float
    size: float
    text: str


_Mark = _Box | _Text | _Qr


def poster_pdf(
    view: ChargePointView,
    links: Links,
    words: Words,
    *,
    paper: Paper = "A6",
    connector: int | None = None,
    created_at_ms: int = 0,
) -> bytes:
    """The poster as PDF.

    Args:
        view: the charge point.
        links: the public URLs.
        words: the language of the poster.
        paper: its size.
        connector: the one that the poster is for; None for all of them.
        created_at_ms: the date in the document.
    """
    size = _SIZES[paper]
    scale = size[0] / _WIDTH
    with Sheet(size, view.name, created_at_ms) as sheet:
        missing = set(sheet.lacks(view.name))
        if not any(letter.isalnum() and letter not in missing for letter in view.name):
            view = replace(view, name=view.id)
        for mark in _marks(view, links, words, connector, sheet):
            match mark:
                case _Box():
                    sheet.box(
                        mark.x * scale,
                        mark.y * scale,
                        mark.width * scale,
                        mark.height * scale,
                        mark.colour,
                    )
                case _Text():
                    sheet.text(
                        mark.x * scale,
                        mark.y * scale,
                        mark.text,
                        mark.size * scale,
                        bold=mark.bold,
                        colour=mark.colour,
                        align=mark.align,
                    )
                case _Qr():
                    sheet.qr(mark.x * scale, mark.y * scale, mark.size * scale, mark.text)
        return sheet.bytes()


def left_out(view: ChargePointView) -> str:
    """The letters of a charge point's name and address that no PDF of ours can show."""
    with Sheet(A6_MM, view.name, 0) as sheet:
        return sheet.lacks(view.name + view.address)


def poster_svg(
    view: ChargePointView,
    links: Links,
    words: Words,
    *,
    paper: Paper = "A6",
    connector: int | None = None,
) -> str:
    """The poster as SVG; the arguments are those of `poster_pdf`."""
    width, height = _SIZES[paper]
    with Sheet(A6_MM, view.name, 0) as rulers:
        drawn = "".join(_svg(mark) for mark in _marks(view, links, words, connector, rulers))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="{height}mm" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="DejaVu Sans, Verdana, sans-serif">'
        f"<title>{escape(view.name)}</title>{drawn}</svg>\n"
    )


def _marks(
    view: ChargePointView, links: Links, words: Words, connector: int | None, rulers: Sheet
) -> list[_Mark]:
    """Everything on the poster, in mm of an A6 sheet."""
    inner = _WIDTH - 2 * _MARGIN
    name = f"{view.name} · {connector}" if connector else view.name
    qr_size = 70.0
    marks: list[_Mark] = [
        _Box(0, 0, _WIDTH, _HEIGHT, _PAPER),
        _Box(0, 0, _WIDTH, 25, _INK),
        _Box(0, 25, _WIDTH, 1.6, _VOLT),
        _fitted(_MARGIN, 12.5, name, 7, inner, rulers, bold=True, colour=_PAPER),
        _fitted(_MARGIN, 19.5, view.address, 3.4, inner, rulers, colour="#d5d7cb"),
        _Qr((_WIDTH - qr_size) / 2, 28, qr_size, links.sticker(view.id, connector)),
        _fitted(
            _WIDTH / 2, 101.5, words("poster.scan"), 4.6, inner, rulers, bold=True, align="middle"
        ),
    ]
    for line_no, line in enumerate(words("poster.how").split("\n")):
        y = 106.2 + 4 * line_no
        marks.append(_fitted(_WIDTH / 2, y, line, 3, inner, rulers, colour=_SOFT, align="middle"))
    left = inner - 27
    lines = price_lines(view.tariff, words) or (PriceLine(words("price.free"), ""),)
    y = 119.5
    for index, line in enumerate(lines[:4]):
        size = 6.0 if index == 0 else 3.2
        text = line.amount or line.label
        if index:
            text = f"{line.label} {line.amount} {line.note}".strip()
            y += 4.6
        marks.append(_fitted(_MARGIN, y, text, size, left, rulers, bold=index == 0))
    marks += _address(links.address(view.id, connector), left, rulers)
    marks += [
        _fitted(_MARGIN, 143, words("web.lightning_address"), 2.6, left, rulers, colour=_SOFT),
        _Qr(_WIDTH - _MARGIN - 25, 113.5, 26, f"nostr:{view.nprofile}"),
        _Text(_WIDTH - _MARGIN - 12, 143, "nostr", 2.6, colour=_SOFT, align="middle"),
    ]
    return marks


def _address(address: str, room: float, rulers: Sheet) -> list[_Text]:
    """A lightning address; one that is too long for a line is broken before its server, for
    nobody can type what is cut."""
    size = 3.4
    if rulers.width(address, size * _SMALLEST, bold=True) <= room:
        return [_fitted(_MARGIN, 138.8, address, size, room, rulers, bold=True)]
    name, at, server = address.partition("@")
    return [
        _fitted(_MARGIN, y, part, 2.8, room, rulers, bold=True, smallest=0.4)
        for y, part in ((136.7, name), (139.7, at + server))
    ]


def _fitted(
    x: float,
    y: float,
    text: str,
    size: float,
    room: float,
    rulers: Sheet,
    *,
    bold: bool = False,
    colour: str = _INK,
    align: Align = "left",
    smallest: float = _SMALLEST,
) -> _Text:
    """A text made small enough for its room; one that stays too long is cut."""
    width = rulers.width(text, size, bold)
    fitting = size * min(1.0, max(smallest, 0.99 * room / width)) if width else size
    while text and rulers.width(text, fitting, bold) > room:
        text = text.rstrip("…")[:-1].rstrip() + "…"
    return _Text(x, y, text, round(fitting, 2), bold, colour, align)


def _svg(mark: _Mark) -> str:
    match mark:
        case _Box():
            return (
                f'<rect x="{mark.x}" y="{mark.y}" width="{mark.width}" height="{mark.height}" '
                f'fill="{mark.colour}"/>'
            )
        case _Text():
            anchor = {"left": "start", "middle": "middle", "right": "end"}[mark.align]
            weight = ' font-weight="bold"' if mark.bold else ""
            return (
                f'<text x="{mark.x}" y="{mark.y}" font-size="{mark.size}"{weight} '
                f'fill="{mark.colour}" text-anchor="{anchor}">{escape(mark.text)}</text>'
            )
        case _Qr():
            matrix = qr_matrix(mark.text)
            module = mark.size / (len(matrix) + 2 * QUIET_ZONE)
            return (
                f'<g transform="translate({mark.x} {mark.y}) scale({module:.5f}) '
                f'translate({QUIET_ZONE} {QUIET_ZONE})" shape-rendering="crispEdges">'
                f'<path fill="#000" d="{qr_path(matrix)}"/></g>'
            )

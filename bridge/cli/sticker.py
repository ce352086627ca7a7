"""`strom qr`: what belongs on a charge point, as a code in the terminal, a file, or a poster."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Annotated, Literal

import segno
import typer
from rich.text import Text

from agent.config.errors import did_you_mean
from agent.config.keys import open_identities
from agent.config.tables import ChargePointConfig, Config, load
from agent.links import Links, parse_name
from agent.ports.charge_point import ChargePointView
from agent.ports.errors import UnknownChargePoint
from agent.talk.words import words
from agent.views import charge_point_view
from bridge.cli.options import DEFAULT_CONFIG, PANEL, ConfigFile
from bridge.cli.output import Mistake, can_draw_codes, out, tell_warning
from bridge.faces import public_faces
from bridge.paper.poster import Paper, left_out, poster_pdf, poster_svg

Language = Literal["en", "de", "nl", "fr"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel=PANEL)(qr)


def qr(
    charge_point: Annotated[
        str, typer.Argument(help='Its id; "ID.2" for connector 2.', metavar="ID")
    ],
    config: ConfigFile = DEFAULT_CONFIG,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write it there: .svg, .png or .pdf.", metavar="FILE"),
    ] = None,
    poster: Annotated[
        Paper | None,
        typer.Option(help="A whole poster of that size, with name, price and nostr code."),
    ] = None,
    language: Annotated[Language, typer.Option(help="Of the poster.")] = "en",
) -> None:
    """Show the QR code that belongs on a charge point, or write a poster to be printed."""
    settings = load(config)
    point, connector = _named(settings, config, charge_point)
    content = Links(settings.strom.public_url).sticker(point.id, connector)
    if poster is not None:
        path = output or Path(f"{point.id}-{poster}.pdf")
        _write(path, _poster(settings, point, connector, poster, language, path.suffix))
        out.print(Text(f"Wrote {path}: a poster for {point.id} on {poster}"))
    elif output is None:
        if not can_draw_codes(out.encoding):
            raise Mistake(
                f"this terminal cannot show the code, as its encoding is {out.encoding}: write it "
                f"to a file, such as --output {point.id}.svg"
            )
        terminal = io.StringIO()
        segno.make(content, error="m", micro=False).terminal(terminal, compact=True)
        out.print(Text(terminal.getvalue()))
        out.print(Text(content))
    else:
        _write(output, _code(content, output))
        out.print(Text(f"Wrote {output}: {content}"))


def _named(settings: Config, file: Path, name: str) -> tuple[ChargePointConfig, int | None]:
    """The charge point and the connector that are meant; raises Mistake."""
    try:
        charge_point_id, connector = parse_name(name)
    except UnknownChargePoint:
        charge_point_id, connector = name, None
    points = {point.id.lower(): point for point in settings.charge_points}
    point = points.get(charge_point_id.lower())
    if point is None:
        known = [point.id for point in settings.charge_points]
        hint = did_you_mean(charge_point_id, known)
        raise Mistake(f'{file} has no charge point "{name}"; {hint}')
    if connector is not None and connector not in [plug.id for plug in point.connectors]:
        raise Mistake(f"{point.id} has no connector {connector}")
    return point, connector


def _code(content: str, path: Path) -> bytes:
    """The QR code alone, in the format that the file's name asks for."""
    if path.suffix not in (".svg", ".png", ".pdf"):
        raise Mistake(f"{path}: expected a name that ends in .svg, .png or .pdf")
    drawn = io.BytesIO()
    segno.make(content, error="m", micro=False).save(drawn, kind=path.suffix[1:], scale=10)
    return drawn.getvalue()


def _poster(
    settings: Config,
    point: ChargePointConfig,
    connector: int | None,
    paper: Paper,
    language: Language,
    suffix: str,
) -> bytes:
    view, links, said = _view(settings, point), Links(settings.strom.public_url), words(language)
    match suffix:
        case ".svg":
            return poster_svg(view, links, said, paper=paper, connector=connector).encode()
        case ".pdf":
            if missing := left_out(view):
                tell_warning(
                    f"the letters of PDFs lack {missing}, which is left out: a poster as .svg, "
                    "printed by a browser, has them"
                )
            now_ms = time.time_ns() // 1_000_000
            return poster_pdf(
                view, links, said, paper=paper, connector=connector, created_at_ms=now_ms
            )
        case _:
            raise Mistake("a poster is written as .pdf or .svg: name such a file with --output")


def _view(settings: Config, point: ChargePointConfig) -> ChargePointView:
    """What the poster tells; the charge point's key is made now if it never was."""
    relays = [*settings.nostr.relays]
    face = public_faces(settings, open_identities(settings), relays)[point.id]
    tariff = settings.tariffs[point.tariff].frozen(point.tariff)
    return charge_point_view(point, tariff, face, settings.sessions)


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        reason = (error.strerror or "unknown error").lower()
        raise Mistake(f"{path} cannot be written: {reason}") from None

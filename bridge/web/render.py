"""Templates and words become pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from importlib import resources
from typing import Any, cast

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse

from agent.links import Links
from agent.talk.wording import (
    age,
    bill_line_detail,
    example_msat,
    example_wh,
    hindrance,
    in_fiat,
    obstacle_sentence,
    price_lines,
    tax_line,
    tax_percent,
)
from agent.talk.words import Words, preferred_language, words
from agent.tariff.model import Tariff
from bridge.limits import Rate
from bridge.paper.qr import qr_svg


@dataclass(frozen=True, slots=True)
class WebSettings:
    """What the pages need to know.

    Attributes:
        links: our public URLs.
        relays: where the charge points can be found on nostr.
        language: for drivers who ask for none of ours.
        tile_url: a map's tiles as a URL with {z}, {x} and {y}; "" draws the map without.
        tile_credit: whom the map's tiles come from.
        looks: how often an address may look.
        orders: how often an address may make invoices, stop, or claim.
    """

    links: Links
    relays: Sequence[str] = ()
    language: str = "en"
    tile_url: str = ""
    tile_credit: str = ""
    looks: Rate = Rate(burst=120, per_minute=240)
    orders: Rate = Rate(burst=30, per_minute=30)


def static_text(name: str) -> str:
    """A file of this package's static folder."""
    return resources.files("bridge.web").joinpath("static", name).read_text(encoding="utf-8")


def _compact(css: str) -> str:
    return "".join(line.strip() for line in css.splitlines())


STYLE = _compact(static_text("strom.css"))
"""The style sheet, put into each page: the first view needs one round trip only."""

CONSOLE_STYLE = _compact(static_text("console.css"))
"""What only the operator's pages have: drivers do not wait for it."""


@dataclass(slots=True)
class Renderer:
    """Renders templates in the language of the one who asks."""

    settings: WebSettings
    environment: Environment = field(init=False)
    script_url: str = field(init=False)
    console_style_url: str = field(init=False)

    def __post_init__(self) -> None:
        self.script_url = _url_of("strom", "js", static_text("strom.js"))
        self.console_style_url = _url_of("console", "css", CONSOLE_STYLE)
        self.environment = Environment(
            loader=PackageLoader("bridge.web"),
            autoescape=select_autoescape(),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            # Another version that is being installed is not for this process.
            auto_reload=False,
        )
        globals_of = cast("dict[str, object]", self.environment.globals)
        globals_of |= {
            "style": Markup(STYLE),  # noqa: S704 - a file of ours
            "script_url": self.script_url,
            "console_style_url": self.console_style_url,
            "links": self.settings.links,
            "qr": _qr,
            "price_lines": price_lines,
            "example_msat": example_msat,
            "example_wh": example_wh,
            "hindrance": hindrance,
            "obstacle_sentence": obstacle_sentence,
            "bill_line_detail": bill_line_detail,
            "tax_line": tax_line,
            "tax_percent": tax_percent,
            "age": age,
            "iso": _iso,
            "clock_utc": _clock_utc,
        }

    def words(self, connection: HTTPConnection) -> Words:
        """The words for the one who asks."""
        accepted = connection.headers.get("accept-language", "")
        return words(preferred_language(accepted, self.settings.language))

    def text(self, template: str, said: Words, **values: Any) -> str:
        """A template in a language."""

        def fiat(amount_msat: int, tariff: Tariff) -> str:
            return in_fiat(amount_msat, tariff, said)

        return self.environment.get_template(template).render(
            t=said, lang=said.language, fiat=fiat, **values
        )

    def page(
        self, connection: HTTPConnection, template: str, status_code: int = 200, **values: Any
    ) -> HTMLResponse:
        """A page in the language of the one who asks."""
        said = self.words(connection)
        return HTMLResponse(
            self.text(template, said, **values),
            status_code,
            headers={
                "Cache-Control": "no-store",
                "Content-Language": said.language,
                "Vary": "Accept, Accept-Language",
            },
        )


def _url_of(name: str, kind: str, content: str) -> str:
    """Where a file of ours is served; another content has another URL."""
    return f"/static/{name}.{sha256(content.encode()).hexdigest()[:12]}.{kind}"


def _qr(text: str, label: str) -> Markup:
    return Markup(qr_svg(text, str(escape(label))))  # noqa: S704 - the label is escaped


def _iso(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")


def _clock_utc(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%H:%M UTC")

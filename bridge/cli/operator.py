"""`strom` for the operator: init and check."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

import typer
from rich.text import Text

from agent.config.keys import peek_identities
from agent.config.ocpp import MUTUAL_TLS, TLS
from agent.config.tables import TEMPLATE, ChargePointConfig, Config, LocationConfig, load
from agent.config.warnings import warnings
from agent.links import Links
from agent.talk.wording import price_in_short
from agent.talk.words import words
from bridge.charger_security import authority, tls_files
from bridge.cli.options import DEFAULT_CONFIG, PANEL, ConfigFile
from bridge.cli.output import Mistake, out, tell_warning
from bridge.ocpp.security.tls import Shown, TlsFiles, examine, expires_at_ms
from bridge.wallets import wallet_of
from nips.identity import Identity
from nips.location import geohash

# About the width of a geohash's cell, by its length, at the equator.
_CELL_SIZE = {3: "156 km", 4: "39 km", 5: "5 km", 6: "1.2 km", 7: "150 m", 8: "40 m", 9: "5 m"}

# What may stand in a path as it is (RFC 3986 section 3.3).
_IN_A_PATH = "!$&'()*+,;=:@"
# What each security profile of OCPP asks of a charger.
_PROFILES = (
    "profile 0: nothing is asked for",
    "profile 1: password",
    "profile 2: TLS and password",
    "profile 3: TLS and a client certificate",
)


def register(app: typer.Typer) -> None:
    """Add the operator's commands."""
    app.command(rich_help_panel=PANEL)(init)
    app.command(rich_help_panel=PANEL)(check)


def init(
    file: Annotated[Path, typer.Argument(help="Where to write it.")] = DEFAULT_CONFIG,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file.")] = False,
) -> None:
    """Write a commented strom.toml to start from."""
    try:
        with file.open("w" if force else "x", encoding="utf-8") as target:
            target.write(TEMPLATE.read_text(encoding="utf-8"))
    except FileExistsError:
        raise Mistake(f"{file} is there already; --force overwrites it") from None
    except OSError as error:
        reason = (error.strerror or "unknown error").lower()
        raise Mistake(f"{file} cannot be written: {reason}") from None
    option = "" if file == DEFAULT_CONFIG else f" --config {file}"
    out.print(Text(f"Wrote {file}. Edit it, then:"))
    out.print(Text(f"  strom check{option}    shows its mistakes and what would be published"))
    out.print(Text(f"  strom serve{option}    runs it"))


def check(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Check the operator's file and show what would be published."""
    checked = load(config)
    wallet_of(checked, lambda: 0)
    identities = peek_identities(checked)
    files = tls_files(checked.ocpp)
    shown = None if files is None else examine(files)
    for text in warnings(checked):
        tell_warning(text)
    if files is not None and shown is not None:
        _show_certificates(files, shown)
        signs = authority(checked.ocpp, lambda: time.time_ns() // 1_000_000)
        if signs is not None:
            lasting = f"for {checked.ocpp.certificate_days} days each"
            told = f"signs chargers' certificates {lasting}, {_days_left(signs.expires_at_ms)}"
            out.print(Text.assemble(("ca_key      ", "dim"), told))
        out.print()
    for point in checked.charge_points:
        _show(checked, point, identities.get(point.id))
    count = len(checked.charge_points)
    out.print(f"{config} is valid: {count} charge point{'' if count == 1 else 's'}.")


def _show(config: Config, point: ChargePointConfig, identity: Identity | None) -> None:
    """What the world would see of a charge point."""
    links, language = Links(config.strom.public_url), words("en")
    tariff = config.tariffs[point.tariff].frozen(point.tariff)
    limits = config.sessions
    out.print(Text.assemble((point.id, "bold cyan"), "  ", (point.name, "bold")))
    lines = {
        "npub": "made at the first start" if identity is None else identity.npub,
        "address": links.address(point.id),
        "lnurl": links.lnurl(point.id),
        "page": links.page(point.id),
        "price": price_in_short(tariff, language),
        "payment": f"{limits.min_payment_sat:,} to {limits.max_payment_sat:,} sat",
        "place": _place(point.location),
        "sockets": ", ".join(
            f"{plug.id}: {plug.type} {language.kw(plug.max_power_w)} kW"
            for plug in point.connectors
        ),
        "ocpp": _way_in(config, point),
        "security": _PROFILES[point.least_profile]
        + (f" issued to {point.certified_as}" if point.least_profile == MUTUAL_TLS else ""),
    }
    if point.lud16:
        lines["zaps"] = f"go to {point.lud16}"
    for label, value in lines.items():
        out.print(Text.assemble((f"  {label:<9}", "dim"), value))
    out.print()


def _way_in(config: Config, point: ChargePointConfig) -> str:
    """The URLs that a charger may be given."""
    urls = [] if point.least_profile >= TLS else [f"ws://{config.strom.ocpp_listen}"]
    urls += [f"wss://{config.ocpp.tls_listen}"] if config.ocpp.tls_listen else []
    return ", ".join(f"{url}/ocpp/{quote(point.called, safe=_IN_A_PATH)}" for url in urls)


def _show_certificates(files: TlsFiles, shown: Shown) -> None:
    """What chargers see of Strom, and whose certificates count, with the days left."""
    count = "" if shown.chain == 1 else f", chain of {shown.chain}"
    issuer = "itself" if [shown.issuer] == list(shown.names) else shown.issuer
    lines = {
        "certificate": f"{', '.join(shown.names)}, issued by {issuer}{count}, "
        + _days_left(shown.expires_at_ms)
    }
    if files.client_ca is not None:
        lines["client_ca"] = f"{files.client_ca}, {_days_left(expires_at_ms(files.client_ca))}"
    for label, value in lines.items():
        out.print(Text.assemble((f"{label:<12}", "dim"), value))


def _days_left(expires_ms: int) -> str:
    days = (expires_ms - time.time_ns() // 1_000_000) // 86_400_000
    return f"{days} days left" if days >= 0 else "EXPIRED"


def _place(location: LocationConfig | None) -> str:
    if location is None:
        return "not published"
    length = location.geohash_length
    shown = geohash(location.latitude, location.longitude, length)
    address = f"{location.address}, " if location.address else ""
    return f"{address}geohash {shown}, {_CELL_SIZE[length]} across"

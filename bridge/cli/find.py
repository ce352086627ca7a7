"""`strom find`: charge points near a place, read from relays as any driver's client would."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Annotated, Any

import anyio
import typer
from rich.table import Table
from rich.text import Text

from agent.config.values import CONNECTOR_TYPES
from bridge.cli.driver import DEFAULT_RELAYS, PANEL, Relays
from bridge.cli.output import Mistake, out, show_table
from bridge.driver.nostr import connected
from bridge.driver.search import MOST_KM, Found, by_distance, cells_around
from nips.identity import Identity, encode_npub
from nips.status import Price

_NBSP = "\N{NO-BREAK SPACE}"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel=PANEL)(find)


def find(
    near: Annotated[str, typer.Option(help="Where, in degrees.", metavar="LAT,LON")],
    within: Annotated[
        float, typer.Option(help="How far away, in km.", min=0.1, max=MOST_KM, metavar="KM")
    ] = 50,
    connector: Annotated[
        str, typer.Option(help="Only with this OCPI connector type.", metavar="TYPE")
    ] = "",
    relay: Relays = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Find charge points: how far, how many connectors are free, and what they cost."""
    latitude, longitude = _place(near)
    connector = _connector_type(connector)
    found = anyio.run(_find, latitude, longitude, within, connector, relay or DEFAULT_RELAYS)
    if as_json:
        out.print_json(json.dumps([_plain(point) for point in found]))
    elif not found:
        out.print(f"No charge point within {within:g} km is on these relays.")
    else:
        _show(found)


def _connector_type(text: str) -> str:
    """A connector type as OCPI writes it, however it was typed."""
    types = {name.upper(): name for name in CONNECTOR_TYPES}
    if not text or text.upper() in types:
        return types.get(text.upper(), "")
    alike = " or ".join(sorted(name for name in CONNECTOR_TYPES if text.upper() in name.upper()))
    raise Mistake(f"{text} is no OCPI connector type; try {alike or 'IEC_62196_T2'}")


def _place(text: str) -> tuple[float, float]:
    try:
        latitude, longitude = (float(part) for part in text.split(","))
    except ValueError:
        latitude = longitude = float("nan")
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        raise Mistake(f'--near {text}: expected degrees, such as "52.52,13.405"')
    return latitude, longitude


async def _find(
    latitude: float, longitude: float, within_km: float, connector: str, relays: Sequence[str]
) -> list[Found]:
    # Nobody is told who looks: the key is made for this look only.
    stranger = Identity.generate()
    async with connected(stranger, relays, lambda: time.time_ns() // 1_000_000) as driver:
        cells = cells_around(latitude, longitude, within_km)
        states = await driver.connectors(geohashes=cells)
    return by_distance(states, latitude, longitude, within_km=within_km, connector_type=connector)


def _show(found: list[Found]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
    table.add_column("away", justify="right", no_wrap=True)
    table.add_column("charge point")
    table.add_column("free", justify="right", no_wrap=True)
    table.add_column("price")
    for point in found:
        free = f"{point.free} of {len(point.connectors)}"
        table.add_row(
            _away(point),
            Text.assemble((point.title, "bold"), "\n", (_plugs(point), "dim")),
            Text(free, style="green" if point.free else "yellow"),
            Text("\n".join(_price(price) for price in point.prices) or "free of charge"),
        )
        address = point.lud16 or encode_npub(point.pubkey)
        table.add_row("", Text(address, style="cyan"), "", "")
    show_table(table)


def _away(point: Found) -> str:
    if point.distance_km is None:
        return "?"
    about = "~" if point.vague_km > 1 else ""
    if point.distance_km < 1 and not about:
        return f"{point.distance_km * 1000:.0f}{_NBSP}m"
    return f"{about}{point.distance_km:.{0 if point.distance_km >= 10 else 1}f}{_NBSP}km"


def _plugs(point: Found) -> str:
    """Its connector types with their power, each once."""
    plugs = [
        state.connector_type.replace("_", " ").replace("IEC 62196 ", "")
        + (f" {state.max_power_w / 1000:g}{_NBSP}kW" if state.max_power_w else "")
        for state in point.connectors
        if state.connector_type
    ]
    return ", ".join(dict.fromkeys(plugs))


def _price(price: Price) -> str:
    currency = "sat" if price.currency == "SAT" else price.currency
    idle = " idle" if price.component == "idle" else ""
    return f"{price.amount}{_NBSP}{currency}/{price.unit}{idle}"


def _plain(point: Found) -> dict[str, Any]:
    return {
        "npub": encode_npub(point.pubkey),
        "id": point.charge_point,
        "name": point.title,
        "distance_km": None if point.distance_km is None else round(point.distance_km, 3),
        "lightning_address": point.lud16,
        "free": point.free,
        "connectors": [
            {
                "id": state.connector,
                "status": state.status,
                "type": state.connector_type,
                "max_power_w": state.max_power_w,
                "free_at": state.free_at,
                "updated_at": state.updated_at,
            }
            for state in point.connectors
        ],
        "prices": [
            {"component": p.component, "amount": p.amount, "currency": p.currency, "unit": p.unit}
            for p in point.prices
        ],
    }

"""What an operator should know about a file that is valid, one sentence each."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from agent.config.ocpp import MUTUAL_TLS
from agent.config.secret_files import read_secret
from agent.config.tables import Config, TariffConfig
from agent.config.values import LOOPBACK_HOSTS

# OCPP 1.6 security whitepaper, edition 3: AuthorizationKey has 16 to 40 characters.
_SHORTEST_PASSWORD = 16

_NAMED = 5
"""So many charge points are named that a sentence is about."""

_LEAST_POWER_W = 1_000
"""No charge point gives less than this: 6 A at 230 V are 1380 W (IEC 61851-1)."""


def warnings(config: Config) -> list[str]:
    """What is allowed but probably not meant; none of it holds a secret.

    Args:
        config: as `load` made it: its files exist.
    """
    return [*_money(config), *_nostr(config), *_charge_points(config), *_permissions(config)]


def _money(config: Config) -> Iterator[str]:
    public = urlsplit(config.strom.public_url).hostname not in LOOPBACK_HOSTS
    if public and config.wallet.url.startswith("dev:"):
        yield "wallet.url: dev:// is play money, and public_url is public: anyone charges for free"
    used = {point.tariff for point in config.charge_points}
    for name, tariff in config.tariffs.items():
        if name not in used:
            yield f"tariffs.{name}: no charge point uses this tariff"
        elif _is_free(tariff):
            yield f"tariffs.{name}: every price is 0, so charging is free and all money comes back"


def _is_free(tariff: TariffConfig) -> bool:
    prices = (tariff.energy_per_kwh, tariff.time_per_hour, tariff.idle_per_minute, tariff.flat)
    return not any(prices)


def _nostr(config: Config) -> Iterator[str]:
    if not config.nostr.relays and config.nostr.embedded_relay is None:
        yield (
            "nostr.relays: there is no relay, so nobody can find, zap or write to the charge "
            "points on nostr"
        )


def _charge_points(config: Config) -> Iterator[str]:
    if not config.charge_points:
        yield "charge_points: there is none yet; add a table [[charge_points]]"
    bare: dict[str, str] = {}
    for index, point in enumerate(config.charge_points):
        where = f'charge_points[{index}] "{point.id}"'
        for plug in point.connectors:
            if plug.max_power_w < _LEAST_POWER_W:
                yield (
                    f"{where}: connector {plug.id} has max_power_w = {plug.max_power_w}, which is "
                    f"in W: {plug.max_power_w} kW would be {plug.max_power_w}000"
                )
        if point.password_file is None and point.least_profile != MUTUAL_TLS:
            bare[point.id] = where
        elif point.password_file and len(read_secret(point.password_file)) < _SHORTEST_PASSWORD:
            yield (
                f"{where} .password_file: the password is shorter than the "
                f"{_SHORTEST_PASSWORD} characters that OCPP asks for"
            )
    reached = f"whoever reaches {config.strom.ocpp_listen} can pretend to be"
    if len(bare) == 1:
        yield f"{next(iter(bare.values()))} has no password_file: {reached} this charge point"
    elif bare:
        names = ", ".join(list(bare)[:_NAMED])
        names += f" and {len(bare) - _NAMED} more" if len(bare) > _NAMED else ""
        yield f"charge_points: {names} have no password_file: {reached} one of them"


def _permissions(config: Config) -> Iterator[str]:
    for file in secret_files(config):
        if file.exists() and stat.S_IMODE(file.stat().st_mode) & 0o077:
            yield f'{file} can be read by other users of this machine; "chmod 600 {file}" mends it'


def secret_files(config: Config) -> Iterator[Path]:
    """Every file of the operator's that holds a secret, each once; the seed may not exist yet."""
    points = config.charge_points
    files = [config.strom.admin_password_file, config.nostr.seed_file]
    files += [config.ocpp.key, config.ocpp.ca_key]
    files += [file for point in points for file in (point.password_file, point.nsec_file)]
    yield from dict.fromkeys(file for file in files if file is not None)

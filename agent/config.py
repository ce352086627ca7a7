"""The operator's file, strom.toml: its models, and one clear sentence for each mistake in it."""

from __future__ import annotations

import re
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails

from agent.machine.money import MSAT_PER_SAT
from agent.tariff.model import MS_PER_MINUTE, Tariff

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
CHARGE_POINT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,47}")


class ConfigError(Exception):
    """The operator's file cannot be used; `problems` has a sentence for each mistake."""

    def __init__(self, path: Path, problems: list[str]) -> None:
        super().__init__(f"{path}: " + "; ".join(problems))
        self.path = path
        self.problems = problems


def _host_and_port(value: str) -> str:
    host, _, port = value.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) <= 65535:
        raise ValueError('expected "host:port", such as "127.0.0.1:8080"')
    return value


def _relay_url(value: str) -> str:
    url = urlsplit(value)
    if url.scheme not in ("ws", "wss") or not url.hostname:
        raise ValueError('expected a relay URL, such as "wss://relay.example.com"')
    if url.scheme == "ws" and url.hostname not in LOOPBACK_HOSTS:
        raise ValueError("expected wss:// (ws:// is for loopback only)")
    return value.rstrip("/")


HostPort = Annotated[str, AfterValidator(_host_and_port)]
RelayUrl = Annotated[str, AfterValidator(_relay_url)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StromConfig(_Table):
    """[strom]: where this Strom listens and keeps its data."""

    public_url: str = "http://127.0.0.1:8080"
    http_listen: HostPort = "127.0.0.1:8080"
    ocpp_listen: HostPort = "127.0.0.1:9000"
    data_dir: Path = Path("data")
    admin_password_file: Path | None = None

    @field_validator("public_url")
    @classmethod
    def _https_outside_loopback(cls, value: str) -> str:
        url = urlsplit(value)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError('expected a URL, such as "https://charge.example.com"')
        if url.scheme == "http" and url.hostname not in LOOPBACK_HOSTS:
            raise ValueError("expected https:// (http:// is for loopback only)")
        return value.rstrip("/")

    @property
    def public_host(self) -> str:
        """Host and port of the public URL: the domain part of the lightning addresses."""
        return urlsplit(self.public_url).netloc


class NostrConfig(_Table):
    """[nostr]: the relays, and who may command by direct message."""

    relays: tuple[RelayUrl, ...] = ()
    embedded_relay: HostPort | None = None
    operators: tuple[str, ...] = ()
    seed_file: Path = Path("secrets/seed")

    @field_validator("operators")
    @classmethod
    def _npubs(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for operator in value:
            if not operator.startswith("npub1"):
                raise ValueError(f'expected public keys as npub1..., got "{operator[:12]}"')
        return value


class WalletConfig(_Table):
    """[wallet]: where the money arrives."""

    url: str = "dev://"
    fee_limit_percent: Annotated[Decimal, Field(ge=0, le=100)] = Decimal(1)
    fee_limit_min_sat: Annotated[int, Field(ge=0)] = 10


class SessionsConfig(_Table):
    """[sessions]: what may be paid, and how long things may take."""

    start_timeout_s: Annotated[int, Field(ge=5, le=3600)] = 120
    min_payment_sat: Annotated[int, Field(ge=1)] = 100
    max_payment_sat: Annotated[int, Field(ge=1)] = 200_000
    invoice_expiry_s: Annotated[int, Field(ge=30, le=86_400)] = 600
    offline_timeout_s: Annotated[int, Field(ge=60)] = 3600
    no_energy_timeout_s: Annotated[int, Field(ge=0)] = 900

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_payment_sat > self.max_payment_sat:
            raise ValueError("min_payment_sat is larger than max_payment_sat")
        return self


Price = Annotated[Decimal, Field(ge=0, le=100_000_000)]


class TariffConfig(_Table):
    """[tariffs.NAME]: prices in whole units of `currency`."""

    currency: Literal["SAT"] = "SAT"
    energy_per_kwh: Price = Decimal(0)
    time_per_hour: Price = Decimal(0)
    idle_per_minute: Price = Decimal(0)
    idle_grace_minutes: Annotated[int, Field(ge=0, le=1440)] = 10
    flat: Price = Decimal(0)

    def frozen(self, name: str) -> Tariff:
        """The tariff in msat, to be frozen in a quote."""

        def msat(price: Decimal) -> int:
            return int(price * MSAT_PER_SAT)

        return Tariff(
            name=name,
            energy_per_kwh_msat=msat(self.energy_per_kwh),
            time_per_hour_msat=msat(self.time_per_hour),
            idle_per_minute_msat=msat(self.idle_per_minute),
            idle_grace_ms=self.idle_grace_minutes * MS_PER_MINUTE,
            flat_msat=msat(self.flat),
        )


class LocationConfig(_Table):
    """Where a charge point stands; `geohash_length` says how exactly that is published."""

    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]
    address: str = ""
    geohash_length: Annotated[int, Field(ge=3, le=9)] = 5


class ConnectorConfig(_Table):
    """One connector; `type` is OCPI's connector type."""

    id: Annotated[int, Field(ge=1, le=99)]
    type: str = "IEC_62196_T2"
    max_power_w: Annotated[int, Field(ge=1, le=1_000_000)] = 22_000


class ChargePointConfig(_Table):
    """[[charge_points]]: one charge point and its public face."""

    id: str
    name: str
    about: str = ""
    picture: str = ""
    website: str = ""
    location: LocationConfig | None = None
    tariff: str
    password_file: Path | None = None
    nsec_file: Path | None = None
    connectors: Annotated[tuple[ConnectorConfig, ...], Field(min_length=1)] = (
        ConnectorConfig(id=1),
    )

    @field_validator("id")
    @classmethod
    def _usable_id(cls, value: str) -> str:
        if not CHARGE_POINT_ID.fullmatch(value):
            raise ValueError("expected letters, digits, - and _ (48 at most)")
        return value

    @field_validator("connectors")
    @classmethod
    def _distinct(cls, value: tuple[ConnectorConfig, ...]) -> tuple[ConnectorConfig, ...]:
        ids = [connector.id for connector in value]
        if len(set(ids)) != len(ids):
            raise ValueError("expected a different id for each connector")
        return value


class Config(_Table):
    """The whole file."""

    strom: StromConfig = StromConfig()
    nostr: NostrConfig = NostrConfig()
    wallet: WalletConfig = WalletConfig()
    sessions: SessionsConfig = SessionsConfig()
    tariffs: dict[str, TariffConfig] = {}
    charge_points: tuple[ChargePointConfig, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        seen: set[str] = set()
        for index, point in enumerate(self.charge_points):
            if point.id.lower() in seen:
                raise ValueError(f'charge_points[{index}].id: "{point.id}" is used twice')
            seen.add(point.id.lower())
            if point.tariff not in self.tariffs:
                known = ", ".join(sorted(self.tariffs)) or "none"
                raise ValueError(
                    f'charge_points[{index}].tariff: "{point.tariff}" is not a tariff '
                    f"of this file; it has: {known}"
                )
        return self


def load(path: Path) -> Config:
    """Read and check the operator's file; relative paths in it start at its folder.

    Raises:
        ConfigError: with one sentence for each mistake.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=str)
    except OSError as error:
        raise ConfigError(path, [f"cannot be read: {error.strerror}"]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(path, [f"is not valid TOML: {error}"]) from None
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(path, [_sentence(problem) for problem in error.errors()]) from None


def _sentence(problem: ErrorDetails) -> str:
    """One pydantic error as `key.path = value: what was expected`."""
    path = ""
    for part in problem["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else str(part)
    match problem["type"]:
        case "extra_forbidden":
            return f"{path}: is not a key that Strom knows"
        case "missing":
            return f"{path}: is missing"
        case _:
            message = problem["msg"].removeprefix("Value error, ")
            return f"{path} = {problem['input']!r}: {message}" if path else message

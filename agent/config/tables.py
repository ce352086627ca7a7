"""The operator's file, strom.toml: its tables, and how it is read."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, PrivateAttr, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from agent.config.errors import (
    ConfigError,
    did_you_mean,
    key_path,
    sentence,
    shown_text,
    toml_sentence,
)
from agent.config.models import OcppModelConfig, OcppSettings
from agent.config.ocpp import ChargerSecurity, OcppConfig, contradictions
from agent.config.raw import charge_points, table
from agent.config.table import Table
from agent.config.values import (
    RATE_SOURCES,
    ChargePointId,
    ChargerId,
    ConnectorType,
    CurrencyCode,
    DataDir,
    Flag,
    HostPort,
    Language,
    LightningAddress,
    Npub,
    PlaceKind,
    ProxyAddress,
    PublicUrl,
    RateSource,
    RelayUrl,
    SecretFile,
    SeedFile,
    TileUrl,
    WalletUrl,
    WebUrl,
    number,
    text,
    whole,
)
from agent.machine.money import MSAT_PER_SAT
from agent.talk.words import DEFAULT_LANGUAGE
from agent.tariff.model import MS_PER_MINUTE, Tariff

# The commented file that `strom init` writes.
TEMPLATE = Path(__file__).with_name("strom.toml")

_HTTP_LISTEN = "127.0.0.1:8080"
_OCPP_LISTEN = "127.0.0.1:9000"
_MOST_SAT = 100_000_000


class StromConfig(Table):
    """[strom]: where this Strom listens and keeps its data."""

    public_url: PublicUrl = "http://127.0.0.1:8080"
    http_listen: HostPort = _HTTP_LISTEN
    ocpp_listen: HostPort = _OCPP_LISTEN
    data_dir: DataDir = Path("data")
    language: Language = DEFAULT_LANGUAGE
    trusted_proxies: tuple[ProxyAddress, ...] = ("127.0.0.1", "::1")
    admin_password_file: SecretFile | None = None


class NostrConfig(Table):
    """[nostr]: the relays, and who may command by direct message."""

    relays: tuple[RelayUrl, ...] = ()
    embedded_relay: HostPort | None = None
    operators: tuple[Npub, ...] = ()
    place_kinds: tuple[PlaceKind, ...] = ()
    seed_file: SeedFile = Path("secrets/seed")


class WalletConfig(Table):
    """[wallet]: where the money arrives."""

    url: WalletUrl = "dev://"
    fee_limit_percent: Annotated[Decimal, number(0, 100)] = Decimal(1)
    fee_limit_min_sat: Annotated[int, whole(0, _MOST_SAT)] = 10
    auto_refund: Flag = True
    hold: Literal["off", "auto", "always"] = "off"
    reserve_sat: Annotated[int, whole(0, _MOST_SAT)] = 0


class SessionsConfig(Table):
    """[sessions]: what may be paid, and how long things may take."""

    start_timeout_s: Annotated[int, whole(5, 3600)] = 120
    min_payment_sat: Annotated[int, whole(1, _MOST_SAT)] = 100
    max_payment_sat: Annotated[int, whole(1, _MOST_SAT)] = 200_000
    invoice_expiry_s: Annotated[int, whole(30, 86_400)] = 600
    offline_timeout_s: Annotated[int, whole(60, 604_800)] = 3600
    success_action: Literal["url", "aes"] = "url"
    no_energy_timeout_s: Annotated[int, whole(0, 86_400)] = 900
    progress_minutes: Annotated[int, whole(0, 1440)] = 20
    keep_samples_days: Annotated[int, whole(1, 3650)] = 90


# A price of less than one msat could not be charged.
Price = Annotated[Decimal, number(0, _MOST_SAT, decimals=3)]


class TariffConfig(Table):
    """[tariffs.NAME]: prices in whole units of `currency`."""

    currency: Literal["SAT"] = "SAT"
    energy_per_kwh: Price = Decimal(0)
    time_per_hour: Price = Decimal(0)
    idle_per_minute: Price = Decimal(0)
    idle_grace_minutes: Annotated[int, whole(0, 1440)] = 10
    flat: Price = Decimal(0)
    tax_percent: Annotated[Decimal, number(0, 100, decimals=2)] = Decimal(0)

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
            tax_basis_points=int(self.tax_percent * 100),
        )


class FiatConfig(Table):
    """[fiat]: the currency in which amounts are shown besides sat.

    With `btc_price` that is the rate; without it several sources are asked, of which two at
    least must agree.
    """

    currency: CurrencyCode
    btc_price: Annotated[Decimal, number(1, 10**12)] | None = None
    sources: tuple[RateSource, ...] = RATE_SOURCES

    @field_validator("sources")
    @classmethod
    def _enough(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < 2:
            raise ValueError("expected at least two different sources: one alone may be wrong")
        return value


class MapConfig(Table):
    """[map]: tiles behind the map of the charge points."""

    tiles: TileUrl
    credit: Annotated[str, text(200)] = ""


class LocationConfig(Table):
    """Where a charge point stands; `geohash_length` says how exactly that is published."""

    latitude: Annotated[float, number(-90, 90)]
    longitude: Annotated[float, number(-180, 180)]
    address: Annotated[str, text(200)] = ""
    geohash_length: Annotated[int, whole(3, 9)] = 5


class ConnectorConfig(Table):
    """One connector; `type` is OCPI's connector type."""

    id: Annotated[int, whole(1, 99)]
    type: ConnectorType = "IEC_62196_T2"
    max_power_w: Annotated[int, whole(1, 5_000_000)] = 22_000


class ChargePointConfig(ChargerSecurity):
    """[[charge_points]]: one charge point and its public face.

    `charger_id` is what its charger calls itself, where that cannot be `id`.
    """

    id: ChargePointId
    charger_id: ChargerId = ""
    name: Annotated[str, text(80, empty=False)]
    about: Annotated[str, text(1000, lines=True)] = ""
    picture: WebUrl = ""
    website: WebUrl = ""
    location: LocationConfig | None = None
    tariff: Annotated[str, text(80)]
    lud16: LightningAddress = ""
    nsec_file: SecretFile | None = None
    strict_subprotocol: bool = False
    ocpp_version: Literal["1.6", "2.0.1"] | None = None
    check_meter: Flag = False
    ocpp_settings: OcppSettings = Field(default_factory=dict[str, str])
    connectors: tuple[ConnectorConfig, ...] = (ConnectorConfig(id=1),)

    @field_validator("connectors")
    @classmethod
    def _distinct(cls, value: tuple[ConnectorConfig, ...]) -> tuple[ConnectorConfig, ...]:
        if not value:
            raise ValueError("expected at least one connector")
        ids = [connector.id for connector in value]
        if len(set(ids)) != len(ids):
            raise ValueError("expected a different id for each connector")
        return value

    @property
    def called(self) -> str:
        """What its charger calls itself."""
        return self.charger_id or self.id

    @property
    def certified_as(self) -> str:
        """What its charger's certificate is issued to."""
        return self.certificate_name or self.called


class Config(Table):
    """The whole file."""

    strom: StromConfig = StromConfig()
    ocpp: OcppConfig = OcppConfig()
    nostr: NostrConfig = NostrConfig()
    wallet: WalletConfig = WalletConfig()
    sessions: SessionsConfig = SessionsConfig()
    fiat: FiatConfig | None = None
    map: MapConfig | None = None
    tariffs: dict[str, TariffConfig] = Field(default_factory=dict[str, TariffConfig])
    ocpp_models: tuple[OcppModelConfig, ...] = ()
    charge_points: tuple[ChargePointConfig, ...] = ()
    _base_dir: Path = PrivateAttr(default_factory=Path)

    @property
    def base_dir(self) -> Path:
        """The folder of the file: where relative paths in it start; "." without a file."""
        return self._base_dir

    def model_post_init(self, context: Path | None, /) -> None:
        """Remember where the file is."""
        self._base_dir = context or Path()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = list(_contradictions(self.model_dump(mode="json")))
        if problems:
            raise PydanticCustomError("contradictory", "{text}", {"text": "; ".join(problems)})
        return self


def load(path: Path) -> Config:
    """Read and check the operator's file; relative paths in it start at its folder.

    Raises:
        ConfigError: with one sentence for each mistake.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8-sig"), parse_float=Decimal)
    except FileNotFoundError:
        raise ConfigError(path, ['the file does not exist; "strom init" writes one']) from None
    except OSError as error:
        reason = (error.strerror or "unknown error").lower()
        raise ConfigError(path, [f"the file cannot be read: {reason}"]) from None
    except UnicodeDecodeError as error:
        raise ConfigError(path, [f"the file is not UTF-8 text (byte {error.start + 1})"]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(path, [toml_sentence(error)]) from None
    return checked(raw, path)


def checked(raw: Mapping[str, object], path: Path) -> Config:
    """The config in what TOML holds, as if it were the content of the file `path`.

    Raises:
        ConfigError: with one sentence for each mistake.
    """
    # Defaults that are paths start at the file's folder too, so every table is validated.
    tables = dict[str, object]({"strom": {}, "nostr": {}, "wallet": {}, "sessions": {}}) | dict(raw)
    try:
        return Config.model_validate(tables, context=path.absolute().parent)
    except ValidationError as error:
        problems = [
            sentence(problem, raw, Config)
            for problem in error.errors()
            if problem["type"] != "contradictory"
        ]
        raise ConfigError(path, problems + list(_contradictions(raw))) from None


def _contradictions(raw: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong between keys that may each be right.

    Works on the file as it was read, whatever else is wrong in it, so that all mistakes
    are told at once.
    """
    sessions = table(raw.get("sessions"))
    low, high = sessions.get("min_payment_sat"), sessions.get("max_payment_sat")
    if isinstance(low, int) and isinstance(high, int) and low > high:
        yield f"sessions.min_payment_sat = {low}: expected at most max_payment_sat, {high}"
    yield from _shared_addresses(raw)
    yield from _shared_charger_ids(raw)
    yield from contradictions(raw)
    tariffs = table(raw.get("tariffs"))
    ids: dict[str, int] = {}
    keys: dict[str, int] = {}
    public_url = table(raw.get("strom")).get("public_url")
    own_host = urlsplit(public_url).netloc if isinstance(public_url, str) else ""
    for index, point in enumerate(charge_points(raw)):
        where = ("charge_points", index)
        name = point.get("id")
        if isinstance(name, str) and ids.setdefault(name.lower(), index) != index:
            first = key_path(("charge_points", ids[name.lower()], "id"), raw)
            yield (
                f"{key_path((*where, 'id'), raw)} = {shown_text(name)}: expected another id than "
                f"{first} has (upper and lower case are the same)"
            )
        tariff = point.get("tariff")
        if isinstance(tariff, str) and tariff not in tariffs:
            hint = (
                did_you_mean(tariff, tariffs)
                if tariffs
                else f"add a table [{key_path(('tariffs', tariff), raw)}]"
            )
            yield (
                f"{key_path((*where, 'tariff'), raw)} = {shown_text(tariff)}: expected a tariff "
                f"of this file; {hint}"
            )
        address = point.get("lud16")
        if isinstance(address, str) and address.partition("@")[2] == own_host and own_host:
            yield (
                f"{key_path((*where, 'lud16'), raw)} = {shown_text(address)}: expected an address "
                "at another server; an address here needs no key"
            )
        nsec_file = point.get("nsec_file")
        if isinstance(nsec_file, str) and keys.setdefault(nsec_file, index) != index:
            first = key_path(("charge_points", keys[nsec_file]), raw)
            yield (
                f"{key_path((*where, 'nsec_file'), raw)}: expected another file than {first} "
                "has: two charge points cannot be one identity"
            )


def _shared_addresses(raw: Mapping[str, Any]) -> Iterator[str]:
    strom, nostr = table(raw.get("strom")), table(raw.get("nostr"))
    taken: dict[str, str] = {}
    for key, address in (
        ("strom.http_listen", strom.get("http_listen", _HTTP_LISTEN)),
        ("strom.ocpp_listen", strom.get("ocpp_listen", _OCPP_LISTEN)),
        ("ocpp.tls_listen", table(raw.get("ocpp")).get("tls_listen")),
        ("nostr.embedded_relay", nostr.get("embedded_relay")),
    ):
        if not isinstance(address, str) or address.endswith(":0"):
            continue
        if taken.setdefault(address, key) != key:
            yield (
                f"{key} = {shown_text(address)}: expected another address than {taken[address]} has"
            )


def _shared_charger_ids(raw: Mapping[str, Any]) -> Iterator[str]:
    points = charge_points(raw)
    named = [point.get("charger_id") or None for point in points]
    owners: dict[str, int] = {}
    for index, point in enumerate(points):
        if named[index] is None and isinstance(name := point.get("id"), str):
            owners.setdefault(name.lower(), index)
    for index, name in enumerate(named):
        if isinstance(name, str) and (owner := owners.setdefault(name.lower(), index)) != index:
            yield (
                f"{key_path(('charge_points', index, 'charger_id'), raw)} = {shown_text(name)}: "
                f"expected another one than {key_path(('charge_points', owner), raw)} has "
                "(upper and lower case are the same)"
            )

"""The values that an operator's file may hold: each check says what was expected.

The checks run on what TOML gave, before any conversion, so that `"120"`, `true` and `120.5`
are refused where a whole number is meant.
"""

from __future__ import annotations

import os
import re
import stat
from decimal import Decimal
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import BeforeValidator, ValidationInfo

from agent.config.errors import did_you_mean, looks_secret
from agent.config.secret_files import MISSING, secret_file_problem
from agent.talk.words import LANGUAGES
from nips.errors import InvalidKey
from nips.identity import decode_npub
from nips.location import KIND_GEOMETRY, KIND_PLACE

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
CHARGE_POINT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,47}")
_LONGEST_CHARGER_ID = 100

# OCPI 2.2.1 section 8.4.5 (ConnectorType), with the two that 2.3 added.
CONNECTOR_TYPES = frozenset(
    {
        "CHADEMO",
        "CHAOJI",
        *(f"DOMESTIC_{letter}" for letter in "ABCDEFGHIJKLMNO"),
        "GBT_AC",
        "GBT_DC",
        "IEC_60309_2_single_16",
        "IEC_60309_2_three_16",
        "IEC_60309_2_three_32",
        "IEC_60309_2_three_64",
        "IEC_62196_T1",
        "IEC_62196_T1_COMBO",
        "IEC_62196_T2",
        "IEC_62196_T2_COMBO",
        "IEC_62196_T3A",
        "IEC_62196_T3C",
        "MCS",
        "NEMA_5_20",
        "NEMA_6_30",
        "NEMA_6_50",
        "NEMA_10_30",
        "NEMA_10_50",
        "NEMA_14_30",
        "NEMA_14_50",
        "PANTOGRAPH_BOTTOM_UP",
        "PANTOGRAPH_TOP_DOWN",
        "SAE_J3400",
        "TESLA_R",
        "TESLA_S",
        "UNKNOWN",
    }
)

_ADDRESS = re.compile(r"[a-z0-9._+-]{1,64}@[a-z0-9.-]{1,253}(:[0-9]{1,5})?")
"""LUD-16, in lower case; a port for tests on this machine."""


_INVISIBLE = (
    "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}\N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
)
"""What Python does not print and words need: Persian, Hindi, families of emoji, French."""

RATE_SOURCES = ("kraken", "coinbase", "bitstamp")


def whole(low: int, high: int) -> BeforeValidator:
    """A whole number from `low` to `high`."""

    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"expected a whole number from {low} to {high}")
        return value

    return BeforeValidator(check)


def number(low: int, high: int, *, decimals: int | None = None) -> BeforeValidator:
    """A number from `low` to `high`, with at most that many decimal places."""
    places = "" if decimals is None else f" with at most {decimals} decimal places"

    def check(value: object) -> Decimal:
        match value:
            case bool():
                found = Decimal("NaN")
            case int() | float() | Decimal():
                found = Decimal(str(value))
            case _:
                found = Decimal("NaN")
        if not found.is_finite() or not low <= found <= high:
            raise ValueError(f"expected a number from {low} to {high}{places}")
        if decimals is not None and found != round(found, decimals):
            raise ValueError(f"expected a number from {low} to {high}{places}")
        return found

    return BeforeValidator(check)


def text(longest: int, *, empty: bool = True, lines: bool = False) -> BeforeValidator:
    """Text of at most `longest` characters, without control characters (line breaks apart)."""
    kind = f"text of {'at most' if empty else '1 to'} {longest} characters"

    def check(value: object) -> str:
        if not isinstance(value, str):
            raise ValueError(f"expected {kind} in quotes")
        if len(value) > longest or not (empty or value.strip()):
            raise ValueError(f"expected {kind}")
        allowed = _INVISIBLE + ("\n\t" if lines else "")
        if any(not letter.isprintable() and letter not in allowed for letter in value):
            raise ValueError("expected text without control characters")
        return value

    return BeforeValidator(check)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


def _split(value: object) -> SplitResult | None:
    """The URL's parts, its port checked; None for what is no URL."""
    if not isinstance(value, str) or re.search(r"[\s\x00-\x1f]", value):
        return None
    try:
        url = urlsplit(value)
        return url if url.port != 0 and url.hostname else None
    except ValueError:
        return None


def _no_credentials(url: SplitResult) -> None:
    if "@" in url.netloc:
        raise ValueError("expected a URL without a user name or password in it")


def _host_and_port(value: object) -> str:
    kind = 'expected "host:port", such as "127.0.0.1:8080"'
    if not isinstance(value, str):
        raise ValueError(kind)
    host, _, port = value.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not re.fullmatch(r"\d{1,5}", port, re.ASCII) or int(port) > 65535:
        raise ValueError(kind)
    if ":" in bare and bare == host:
        raise ValueError('expected an IPv6 address in brackets, such as "[::1]:8080"')
    if not re.fullmatch(r"[A-Za-z0-9.:_-]+", bare):
        raise ValueError(kind)
    return value


def _relay_url(value: object) -> str:
    url = _split(value)
    if url is None or url.scheme not in ("ws", "wss"):
        raise ValueError('expected a relay URL, such as "wss://relay.example.com"')
    _no_credentials(url)
    if url.scheme == "ws" and url.hostname not in LOOPBACK_HOSTS:
        raise ValueError("expected wss:// (ws:// is for loopback only)")
    return str(value).rstrip("/")


def _public_url(value: object) -> str:
    url = _split(value)
    if url is None or url.scheme not in ("http", "https"):
        raise ValueError('expected a URL, such as "https://charge.example.com"')
    _no_credentials(url)
    if url.scheme == "http" and url.hostname not in LOOPBACK_HOSTS:
        raise ValueError("expected https:// (http:// is for loopback only)")
    if url.path.strip("/") or url.query or url.fragment:
        raise ValueError(
            "expected nothing behind the host: lightning addresses are looked up at its root"
        )
    return str(value).rstrip("/")


def _web_url(value: object) -> str:
    if value == "":
        return ""
    url = _split(value)
    if url is None or url.scheme not in ("http", "https"):
        raise ValueError('expected a web address, such as "https://example.com/"')
    _no_credentials(url)
    return str(value)


def _language(value: object) -> str:
    if value not in LANGUAGES:
        raise ValueError(f"expected one of {', '.join(LANGUAGES)}")
    return str(value)


def _lightning_address(value: object) -> str:
    if value == "":
        return ""
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
        raise ValueError('expected a lightning address, such as "name@provider.example"')
    return value


def _npub(value: object) -> str:
    kind = 'expected a public key as "npub1..."'
    if not isinstance(value, str):
        raise ValueError(kind)
    if looks_secret(value):
        raise ValueError(
            f"{kind}; this is a secret key, which has no place here: treat it as stolen"
        )
    if not value.startswith("npub1"):
        raise ValueError(kind)
    try:
        decode_npub(value)
    except InvalidKey:
        raise ValueError(f"{kind}; a letter of this one is wrong or missing") from None
    return value


def _charge_point_id(value: object) -> str:
    if not isinstance(value, str) or not CHARGE_POINT_ID.fullmatch(value):
        raise ValueError(
            "expected 1 to 48 letters, digits, - and _, the first a letter or digit: "
            "it is part of web and lightning addresses (what the charger calls itself, where that "
            "is something else, is its charger_id)"
        )
    return value


def is_charger_id(name: str) -> bool:
    """Whether a charger can call itself so, at the end of its URL."""
    return (
        len(name) <= _LONGEST_CHARGER_ID
        and name.isprintable()
        and "/" not in name
        and name == name.strip()
    )


def _charger_id(value: object) -> str:
    if not isinstance(value, str) or not is_charger_id(value):
        raise ValueError(
            f"expected up to {_LONGEST_CHARGER_ID} letters without /: what the charger puts behind "
            "the URL that it is given"
        )
    return value


def _connector_type(value: object) -> str:
    if not isinstance(value, str) or value not in CONNECTOR_TYPES:
        hint = did_you_mean(value, CONNECTOR_TYPES) if isinstance(value, str) else "in quotes"
        raise ValueError(f"expected a connector type by its OCPI name; {hint}")
    return value


def _wallet_url(value: object) -> str:
    if not isinstance(value, str) or not re.match(r"[a-z][a-z0-9+.-]*:", value):
        raise ValueError(
            'expected a wallet: "lnd://HOST:10009?tls_cert=FILE&macaroon=FILE", '
            '"lnbits+https://HOST?key_file=FILE", "nwc-file:FILE", or "dev://", which is play money'
        )
    return value


def _currency(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[A-Z]{3}", value) or value == "BTC":
        raise ValueError('expected a currency by its ISO 4217 code, such as "EUR"')
    return value


def _rate_source(value: object) -> str:
    if not isinstance(value, str) or value not in RATE_SOURCES:
        raise ValueError(f"expected one of {', '.join(RATE_SOURCES)}")
    return value


def _tile_url(value: object) -> str:
    url = _split(value)
    named = isinstance(value, str) and all(part in value for part in ("{z}", "{x}", "{y}"))
    if url is None or url.scheme != "https" or not named:
        raise ValueError('expected a tile URL, such as "https://tiles.example.com/{z}/{x}/{y}.png"')
    _no_credentials(url)
    return str(value)


def _proxy_address(value: object) -> str:
    try:
        return (
            str(ip_network(value))
            if isinstance(value, str) and "/" in value
            else str(ip_address(str(value)))
        )
    except ValueError:
        raise ValueError(
            'expected an IP address or network, such as "127.0.0.1" or "10.0.0.0/8"'
        ) from None


def _place_kind(value: object) -> int:
    if not isinstance(value, int) or value not in (KIND_PLACE, KIND_GEOMETRY):
        raise ValueError(f"expected {KIND_PLACE} or {KIND_GEOMETRY}")
    return value


def _path(value: object, info: ValidationInfo) -> Path:
    """A path; one read from a file starts at the folder of that file."""
    if isinstance(value, Path):
        value = str(value)
    if not isinstance(value, str) or not value or "\x00" in value:
        raise ValueError("expected the path of a file or folder")
    path = Path(value).expanduser()
    folder: Path | None = info.context
    return path if folder is None else folder / path


def _secret_file(value: object, info: ValidationInfo) -> Path:
    """A file that has a secret in it; checked when a file of an operator is read."""
    if isinstance(value, str) and looks_secret(value):
        raise ValueError("expected the path of a file that holds the secret, not the secret itself")
    path = _path(value, info)
    folder: Path | None = info.context
    if folder is not None:
        problem = secret_file_problem(path)
        if problem:
            # A password put here by mistake is not a path whose folder exists.
            named = path.parent != folder and os.path.isdir(path.parent)
            raise ValueError(f'"{path}" {problem}' if named else f"the file {problem} in {folder}")
    return path


def _readable_file(value: object, info: ValidationInfo) -> Path:
    """A file that is there; checked when a file of an operator is read."""
    path = _path(value, info)
    problem = None if info.context is None else secret_file_problem(path)
    if problem:
        raise ValueError(f"the file {problem}")
    return path


def _seed_file(value: object, info: ValidationInfo) -> Path:
    path = _path(value, info)
    if info.context is None or secret_file_problem(path) == MISSING:
        return path
    return _secret_file(value, info)


def _data_dir(value: object, info: ValidationInfo) -> Path:
    path = _path(value, info)
    if info.context is None:
        return path
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return path
    except PermissionError:
        raise ValueError("expected a folder that you may enter: run strom as its user") from None
    except OSError as error:
        raise ValueError(f"expected a folder: {(error.strerror or 'no path').lower()}") from None
    if not is_folder:
        raise ValueError("expected a folder, and this is a file")
    return path


Flag = Annotated[bool, BeforeValidator(_flag)]
HostPort = Annotated[str, BeforeValidator(_host_and_port)]
RelayUrl = Annotated[str, BeforeValidator(_relay_url)]
PublicUrl = Annotated[str, BeforeValidator(_public_url)]
WebUrl = Annotated[str, BeforeValidator(_web_url)]
WalletUrl = Annotated[str, BeforeValidator(_wallet_url)]
Language = Annotated[str, BeforeValidator(_language)]
LightningAddress = Annotated[str, BeforeValidator(_lightning_address)]
CurrencyCode = Annotated[str, BeforeValidator(_currency)]
RateSource = Annotated[str, BeforeValidator(_rate_source)]
TileUrl = Annotated[str, BeforeValidator(_tile_url)]
ProxyAddress = Annotated[str, BeforeValidator(_proxy_address)]
PlaceKind = Annotated[int, BeforeValidator(_place_kind)]
Npub = Annotated[str, BeforeValidator(_npub)]
ChargePointId = Annotated[str, BeforeValidator(_charge_point_id)]
ChargerId = Annotated[str, BeforeValidator(_charger_id)]
ConnectorType = Annotated[str, BeforeValidator(_connector_type)]
DataDir = Annotated[Path, BeforeValidator(_data_dir)]
ReadableFile = Annotated[Path, BeforeValidator(_readable_file)]
SecretFile = Annotated[Path, BeforeValidator(_secret_file)]
SeedFile = Annotated[Path, BeforeValidator(_seed_file)]

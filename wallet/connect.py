"""From the operator's wallet URL to a backend."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, urlsplit

from wallet import nwc_connection
from wallet.base import Wallet, WalletConfigError
from wallet.bolt11 import PREFIXES
from wallet.dev import DevWallet
from wallet.lnbits import LnbitsWallet
from wallet.lnd import LndWallet
from wallet.lnd_rpc import LndRpc
from wallet.macaroon import InvalidMacaroon, permissions
from wallet.nwc import NwcWallet

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})

EXPECTED = (
    'expected "dev://", "lnd://HOST:10009?tls_cert=FILE&macaroon=FILE", '
    '"lnbits+https://HOST?key_file=FILE" or "nwc-file:FILE"'
)

LND_PORT = 10009
_HEX = re.compile(rb"(?:[0-9a-fA-F]{2})+")
_LNBITS_KEY = re.compile(r"[0-9a-f]{32}")
_log = logging.getLogger(__name__)


def connect(
    url: str, data_dir: Path, clock: Callable[[], int], *, base_dir: Path = Path()
) -> Wallet:
    """The backend that a URL names, not opened yet.

    Every real backend takes the option `network` ("bitcoin" by default), and refuses to
    work when it is on another one.

    Args:
        url: [wallet] url of the operator's file; secrets are in files that it names.
        data_dir: where a backend may keep files of its own.
        clock: gives the time in Unix milliseconds.
        base_dir: where relative paths in the URL start.

    Raises:
        WalletConfigError: the URL or a file that it names is wrong; no secret is repeated.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise WalletConfigError(f"the wallet URL cannot be read: {EXPECTED}") from None
    match parts.scheme:
        case "dev":
            if parts.netloc or parts.path.strip("/"):
                raise WalletConfigError('the wallet URL dev:// takes nothing behind it: "dev://"')
            _options(parts, ())
            return DevWallet(data_dir, clock)
        case "lnbits+http" | "lnbits+https":
            options = _options(parts, ("key_file", "network"))
            scheme = parts.scheme.removeprefix("lnbits+")
            if scheme == "http" and parts.hostname not in LOOPBACK_HOSTS:
                raise WalletConfigError(
                    "the wallet URL must begin with lnbits+https:// (http is for loopback only)"
                )
            key = _secret_text(base_dir / options["key_file"], "key_file")
            if not _LNBITS_KEY.fullmatch(key):
                raise WalletConfigError(
                    f"{base_dir / options['key_file']} does not hold an LNbits key "
                    "(32 hexadecimal digits)"
                )
            address = f"{scheme}://{_host(parts)}{f':{port}' if port else ''}{parts.path}"
            return LnbitsWallet(address, key, options["network"], clock)
        case "lnd":
            options = _options(parts, ("tls_cert", "macaroon", "network"))
            host = parts.hostname if _host(parts) else None
            if parts.path.strip("/"):
                raise WalletConfigError(f"the wallet URL has a path: {EXPECTED}")
            certificate = _secret(base_dir / options["tls_cert"], "tls_cert", public=True)
            if b"BEGIN CERTIFICATE" not in certificate:
                raise WalletConfigError(
                    f"{base_dir / options['tls_cert']} (tls_cert) is not a certificate in PEM form"
                )
            macaroon = _macaroon(base_dir / options["macaroon"])
            rpc = LndRpc(host or "", port or LND_PORT, certificate, macaroon)
            return LndWallet(rpc, macaroon, options["network"], clock)
        case "nwc-file":
            options = _options(parts, ("network",))
            if parts.netloc or not parts.path:
                raise WalletConfigError('the wallet URL must be written "nwc-file:FILE"')
            connection = nwc_connection.parse(_secret_text(base_dir / parts.path, "nwc-file"))
            return NwcWallet(connection, options["network"], clock)
        case "":
            raise WalletConfigError(f"the wallet URL has no scheme: {EXPECTED}")
        case "nostr+walletconnect":
            raise WalletConfigError(
                "a wallet connection is a secret: put it into a file of its own (mode 0600), "
                "and name that file: nwc-file:FILE"
            )
        case scheme:
            raise WalletConfigError(f'the wallet URL has the unknown scheme "{scheme}": {EXPECTED}')


def _host(parts: SplitResult) -> str:
    if parts.username or parts.password:
        raise WalletConfigError("the wallet URL takes no user and password")
    if parts.fragment:
        raise WalletConfigError('the wallet URL takes no "#" part')
    host = parts.hostname
    if not host:
        raise WalletConfigError(f"the wallet URL names no host: {EXPECTED}")
    return f"[{host}]" if ":" in host else host


def _options(parts: SplitResult, known: tuple[str, ...]) -> dict[str, str]:
    """The options behind the "?", each one known and given once; only `network` may be absent."""
    options: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name not in known:
            raise WalletConfigError(
                f'the wallet URL has the unknown option "{name}"; '
                f"known here: {', '.join(known) or 'none'}"
            )
        if name in options:
            raise WalletConfigError(f'the wallet URL has the option "{name}" twice')
        if not value:
            raise WalletConfigError(f'the wallet URL has no value for the option "{name}"')
        options[name] = value
    if "network" in known:
        network = options.setdefault("network", "bitcoin")
        if network not in PREFIXES:
            raise WalletConfigError(
                f'the wallet URL has the unknown network "{network}"; known: {", ".join(PREFIXES)}'
            )
    for name in known:
        if name not in options:
            raise WalletConfigError(f'the wallet URL lacks the option "{name}": {EXPECTED}')
    return options


def _macaroon(path: Path) -> bytes:
    """A macaroon from its file, binary as LND writes it or as hexadecimal digits."""
    content = _secret(path, "macaroon")
    text = content.strip()
    if _HEX.fullmatch(text):
        content = bytes.fromhex(text.decode("ascii"))
    try:
        permissions(content)
    except InvalidMacaroon as error:
        raise WalletConfigError(f"{path} (macaroon) is not a macaroon of LND: {error}") from None
    return content


def _secret_text(path: Path, option: str) -> str:
    try:
        return _secret(path, option).decode("utf-8").strip()
    except UnicodeDecodeError:
        raise WalletConfigError(f"{path} ({option}) is not a text file") from None


def _secret(path: Path, option: str, *, public: bool = False) -> bytes:
    """The content of a file; a warning when others may read it and it is not `public`."""
    try:
        content = path.read_bytes()
        mode = path.stat().st_mode
    except OSError as error:
        raise WalletConfigError(f"{path} ({option}) cannot be read: {error.strerror}") from None
    if not content.strip():
        raise WalletConfigError(f"{path} ({option}) is empty")
    if mode & 0o007 and not public:
        _log.warning("%s can be read by every user of this machine: chmod 600 it", path)
    return content

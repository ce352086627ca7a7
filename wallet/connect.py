"""From the operator's wallet URL to a backend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from wallet.base import Wallet, WalletConfigError
from wallet.dev import DevWallet

EXPECTED = (
    'expected "dev://", "lnd://HOST:10009?tls_cert=FILE&macaroon=FILE", '
    '"lnbits+https://HOST?key_file=FILE" or "nwc-file:FILE"'
)


def connect(
    url: str, data_dir: Path, clock: Callable[[], int], *, base_dir: Path = Path()
) -> Wallet:
    """The backend that a URL names, not opened yet.

    Args:
        url: [wallet] url of the operator's file; secrets are in files that it names.
        data_dir: where a backend may keep files of its own.
        clock: gives the time in Unix milliseconds.
        base_dir: where relative paths in the URL start.

    Raises:
        WalletConfigError: the URL or a file that it names is wrong; no secret is repeated.
    """
    del base_dir
    parts = urlsplit(url)
    match parts.scheme:
        case "dev":
            if parts.netloc or parts.path.strip("/"):
                raise WalletConfigError('the wallet URL dev:// takes nothing behind it: "dev://"')
            _options(parts.query, required=())
            return DevWallet(data_dir, clock)
        case "":
            raise WalletConfigError(f"the wallet URL has no scheme: {EXPECTED}")
        case scheme:
            raise WalletConfigError(f'the wallet URL has the unknown scheme "{scheme}": {EXPECTED}')


def _options(query: str, required: tuple[str, ...]) -> dict[str, str]:
    """The options behind the "?", each one known and given once."""
    options: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name not in required:
            known = ", ".join(required) or "none"
            raise WalletConfigError(
                f'the wallet URL has the unknown option "{name}"; it has {known}'
            )
        if name in options:
            raise WalletConfigError(f'the wallet URL has the option "{name}" twice')
        if not value:
            raise WalletConfigError(f'the wallet URL has no value for the option "{name}"')
        options[name] = value
    for name in required:
        if name not in options:
            raise WalletConfigError(f'the wallet URL lacks the option "{name}": {EXPECTED}')
    return options

"""The wallet that the operator's file names."""

from __future__ import annotations

from agent.clock import Clock
from agent.config.tables import Config
from wallet.base import Wallet, WalletConfigError
from wallet.connect import connect


def wallet_of(config: Config, clock: Clock) -> Wallet:
    """The wallet of the operator's file, not opened yet.

    Raises:
        WalletConfigError: its URL, or a file named there, is wrong; the text names the key.
    """
    try:
        return connect(config.wallet.url, config.strom.data_dir, clock, base_dir=config.base_dir)
    except WalletConfigError as error:
        raise WalletConfigError(f"wallet.url: {error}") from None

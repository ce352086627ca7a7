"""The play-money wallet under the contract suite: its driver's node is the peer."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.wallet.clock import now_ms
from tests.wallet.contract import Backend, PeerRefused
from wallet.base import Wallet, WalletError
from wallet.connect import connect
from wallet.dev import DevWallet


class DriverPeer:
    """The driver's node, reached through whichever wallet is open now."""

    def __init__(self) -> None:
        self.wallet: DevWallet | None = None

    def _wallet(self) -> DevWallet:
        assert self.wallet is not None
        return self.wallet

    async def pay(self, bolt11: str) -> str:
        try:
            return await self._wallet().driver_pay(bolt11)
        except WalletError as error:
            raise PeerRefused(str(error)) from None

    async def invoice(self, amount_msat: int | None, *, expiry_s: int = 3600) -> tuple[str, str]:
        return await self._wallet().driver_invoice(amount_msat, expiry_s=expiry_s)

    async def paid(self, payment_hash: str) -> bool:
        return await self._wallet().driver_invoice_paid(payment_hash)


@asynccontextmanager
async def dev_backend(data_dir: Path) -> AsyncGenerator[Backend]:
    """The play-money wallet on its own file."""
    peer = DriverPeer()

    async def reconnect() -> Wallet:
        wallet = connect("dev://", data_dir, now_ms)
        assert isinstance(wallet, DevWallet)
        if peer.wallet is not None:
            await peer.wallet.close()
        peer.wallet = wallet
        await wallet.open()
        return wallet

    yield Backend(name="dev", connect=reconnect, peer=peer, network="regtest")
    if peer.wallet is not None:
        await peer.wallet.close()

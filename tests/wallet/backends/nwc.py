"""NWC under the contract suite: a wallet service over LNbits, paid by another LNbits wallet."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.wallet.backends.lnbits import LnbitsPeer
from tests.wallet.clock import now_ms
from tests.wallet.contract import Backend
from tests.wallet.lnbits_server import LnbitsServer
from tests.wallet.nwc_service import NwcService, nwc_service
from wallet.base import Wallet
from wallet.connect import connect


def nwc_wallet(service: NwcService, folder: Path) -> Wallet:
    """Our wallet, by way of its URL and file."""
    file = folder / "connection"
    file.touch(mode=0o600)
    file.write_text(service.connection + "\n")
    return connect(f"nwc-file:{file}", folder, now_ms)


@asynccontextmanager
async def nwc_backend(lnbits: LnbitsServer, folder: Path) -> AsyncGenerator[Backend]:
    """Our wallet on an LNbits through the service, the peer on the same LNbits directly."""
    ours = await lnbits.account("operator over nwc")
    peer = LnbitsPeer(lnbits.url, await lnbits.account("driver", funds_sat=10_000_000))
    async with nwc_service(lnbits, ours) as service:

        async def reconnect() -> Wallet:
            wallet = nwc_wallet(service, folder)
            await wallet.open()
            return wallet

        @asynccontextmanager
        async def restart() -> AsyncGenerator[None]:
            await service.stop()
            yield
            await service.start()

        yield Backend(
            name="nwc",
            connect=reconnect,
            peer=peer,
            network="bitcoin",
            restart=restart,
            whole_sats=True,
            open_amount=False,
            keeps_records=False,
            secrets=(service.client.secret_key().to_hex(),),
        )

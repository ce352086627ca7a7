"""A wallet service for NWC: npm's @getalby/sdk over an LNbits, on a relay of our own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import anyio
import pytest
from nostr_sdk import Keys

from nips.embedded_relay import EmbeddedRelay
from tests.node import start_script
from tests.ports import free_port
from tests.wallet.lnbits_server import Account, LnbitsServer

METHODS = (
    "get_info",
    "get_balance",
    "make_invoice",
    "pay_invoice",
    "lookup_invoice",
    "list_transactions",
)
START_S = 60


class NwcService:
    """The service and its relay."""

    def __init__(
        self,
        lnbits: LnbitsServer,
        account: Account,
        *,
        methods: Sequence[str] = METHODS,
        notifications: Sequence[str] = ("payment_received",),
        encryptions: Sequence[str] = ("nip44_v2", "nip04"),
    ) -> None:
        self.client, self.wallet = Keys.generate(), Keys.generate()
        self.relay = EmbeddedRelay("127.0.0.1", free_port())
        self._process: asyncio.subprocess.Process | None = None
        self._setup = {
            "walletSecret": self.wallet.secret_key().to_hex(),
            "clientPubkey": self.client.public_key().to_hex(),
            "lnbits": {"url": lnbits.url, "adminkey": account.adminkey},
            "methods": list(methods),
            "notifications": list(notifications),
            "encryptions": list(encryptions),
        }

    @property
    def connection(self) -> str:
        """The wallet connection for the client."""
        return (
            f"nostr+walletconnect://{self.wallet.public_key().to_hex()}"
            f"?relay={self.relay.url}&secret={self.client.secret_key().to_hex()}"
        )

    async def start(self) -> None:
        """Start relay and service, again with the same keys and address after a stop."""
        await self.relay.open()
        await self.start_service()

    async def start_service(self) -> None:
        """Start the service only."""
        process = await start_script("nwc_wallet.mjs")
        self._process = process
        assert process.stdin is not None
        assert process.stdout is not None
        setup = self._setup | {"relay": self.relay.url}
        process.stdin.write(json.dumps(setup).encode() + b"\n")
        with anyio.fail_after(START_S):
            said = await process.stdout.readline()
        if said != b"ready\n":
            assert process.stderr is not None
            pytest.fail(f"the wallet service: {(await process.stderr.read()).decode()[-2000:]}")

    async def stop(self) -> None:
        """Stop both."""
        await self.stop_service()
        await self.relay.close()

    async def stop_service(self) -> None:
        """Stop the service only."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.communicate()


@asynccontextmanager
async def nwc_service(
    lnbits: LnbitsServer,
    account: Account,
    *,
    methods: Sequence[str] = METHODS,
    notifications: Sequence[str] = ("payment_received",),
    encryptions: Sequence[str] = ("nip44_v2", "nip04"),
) -> AsyncGenerator[NwcService]:
    """A running service on a running relay."""
    service = NwcService(
        lnbits, account, methods=methods, notifications=notifications, encryptions=encryptions
    )
    try:
        await service.start()
        yield service
    finally:
        await service.stop()

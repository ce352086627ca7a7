"""LNbits under the contract suite: another wallet of the same instance is the peer."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.wallet.clock import now_ms
from tests.wallet.contract import Backend, PeerRefused
from tests.wallet.lnbits_server import Account, LnbitsServer
from wallet import bolt11
from wallet.base import Wallet
from wallet.connect import connect


class LnbitsPeer:
    """Another wallet, used over plain HTTP."""

    def __init__(self, url: str, account: Account) -> None:
        self._url = url
        self._account = account

    def _http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self._url,
            headers={"X-Api-Key": self._account.adminkey},
            trust_env=False,
            timeout=30,
        )

    async def pay(self, bolt11: str) -> str:
        async with self._http() as http:
            answer = await http.post("/api/v1/payments", json={"out": True, "bolt11": bolt11})
        if not answer.is_success:
            raise PeerRefused(answer.text)
        preimage: str = answer.json()["preimage"]
        return preimage

    async def invoice(self, amount_msat: int | None, *, expiry_s: int = 3600) -> tuple[str, str]:
        assert amount_msat is not None
        order = {"out": False, "amount": amount_msat // 1000, "expiry": expiry_s, "memo": "refund"}
        async with self._http() as http:
            answer = await http.post("/api/v1/payments", json=order)
        answer.raise_for_status()
        request: str = answer.json()["bolt11"]
        return request, bolt11.decode(request).payment_hash

    async def paid(self, payment_hash: str) -> bool:
        async with self._http() as http:
            answer = await http.get(f"/api/v1/payments/{payment_hash}")
        paid: bool = answer.json()["paid"]
        return paid


def lnbits_wallet(server: LnbitsServer, account: Account, folder: Path) -> Wallet:
    """Our wallet on a test server, by way of its URL."""
    key_file = folder / f"key-{account.id}"
    key_file.touch(mode=0o600)
    key_file.write_text(account.adminkey + "\n")
    return connect(f"lnbits+{server.url}?key_file={key_file}", folder, now_ms)


async def lnbits_backend(server: LnbitsServer, folder: Path) -> Backend:
    """Two wallets of a real LNbits."""
    ours = await server.account("operator")
    peer = LnbitsPeer(server.url, await server.account("driver", funds_sat=10_000_000))

    async def reconnect() -> Wallet:
        wallet = lnbits_wallet(server, ours, folder)
        await wallet.open()
        return wallet

    @asynccontextmanager
    async def restart() -> AsyncGenerator[None]:
        await server.stop()
        yield
        await server.start()

    return Backend(
        name="lnbits",
        connect=reconnect,
        peer=peer,
        network="bitcoin",
        restart=restart,
        whole_sats=True,
        open_amount=False,
        forgets_open_invoices=True,
        secrets=(ours.adminkey, ours.inkey),
    )

"""Wallets on the server that plays LND."""

from __future__ import annotations

import anyio

from tests.wallet.backends.lnd import NodePeer
from tests.wallet.clock import now_ms
from tests.wallet.contract import PATIENCE_S
from tests.wallet.lnd_server import LndServer
from wallet.lnd import LndWallet
from wallet.lnd_rpc import LndRpc

SAT = 1000


def make_wallet(
    server: LndServer,
    macaroon: bytes | None = None,
    *,
    host: str = "127.0.0.1",
    network: str = "regtest",
    certificate: bytes | None = None,
    silence_s: float = 300,
    verdict_s: float = 10,
) -> LndWallet:
    baked = server.node.bake() if macaroon is None else macaroon
    rpc = LndRpc(host, server.port, certificate or server.certificate, baked, answer_s=5)
    return LndWallet(
        rpc,
        baked,
        network,
        now_ms,
        silence_s=silence_s,
        first_silence_s=0.2,
        verdict_s=verdict_s,
    )


async def called(server: LndServer, method: str, times: int = 1) -> None:
    with anyio.fail_after(PATIENCE_S):
        while True:
            if server.calls.count(method) >= times:
                return
            await anyio.sleep(0.01)


async def receive(wallet: LndWallet, peer: NodePeer, amount_msat: int = 100 * SAT) -> str:
    invoice = await wallet.create_invoice(amount_msat, memo="m", description=None, expiry_s=600)
    await peer.pay(invoice.bolt11)
    return invoice.payment_hash

"""LND under the contract suite: our own server of its shape, or two real nodes.

Real ones are found by STROM_LND_A and STROM_LND_B, each a wallet URL such as
"lnd://127.0.0.1:10009?tls_cert=/path/tls.cert&macaroon=/path/admin.macaroon&network=regtest".
They need a channel with money on B's side; A is the operator, B the driver.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from tests.wallet.clock import now_ms
from tests.wallet.contract import Backend, PeerRefused
from tests.wallet.lnd_node import LndNode
from tests.wallet.lnd_server import LndServer, lnd_server
from wallet import bolt11
from wallet import lnd_pb2 as pb
from wallet.base import InvoiceState, Wallet
from wallet.connect import connect
from wallet.lnd import LndWallet
from wallet.lnd_rpc import ADD_INVOICE, SEND_PAYMENT, LndRefused, LndRpc

REAL_LND = {"STROM_LND_A", "STROM_LND_B"} <= os.environ.keys()


class NodePeer:
    """The other node of our own server."""

    def __init__(self, node: LndNode) -> None:
        self._node = node

    async def pay(self, bolt11: str) -> str:
        payment = await self._node.pay(bolt11)
        if payment.status != pb.Payment.SUCCEEDED:
            raise PeerRefused(pb.PaymentFailureReason.Name(payment.failure_reason))
        return payment.payment_preimage

    async def invoice(self, amount_msat: int | None, *, expiry_s: int = 3600) -> tuple[str, str]:
        made = self._node.add_invoice(amount_msat, memo="refund", expiry_s=expiry_s)
        return made.payment_request, made.r_hash.hex()

    async def paid(self, payment_hash: str) -> bool:
        return self._node.invoice(payment_hash).state == pb.Invoice.SETTLED


def lnd_url(server: LndServer, folder: Path, macaroon: bytes) -> str:
    """The wallet URL of a test server, with its files."""
    (folder / "tls.cert").write_bytes(server.certificate)
    (folder / "macaroon").touch(mode=0o600)
    (folder / "macaroon").write_bytes(macaroon)
    return (
        f"lnd://127.0.0.1:{server.port}?tls_cert={folder}/tls.cert"
        f"&macaroon={folder}/macaroon&network=regtest"
    )


@asynccontextmanager
async def lnd_backend(folder: Path) -> AsyncGenerator[Backend]:
    """The LND-shaped server."""
    async with lnd_server() as (server, peer):
        macaroon = server.node.bake()
        url = lnd_url(server, folder, macaroon)

        async def reconnect() -> Wallet:
            wallet = connect(url, folder, now_ms)
            await wallet.open()
            return wallet

        @asynccontextmanager
        async def restart() -> AsyncGenerator[None]:
            await server.stop()
            yield
            await server.start()

        yield Backend(
            name="lnd",
            connect=reconnect,
            peer=NodePeer(peer),
            network="regtest",
            restart=restart,
            secrets=(macaroon.hex(),),
        )


class RealPeer:
    """A real node, driven by its own calls."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        options = {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert parts.hostname is not None
        macaroon = Path(options["macaroon"]).read_bytes()
        certificate = Path(options["tls_cert"]).read_bytes()
        self._rpc = LndRpc(parts.hostname, parts.port or 10009, certificate, macaroon)
        self._wallet = LndWallet(self._rpc, macaroon, options.get("network", "bitcoin"), now_ms)

    async def open(self) -> None:
        await self._wallet.open()

    async def close(self) -> None:
        await self._wallet.close()

    async def pay(self, bolt11: str) -> str:
        request = pb.SendPaymentRequest(
            payment_request=bolt11,
            timeout_seconds=60,
            fee_limit_msat=10**6,
            no_inflight_updates=True,
        )
        try:
            async with self._rpc.stream(SEND_PAYMENT, request) as stream:
                payment = await stream.read()
        except LndRefused as error:
            raise PeerRefused(str(error)) from None
        if payment is None or payment.status != pb.Payment.SUCCEEDED:
            raise PeerRefused(str(payment))
        return payment.payment_preimage

    async def invoice(self, amount_msat: int | None, *, expiry_s: int = 3600) -> tuple[str, str]:
        made = await self._rpc.call(
            ADD_INVOICE, pb.Invoice(memo="refund", value_msat=amount_msat or 0, expiry=expiry_s)
        )
        return made.payment_request, bolt11.decode(made.payment_request).payment_hash

    async def paid(self, payment_hash: str) -> bool:
        state, _ = await self._wallet.lookup_invoice(payment_hash)
        return state is InvoiceState.SETTLED


@asynccontextmanager
async def real_lnd_backend(folder: Path) -> AsyncGenerator[Backend]:
    """Two real nodes; REAL_LND says whether there are any."""
    url, peer_url = os.environ["STROM_LND_A"], os.environ["STROM_LND_B"]
    peer = RealPeer(peer_url)
    await peer.open()

    async def reconnect() -> Wallet:
        wallet = connect(url, folder, now_ms)
        await wallet.open()
        return wallet

    wallet = await reconnect()
    network = (await wallet.info()).network
    await wallet.close()
    yield Backend(name="real lnd", connect=reconnect, peer=peer, network=network, late_balance=True)
    await peer.close()

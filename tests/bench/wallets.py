"""Wallet backends: what the protocol costs beside each backend's own bare call, in one run.

    python -m tests.bench.wallets [ROUNDS]

Two figures each, medians in ms, ours and bare in turn so that both meet the same machine:
an invoice (bare: one call of the backend, nothing checked), and a payment until its event
(bare: the backend's own notification of it; LNbits' is a hint, so its bare call confirms the
payment by hash as well). Both times begin when the payer's wallet is told to pay.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
from websockets.asyncio.client import connect as websocket

from tests.wallet.backends.lnbits import LnbitsPeer, lnbits_wallet
from tests.wallet.backends.lnd import NodePeer, lnd_url
from tests.wallet.backends.nwc import nwc_wallet
from tests.wallet.clock import now_ms
from tests.wallet.lnbits_server import VENV, lnbits_server
from tests.wallet.lnd_server import lnd_server
from tests.wallet.nwc_service import nwc_service
from wallet import lnd_pb2 as pb
from wallet.base import Wallet
from wallet.connect import connect
from wallet.dev import DevWallet
from wallet.ledger import Ledger, Purse
from wallet.lnd_rpc import ADD_INVOICE, SUBSCRIBE_INVOICES, LndRpc
from wallet.nwc_connection import parse
from wallet.nwc_link import NwcLink

ROUNDS = 30
AMOUNT_MSAT = 21_000
TEXT = b'[["text/plain","charge"]]'
EXPIRY_S = 600


@dataclass(frozen=True)
class Figures:
    """Medians in ms, and what ours cost relative to the bare call."""

    backend: str
    invoice_ms: float
    bare_invoice_ms: float
    invoice_ratio: float
    event_ms: float
    bare_event_ms: float
    event_ratio: float


@dataclass(frozen=True)
class Subject:
    """A backend, ready: a wallet, the payer, and the bare calls."""

    name: str
    wallet: Wallet
    pay: Callable[[str], Awaitable[Any]]
    bare_invoice: Callable[[], Awaitable[Any]]
    next_bare_event: Callable[[], Awaitable[Any]]
    cursor: str = ""


async def measure(subject: Subject, rounds: int) -> Figures:
    """All four figures of one backend."""

    async def ours() -> str:
        made = await subject.wallet.create_invoice(
            AMOUNT_MSAT, memo="", description=TEXT, expiry_s=EXPIRY_S
        )
        return made.bolt11

    invoice: list[float] = []
    bare_invoice: list[float] = []
    event: list[float] = []
    bare_event: list[float] = []
    settlements = subject.wallet.settlements(subject.cursor)
    next_event = asyncio.ensure_future(anext(settlements))
    try:
        for number in range(rounds + 1):
            begun = time.perf_counter()
            request = await ours()
            between = time.perf_counter()
            await subject.bare_invoice()
            done = time.perf_counter()
            next_bare = asyncio.ensure_future(subject.next_bare_event())
            await asyncio.sleep(0.02)
            paid_at = time.perf_counter()

            async def timed(waiting: asyncio.Future[Any], since: float = paid_at) -> float:
                await waiting
                return time.perf_counter() - since

            _, seen_s, bare_s = await asyncio.gather(
                subject.pay(request), timed(next_event), timed(next_bare)
            )
            next_event = asyncio.ensure_future(anext(settlements))
            if number:  # the first round warms connections
                invoice.append(between - begun)
                bare_invoice.append(done - between)
                event.append(seen_s)
                bare_event.append(bare_s)
    finally:
        next_event.cancel()
        await asyncio.gather(next_event, return_exceptions=True)
        await settlements.aclose()
    medians = [statistics.median(one) * 1000 for one in (invoice, bare_invoice, event, bare_event)]
    return Figures(
        subject.name,
        round(medians[0], 2),
        round(medians[1], 2),
        round(medians[0] / medians[1], 2),
        round(medians[2], 2),
        round(medians[3], 2),
        round(medians[2] / medians[3], 2),
    )


@asynccontextmanager
async def dev_subject(folder: Path) -> AsyncGenerator[Subject]:
    """Play money; bare: its ledger in a thread, and the end of the payment itself."""
    wallet = DevWallet(folder / "ours", now_ms)
    await wallet.open()
    ledger = await asyncio.to_thread(Ledger.open, folder / "bare.sqlite")
    paid = asyncio.Event()

    def bare_invoice() -> Any:
        return ledger.add_invoice(
            Purse.OPERATOR,
            AMOUNT_MSAT,
            description=hashlib.sha256(TEXT).digest(),
            expiry_s=EXPIRY_S,
            now_ms=now_ms(),
        )

    async def pay(request: str) -> None:
        await wallet.driver_pay(request)
        paid.set()

    async def next_bare_event() -> None:
        await paid.wait()
        paid.clear()

    try:
        yield Subject("dev", wallet, pay, lambda: asyncio.to_thread(bare_invoice), next_bare_event)
    finally:
        await wallet.close()
        ledger.close()


@asynccontextmanager
async def lnbits_subject(folder: Path) -> AsyncGenerator[Subject]:
    """A real LNbits; bare: one POST, and its notification confirmed by one GET."""
    async with lnbits_server(folder) as server:
        account = await server.account("operator")
        payer = LnbitsPeer(server.url, await server.account("driver", funds_sat=1_000_000))
        wallet = lnbits_wallet(server, account, folder)
        await wallet.open()
        headers = {"X-Api-Key": account.adminkey}
        address = f"ws{server.url.removeprefix('http')}/api/v1/ws/{account.adminkey}"
        async with (
            httpx.AsyncClient(base_url=server.url, headers=headers, trust_env=False) as http,
            websocket(address, proxy=None) as notices,
        ):

            async def bare_invoice() -> None:
                order = {"out": False, "amount": AMOUNT_MSAT // 1000, "expiry": EXPIRY_S}
                order |= {"unhashed_description": TEXT.hex()}
                (await http.post("/api/v1/payments", json=order)).raise_for_status()

            told: set[str] = set()

            async def next_bare_event() -> None:
                while True:
                    payment_hash: str = json.loads(await notices.recv())["payment"]["payment_hash"]
                    if payment_hash not in told:
                        told.add(payment_hash)
                        (await http.get(f"/api/v1/payments/{payment_hash}")).raise_for_status()
                        return

            yield Subject("lnbits", wallet, payer.pay, bare_invoice, next_bare_event)
        await wallet.close()


@asynccontextmanager
async def lnd_subject(folder: Path) -> AsyncGenerator[Subject]:
    """The tests' LND-shaped server; bare: one gRPC call, and LND's stream as it comes."""
    async with lnd_server() as (server, peer):
        macaroon = server.node.bake()
        wallet = connect(lnd_url(server, folder, macaroon), folder, now_ms)
        await wallet.open()
        rpc = LndRpc("127.0.0.1", server.port, server.certificate, macaroon)
        rpc.open()
        # Without any settlement before, the stream would list all invoices first.
        first = await wallet.create_invoice(1000, memo="", description=None, expiry_s=EXPIRY_S)
        payer = NodePeer(peer)
        await payer.pay(first.bolt11)
        _, settled = await wallet.lookup_invoice(first.payment_hash)
        assert settled is not None

        async def bare_invoice() -> None:
            order = pb.Invoice(value_msat=AMOUNT_MSAT, expiry=EXPIRY_S, private=True)
            order.description_hash = hashlib.sha256(TEXT).digest()
            await rpc.call(ADD_INVOICE, order)

        async with rpc.stream(SUBSCRIBE_INVOICES, pb.InvoiceSubscription(settle_index=1)) as stream:

            async def next_bare_event() -> None:
                while (invoice := await stream.read()) is not None:
                    if invoice.state == pb.Invoice.SETTLED:
                        return

            yield Subject(
                "lnd-shaped", wallet, payer.pay, bare_invoice, next_bare_event, settled.cursor
            )
        await rpc.close()
        await wallet.close()


@asynccontextmanager
async def nwc_subject(folder: Path) -> AsyncGenerator[Subject]:
    """The wallet service of @getalby/sdk over LNbits; bare: one NIP-47 request, and the
    service's notification as it comes."""
    async with lnbits_server(folder) as server:
        payer = LnbitsPeer(server.url, await server.account("driver", funds_sat=1_000_000))
        async with nwc_service(server, await server.account("operator")) as service:
            wallet = nwc_wallet(service, folder)
            await wallet.open()
            link = NwcLink(parse(service.connection), now_ms)
            await link.open()

            async def bare_invoice() -> None:
                order = {"amount": AMOUNT_MSAT, "description": "bare", "expiry": EXPIRY_S}
                await link.request("make_invoice", order, timeout_s=30)

            # The service tells of each payment twice: in either encryption.
            seen: set[str] = set()
            async with link.notifications() as told:

                async def next_bare_event() -> None:
                    while (notice := await told.get()) is not None:
                        payment_hash = str(notice.notification.get("payment_hash"))
                        if payment_hash not in seen:
                            seen.add(payment_hash)
                            return

                yield Subject("nwc", wallet, payer.pay, bare_invoice, next_bare_event)
            await link.close()
            await wallet.close()


async def run(rounds: int = ROUNDS) -> list[Figures]:
    """The figures of every backend that can be had here."""
    figures: list[Figures] = []
    subjects = [dev_subject, lnd_subject]
    if (VENV / ".ready").exists():
        subjects += [lnbits_subject, nwc_subject]
    for subject in subjects:
        with tempfile.TemporaryDirectory() as folder:
            async with subject(Path(folder)) as ready:
                figures.append(await measure(ready, rounds))
    return figures


if __name__ == "__main__":
    chosen = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    for line in asyncio.run(run(chosen)):
        print(json.dumps(asdict(line)))

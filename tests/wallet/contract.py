"""What the contract suite needs of a backend, and how it waits."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass
from typing import Protocol

import anyio

from wallet.base import Invoice, PaymentOutcome, PaymentState, Settlement, Wallet, WalletUnavailable

PATIENCE_S = 60
TIMEOUT_S = 20
SAT = 1000
FEE_LIMIT_MSAT = 2000 * SAT


class PeerRefused(Exception):
    """The other side's wallet would not or could not pay."""


class Peer(Protocol):
    """A wallet that is not ours, by whatever means the backend's own world offers."""

    async def pay(self, bolt11: str) -> str:
        """Pay an invoice and give the preimage (hex, "" where it is not told); or PeerRefused."""
        ...

    async def invoice(self, amount_msat: int | None, *, expiry_s: int = 3600) -> tuple[str, str]:
        """An invoice and its payment hash; None leaves the amount to the payer."""
        ...

    async def paid(self, payment_hash: str) -> bool:
        """Whether an invoice of the peer's was paid."""
        ...


@dataclass(frozen=True)
class Backend:
    """A backend under test.

    Attributes:
        connect: a new, opened wallet on the same funds, as after a restart of Strom.
        peer: somebody else's wallet.
        network: what its invoices are for.
        restart: stops the backend for the time of the context and starts it again; None
            where the backend lives in Strom's own process.
        late_balance: its balance follows a payment by a moment, as channels do.
        whole_sats: it refuses fractions of a satoshi.
        forgets_open_invoices: its restart makes open invoices unpayable.
        keeps_records: it has a record of each payment that it was asked for.
        open_amount: the peer can make invoices without an amount.
        secrets: what must never show up in an error.
    """

    name: str
    connect: Callable[[], Awaitable[Wallet]]
    peer: Peer
    network: str
    restart: Callable[[], AbstractAsyncContextManager[None]] | None = None
    late_balance: bool = False
    whole_sats: bool = False
    open_amount: bool = True
    keeps_records: bool = True
    forgets_open_invoices: bool = False
    secrets: tuple[str, ...] = ()


def stream(wallet: Wallet, cursor: str) -> aclosing[AsyncGenerator[Settlement]]:
    """A settlement stream that is closed with its block."""
    return aclosing(wallet.settlements(cursor))


async def settlements_until(wallet: Wallet, cursor: str, hashes: set[str]) -> dict[str, Settlement]:
    """Read the stream until every one of the hashes came; all that came, by hash."""
    seen: dict[str, Settlement] = {}
    with anyio.fail_after(PATIENCE_S):
        async with stream(wallet, cursor) as settlements:
            async for settlement in settlements:
                seen[settlement.payment_hash] = settlement
                if hashes <= seen.keys():
                    break
    return seen


async def final_outcome(wallet: Wallet, payment_hash: str, first: PaymentOutcome) -> PaymentOutcome:
    """Look a payment up, as the agent does, until its outcome is final."""
    outcome = first
    with anyio.fail_after(PATIENCE_S):
        while outcome.state not in (PaymentState.SETTLED, PaymentState.FAILED):
            await anyio.sleep(0.05)
            outcome = await wallet.lookup_payment(payment_hash)
    return outcome


async def balance_msat(backend: Backend, wallet: Wallet) -> int:
    """The balance, which every backend of the suite tells, once it stands still."""
    balance = (await wallet.info()).balance_msat
    while backend.late_balance:
        # Nothing announces it: it follows the channels' own talk.
        await anyio.sleep(0.3)
        last, balance = balance, (await wallet.info()).balance_msat
        if last == balance:
            break
    assert balance is not None
    return balance


async def until_available(work: Callable[[], Awaitable[object]]) -> None:
    """Repeat a call until the backend is there again."""
    with anyio.fail_after(PATIENCE_S):
        while True:
            try:
                await work()
            except WalletUnavailable:
                await anyio.sleep(0.1)
            else:
                return


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Ask again and again until it is so; only for what nothing announces."""
    with anyio.fail_after(PATIENCE_S):
        while True:
            if await condition():
                return
            await anyio.sleep(0.02)


async def receive(backend: Backend, wallet: Wallet, amount_msat: int = 1000 * SAT) -> Invoice:
    """An invoice of ours that the peer paid."""
    invoice = await wallet.create_invoice(
        amount_msat, memo="charging", description=None, expiry_s=600
    )
    await backend.peer.pay(invoice.bolt11)
    return invoice


async def pay(wallet: Wallet, request: str, payment_hash: str) -> PaymentOutcome:
    """A payment of ours, followed to its end."""
    outcome = await wallet.pay(request, fee_limit_msat=FEE_LIMIT_MSAT, timeout_s=TIMEOUT_S)
    return await final_outcome(wallet, payment_hash, outcome)

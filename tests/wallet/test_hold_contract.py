"""The contract of payments that are held until charging begins, for all backends that can."""

from __future__ import annotations

import hashlib
import os
import secrets

import anyio
import pytest

from tests.wallet.contract import (
    PATIENCE_S,
    SAT,
    Backend,
    PeerRefused,
    balance_msat,
    settlements_until,
)
from wallet import bolt11
from wallet.base import HoldWallet, Invoice, InvoiceState, Wallet, WalletRefused


async def held_invoice(backend: Backend, wallet: Wallet) -> tuple[HoldWallet, Invoice, bytes]:
    """A hold invoice and its preimage; skips where the backend cannot hold."""
    if not (isinstance(wallet, HoldWallet) and (await wallet.info()).holds):
        pytest.skip(f"{backend.name}: no hold invoices")
    preimage = os.urandom(32)
    invoice = await wallet.create_hold_invoice(
        hashlib.sha256(preimage).hexdigest(),
        900 * SAT,
        memo="",
        description=b"hold",
        expiry_s=600,
    )
    assert bolt11.decode(invoice.bolt11).amount_msat == 900 * SAT
    return wallet, invoice, preimage


async def test_held_payment_is_settled(backend: Backend, wallet: Wallet) -> None:
    holder, invoice, preimage = await held_invoice(backend, wallet)
    before = await balance_msat(backend, wallet)
    paid: list[str] = []

    async def peer_pays() -> None:
        paid.append(await backend.peer.pay(invoice.bolt11))

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:
            group.start_soon(peer_pays)
            assert await holder.await_held(invoice.payment_hash) is InvoiceState.HELD
            assert (await wallet.lookup_invoice(invoice.payment_hash))[0] is InvoiceState.HELD
            await holder.settle_held(preimage)
    assert paid[0] in (preimage.hex(), "")
    assert (await wallet.lookup_invoice(invoice.payment_hash))[0] is InvoiceState.SETTLED
    assert await balance_msat(backend, wallet) == before + 900 * SAT
    seen = await settlements_until(wallet, "", {invoice.payment_hash})
    assert seen[invoice.payment_hash].amount_msat == 900 * SAT
    await holder.settle_held(preimage)
    with pytest.raises(WalletRefused):
        await holder.cancel_held(invoice.payment_hash)


async def test_held_payment_is_canceled(backend: Backend, wallet: Wallet) -> None:
    holder, invoice, preimage = await held_invoice(backend, wallet)
    before = await balance_msat(backend, wallet)

    async def peer_pays() -> None:
        with pytest.raises(PeerRefused):
            await backend.peer.pay(invoice.bolt11)

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:
            group.start_soon(peer_pays)
            assert await holder.await_held(invoice.payment_hash) is InvoiceState.HELD
            await holder.cancel_held(invoice.payment_hash)
    assert (await wallet.lookup_invoice(invoice.payment_hash))[0] is InvoiceState.CANCELED
    assert await balance_msat(backend, wallet) == before
    await holder.cancel_held(invoice.payment_hash)
    with pytest.raises(WalletRefused):
        await holder.settle_held(preimage)


async def test_open_hold_invoice_is_canceled(backend: Backend, wallet: Wallet) -> None:
    holder, invoice, _ = await held_invoice(backend, wallet)
    await holder.cancel_held(invoice.payment_hash)
    with pytest.raises(PeerRefused):
        await backend.peer.pay(invoice.bolt11)


async def test_unknown_hold_invoice(backend: Backend, wallet: Wallet) -> None:
    holder, _, _ = await held_invoice(backend, wallet)
    unknown = secrets.token_hex(32)
    with pytest.raises(WalletRefused):
        await holder.settle_held(os.urandom(32))
    with pytest.raises(WalletRefused):
        await holder.cancel_held(unknown)
    with anyio.fail_after(PATIENCE_S), pytest.raises(WalletRefused):
        await holder.await_held(unknown)

"""The contract of payments of ours, for all backends: refunds, and those that fail."""

from __future__ import annotations

import os
import secrets

import anyio
import pytest

from tests.wallet.clock import now_ms
from tests.wallet.contract import (
    FEE_LIMIT_MSAT,
    SAT,
    TIMEOUT_S,
    Backend,
    balance_msat,
    final_outcome,
    pay,
    receive,
)
from wallet import bolt11
from wallet.base import InvoiceState, PaymentOutcome, PaymentState, Sent, Wallet


def foreign_invoice(network: str, made_at_s: int | None = None) -> tuple[str, str]:
    """An invoice of a node that nobody has a route to, good for 600 seconds."""
    payment_hash = secrets.token_hex(32)
    request = bolt11.sign(
        os.urandom(32),
        network=network,
        payment_hash=payment_hash,
        payment_secret=os.urandom(32),
        amount_msat=10 * SAT,
        description="nobody",
        timestamp_s=now_ms() // 1000 if made_at_s is None else made_at_s,
        expiry_s=600,
    )
    return request, payment_hash


async def test_what_was_sent_is_told(backend: Backend, wallet: Wallet) -> None:
    await receive(backend, wallet)
    request, payment_hash = await backend.peer.invoice(100 * SAT)
    before_ms = now_ms() - 2000
    await pay(wallet, request, payment_hash)
    lost, lost_hash = foreign_invoice(backend.network)
    await pay(wallet, lost, lost_hash)
    sent = await wallet.sent_since(before_ms)
    assert sent is not None
    assert Sent(payment_hash, 100 * SAT) in sent
    assert lost_hash not in {one.payment_hash for one in sent}
    later = await wallet.sent_since(now_ms() + 60_000)
    assert later is not None
    # Play money does not know when something was paid.
    assert backend.name == "dev" or not later


async def test_an_invoice_of_ours_is_no_record_of_a_payment(
    backend: Backend, wallet: Wallet
) -> None:
    invoice = await receive(backend, wallet)
    state = PaymentState.NO_RECORD if backend.keeps_records else PaymentState.UNKNOWN
    assert await wallet.lookup_payment(invoice.payment_hash) == PaymentOutcome(state)


async def test_refund(backend: Backend, wallet: Wallet) -> None:
    await receive(backend, wallet, 3000 * SAT)
    before = await balance_msat(backend, wallet)
    request, payment_hash = await backend.peer.invoice(2000 * SAT)
    outcome = await pay(wallet, request, payment_hash)
    assert outcome.state is PaymentState.SETTLED
    assert 0 <= outcome.fee_msat <= FEE_LIMIT_MSAT
    assert await backend.peer.paid(payment_hash)
    assert await balance_msat(backend, wallet) == before - 2000 * SAT - outcome.fee_msat
    assert await wallet.lookup_payment(payment_hash) == outcome


async def test_refund_is_paid_once_however_often_it_is_sent(
    backend: Backend, wallet: Wallet
) -> None:
    await receive(backend, wallet, 10_000 * SAT)
    before = await balance_msat(backend, wallet)
    request, payment_hash = await backend.peer.invoice(1500 * SAT)
    first = await pay(wallet, request, payment_hash)
    second = await pay(wallet, request, payment_hash)
    assert first.state is second.state is PaymentState.SETTLED
    assert await balance_msat(backend, wallet) == before - 1500 * SAT - first.fee_msat


async def test_refund_is_paid_once_when_sent_twice_at_the_same_time(
    backend: Backend, wallet: Wallet
) -> None:
    await receive(backend, wallet, 10_000 * SAT)
    before = await balance_msat(backend, wallet)
    request, payment_hash = await backend.peer.invoice(1500 * SAT)
    outcomes: list[PaymentOutcome] = []

    async def send() -> None:
        outcomes.append(
            await wallet.pay(request, fee_limit_msat=FEE_LIMIT_MSAT, timeout_s=TIMEOUT_S)
        )

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(send)
    assert all(outcome.state is not PaymentState.FAILED for outcome in outcomes)
    last = await final_outcome(wallet, payment_hash, outcomes[0])
    assert last.state is PaymentState.SETTLED
    assert await balance_msat(backend, wallet) == before - 1500 * SAT - last.fee_msat


async def test_refund_to_an_expired_invoice_fails(backend: Backend, wallet: Wallet) -> None:
    request, payment_hash = foreign_invoice(backend.network, made_at_s=now_ms() // 1000 - 700)
    outcome = await pay(wallet, request, payment_hash)
    assert outcome.state is PaymentState.FAILED
    assert "expired" in outcome.reason


async def test_refund_without_a_route_fails(backend: Backend, wallet: Wallet) -> None:
    await receive(backend, wallet)
    before = await balance_msat(backend, wallet)
    request, payment_hash = foreign_invoice(backend.network)
    outcome = await pay(wallet, request, payment_hash)
    assert outcome.state is PaymentState.FAILED
    assert outcome.reason
    assert await balance_msat(backend, wallet) == before


async def test_refund_to_an_own_invoice_fails(backend: Backend, wallet: Wallet) -> None:
    await receive(backend, wallet)
    own = await wallet.create_invoice(10 * SAT, memo="m", description=None, expiry_s=600)
    outcome = await pay(wallet, own.bolt11, own.payment_hash)
    assert outcome.state is PaymentState.FAILED
    assert "own" in outcome.reason
    assert (await wallet.lookup_invoice(own.payment_hash))[0] is InvoiceState.OPEN


async def test_refund_without_an_amount_fails(backend: Backend, wallet: Wallet) -> None:
    if not backend.open_amount:
        pytest.skip(f"{backend.name}: its peer makes no invoices without an amount")
    await receive(backend, wallet)
    request, payment_hash = await backend.peer.invoice(None)
    outcome = await pay(wallet, request, payment_hash)
    assert outcome.state is PaymentState.FAILED
    assert "amount" in outcome.reason


async def test_refund_to_another_network_fails(backend: Backend, wallet: Wallet) -> None:
    other = "signet" if backend.network != "signet" else "testnet"
    request, payment_hash = foreign_invoice(other)
    outcome = await pay(wallet, request, payment_hash)
    assert outcome.state is PaymentState.FAILED
    assert other in outcome.reason


@pytest.mark.parametrize(
    "request_text", ["", "lnbcrt1", "nonsense", "lnbcrt10u1pqqqqqqqqqqqqqqqqq"]
)
async def test_refund_to_a_damaged_invoice_fails(wallet: Wallet, request_text: str) -> None:
    outcome = await wallet.pay(request_text, fee_limit_msat=0, timeout_s=TIMEOUT_S)
    assert outcome.state is PaymentState.FAILED
    assert outcome.reason


async def test_refund_beyond_the_balance_fails_and_moves_nothing(
    backend: Backend, wallet: Wallet
) -> None:
    await receive(backend, wallet)
    before = await balance_msat(backend, wallet)
    too_much = before // SAT * SAT + 1000 * SAT
    request, payment_hash = await backend.peer.invoice(too_much)
    outcome = await pay(wallet, request, payment_hash)
    assert outcome.state is PaymentState.FAILED
    assert outcome.reason
    assert await balance_msat(backend, wallet) == before
    assert not await backend.peer.paid(payment_hash)
    retried = await wallet.lookup_payment(payment_hash)
    states = (PaymentState.FAILED, PaymentState.UNKNOWN, PaymentState.NO_RECORD)
    assert retried.state in states


async def test_a_failed_refund_may_be_sent_again(backend: Backend, wallet: Wallet) -> None:
    await receive(backend, wallet)
    before = await balance_msat(backend, wallet)
    amount_msat = before // SAT * SAT + 500 * SAT
    request, payment_hash = await backend.peer.invoice(amount_msat)
    assert (await pay(wallet, request, payment_hash)).state is PaymentState.FAILED
    await receive(backend, wallet, amount_msat)
    assert (await pay(wallet, request, payment_hash)).state is PaymentState.SETTLED
    assert await backend.peer.paid(payment_hash)


async def test_outcomes_survive_a_restart_of_strom(backend: Backend, wallet: Wallet) -> None:
    received = await receive(backend, wallet, 3000 * SAT)
    request, payment_hash = await backend.peer.invoice(100 * SAT)
    outcome = await pay(wallet, request, payment_hash)
    await wallet.close()
    again = await backend.connect()
    try:
        assert await again.lookup_payment(payment_hash) == outcome
        assert (await again.lookup_invoice(received.payment_hash))[0] is InvoiceState.SETTLED
        before = await balance_msat(backend, again)
        assert (await pay(again, request, payment_hash)).state is PaymentState.SETTLED
        assert await balance_msat(backend, again) == before
    finally:
        await again.close()

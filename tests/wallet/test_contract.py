"""One contract for all backends: the same cases, whoever moves the money.

Payments of ours are in `test_payment_contract`, hold invoices in `test_hold_contract`.
"""

from __future__ import annotations

import hashlib
import secrets
from contextlib import suppress

import anyio
import pytest

from tests.wallet.backends.lnd import REAL_LND
from tests.wallet.clock import now_ms
from tests.wallet.contract import (
    PATIENCE_S,
    SAT,
    Backend,
    PeerRefused,
    balance_msat,
    pay,
    receive,
    settlements_until,
    stream,
    until_available,
)
from wallet import bolt11
from wallet.base import (
    InvoiceState,
    PaymentOutcome,
    PaymentState,
    Wallet,
    WalletRefused,
    WalletUnavailable,
)


def test_real_lnd_is_among_the_backends() -> None:
    if not REAL_LND:
        pytest.skip("no real LND: set STROM_LND_A and STROM_LND_B to the wallet URLs of two nodes")


async def test_info(backend: Backend, wallet: Wallet) -> None:
    info = await wallet.info()
    assert info.network == backend.network
    assert info.name
    assert info.play_money == (backend.name == "dev")
    assert info.balance_msat is not None
    assert info.missing == ()


async def test_invoice_commits_to_the_description(backend: Backend, wallet: Wallet) -> None:
    text = '[["text/plain","Säule"]]'.encode()
    before_ms = now_ms()
    invoice = await wallet.create_invoice(21 * SAT, memo="", description=text, expiry_s=600)
    read = bolt11.decode(invoice.bolt11, network=backend.network)
    assert read.payment_hash == invoice.payment_hash
    assert read.amount_msat == invoice.amount_msat == 21 * SAT
    assert read.description_hash == hashlib.sha256(text).hexdigest()
    assert read.expires_at_ms == invoice.expires_at_ms
    assert before_ms + 590_000 < invoice.expires_at_ms < now_ms() + 610_000


async def test_invoice_with_memo(wallet: Wallet) -> None:
    invoice = await wallet.create_invoice(
        21 * SAT, memo="Old Mill, west wall", description=None, expiry_s=600
    )
    assert bolt11.decode(invoice.bolt11).description == "Old Mill, west wall"


async def test_fraction_of_a_satoshi(backend: Backend, wallet: Wallet) -> None:
    if backend.whole_sats:
        with pytest.raises(WalletRefused, match="whole"):
            await wallet.create_invoice(1234, memo="", description=b"x", expiry_s=600)
    else:
        invoice = await wallet.create_invoice(1234, memo="", description=b"x", expiry_s=600)
        assert bolt11.decode(invoice.bolt11).amount_msat == 1234


@pytest.mark.parametrize("amount_msat", [0, -1000])
async def test_impossible_amounts_are_refused(wallet: Wallet, amount_msat: int) -> None:
    with pytest.raises(WalletRefused):
        await wallet.create_invoice(amount_msat, memo="", description=b"x", expiry_s=600)


async def test_open_invoice(wallet: Wallet) -> None:
    invoice = await wallet.create_invoice(5 * SAT, memo="m", description=None, expiry_s=600)
    assert await wallet.lookup_invoice(invoice.payment_hash) == (InvoiceState.OPEN, None)


async def test_unknown_hashes(backend: Backend, wallet: Wallet) -> None:
    unknown = secrets.token_hex(32)
    assert await wallet.lookup_invoice(unknown) == (InvoiceState.UNKNOWN, None)
    state = PaymentState.NO_RECORD if backend.keeps_records else PaymentState.UNKNOWN
    assert await wallet.lookup_payment(unknown) == PaymentOutcome(state)


async def test_whose_money_it_is_stays_the_same(backend: Backend, wallet: Wallet) -> None:
    source = await wallet.source()
    assert source
    assert not any(secret in source for secret in backend.secrets)
    await wallet.close()
    again = await backend.connect()
    try:
        assert await again.source() == source
    finally:
        await again.close()


async def test_settlement_is_seen_live(backend: Backend, wallet: Wallet) -> None:
    first = await receive(backend, wallet)
    seen = await settlements_until(wallet, "", {first.payment_hash})
    invoice = await wallet.create_invoice(77 * SAT, memo="m", description=None, expiry_s=600)
    with anyio.fail_after(PATIENCE_S):
        async with (
            anyio.create_task_group() as group,
            stream(wallet, seen[first.payment_hash].cursor) as live,
        ):
            group.start_soon(backend.peer.pay, invoice.bolt11)
            settlement = await anext(live)
            while settlement.payment_hash != invoice.payment_hash:
                settlement = await anext(live)
            assert settlement.amount_msat == 77 * SAT
            assert abs(settlement.settled_at_ms - now_ms()) < 60_000
    state, looked_up = await wallet.lookup_invoice(invoice.payment_hash)
    assert state is InvoiceState.SETTLED
    assert looked_up is not None
    assert looked_up.amount_msat == 77 * SAT


async def test_settlements_are_replayed_from_a_cursor(backend: Backend, wallet: Wallet) -> None:
    paid = [(await receive(backend, wallet)).payment_hash for _ in range(3)]
    everything = await settlements_until(wallet, "", set(paid))
    later = await settlements_until(wallet, everything[paid[0]].cursor, set(paid[1:]))
    assert later[paid[2]].amount_msat == 1000 * SAT


async def test_every_settlement_is_replayed_without_a_cursor(
    backend: Backend, wallet: Wallet
) -> None:
    paid = {(await receive(backend, wallet, sat * SAT)).payment_hash for sat in (5, 6, 7)}
    for cursor in ("", "another-wallet:99999", "nonsense"):
        seen = await settlements_until(wallet, cursor, paid)
        assert sum(seen[payment_hash].amount_msat for payment_hash in paid) == 18 * SAT


async def test_settled_while_strom_was_down(backend: Backend, wallet: Wallet) -> None:
    first = await receive(backend, wallet)
    cursor = (await settlements_until(wallet, "", {first.payment_hash}))[first.payment_hash].cursor
    invoice = await wallet.create_invoice(42 * SAT, memo="m", description=None, expiry_s=600)
    if backend.name == "dev":
        await backend.peer.pay(invoice.bolt11)
        await wallet.close()
    else:
        await wallet.close()
        await backend.peer.pay(invoice.bolt11)
    again = await backend.connect()
    try:
        seen = await settlements_until(again, cursor, {invoice.payment_hash})
        assert seen[invoice.payment_hash].amount_msat == 42 * SAT
        state, _ = await again.lookup_invoice(invoice.payment_hash)
        assert state is InvoiceState.SETTLED
    finally:
        await again.close()


async def test_an_invoice_is_paid_once(backend: Backend, wallet: Wallet) -> None:
    invoice = await receive(backend, wallet)
    before = await balance_msat(backend, wallet)
    with suppress(PeerRefused):
        await backend.peer.pay(invoice.bolt11)
    assert await balance_msat(backend, wallet) == before


async def test_a_closed_wallet_is_unavailable(wallet: Wallet) -> None:
    async def read() -> None:
        async with stream(wallet, "") as settlements:
            with pytest.raises(WalletUnavailable):
                async for _ in settlements:
                    pass

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:
            group.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            await wallet.close()
    await wallet.close()
    with pytest.raises(WalletUnavailable):
        await wallet.lookup_invoice("00" * 32)
    with pytest.raises(WalletUnavailable):
        await wallet.create_invoice(SAT, memo="m", description=None, expiry_s=600)


async def test_restart_of_the_backend(backend: Backend, wallet: Wallet) -> None:
    if backend.restart is None:
        pytest.skip(f"{backend.name}: lives in Strom's own process")
    received = await receive(backend, wallet, 3000 * SAT)
    opened = await wallet.create_invoice(55 * SAT, memo="m", description=None, expiry_s=600)
    cursor = (await settlements_until(wallet, "", {received.payment_hash}))[
        received.payment_hash
    ].cursor
    request, payment_hash = await backend.peer.invoice(100 * SAT)
    async with stream(wallet, cursor) as settlements, backend.restart():
        with anyio.fail_after(PATIENCE_S), pytest.raises(WalletUnavailable) as lost:
            async for _ in settlements:
                pass
        with pytest.raises(WalletUnavailable) as refused:
            await wallet.create_invoice(SAT, memo="m", description=None, expiry_s=600)
        for secret in backend.secrets:
            assert secret not in str(refused.value) + str(lost.value)
        with suppress(WalletUnavailable):
            outcome = await wallet.pay(request, fee_limit_msat=SAT, timeout_s=5)
            assert outcome.state is PaymentState.UNKNOWN
    await until_available(wallet.info)
    if backend.forgets_open_invoices:
        request, payment_hash = await backend.peer.invoice(100 * SAT)
    assert (await pay(wallet, request, payment_hash)).state is PaymentState.SETTLED
    if backend.forgets_open_invoices:
        opened = await wallet.create_invoice(55 * SAT, memo="m", description=None, expiry_s=600)
    await backend.peer.pay(opened.bolt11)
    seen = await settlements_until(wallet, cursor, {opened.payment_hash})
    assert seen[opened.payment_hash].amount_msat == 55 * SAT

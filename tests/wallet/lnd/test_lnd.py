"""LND beyond the contract: its streams, its silences, its payments and what they cost."""

from __future__ import annotations

from functools import partial

import anyio
import pytest

from tests.wallet.backends.lnd import NodePeer
from tests.wallet.contract import PATIENCE_S, final_outcome, settlements_until, stream
from tests.wallet.lnd.wallets import SAT, called, make_wallet, receive
from tests.wallet.lnd_node import LndNode
from tests.wallet.lnd_server import LndServer
from wallet import lnd as lnd_module
from wallet import lnd_pb2 as pb
from wallet.base import PaymentOutcome, PaymentState, WalletRefused, WalletUnavailable
from wallet.lnd import LndWallet
from wallet.lnd_rpc import SEND_PAYMENT, SUBSCRIBE_INVOICES


async def test_the_first_settlement_of_a_node_is_seen(
    server: LndServer, peer: NodePeer, wallet: LndWallet
) -> None:
    """LND replays nothing for index 0, so the very first ones must come from the list."""
    paid: list[str] = []

    async def pay_three() -> None:
        await called(server, SUBSCRIBE_INVOICES.name)
        paid.extend([await receive(wallet, peer) for _ in range(3)])

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group, stream(wallet, "") as settlements:
            group.start_soon(pay_three)
            told = [await anext(settlements) for _ in range(3)]
            assert [settlement.payment_hash for settlement in told] == paid
            behind_the_first = await settlements_until(wallet, told[0].cursor, set(paid[1:]))
            assert set(behind_the_first) == set(paid[1:])


async def test_a_long_list_is_read_in_pages(
    server: LndServer, peer: NodePeer, wallet: LndWallet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lnd_module, "PAGE", 4)
    paid = {await receive(wallet, peer) for _ in range(10)}
    server.calls.clear()
    assert set(await settlements_until(wallet, "", paid)) == paid
    assert server.calls.count("/lnrpc.Lightning/ListInvoices") == 3


async def test_a_hanging_stream_is_begun_anew(server: LndServer, peer: NodePeer) -> None:
    wallet = make_wallet(server, silence_s=0.3)
    await wallet.open()
    first = await receive(wallet, peer)
    cursor = (await settlements_until(wallet, "", {first}))[first].cursor
    server.node.dumb = True

    async def come_back() -> None:
        await called(server, SUBSCRIBE_INVOICES.name)
        await receive(wallet, peer)
        server.node.dumb = False

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group, stream(wallet, cursor) as settlements:
            server.calls.clear()
            group.start_soon(come_back)
            assert (await anext(settlements)).amount_msat == 100 * SAT
    await wallet.close()


async def test_a_payment_in_flight_is_pending_until_it_is_over(
    server: LndServer, nodes: tuple[LndServer, LndNode], peer: NodePeer
) -> None:
    wallet = make_wallet(server, verdict_s=0.2)
    await wallet.open()
    await receive(wallet, peer, 5000 * SAT)
    server.node.stuck = True
    request, payment_hash = await peer.invoice(1000 * SAT)
    first = await wallet.pay(request, fee_limit_msat=SAT, timeout_s=0)
    assert first.state is PaymentState.UNKNOWN
    again = await wallet.pay(request, fee_limit_msat=SAT, timeout_s=0)
    assert again.state in (PaymentState.UNKNOWN, PaymentState.PENDING)
    assert (await wallet.lookup_payment(payment_hash)).state is PaymentState.PENDING
    server.node.unstick()
    assert await wallet.lookup_payment(payment_hash) == PaymentOutcome(PaymentState.SETTLED)
    assert await wallet.pay(request, fee_limit_msat=SAT, timeout_s=5) == PaymentOutcome(
        PaymentState.SETTLED
    )
    assert server.node.balance_msat == 4000 * SAT
    await wallet.close()


async def test_lnd_lost_in_the_middle_of_a_payment(
    server: LndServer, peer: NodePeer, wallet: LndWallet
) -> None:
    await receive(wallet, peer, 5000 * SAT)
    server.node.stuck = True
    request, payment_hash = await peer.invoice(1000 * SAT)
    outcomes: list[PaymentOutcome] = []

    async def send() -> None:
        outcomes.append(await wallet.pay(request, fee_limit_msat=SAT, timeout_s=30))

    with anyio.fail_after(PATIENCE_S):
        async with anyio.create_task_group() as group:
            group.start_soon(send)
            await called(server, SEND_PAYMENT.name)
            await server.stop()
        assert outcomes[0].state is PaymentState.UNKNOWN
        with pytest.raises(WalletUnavailable):
            await wallet.lookup_payment(payment_hash)
        with pytest.raises(WalletUnavailable):
            await wallet.pay(request, fee_limit_msat=SAT, timeout_s=5)
        server.node.unstick()
        await server.start()
        while True:
            try:
                outcome = await wallet.lookup_payment(payment_hash)
                break
            except WalletUnavailable:
                await anyio.sleep(0.05)
    assert (await final_outcome(wallet, payment_hash, outcome)).state is PaymentState.SETTLED
    assert server.node.balance_msat == 4000 * SAT


async def test_fee(server: LndServer, peer: NodePeer, wallet: LndWallet) -> None:
    await receive(wallet, peer, 5000 * SAT)
    server.node.fee_msat = 3 * SAT
    request, payment_hash = await peer.invoice(1000 * SAT)
    too_dear = await wallet.pay(request, fee_limit_msat=2999, timeout_s=5)
    assert too_dear == PaymentOutcome(
        PaymentState.FAILED, reason="LND found no route within the fee limit"
    )
    paid = await wallet.pay(request, fee_limit_msat=3000, timeout_s=5)
    assert paid == PaymentOutcome(PaymentState.SETTLED, fee_msat=3000)
    assert await wallet.lookup_payment(payment_hash) == paid


async def test_an_existing_hold_invoice_is_refused(wallet: LndWallet) -> None:
    order = partial(
        wallet.create_hold_invoice, "ab" * 32, 5 * SAT, memo="m", description=None, expiry_s=600
    )
    await order()
    with pytest.raises(WalletRefused, match="already exists"):
        await order()


async def test_a_channels_reserve_cannot_be_paid_with(server: LndServer) -> None:
    """Seen on real nodes: LND's balance counts what no payment can use."""

    def channel(active: bool, local_sat: int, remote_sat: int) -> pb.Channel:
        reserve = pb.ChannelConstraints(chan_reserve_sat=1_000)
        return pb.Channel(
            active=active,
            local_balance=local_sat,
            remote_balance=remote_sat,
            local_constraints=reserve,
            remote_constraints=reserve,
        )

    wallet = make_wallet(server)
    await wallet.open()
    server.node.balance_msat = 6_400 * SAT + 7
    before = await wallet.info()
    assert before.balance_msat == 6_400 * SAT + 7
    # 400 are below a reserve, 1,000 are one, and 2,000 are where nobody answers.
    server.node.channels = [
        channel(True, 400, 0),
        channel(True, 4_000, 0),
        channel(False, 2_000, 9),
    ]
    after = await wallet.info()
    assert after.balance_msat == 3_000 * SAT + 7
    assert before.inbound_msat is not None
    assert after.inbound_msat == before.inbound_msat - 9 * SAT
    await wallet.close()

"""Something else answers where LND should: a captive portal, a proxy, a stream that is cut.

Nothing of it is LND's own word, least of all that a payment failed.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from tests.wallet.clock import now_ms
from tests.wallet.lnd_node import LndNode
from tests.wallet.not_lnd import (
    BROKEN,
    BROKEN_LATE,
    CUT,
    EMPTY,
    UNREADABLE,
    Answer,
    not_lnd,
    page,
)
from wallet import lnd_pb2 as pb
from wallet.base import PaymentState, WalletUnavailable
from wallet.lnd import LndWallet
from wallet.lnd_rpc import LndRpc

HASH = "ab" * 32
ANSWERS = {
    "page": page(200),
    "not found": page(404),
    "log in": page(401),
    "forbidden": page(403),
    "elsewhere": page(302),
    "trouble": page(500),
    "bad gateway": page(502),
    "too many": page(429),
    "empty": EMPTY,
    "cut": CUT,
    "broken": BROKEN,
    "broken late": BROKEN_LATE,
    "unreadable": UNREADABLE,
}
each_answer = pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)


@asynccontextmanager
async def wallet_at(answer: Answer) -> AsyncGenerator[LndWallet]:
    node = LndNode({}, "operator")
    info = pb.GetInfoResponse(
        identity_pubkey=node.pubkey, alias="operator", chains=[pb.Chain(network="regtest")]
    )
    macaroon = node.bake()
    async with not_lnd(answer, info) as (port, certificate):
        rpc = LndRpc("127.0.0.1", port, certificate, macaroon, answer_s=5)
        wallet = LndWallet(rpc, macaroon, "regtest", now_ms, verdict_s=5)
        await wallet.open()
        try:
            with anyio.fail_after(30):
                yield wallet
        finally:
            await wallet.close()


@each_answer
async def test_nothing_is_taken_for_an_answer_of_lnd(
    answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    async with wallet_at(answer) as wallet:
        with pytest.raises(WalletUnavailable):
            await wallet.create_invoice(1000, memo="m", description=None, expiry_s=60)
        with pytest.raises(WalletUnavailable):
            await wallet.lookup_invoice(HASH)
        with pytest.raises(WalletUnavailable):
            await wallet.settle_held(b"\x01" * 32)
        with pytest.raises(WalletUnavailable):
            await wallet.cancel_held(HASH)
        with pytest.raises(WalletUnavailable):
            await anext(wallet.settlements(""))
        # None would say that LND does not tell, and let refunds go on that may be paid already.
        with pytest.raises(WalletUnavailable):
            await wallet.sent_since(0)
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@each_answer
async def test_a_payment_is_unknown(answer: Answer) -> None:
    request = LndNode({}, "payee").add_invoice(1000, memo="m", expiry_s=600).payment_request
    async with wallet_at(answer) as wallet:
        paid = await wallet.pay(request, fee_limit_msat=1000, timeout_s=1)
        assert paid.state is PaymentState.UNKNOWN
        with pytest.raises(WalletUnavailable):
            await wallet.lookup_payment(HASH)


@each_answer
async def test_it_is_waited_for_at_the_start(answer: Answer) -> None:
    """A WalletConfigError would end Strom."""
    macaroon = LndNode({}, "operator").bake()
    async with not_lnd(answer) as (port, certificate):
        rpc = LndRpc("127.0.0.1", port, certificate, macaroon, answer_s=5)
        wallet = LndWallet(rpc, macaroon, "regtest", now_ms)
        with pytest.raises(WalletUnavailable):
            await wallet.open()
        await wallet.close()

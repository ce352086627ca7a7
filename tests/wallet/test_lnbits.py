"""LNbits beyond the contract: its notices, its lies, its silence, and wrong configuration."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import httpx
import pytest

from tests.ports import free_port
from tests.wallet.backends.lnbits import LnbitsPeer, lnbits_wallet
from tests.wallet.clock import now_ms
from tests.wallet.contract import PATIENCE_S, stream, until
from tests.wallet.lnbits_server import Account, LnbitsServer
from tests.wallet.lnd_node import LndNode
from tests.wallet.proxy import http_answer, one_answer, proxy
from wallet import bolt11
from wallet.base import InvoiceState, PaymentState, Wallet, WalletConfigError, WalletUnavailable
from wallet.connect import connect
from wallet.lnbits import LnbitsWallet

pytestmark = pytest.mark.timeout(600)
SAT = 1000


@pytest.fixture
async def server(lnbits: LnbitsServer) -> LnbitsServer:
    return lnbits


@pytest.fixture
async def ours(server: LnbitsServer) -> Account:
    return await server.account("operator", funds_sat=100_000)


@pytest.fixture
async def peer(server: LnbitsServer) -> LnbitsPeer:
    return LnbitsPeer(server.url, await server.account("driver", funds_sat=100_000))


@pytest.fixture
async def wallet(server: LnbitsServer, ours: Account, tmp_path: Path) -> AsyncGenerator[Wallet]:
    opened = lnbits_wallet(server, ours, tmp_path)
    await opened.open()
    yield opened
    await opened.close()


async def test_double_and_forged_notices(
    server: LnbitsServer, ours: Account, peer: LnbitsPeer, wallet: Wallet
) -> None:
    """A forged notice settles nothing, a double one settles once, and a true one is not lost."""
    open_invoice = await wallet.create_invoice(50 * SAT, memo="m", description=None, expiry_s=600)
    paid = await wallet.create_invoice(60 * SAT, memo="m", description=None, expiry_s=600)
    forged = {"payment_hash": open_invoice.payment_hash, "amount": 50_000, "status": "success"}
    notices = [
        json.dumps({"payment": forged}),
        json.dumps({"payment": forged | {"payment_hash": "ab" * 32}}),
        json.dumps({"payment": {"payment_hash": 5, "amount": "x"}}),
        json.dumps({"payment": None}),
        json.dumps([1]),
        "no json",
    ]
    told: list[str] = []
    with anyio.fail_after(PATIENCE_S):
        async with (
            httpx.AsyncClient(base_url=server.url, trust_env=False) as http,
            stream(wallet, "") as settlements,
            anyio.create_task_group() as group,
        ):
            # The wallet's own funding proves that the stream is live.
            told.append((await anext(settlements)).payment_hash)

            async def forge_and_pay() -> None:
                for notice in notices:
                    answer = await http.post(f"/api/v1/ws/{ours.adminkey}", params={"data": notice})
                    assert answer.json()["sent"]
                await peer.pay(paid.bolt11)
                again = await wallet.create_invoice(
                    70 * SAT, memo="m", description=None, expiry_s=600
                )
                await peer.pay(again.bolt11)

            group.start_soon(forge_and_pay)
            told += [(await anext(settlements)).payment_hash for _ in range(2)]
    assert told[1] == paid.payment_hash
    assert len(set(told)) == 3
    assert (await wallet.lookup_invoice(open_invoice.payment_hash))[0] is InvoiceState.OPEN


async def test_an_invoice_that_it_calls_failed_is_not_final(
    server: LnbitsServer, ours: Account, tmp_path: Path
) -> None:
    """LNbits calls every expired invoice failed, although its node may still be paid."""
    wallet = lnbits_wallet(server, ours, tmp_path)
    await wallet.open()
    invoice = await wallet.create_invoice(10 * SAT, memo="m", description=None, expiry_s=1)
    state = InvoiceState.OPEN
    with anyio.fail_after(PATIENCE_S):
        while state is InvoiceState.OPEN:
            state, _ = await wallet.lookup_invoice(invoice.payment_hash)
    assert state is InvoiceState.UNKNOWN
    await wallet.close()


async def test_an_answer_that_never_comes_is_unknown(
    server: LnbitsServer, ours: Account, peer: LnbitsPeer, tmp_path: Path
) -> None:
    port = urlsplit(server.url).port
    assert port is not None
    request, payment_hash = await peer.invoice(40 * SAT)
    async with proxy(port) as between:
        wallet = LnbitsWallet(f"http://127.0.0.1:{between.port}", ours.adminkey, "bitcoin", now_ms)
        await wallet.open()
        before = (await wallet.info()).balance_msat
        assert before is not None

        async def lose_the_answer_once_it_is_paid() -> None:
            with anyio.fail_after(PATIENCE_S):
                await until(lambda: peer.paid(payment_hash))
            between.cut()

        between.hold_from(b'"out":true')
        async with anyio.create_task_group() as group:
            group.start_soon(lose_the_answer_once_it_is_paid)
            outcome = await wallet.pay(request, fee_limit_msat=5 * SAT, timeout_s=30)
            assert outcome.state is PaymentState.UNKNOWN
        between.release_answers()
        assert (await wallet.lookup_payment(payment_hash)).state is PaymentState.SETTLED
        again = await wallet.pay(request, fee_limit_msat=5 * SAT, timeout_s=30)
        assert again.state is PaymentState.SETTLED
        assert (await wallet.info()).balance_msat == before - 40 * SAT
        await wallet.close()


async def test_an_lnbits_that_does_not_sort_by_the_last_change(
    server: LnbitsServer, ours: Account, peer: LnbitsPeer
) -> None:
    """Before 1.4 it did not: with 1.0 to 1.3 the wallet counted as lost all the time."""
    port = urlsplit(server.url).port
    assert port is not None
    async with proxy(port) as between:
        # What no LNbits sorts by is refused as that one was.
        between.replace(b"sortby=updated_at", b"sortby=expiry")
        wallet = LnbitsWallet(f"http://127.0.0.1:{between.port}", ours.adminkey, "bitcoin", now_ms)
        await wallet.open()
        early = await wallet.create_invoice(5 * SAT, memo="m", description=None, expiry_s=600)
        first = await wallet.create_invoice(6 * SAT, memo="m", description=None, expiry_s=600)
        await peer.pay(first.bolt11)
        cursor = await _followed_to(wallet, "", first.payment_hash)
        # Made before that one, and paid after it.
        await peer.pay(early.bolt11)
        await _followed_to(wallet, cursor, early.payment_hash)
        await wallet.close()


async def _followed_to(wallet: Wallet, cursor: str, payment_hash: str) -> str:
    """The cursor behind a settlement, once it was told of."""
    with anyio.fail_after(PATIENCE_S):
        async with stream(wallet, cursor) as settlements:
            while (told := await anext(settlements)).payment_hash != payment_hash:
                pass
    return told.cursor


async def test_a_proxy_that_lets_no_websocket_through_is_named() -> None:
    body = json.dumps({"name": "mill", "balance": 0, "id": "x", "data": []})
    async with one_answer(200, {}, body) as url:
        wallet = LnbitsWallet(url, "0" * 32, "bitcoin", now_ms)
        await wallet.open()
        with pytest.raises(WalletUnavailable, match=r"HTTP 200 to a websocket.*proxy"):
            async with stream(wallet, "") as settlements:
                await anext(settlements)
        await wallet.close()


async def test_fee_limit(peer: LnbitsPeer, wallet: Wallet) -> None:
    request, payment_hash = await peer.invoice(1000 * SAT)
    outcome = await wallet.pay(request, fee_limit_msat=9 * SAT, timeout_s=5)
    assert outcome.state is PaymentState.FAILED
    assert "reserve 10000 msat" in outcome.reason
    assert not await peer.paid(payment_hash)


async def test_an_invoice_key_may_only_receive(
    server: LnbitsServer, ours: Account, peer: LnbitsPeer
) -> None:
    wallet = LnbitsWallet(server.url, ours.inkey, "bitcoin", now_ms)
    await wallet.open()
    assert "invoice key" in (await wallet.info()).missing[0]
    invoice = await wallet.create_invoice(5 * SAT, memo="m", description=None, expiry_s=600)
    await peer.pay(invoice.bolt11)
    assert (await wallet.lookup_invoice(invoice.payment_hash))[0] is InvoiceState.SETTLED
    request, _ = await peer.invoice(5 * SAT)
    outcome = await wallet.pay(request, fee_limit_msat=5 * SAT, timeout_s=5)
    assert outcome.state is PaymentState.FAILED
    await wallet.close()


async def test_an_invoice_that_somebody_else_paid(
    server: LnbitsServer, peer: LnbitsPeer, wallet: Wallet
) -> None:
    request, payment_hash = await peer.invoice(30 * SAT)
    third = LnbitsPeer(server.url, await server.account("third", funds_sat=1000))
    await third.pay(request)
    outcome = await wallet.pay(request, fee_limit_msat=5 * SAT, timeout_s=5)
    assert outcome.state is PaymentState.FAILED
    assert (await wallet.lookup_payment(payment_hash)).state is PaymentState.NO_RECORD


async def test_another_wallets_invoices_are_unknown(peer: LnbitsPeer, wallet: Wallet) -> None:
    _, payment_hash = await peer.invoice(30 * SAT)
    assert await wallet.lookup_invoice(payment_hash) == (InvoiceState.UNKNOWN, None)


async def test_wrong_key(server: LnbitsServer) -> None:
    secret = "0123456789abcdef" * 2
    wallet = LnbitsWallet(server.url, secret, "bitcoin", now_ms)
    with pytest.raises(WalletConfigError, match="does not accept the key") as refused:
        await wallet.open()
    assert secret not in str(refused.value)
    await wallet.close()


async def test_another_network(server: LnbitsServer, ours: Account, wallet: Wallet) -> None:
    await wallet.create_invoice(5 * SAT, memo="m", description=None, expiry_s=600)
    other = LnbitsWallet(server.url, ours.adminkey, "signet", now_ms)
    with pytest.raises(WalletConfigError, match="put network=bitcoin into it"):
        await other.open()
    await other.close()


async def test_down_at_the_start_and_up_later(
    server: LnbitsServer, ours: Account, tmp_path: Path
) -> None:
    nobody = free_port()
    wallet = LnbitsWallet(f"http://127.0.0.1:{nobody}", ours.adminkey, "bitcoin", now_ms)
    with pytest.raises(WalletUnavailable, match="does not answer"):
        await wallet.open()
    with pytest.raises(WalletUnavailable):
        await wallet.lookup_invoice("00" * 32)
    foreign = bolt11.sign(
        b"\1" * 32,
        network="bitcoin",
        payment_hash="00" * 32,
        payment_secret=bytes(32),
        amount_msat=1000,
        description="",
        timestamp_s=now_ms() // 1000,
        expiry_s=60,
    )
    with pytest.raises(WalletUnavailable):
        await wallet.pay(foreign, fee_limit_msat=SAT, timeout_s=5)
    upstream = urlsplit(server.url).port
    assert upstream is not None
    async with proxy(upstream, port=nobody):
        await wallet.open()
        assert (await wallet.info()).name == "LNbits: operator"
    await wallet.close()


async def test_slow_answers(server: LnbitsServer, ours: Account) -> None:
    upstream = urlsplit(server.url).port
    assert upstream is not None
    async with proxy(upstream) as between:
        wallet = LnbitsWallet(
            f"http://127.0.0.1:{between.port}", ours.adminkey, "bitcoin", now_ms, answer_s=0.5
        )
        await wallet.open()
        between.hold_from(b"GET")
        with pytest.raises(WalletUnavailable, match="ReadTimeout"):
            await wallet.info()
        between.release_answers()
        assert (await wallet.info()).balance_msat == 100_000 * SAT
        await wallet.close()


async def test_a_lost_stream_is_said(server: LnbitsServer, ours: Account) -> None:
    upstream = urlsplit(server.url).port
    assert upstream is not None
    async with proxy(upstream) as between:
        wallet = LnbitsWallet(f"http://127.0.0.1:{between.port}", ours.adminkey, "bitcoin", now_ms)
        await wallet.open()
        async with stream(wallet, "") as settlements:
            await anext(settlements)
            between.cut()
            with pytest.raises(WalletUnavailable) as lost, anyio.fail_after(PATIENCE_S):
                await anext(settlements)
        assert ours.adminkey not in str(lost.value)
        await wallet.close()


@pytest.mark.parametrize(
    ("status", "headers", "body", "sentence"),
    [
        (404, {}, "no such page", "does not answer like an LNbits"),
        (307, {"Location": "https://elsewhere.example.com/"}, "", "redirects"),
    ],
)
async def test_not_an_lnbits(
    status: int, headers: dict[str, str], body: str, sentence: str
) -> None:
    async with one_answer(status, headers, body) as url:
        wallet = LnbitsWallet(url, "0" * 32, "bitcoin", now_ms)
        with pytest.raises(WalletConfigError, match=sentence):
            await wallet.open()
        await wallet.close()


GZIP = {"Content-Encoding": "gzip"}
NOWHERE = {"Location": "http://[::1"}


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, {}, ""),
        (200, {}, "[]"),
        (200, {}, "not json"),
        (200, GZIP, "not compressed"),
        (502, {}, "<html>bad gateway</html>"),
        (502, {}, "[" * 100_000),
        (429, {}, "{}"),
        (302, NOWHERE, ""),
    ],
)
async def test_answers_that_make_no_sense(status: int, headers: dict[str, str], body: str) -> None:
    async with one_answer(status, headers, body) as url:
        wallet = LnbitsWallet(url, "0" * 32, "regtest", now_ms)
        with pytest.raises((WalletUnavailable, WalletConfigError)):
            await wallet.open()
        with pytest.raises(WalletUnavailable):
            await wallet.create_invoice(SAT, memo="m", description=None, expiry_s=60)
        with pytest.raises(WalletUnavailable):
            await anext(wallet.settlements(""))
        with pytest.raises(WalletUnavailable):
            await wallet.sent_since(0)
        await wallet.close()


LOGIN_PAGE = "<html>please log in</html>"


@pytest.mark.parametrize(
    "answer",
    [
        http_answer(200, {}, LOGIN_PAGE),
        http_answer(200, GZIP, LOGIN_PAGE),
        http_answer(302, {"Location": "https://elsewhere.example.com/"}, ""),
        http_answer(502, {}, "[" * 100_000),
        http_answer(429, {}, json.dumps({"detail": "slow down"})),
        b"",
    ],
    ids=["page", "not compressed", "redirect", "deep", "too many", "nothing"],
)
async def test_a_payment_whose_answer_makes_no_sense_is_unknown(answer: bytes) -> None:
    """Whatever stands between Strom and LNbits may have passed the payment on."""
    node = LndNode({}, "payee")
    request = node.add_invoice(SAT, memo="refund", expiry_s=600).payment_request
    nothing = json.dumps({"data": [], "fee_reserve": 0, "name": "mill", "balance": 0})
    async with one_answer(200, {}, nothing, answer) as url:
        wallet = LnbitsWallet(url, "0" * 32, "regtest", now_ms)
        await wallet.open()
        paid = await wallet.pay(request, fee_limit_msat=SAT, timeout_s=5)
        assert paid.state is PaymentState.UNKNOWN
        await wallet.close()


async def test_an_answer_that_drips_is_none() -> None:
    """Each byte comes in time, and the answer never."""
    node = LndNode({}, "payee")
    request = node.add_invoice(SAT, memo="refund", expiry_s=600).payment_request
    nothing = json.dumps({"data": [], "fee_reserve": 0, "name": "mill", "balance": 0})
    with anyio.fail_after(PATIENCE_S):
        async with one_answer(200, {}, nothing, drips=b"GET") as url:
            wallet = LnbitsWallet(url, "0" * 32, "regtest", now_ms, answer_s=0.2)
            with pytest.raises(WalletUnavailable, match="does not answer"):
                await wallet.open()
            await wallet.close()
        async with one_answer(200, {}, nothing, drips=b"POST") as url:
            wallet = LnbitsWallet(url, "0" * 32, "regtest", now_ms, answer_s=0.2)
            await wallet.open()
            paid = await wallet.pay(request, fee_limit_msat=SAT, timeout_s=1)
            assert paid.state is PaymentState.UNKNOWN
            await wallet.close()


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York"])
async def test_times_without_a_zone_are_utc(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """LNbits 1.0 on PostgreSQL writes them so. An hour off, every payment would count as late."""
    record = {
        "payment_hash": "ab" * 32,
        "amount": 50_000,
        "fee": 0,
        "status": "success",
        "bolt11": "",
        "updated_at": "2026-07-01T10:00:00.5",
    }
    body = json.dumps({"name": "mill", "balance": 0, "id": "x", "data": [record]})
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        async with one_answer(200, {}, body) as url:
            wallet = LnbitsWallet(url, "0" * 32, "bitcoin", now_ms)
            await wallet.open()
            _, settlement = await wallet.lookup_invoice("ab" * 32)
            await wallet.close()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert settlement is not None
    assert settlement.settled_at_ms == 1_782_900_000_500


async def test_no_key_in_any_log(
    server: LnbitsServer, ours: Account, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="wallet"), caplog.at_level(logging.INFO):
        wallet = lnbits_wallet(server, ours, tmp_path)
        await wallet.open()
        async with stream(wallet, "") as settlements:
            await anext(settlements)
        await wallet.close()
    assert ours.adminkey not in caplog.text


async def test_url_with_the_key_instead_of_its_file(tmp_path: Path) -> None:
    secret = "0123456789abcdef" * 2
    with pytest.raises(WalletConfigError) as refused:
        connect(f"lnbits+https://lnbits.example.com?key={secret}", tmp_path, now_ms)
    assert secret not in str(refused.value)

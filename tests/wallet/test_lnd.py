"""LND beyond the contract: its streams, its silences, its certificates and macaroons."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import anyio
import pytest
from anyio.streams.text import TextReceiveStream

from tests.wallet.backends.lnd import NodePeer, lnd_url
from tests.wallet.clock import now_ms
from tests.wallet.contract import PATIENCE_S, final_outcome, settlements_until, stream
from tests.wallet.lnbits_server import VENV
from tests.wallet.lnd_node import EVERYTHING, LndNode
from tests.wallet.lnd_server import LndServer, lnd_server
from wallet import lnd as lnd_module
from wallet import lnd_pb2 as pb
from wallet.base import (
    InvoiceState,
    PaymentOutcome,
    PaymentState,
    WalletConfigError,
    WalletRefused,
    WalletUnavailable,
)
from wallet.connect import connect
from wallet.lnd import LndWallet
from wallet.lnd_rpc import SEND_PAYMENT, SUBSCRIBE_INVOICES, LndRpc

SAT = 1000
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
async def nodes() -> AsyncGenerator[tuple[LndServer, LndNode]]:
    async with lnd_server() as pair:
        yield pair


@pytest.fixture
def server(nodes: tuple[LndServer, LndNode]) -> LndServer:
    return nodes[0]


@pytest.fixture
def peer(nodes: tuple[LndServer, LndNode]) -> NodePeer:
    return NodePeer(nodes[1])


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


@pytest.fixture
async def wallet(server: LndServer) -> AsyncGenerator[LndWallet]:
    opened = make_wallet(server)
    await opened.open()
    yield opened
    await opened.close()


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


async def test_missing_permissions_are_told(server: LndServer, peer: NodePeer) -> None:
    receive_only = server.node.bake(EVERYTHING - {("offchain", "write"), ("offchain", "read")})
    wallet = make_wallet(server, receive_only)
    await wallet.open()
    info = await wallet.info()
    assert info.missing == ("see the balance", "pay refunds", "follow refunds")
    assert info.balance_msat is None
    assert info.holds
    paid = await receive(wallet, peer)
    assert (await wallet.lookup_invoice(paid))[0] is InvoiceState.SETTLED
    request, payment_hash = await peer.invoice(10 * SAT)
    outcome = await wallet.pay(request, fee_limit_msat=SAT, timeout_s=5)
    assert outcome.state is PaymentState.FAILED
    assert "offchain:write" in outcome.reason
    with pytest.raises(WalletUnavailable, match="permission denied"):
        await wallet.lookup_payment(payment_hash)
    await wallet.close()


async def test_an_existing_hold_invoice_is_refused(wallet: LndWallet) -> None:
    order = partial(
        wallet.create_hold_invoice, "ab" * 32, 5 * SAT, memo="m", description=None, expiry_s=600
    )
    await order()
    with pytest.raises(WalletRefused, match="already exists"):
        await order()


async def test_wrong_macaroon(server: LndServer) -> None:
    other = LndNode({}, "other").bake()
    wallet = make_wallet(server, other)
    with pytest.raises(WalletConfigError, match="does not accept the macaroon") as refused:
        await wallet.open()
    assert other.hex() not in str(refused.value)
    await wallet.close()


async def test_a_macaroon_without_info_read(server: LndServer) -> None:
    wallet = make_wallet(server, server.node.bake(EVERYTHING - {("info", "read")}))
    with pytest.raises(WalletConfigError, match="lacks info:read"):
        await wallet.open()
    await wallet.close()


def expired(server: LndServer) -> dict[str, object]:
    server.not_after = datetime.now(UTC) - timedelta(days=1)
    return {}


def of_another_host(server: LndServer) -> dict[str, object]:
    server.host = "lnd.example.com"
    return {}


def replaced(server: LndServer) -> dict[str, object]:
    return {"certificate": LndServer(server.node).certificate}


@pytest.mark.parametrize(
    ("trouble", "sentence"),
    [
        (expired, "has expired"),
        (of_another_host, "is not for 127.0.0.1"),
        (replaced, "is not the one in the file"),
    ],
)
async def test_certificate_trouble(
    server: LndServer, trouble: Callable[[LndServer], dict[str, bytes]], sentence: str
) -> None:
    options = trouble(server)
    await server.stop()
    await server.start()
    wallet = make_wallet(server, certificate=options.get("certificate"))
    with pytest.raises(WalletConfigError, match=sentence):
        await wallet.open()
    await wallet.close()


async def test_another_network(server: LndServer) -> None:
    wallet = make_wallet(server, network="bitcoin")
    with pytest.raises(WalletConfigError, match=r"is on regtest, .* put network=regtest"):
        await wallet.open()
    await wallet.close()


async def test_a_locked_lnd_is_waited_for(server: LndServer) -> None:
    server.node.locked = True
    wallet = make_wallet(server)
    with pytest.raises(WalletUnavailable, match="unlock its wallet"):
        await wallet.open()
    server.node.locked = False
    await wallet.open()
    assert (await wallet.info()).name == "LND: strom-operator"
    await wallet.close()


async def test_down_at_the_start_and_up_later(server: LndServer, peer: NodePeer) -> None:
    await server.stop()
    wallet = make_wallet(server)
    with pytest.raises(WalletUnavailable, match="does not answer"):
        await wallet.open()
    await server.start()
    with anyio.fail_after(PATIENCE_S):
        while True:
            try:
                await wallet.open()
                break
            except WalletUnavailable:
                await anyio.sleep(0.05)
    await receive(wallet, peer)
    await wallet.close()


async def test_from_its_url(
    server: LndServer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    macaroon = server.node.bake()
    url = lnd_url(server, tmp_path, macaroon)
    for content in (macaroon, macaroon.hex().encode() + b"\n", macaroon.hex().upper().encode()):
        (tmp_path / "macaroon").write_bytes(content)
        wallet = connect(url, tmp_path, now_ms)
        await wallet.open()
        assert (await wallet.info()).network == "regtest"
        await wallet.close()
    assert not caplog.text


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("lnd://?tls_cert=cert&macaroon=mac", "names no host"),
        ("lnd://127.0.0.1/path?tls_cert=cert&macaroon=mac", "has a path"),
        ("lnd://127.0.0.1?macaroon=mac", 'lacks the option "tls_cert"'),
        ("lnd://127.0.0.1?tls_cert=mac&macaroon=mac", "not a certificate"),
        ("lnd://127.0.0.1?tls_cert=cert&macaroon=cert", "not a macaroon"),
        ("lnd://127.0.0.1:99999?tls_cert=cert&macaroon=mac", "cannot be read"),
    ],
)
def test_mistakes_in_the_url(tmp_path: Path, url: str, sentence: str) -> None:
    node = LndNode({}, "any")
    (tmp_path / "cert").write_bytes(LndServer(node).certificate)
    (tmp_path / "mac").write_bytes(node.bake())
    with pytest.raises(WalletConfigError, match=sentence):
        connect(url, tmp_path, now_ms, base_dir=tmp_path)


def test_generated_code_is_up_to_date(tmp_path: Path) -> None:
    """As long as the installed generator is of the version that generated it."""
    subprocess.run(
        [
            sys.executable,
            "-m",
            "grpc_tools.protoc",
            f"-I{ROOT}",
            f"--python_out={tmp_path}",
            f"--pyi_out={tmp_path}",
            "wallet/lnd.proto",
        ],
        check=True,
        cwd=ROOT,
    )
    made = (tmp_path / "wallet/lnd_pb2.py").read_text()
    kept = (ROOT / "wallet/lnd_pb2.py").read_text()
    version = re.compile(r"Protobuf Python Version: (\S+)")
    if version.findall(made) == version.findall(kept):
        assert made == kept
        assert (tmp_path / "wallet/lnd_pb2.pyi").read_text() == (
            ROOT / "wallet/lnd_pb2.pyi"
        ).read_text()


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("lnbits_installed")
async def test_lnbits_takes_our_server_for_an_lnd(
    server: LndServer, nodes: tuple[LndServer, LndNode], tmp_path: Path
) -> None:
    """Its own client, its own .proto: an independent opinion on the shape of our server."""
    _, other = nodes
    server.node.balance_msat = 1_000 * SAT
    request = other.add_invoice(50 * SAT, memo="from LNbits")
    (tmp_path / "tls.cert").write_bytes(server.certificate)
    (tmp_path / "lnbits").symlink_to(next((VENV / "lib").glob("python*/site-packages/lnbits")))
    script = Path(__file__).with_name("lnbits_lnd_client.py")
    process = await anyio.open_process(
        [VENV / "bin" / "python", script, request.payment_request],
        cwd=tmp_path,
        stderr=None,
        env={
            "LNBITS_DATA_FOLDER": str(tmp_path),
            "LNBITS_EXTENSIONS_PATH": str(tmp_path),
            "LND_GRPC_ENDPOINT": "127.0.0.1",
            "LND_GRPC_PORT": str(server.port),
            "LND_GRPC_CERT": str(tmp_path / "tls.cert"),
            "LND_GRPC_MACAROON": server.node.bake().hex(),
        },
    )
    assert process.stdout is not None
    assert process.stdin is not None
    text = ""
    async with process:
        async for chunk in TextReceiveStream(process.stdout):
            text += chunk
            if text.count("\n") == 1 and text.endswith("\n"):
                assert (await other.pay(text.split()[-1])).status == pb.Payment.SUCCEEDED
                await process.stdin.send(b"paid\n")
    result = json.loads(text.splitlines()[-1])
    assert result == {
        "error": None,
        "balance_msat": 1_000 * SAT,
        "invoice_ok": True,
        "open": True,
        "paid": True,
        "announced": True,
        "sent": True,
        "fee_msat": 0,
        "sent_status": True,
        "again": "invoice is already paid",
        "unknown_pending": True,
        "held_ok": True,
        "canceled": True,
        "canceled_status": True,
        "settled_canceled": False,
    }


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

"""How LND is reached: its URL, certificates and macaroons, and a node that is not there yet."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest

from tests.wallet.backends.lnd import NodePeer, lnd_url
from tests.wallet.clock import now_ms
from tests.wallet.contract import PATIENCE_S
from tests.wallet.lnd.wallets import SAT, make_wallet, receive
from tests.wallet.lnd_node import EVERYTHING, LndNode
from tests.wallet.lnd_server import LndServer
from wallet.base import InvoiceState, PaymentState, WalletConfigError, WalletUnavailable
from wallet.connect import connect


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


async def test_a_clock_that_is_behind_is_waited_for(server: LndServer) -> None:
    """A machine without a battery for its clock starts in 1970, until NTP has set it."""
    server.not_after = datetime.now(UTC) + timedelta(days=500)
    await server.stop()
    await server.start()
    wallet = make_wallet(server)
    with pytest.raises(WalletUnavailable, match=r"is not valid yet: .* clock"):
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

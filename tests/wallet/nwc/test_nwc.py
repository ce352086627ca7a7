"""NWC beyond the contract: old wallets, refusals, silence, forgeries, budgets and holds."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.wallet.clock import now_ms
from tests.wallet.contract import PATIENCE_S, stream, until
from tests.wallet.nwc_scripted import (
    METHODS,
    SAT,
    Refusal,
    ScriptedService,
    fund,
    make_wallet,
    scripted_service,
)
from wallet.base import (
    InvoiceState,
    PaymentState,
    WalletConfigError,
    WalletRefused,
    WalletUnavailable,
)
from wallet.connect import connect
from wallet.dev import DevWallet
from wallet.nwc import NwcWallet
from wallet.nwc_connection import parse

pytestmark = [pytest.mark.usefixtures("node_modules"), pytest.mark.timeout(600)]


async def refuse(_params: dict[str, Any]) -> dict[str, Any] | None:
    raise Refusal("RESTRICTED", "not allowed")


async def be_silent(_params: dict[str, Any]) -> dict[str, Any] | None:
    return None


@pytest.mark.parametrize("encryption", ["nip44_v2", "nip04"])
async def test_both_ciphers(dev: DevWallet, encryption: str) -> None:
    async with scripted_service(dev, encryption) as service:
        wallet = make_wallet(service)
        await wallet.open()
        invoice = await wallet.create_invoice(5 * SAT, memo="m", description=None, expiry_s=600)
        marked = [["encryption", "nip44_v2"] in request["tags"] for request in service.requests]
        assert all(marked) == any(marked) == (encryption == "nip44_v2")
        told: list[str] = []

        async def listen() -> None:
            async with stream(wallet, "") as settlements:
                told.append((await anext(settlements)).payment_hash)

        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as group:
                group.start_soon(listen)
                await until(lambda: asked(service, "list_transactions"))
                await dev.driver_pay(invoice.bolt11)
                paid = {"type": "incoming", "payment_hash": invoice.payment_hash, "amount": 5000}
                service.notify("payment_received", paid)
        assert told == [invoice.payment_hash]
        await wallet.close()


async def asked(service: ScriptedService, method: str, times: int = 1) -> bool:
    return sum(request["method"] == method for request in service.requests) >= times


async def test_a_strangers_notification_is_ignored(
    service: ScriptedService, dev: DevWallet, wallet: NwcWallet
) -> None:
    true = await fund(dev)
    told: list[str] = []
    with anyio.fail_after(PATIENCE_S):
        async with stream(wallet, "") as settlements:
            told.append((await anext(settlements)).payment_hash)
            forged = {"type": "incoming", "payment_hash": "ab" * 32, "amount": 5000}
            service.notify("payment_received", forged, forged=True)
            service.notify("payment_received", {"payment_hash": 5})
            service.notify("payment_sent", forged)
            service.notify("payment_received", forged | {"payment_hash": "cd" * 32})
            told.append((await anext(settlements)).payment_hash)
    assert told == [true, "cd" * 32]


async def test_a_payment_without_an_answer_is_unknown(
    service: ScriptedService, dev: DevWallet, wallet: NwcWallet
) -> None:
    await fund(dev)
    request, payment_hash = await dev.driver_invoice(10 * SAT)
    really = service.handlers["pay_invoice"]

    async def pay_and_be_silent(params: dict[str, Any]) -> dict[str, Any] | None:
        await really(params)
        return None

    service.handlers["pay_invoice"] = pay_and_be_silent
    first = await wallet.pay(request, fee_limit_msat=0, timeout_s=1)
    assert first.state is PaymentState.UNKNOWN
    assert (await wallet.lookup_payment(payment_hash)).state is PaymentState.SETTLED
    again = await wallet.pay(request, fee_limit_msat=0, timeout_s=1)
    assert again.state is PaymentState.SETTLED
    assert sum(request["method"] == "pay_invoice" for request in service.requests) == 1
    expiries = [
        tag for request in service.requests for tag in request["tags"] if tag[0] == "expiration"
    ]
    assert len(expiries) == len(service.requests)


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("QUOTA_EXCEEDED", PaymentState.FAILED),
        ("INSUFFICIENT_BALANCE", PaymentState.FAILED),
        ("RESTRICTED", PaymentState.FAILED),
        ("PAYMENT_FAILED", PaymentState.FAILED),
        ("INTERNAL", PaymentState.UNKNOWN),
        ("SOMETHING_NEW", PaymentState.UNKNOWN),
    ],
)
async def test_refused_payments(
    service: ScriptedService, dev: DevWallet, wallet: NwcWallet, code: str, state: PaymentState
) -> None:
    await fund(dev)

    async def say_no(_params: dict[str, Any]) -> dict[str, Any] | None:
        raise Refusal(code)

    service.handlers["pay_invoice"] = say_no
    request, _ = await dev.driver_invoice(10 * SAT)
    outcome = await wallet.pay(request, fee_limit_msat=0, timeout_s=5)
    assert outcome.state is state
    assert bool(outcome.reason) == (state is PaymentState.FAILED)


async def test_a_payment_that_the_wallet_has_no_time_for_was_not_tried(
    service: ScriptedService, dev: DevWallet, wallet: NwcWallet
) -> None:
    """Nor can it be looked up then: to call it unknown would leave its fate to the operator."""
    await fund(dev)
    really = service.handlers["pay_invoice"]

    async def say_later(_params: dict[str, Any]) -> dict[str, Any] | None:
        service.handlers["lookup_invoice"] = say_later
        raise Refusal("RATE_LIMITED")

    looking = service.handlers["lookup_invoice"]
    service.handlers["pay_invoice"] = say_later
    request, _ = await dev.driver_invoice(10 * SAT)
    with pytest.raises(WalletUnavailable, match="no more requests for now"):
        await wallet.pay(request, fee_limit_msat=0, timeout_s=5)
    service.handlers["lookup_invoice"] = looking
    service.handlers["pay_invoice"] = really
    outcome = await wallet.pay(request, fee_limit_msat=0, timeout_s=5)
    assert outcome.state is PaymentState.SETTLED


@pytest.mark.parametrize("state", ["pending", "settled"])
async def test_the_record_outweighs_the_refusal(
    service: ScriptedService, dev: DevWallet, wallet: NwcWallet, state: str
) -> None:
    """A wallet that gave up waiting says PAYMENT_FAILED of a payment that may yet arrive."""
    request, payment_hash = await dev.driver_invoice(10 * SAT)

    async def say_failed(_params: dict[str, Any]) -> dict[str, Any] | None:
        async def lookup(_params: dict[str, Any]) -> dict[str, Any]:
            return {"type": "outgoing", "state": state, "payment_hash": payment_hash}

        service.handlers["lookup_invoice"] = lookup
        raise Refusal("PAYMENT_FAILED", "timeout")

    service.handlers["pay_invoice"] = say_failed
    outcome = await wallet.pay(request, fee_limit_msat=0, timeout_s=5)
    assert outcome.state == state


async def test_an_untrue_preimage_is_no_proof(
    service: ScriptedService, dev: DevWallet, wallet: NwcWallet
) -> None:
    async def claim(_params: dict[str, Any]) -> dict[str, Any]:
        return {"preimage": "00" * 32}

    service.handlers["pay_invoice"] = claim
    request, _ = await dev.driver_invoice(10 * SAT)
    outcome = await wallet.pay(request, fee_limit_msat=0, timeout_s=5)
    assert outcome.state is PaymentState.UNKNOWN


async def test_an_invoice_without_our_description_hash_is_refused(wallet: NwcWallet) -> None:
    """The play-money service ignores description_hash, as some wallets do."""
    with pytest.raises(WalletRefused, match="does not commit"):
        await wallet.create_invoice(5 * SAT, memo="", description=b"zap", expiry_s=600)


async def test_missing_permissions_and_budget(service: ScriptedService, dev: DevWallet) -> None:
    async def get_info(_params: dict[str, Any]) -> dict[str, Any]:
        methods = ["get_info", "make_invoice", "lookup_invoice", "get_budget"]
        return {"network": "regtest", "methods": methods, "notifications": []}

    async def get_budget(_params: dict[str, Any]) -> dict[str, Any]:
        return {"used_budget": 30_000, "total_budget": 100_000, "renewal_period": "daily"}

    service.handlers |= {"get_info": get_info, "get_budget": get_budget}
    wallet = make_wallet(service)
    await wallet.open()
    info = await wallet.info()
    assert info.budget_msat == 70_000
    assert info.balance_msat is None
    assert not info.holds
    assert len(info.missing) == 4
    assert "pay refunds (pay_invoice)" in info.missing
    request, _ = await dev.driver_invoice(10 * SAT)
    outcome = await wallet.pay(request, fee_limit_msat=0, timeout_s=5)
    assert outcome.state is PaymentState.FAILED
    await wallet.close()


async def test_connections_that_cannot_work(service: ScriptedService) -> None:
    async def info_of(network: str, methods: list[str]) -> dict[str, Any]:
        return {"network": network, "methods": methods}

    service.handlers["get_info"] = lambda _: info_of("regtest", ["get_info", "make_invoice"])
    wallet = make_wallet(service)
    with pytest.raises(WalletConfigError, match="does not allow lookup_invoice"):
        await wallet.open()
    service.handlers["get_info"] = lambda _: info_of("mainnet", list(METHODS))
    with pytest.raises(WalletConfigError, match="network=bitcoin"):
        await wallet.open()
    service.handlers["get_info"] = refuse
    with pytest.raises(WalletConfigError, match="does not accept this connection"):
        await wallet.open()
    await wallet.close()


async def test_a_silent_service(service: ScriptedService) -> None:
    service.handlers["get_info"] = be_silent
    wallet = make_wallet(service, answer_s=0.3)
    with pytest.raises(WalletUnavailable, match="did not answer get_info"):
        await wallet.open()
    await wallet.close()


async def test_no_service_and_no_relay(service: ScriptedService, tmp_path: Path) -> None:
    stranger = service.connection.replace(
        service.wallet.public_key().to_hex(), service.client.public_key().to_hex()
    )
    wallet = NwcWallet(parse(stranger), "regtest", now_ms)
    with pytest.raises(WalletUnavailable, match="is it running"):
        await wallet.open()
    await wallet.close()
    await service.stop()
    wallet = NwcWallet(parse(stranger), "regtest", now_ms)
    with pytest.raises(WalletUnavailable, match="no relay of the wallet answers"):
        await wallet.open()
    await wallet.close()


async def test_hold_invoice_is_held_settled_and_canceled(
    service: ScriptedService, dev: DevWallet, wallet: NwcWallet
) -> None:
    assert (await wallet.info()).holds
    for end in ("settle", "cancel"):
        preimage = os.urandom(32)
        payment_hash = hashlib.sha256(preimage).hexdigest()
        invoice = await wallet.create_hold_invoice(
            payment_hash, 9 * SAT, memo="m", description=None, expiry_s=600
        )

        async def pay(bolt11: str = invoice.bolt11, end: str = end) -> None:
            if end == "settle":
                await dev.driver_pay(bolt11)
            else:
                with pytest.raises(WalletRefused):
                    await dev.driver_pay(bolt11)

        async def tell(payment_hash: str = payment_hash) -> None:
            await dev.await_held(payment_hash)
            service.notify("hold_invoice_accepted", {"payment_hash": payment_hash})

        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as group:
                group.start_soon(pay)
                group.start_soon(tell)
                assert await wallet.await_held(payment_hash) is InvoiceState.HELD
                if end == "settle":
                    await wallet.settle_held(preimage)
                else:
                    await wallet.cancel_held(payment_hash)
        state, _ = await wallet.lookup_invoice(payment_hash)
        assert state is (InvoiceState.SETTLED if end == "settle" else InvoiceState.CANCELED)
        if end == "settle":
            await wallet.settle_held(preimage)
        else:
            await wallet.cancel_held(payment_hash)
    with pytest.raises(WalletRefused):
        await wallet.settle_held(os.urandom(32))
    with pytest.raises(WalletRefused):
        await wallet.await_held(secrets.token_hex(32))


PUBKEY = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
SECRET = "71a8c14c1407c113601079c4302dab36460f0ccd0ad506f1f2dc73b5100e4f3c"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("hunter2", "cannot be read"),
        (f"nostr+walletconnect://{PUBKEY}?relay=wss://r.example.com", "cannot be read"),
        (f"nostr+walletconnect://{PUBKEY}?secret={SECRET}", "cannot be read"),
        (f"nostr+walletconnect://{PUBKEY}?relay=wss://r.example.com&secret=5", "cannot be read"),
        (f"nostr+walletconnect://nobody?relay=wss://r&secret={SECRET}", "cannot be read"),
        (f"https://{PUBKEY}?relay=wss://r.example.com&secret={SECRET}", "cannot be read"),
        (f"nostr+walletconnect://{PUBKEY}?relay=ws://r.example.com&secret={SECRET}", "wss://"),
    ],
)
def test_bad_connections(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "nwc").write_text(text)
    with pytest.raises(WalletConfigError, match=sentence) as refused:
        connect("nwc-file:nwc", tmp_path, now_ms, base_dir=tmp_path)
    assert SECRET not in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_good_connection(tmp_path: Path) -> None:
    text = f"nostr+walletconnect://{PUBKEY}?relay=wss://r.example.com&secret={SECRET}&lud16=a@b.c\n"
    (tmp_path / "nwc").write_text(text)
    wallet = connect("nwc-file:nwc?network=regtest", tmp_path, now_ms, base_dir=tmp_path)
    assert isinstance(wallet, NwcWallet)
    assert SECRET not in repr(parse(text))

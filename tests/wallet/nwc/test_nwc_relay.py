"""The relay between Strom and its NWC wallet: what it ends and forgets is asked for again."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import pytest

from nips.identity import Identity
from tests.wallet.clock import now_ms
from tests.wallet.contract import PATIENCE_S, stream
from tests.wallet.nwc.test_nwc import be_silent
from tests.wallet.nwc_relay import FickleRelay, fickle_relay
from tests.wallet.nwc_scripted import SAT, ScriptedService, fund
from wallet.base import PaymentState, WalletUnavailable
from wallet.dev import DevWallet
from wallet.nwc import NwcWallet
from wallet.nwc_connection import parse

pytestmark = [pytest.mark.usefixtures("node_modules"), pytest.mark.timeout(600)]


@asynccontextmanager
async def behind(service: ScriptedService) -> AsyncGenerator[tuple[NwcWallet, FickleRelay]]:
    """A wallet that reaches its service over a fickle relay."""
    async with fickle_relay(service.relay.url) as relay:
        connection = service.connection.replace(service.relay.url, relay.url)
        wallet = NwcWallet(parse(connection), "regtest", now_ms, answer_s=2)
        yield wallet, relay
        await wallet.close()


async def test_a_relay_that_ends_the_subscription_is_asked_again(service: ScriptedService) -> None:
    """Strom heard nothing any more, neither answers nor payments, until it was started again."""
    async with behind(service) as (wallet, relay):
        await wallet.open()
        with anyio.fail_after(PATIENCE_S):
            async with stream(wallet, "") as settlements:
                waiting = anext(settlements)
                async with anyio.create_task_group() as group:

                    async def lost() -> None:
                        with pytest.raises(WalletUnavailable, match="lost"):
                            await waiting

                    group.start_soon(lost)
                    while relay.connections == 0 or not service.requests:
                        await anyio.sleep(0.01)
                    await relay.end("answers", "error: subscription idle for too long")
            made = await wallet.create_invoice(5 * SAT, memo="m", description=None, expiry_s=600)
        assert made.amount_msat == 5 * SAT
        assert relay.connections == 2


async def test_a_payment_whose_answer_the_relay_kept_is_unknown_and_found_again(
    service: ScriptedService, dev: DevWallet
) -> None:
    async with behind(service) as (wallet, relay):
        await wallet.open()
        await fund(dev)
        request, payment_hash = await dev.driver_invoice(10 * SAT)
        really = service.handlers["pay_invoice"]

        async def pay_behind_its_back(params: dict[str, object]) -> dict[str, object] | None:
            await relay.end("answers", "error: shutting down")
            return await really(params)

        service.handlers["pay_invoice"] = pay_behind_its_back
        first = await wallet.pay(request, fee_limit_msat=0, timeout_s=20)
        assert first.state is PaymentState.UNKNOWN
        with anyio.fail_after(PATIENCE_S):
            while (await wallet.lookup_payment(payment_hash)).state is not PaymentState.SETTLED:
                await anyio.sleep(0.05)
        asked = [r for r in service.requests if r["method"] == "pay_invoice"]
        assert len(asked) == 1


async def test_a_relay_that_forgot_the_subscription_is_connected_to_anew(
    service: ScriptedService,
) -> None:
    async with behind(service) as (wallet, relay):
        await wallet.open()
        await relay.end("answers", "")
        with pytest.raises(WalletUnavailable, match="did not answer"):
            await wallet.info()
        assert (await wallet.info()).name == "NWC: play"
        assert relay.connections == 2


async def test_a_wallet_that_is_silent_does_not_end_what_others_wait_for(
    service: ScriptedService, dev: DevWallet
) -> None:
    async with behind(service) as (wallet, relay):
        await wallet.open()
        await fund(dev)
        request, _ = await dev.driver_invoice(10 * SAT)
        really, asked, go_on = service.handlers["pay_invoice"], anyio.Event(), anyio.Event()

        async def pay_slowly(params: dict[str, object]) -> dict[str, object] | None:
            asked.set()
            await go_on.wait()
            return await really(params)

        service.handlers |= {"pay_invoice": pay_slowly, "get_balance": be_silent}
        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as group:

                async def pay() -> None:
                    outcome = await wallet.pay(request, fee_limit_msat=0, timeout_s=60)
                    assert outcome.state is PaymentState.SETTLED

                group.start_soon(pay)
                await asked.wait()
                with pytest.raises(WalletUnavailable, match="did not answer"):
                    await wallet.info()
                go_on.set()
        assert relay.connections == 1


@pytest.mark.parametrize("reason", ["auth-required: who are you", "restricted: pay first"])
async def test_a_relay_that_ends_everything_is_given_up_at_once(
    service: ScriptedService, reason: str
) -> None:
    async with behind(service) as (wallet, relay):
        relay.refusal = reason
        with anyio.fail_after(PATIENCE_S), pytest.raises(WalletUnavailable, match="no relay"):
            await wallet.open()
        assert relay.asked < 20
        relay.refusal = ""
        await wallet.open()


async def test_garbage_of_a_relay_ends_nothing(service: ScriptedService) -> None:
    async with behind(service) as (wallet, relay):
        await wallet.open()
        event: dict[str, object] = {
            "kind": 23195,
            "id": "00" * 32,
            "pubkey": service.wallet.public_key().to_hex(),
        }
        event |= {"created_at": 0, "content": "", "sig": "00" * 64}
        bodies: list[dict[str, object]] = [
            {"tags": 5},
            {"tags": [[]]},
            {"tags": [["e"]]},
            {"content": 5},
            {"sig": None},
        ]
        forged = [json.dumps(["EVENT", "answers", event | body]) for body in bodies]
        own = sorted(f'["EVENT","answers",{signed}]' for signed in signed_events(service))
        await relay.say(*own, *forged, "[" * 50_000, "null", "{}", "[]", b"\x00\xff", '["OK"]')
        await relay.say('["CLOSED"]', '["CLOSED","other","error: x"]', '["NOTICE",5]', '["AUTH",5]')
        assert (await wallet.info()).name == "NWC: play"
        assert relay.connections == 1


async def test_what_a_relay_makes_up_of_a_wallet_is_not_believed(service: ScriptedService) -> None:
    """That it can do nothing any more: said by somebody else, or signed for other words."""
    async with behind(service) as (wallet, relay):
        await wallet.open()
        own = Identity.from_nsec(service.wallet.secret_key().to_hex())
        for author, said in ((Identity.generate(), ""), (own, "get_info")):
            event = author.sign(13194, said, [], now_ms() // 1000)
            made_up = json.loads(event.to_json()) | {"content": ""}
            await relay.say(json.dumps(["EVENT", "info", made_up]))
        # The first answer comes behind what was made up.
        names = [(await wallet.info()).name for _ in range(2)]
        assert names == ["NWC: play"] * 2


def signed_events(service: ScriptedService) -> list[str]:
    """What a wallet service signs that does not know how an answer looks."""
    wallet = Identity.from_nsec(service.wallet.secret_key().to_hex())
    return [
        wallet.sign(kind, "nonsense", tags, now_ms() // 1000).to_json()
        for kind in (23195, 23197, 13194)
        for tags in ([["e"]], [["x", "y"]], [["e", "z"]])
    ]

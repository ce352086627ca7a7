"""Change that goes to its payer by itself: what passes is waited for, and not for ever."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from agent.machine.refund import RefundState
from agent.payouts import BY_ITSELF_MS
from agent.ports.site import SessionView
from bridge.payees import LnurlPayees
from tests.agent.world import ManualClock
from tests.bridge.far_server import far_server
from tests.bridge.http_world import HttpWorld, secret_of, serving

OFFER: dict[str, Any] = {"tag": "payRequest", "minSendable": 1000, "maxSendable": 10**9}


@dataclass
class Home:
    """A Strom, and the wallet behind its driver's lightning address.

    Attributes:
        answers: what the address answers at first, one after the other; then it works.
        asked: how often it was asked.
    """

    world: HttpWorld
    clock: ManualClock
    address: str = ""
    answers: list[Response] = field(default_factory=list[Response])
    asked: int = 0

    async def answer(self, request: Request) -> Response:
        if "amount" in request.query_params:
            invoice, _ = await self.world.wallet.driver_invoice(int(request.query_params["amount"]))
            return JSONResponse({"pr": invoice, "routes": []})
        self.asked += 1
        if self.answers:
            return self.answers.pop(0)
        return JSONResponse(OFFER | {"callback": str(request.url), "metadata": "[]"})

    async def charged(self) -> SessionView:
        """A session that is over, of which 700 sat are owed."""
        first = await self.world.lnurl("/lnurl/cp001.1")
        path = "/" + str(first["callback"]).split("/", 3)[3]
        who = json.dumps({"identifier": self.address})
        second = await self.world.lnurl(path, amount=1_000_000, payerdata=who)
        view = await self.world.pay(second["pr"], secret_of(second))
        await self.world.start(view)
        return await self.world.end(view, 1000)

    async def refund(self, view: SessionView) -> str:
        (refund,) = (await self.world.site.owned.session(view.secret)).refunds
        return refund.state


@asynccontextmanager
async def strom(folder: Path, clock: ManualClock) -> AsyncGenerator[HttpWorld]:
    payees = LnurlPayees(allow_loopback=True)
    async with serving(folder, clock=clock, payees=payees) as world:
        yield world


@asynccontextmanager
async def home(folder: Path) -> AsyncGenerator[Home]:
    clock = ManualClock()
    async with strom(folder, clock) as world:
        here = Home(world, clock)
        async with far_server(here.answer) as url:
            here.address = f"dora@{url.partition('://')[2]}"
            yield here


async def test_an_address_that_is_away_for_a_while_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was asked once: a wallet that was down in that moment got nothing."""
    monkeypatch.setattr("agent.outbox.FIRST_RETRY_S", 0.01)
    async with home(tmp_path) as here:
        here.answers = [
            Response(status_code=502),
            Response(status_code=429),
            JSONResponse({"status": "ERROR", "reason": "The phone is off"}),
        ]
        view = await here.charged()
        with anyio.fail_after(20):
            while await here.refund(view) != RefundState.PAID:
                await anyio.sleep(0.01)
        assert here.asked == 4
        after = await here.world.site.owned.session(view.secret)
        assert (after.refunded_msat, after.owed_msat) == (700_000, 0)


@pytest.mark.parametrize(
    "answer",
    [
        JSONResponse(OFFER | {"callback": "x", "metadata": "[]", "maxSendable": 10_000}),
        JSONResponse({"tag": "withdrawRequest"}),
        Response(status_code=404),
        Response("<html>"),
    ],
)
async def test_an_address_that_takes_no_such_payment_is_asked_once(
    tmp_path: Path, answer: Response, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.outbox.FIRST_RETRY_S", 0.01)
    async with home(tmp_path) as here:
        here.answers = [answer]
        view = await here.charged()
        with anyio.fail_after(20):
            while here.world.site.office.waiting_effects:
                await anyio.sleep(0.01)
        assert (here.asked, await here.refund(view)) == (1, RefundState.DUE)


async def test_it_is_not_asked_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.outbox.FIRST_RETRY_S", 0.01)
    async with home(tmp_path) as here:
        here.answers = [Response(status_code=503) for _ in range(1000)]
        view = await here.charged()
        with anyio.fail_after(20):
            while here.asked < 3:
                await anyio.sleep(0.01)
            here.clock.advance(BY_ITSELF_MS / 1000)
            while here.world.site.office.waiting_effects:
                await anyio.sleep(0.01)
        assert await here.refund(view) == RefundState.DUE


async def test_who_takes_it_himself_does_not_wait_for_his_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.outbox.FIRST_RETRY_S", 3600)
    async with home(tmp_path) as here:
        here.answers = [Response(status_code=503)]
        view = await here.charged()
        with anyio.fail_after(20):
            while not here.asked:
                await anyio.sleep(0.01)
            invoice, payment_hash = await here.world.wallet.driver_invoice(700_000)
            offer = await here.world.site.owned.offer_refund(view.secret)
            await here.world.site.owned.claim_refund(offer.k1, invoice)
            while await here.refund(view) != RefundState.PAID:
                await anyio.sleep(0.01)
        assert await here.world.wallet.driver_invoice_paid(payment_hash)


async def test_a_restart_forgets_nothing_that_waits_for_an_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.outbox.FIRST_RETRY_S", 3600)
    clock, homes = ManualClock(), list[Home]()

    async def answer(request: Request) -> Response:
        return await homes[0].answer(request)

    async with far_server(answer) as url:
        address = f"dora@{url.partition('://')[2]}"
        async with strom(tmp_path, clock) as world:
            here = Home(world, clock, address, [Response(status_code=503)])
            homes.append(here)
            view = await here.charged()
            with anyio.fail_after(20):
                while not here.asked:
                    await anyio.sleep(0.01)
        async with strom(tmp_path, clock) as here.world:
            with anyio.fail_after(20):
                while await here.refund(view) != RefundState.PAID:
                    await anyio.sleep(0.01)

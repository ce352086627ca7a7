"""A real LNbits as the driver's wallet; another wallet of it is Strom's own backend."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from agent.machine.model import SessionState
from agent.machine.refund import RefundState
from agent.ports.errors import UnknownSession
from agent.ports.site import SessionView
from tests.bridge.http_world import HttpWorld, real_clock, serving
from tests.wallet.backends.lnbits import lnbits_wallet
from tests.wallet.lnbits_server import LnbitsServer

FUNDS_SAT = 100_000


@dataclass
class Driver:
    """A driver whose wallet is an LNbits, and the Strom he charges at."""

    http: httpx.AsyncClient
    world: HttpWorld

    async def scan(self, lnurl: str) -> dict[str, Any]:
        answer = await self.http.post("/api/v1/lnurlscan", json={"lnurl": lnurl})
        assert answer.is_success, answer.text
        return answer.json()

    async def pay(self, lnurl: str, sats: int) -> dict[str, Any]:
        order = {"lnurl": lnurl, "amount": sats * 1000, "unit": "sat", "comment": "blue car"}
        answer = await self.http.post("/api/v1/payments/lnurl", json=order)
        assert answer.is_success, answer.text
        return answer.json()

    async def withdraw(self, lnurl: str) -> None:
        offer = await self.scan(lnurl)
        order = {
            "out": False,
            "amount": offer["maxWithdrawable"] // 1000,
            "memo": offer["defaultDescription"],
            "lnurl_withdraw": offer,
        }
        answer = await self.http.post("/api/v1/payments", json=order)
        assert answer.is_success, answer.text

    async def balance_sat(self) -> int:
        return (await self.http.get("/api/v1/wallet")).json()["balance"] // 1000

    async def session(self, paid: dict[str, Any]) -> SessionView:
        """The session behind the success action that the wallet shows."""
        action = json.loads(paid["extra"]["success_action"])
        assert action["tag"] == "url"
        secret = str(action["url"]).rpartition("/s/")[2]
        while True:
            try:
                return await self.world.site.owned.session(secret)
            except UnknownSession:
                await anyio.sleep(0.02)


@pytest.fixture(scope="module")
async def driver(
    lnbits: LnbitsServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Driver]:
    folder: Path = tmp_path_factory.mktemp("driver")
    ours = await lnbits.account("operator")
    his = await lnbits.account("driver", funds_sat=FUNDS_SAT)
    wallet = lnbits_wallet(lnbits, ours, folder)
    await wallet.open()
    try:
        async with (
            serving(folder, clock=real_clock, wallet=wallet) as world,
            httpx.AsyncClient(
                base_url=lnbits.url,
                headers={"X-Api-Key": his.adminkey},
                timeout=60,
                trust_env=False,
            ) as http,
        ):
            yield Driver(http, world)
    finally:
        await wallet.close()


@pytest.mark.parametrize("way", ["bech32", "lnurlp"])
async def test_pays_charges_and_gets_the_rest_back(driver: Driver, way: str) -> None:
    world = driver.world
    before_sat = await driver.balance_sat()
    lnurl = world.links.lnurl("CP001")
    if way == "lnurlp":
        lnurl = world.links.pay_link(world.links.lnurl_url("CP001"))
    assert (await driver.scan(lnurl))["tag"] == "payRequest"
    view = await driver.session(await driver.pay(lnurl, 1000))
    assert (view.state, view.paid_msat) == (SessionState.STARTING, 1_000_000)
    await world.start(view)
    await world.meter(view, 1000)
    await world.end(view, 1000)
    await driver.withdraw(world.links.lnurl("CP001", secret=view.secret))
    async for changed in world.site.owned.session_changes(view.secret):
        if changed.refunds[0].state == RefundState.PAID:
            break
    assert before_sat - await driver.balance_sat() == 300


async def test_tops_up_and_stops_by_withdrawing(driver: Driver) -> None:
    world = driver.world
    view = await driver.session(await driver.pay(world.links.lnurl("CP001"), 1000))
    await world.start(view)
    await world.meter(view, 1000)
    paid = await driver.pay(world.links.lnurl("CP001", secret=view.secret, topup=True), 500)
    topped_up = await driver.session(paid)
    assert topped_up.id == view.id
    while (await world.site.owned.session(view.secret)).paid_msat != 1_500_000:
        await anyio.sleep(0.02)
    await driver.withdraw(world.links.lnurl("CP001", secret=view.secret))
    await world.until(lambda: any(asked[0] == "stop" for asked in world.charger.asked))
    ended = await world.end(view, 1000)
    assert ended.cost_msat == 300_000


async def test_a_busy_charger_is_told_in_words(driver: Driver) -> None:
    world = driver.world
    view = await driver.session(await driver.pay(world.links.lnurl("CP001", 1), 1000))
    answer = await driver.http.post(
        "/api/v1/lnurlscan", json={"lnurl": world.links.lnurl("CP001", 1)}
    )
    assert "In use by somebody else." in answer.text
    await world.site.owned.stop(view.secret)

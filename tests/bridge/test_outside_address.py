"""A charge point whose lightning address lives at a provider, whole: relay, HTTP, wallet, charger.

The provider is a server of its own with an invoice in our wallet for each zap, as LNbits or an
NWC service has; it signs the receipts of all its users with one key.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from agent.links import Links
from bridge.app import App
from bridge.demo.run import demo_config
from bridge.driver.errors import DriverError
from bridge.driver.lnurl import Invoice, client, invoice, pay_offer
from bridge.driver.nostr import NostrDriver, connected
from bridge.simulator import SimulatedChargePoint
from nips.identity import Identity
from nips.profile import Profile
from nips.relays import RelayPool
from nips.zaps import zap_receipt
from tests.bridge.far_server import far_server
from tests.bridge.ocpp.wire import now_ms
from tests.bridge.waiting import until_free
from wallet.base import Wallet
from wallet.dev import DevWallet


@dataclass
class Provider:
    """LNURL with zaps for users, each with a wallet of his own."""

    key: Identity = field(default_factory=Identity.generate)
    wallets: dict[str, Wallet] = field(default_factory=dict[str, Wallet])
    zaps: dict[str, str] = field(default_factory=dict[str, str])

    async def __call__(self, request: Request) -> Response:
        user = request.url.path.rpartition("/")[2]
        if "/callback/" not in request.url.path:
            return JSONResponse(
                {
                    "tag": "payRequest",
                    "callback": f"{request.base_url}callback/{user}",
                    "minSendable": 1000,
                    "maxSendable": 10**9,
                    "metadata": json.dumps([["text/plain", user]]),
                    "allowsNostr": True,
                    "nostrPubkey": self.key.pubkey,
                }
            )
        # The p tag is not checked against the user: that is what shared providers do.
        raw = request.query_params["nostr"]
        made = await self.wallets[user].create_invoice(
            int(request.query_params["amount"]), memo="", description=raw.encode(), expiry_s=600
        )
        self.zaps[made.bolt11] = raw
        answer: dict[str, Any] = {"pr": made.bolt11, "routes": []}
        return JSONResponse(answer)

    async def publish_receipt(self, bolt11: str, pool: RelayPool) -> None:
        receipt = zap_receipt(self.key, self.zaps[bolt11], bolt11, now_ms() // 1000)
        acks = await pool.publish(receipt)
        assert all(ack.ok for ack in acks.values())


async def test_a_zap_elsewhere_charges_here_and_a_thiefs_does_not(tmp_path: Path) -> None:
    provider = Provider()
    thief = DevWallet(tmp_path / "thief", now_ms)
    await thief.open()
    async with far_server(provider) as url:
        host = url.partition("://")[2]
        config = demo_config(tmp_path, 0, 0, 0)
        points = tuple(
            point.model_copy(update={"lud16": f"mill@{host}"}) for point in config.charge_points[:1]
        )
        config = config.model_copy(update={"charge_points": points})
        async with App.open(config, now_ms) as app, anyio.create_task_group() as group:
            provider.wallets |= {"mill": app.wallet, "thief": thief}
            ocpp_url = f"ws://127.0.0.1:{app.ocpp_port}/ocpp"
            charger = SimulatedChargePoint(ocpp_url, "CP001", speed=100)
            group.start_soon(charger.run)
            await until_free(app.site)
            assert isinstance(app.wallet, DevWallet)
            driver = Identity.generate()
            relays, pool = (app.relay_url,), RelayPool(now_ms, allow_loopback=True)
            await pool.open(relays)
            await pool.wait_connected(app.relay_url, 5)
            async with connected(driver, relays, now_ms) as me, client() as http:
                pubkey = app.identities["CP001"].pubkey
                profile = await _published(me, pubkey)
                assert profile.lud16 == f"mill@{host}"
                assert profile.nip05 == f"cp001@{Links(app.config.strom.public_url).host}"
                await me.listen(pubkey)
                asked: list[Invoice] = []
                for user in ("thief", "mill"):
                    offer = await pay_offer(http, f"{user}@{host}")
                    request = me.zap_request(pubkey, 1_000_000, "Good morning!")
                    asked.append(await invoice(http, offer, 1_000_000, zap_request=request))
                stolen, meant = asked
                await thief.driver_pay(stolen.bolt11)
                await provider.publish_receipt(stolen.bolt11, pool)
                await app.wallet.driver_pay(meant.bolt11)
                await provider.publish_receipt(meant.bolt11, pool)
                told = await me.message(
                    pubkey, lambda m: "1,000\N{NO-BREAK SPACE}sat" in m.text, 30
                )
                assert "1,000\N{NO-BREAK SPACE}sat received" in told.text
                (session,) = await app.site.owned.sessions_of("CP001", driver.pubkey)
                assert session.paid_msat == 1_000_000
                await charger.plug_in()
                await me.message(pubkey, lambda m: "Charging at connector 1" in m.text, 30)
                await me.say(pubkey, "stop", "nip17")
                await me.message(pubkey, lambda m: m.text.startswith("Finished"), 30)
                assert app.site.outside.pubkeys == (pubkey,)
                assert [w.body.count(stolen.bolt11) for w in _waiting(app)] == [1]
            await pool.close()
            group.cancel_scope.cancel()
    await thief.close()


def _waiting(app: App) -> list[Any]:
    return app.site.commons.journal.outside.waiting()


async def _published(me: NostrDriver, pubkey: str) -> Profile:
    while True:
        try:
            return await me.profile(pubkey)
        except DriverError:
            await anyio.sleep(0.02)

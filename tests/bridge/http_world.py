"""A whole site behind a real HTTP server on a port of the system's choice."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx
from starlette.routing import BaseRoute

from agent.alerts import Alerts
from agent.charge_point import ChargePointAgent
from agent.config.tables import Config
from agent.journal.journal import Journal
from agent.links import Links
from agent.machine.events import ConnectorStatus
from agent.machine.model import SessionState
from agent.ports.addresses import Payees
from agent.ports.charger import MeterReport, StartReport, StopReport
from agent.ports.site import SessionView
from agent.site import Site
from agent.tariff.rate import ExchangeRate
from agent.views import PublicFace
from bridge.charger_security import ChargerSecurity
from bridge.fetch import Fetcher
from bridge.http_server import HttpServer
from bridge.limits import Rate
from bridge.linking import Linking
from bridge.lnurl.server import LnurlServer, LnurlSettings
from bridge.ocpp.server import AuthPolicy, OcppServer
from bridge.overview import Overview
from bridge.web.app import create_app
from bridge.web.console import Console
from bridge.web.render import WebSettings
from nips.identity import Identity
from nips.public_hosts import PublicHosts
from tests.agent.world import Ear, ManualClock, ScriptedCharger
from wallet.base import Wallet
from wallet.bolt11 import decode
from wallet.dev import DevWallet

HTML = {"Accept": "text/html,application/xhtml+xml"}
JSON = {"Accept": "application/json"}

LOOSE = Rate(burst=1_000_000, per_minute=1_000_000)
RELAYS = ("wss://relay.example.com",)


def real_clock() -> int:
    """The time, for browsers that have their own."""
    return time.time_ns() // 1_000_000


def config(picture: str = "") -> Config:
    """Two charge points, the first with two connectors and a place."""
    return Config.model_validate(
        {
            "tariffs": {
                "day": {"energy_per_kwh": 300, "idle_per_minute": 10},
                "night": {"energy_per_kwh": 200, "time_per_hour": 60, "flat": 50},
            },
            "charge_points": [
                {
                    "id": "CP001",
                    "name": "Old Mill, west wall",
                    "about": "Behind the mill, two bays, lit at night.",
                    "picture": picture,
                    "website": "https://mill.example.com",
                    "tariff": "day",
                    "location": {
                        "latitude": 52.5163,
                        "longitude": 13.3777,
                        "address": "Mühlenweg 3, Berlin",
                    },
                    "connectors": [{"id": 1}, {"id": 2}],
                },
                {
                    "id": "CP002",
                    "name": "Harbour <b>east</b>",
                    "tariff": "night",
                    "location": {"latitude": 52.52, "longitude": 13.39},
                },
            ],
        }
    )


@dataclass
class HttpWorld:
    """What a test works with."""

    site: Site
    wallet: DevWallet
    clock: Callable[[], int]
    url: str
    http: httpx.AsyncClient
    identity: Identity
    charger: ScriptedCharger
    links: Links
    server: HttpServer
    transactions: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def point(self) -> ChargePointAgent:
        return self.site.charge_point("CP001")

    async def lnurl(self, path: str, **query: str | int) -> dict[str, Any]:
        """Ask as a wallet does: every answer is HTTP 200 and readable from any origin."""
        # httpx drops the query of a URL when it is given parameters, even none.
        answer = await self.http.get(path, params={k: str(v) for k, v in query.items()} or None)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "*"
        return answer.json()

    async def reason(self, path: str, **query: str | int) -> str:
        """The reason of an error."""
        answer = await self.lnurl(path, **query)
        assert answer["status"] == "ERROR"
        return str(answer["reason"])

    def drop_connections(self) -> None:
        """Cut every connection, as bad reception does."""
        for connection in list(self.server.connections.connections):
            connection.transport.abort()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            await anyio.sleep(0.002)

    async def pay(self, bolt11: str, secret: str) -> SessionView:
        """Pay as the driver and wait until that is credited."""
        payment_hash = decode(bolt11).payment_hash
        await self.wallet.driver_pay(bolt11)
        while True:
            answer = await self.http.get(f"/s/{secret}", headers=JSON)
            if answer.status_code == 200:
                view = await self.site.owned.session(secret)
                if payment_hash in view.payment_hashes:
                    return view
            await anyio.sleep(0.002)

    async def session(self, sats: int = 1000, connector: int = 1) -> SessionView:
        """A session that was paid by LNURL."""
        first = await self.lnurl(f"/lnurl/cp001.{connector}")
        second = await self.lnurl(path_of(str(first["callback"])), amount=sats * 1000)
        return await self.pay(str(second["pr"]), secret_of(second))

    async def charging(
        self, sats: int = 1000, energy_wh: int = 0, power_w: int = 11_000
    ) -> SessionView:
        """A session in which something has flowed."""
        view = await self.session(sats)
        await self.start(view)
        if energy_wh:
            await self.meter(view, energy_wh, power_w)
        return await self.site.owned.session(view.secret)

    async def start(self, view: SessionView) -> None:
        report = StartReport(view.connector, view.id, 1_000_000, self.clock())
        verdict = await self.site.charge_point(view.charge_point).transaction_started(report)
        assert verdict.accepted
        self.transactions[view.id] = verdict.transaction_id

    async def meter(self, view: SessionView, energy_wh: int, power_w: int = 11_000) -> None:
        report = MeterReport(
            view.connector,
            self.transactions[view.id],
            self.clock(),
            1_000_000 + energy_wh,
            power_w,
        )
        await self.site.charge_point(view.charge_point).meter_sampled([report])

    async def end(self, view: SessionView, energy_wh: int) -> SessionView:
        report = StopReport(self.transactions[view.id], 1_000_000 + energy_wh, self.clock())
        await self.site.charge_point(view.charge_point).transaction_stopped(report)
        ended = await self.site.owned.session(view.secret)
        assert ended.state == SessionState.CLOSED
        return ended


def path_of(url: str) -> str:
    """Path and query of a URL."""
    return "/" + url.split("/", 3)[3]


def secret_of(answer: dict[str, Any]) -> str:
    """The session's secret in a payment's success action."""
    return str(answer["successAction"]["url"]).rpartition("/s/")[2]


async def _tell_nobody(text: str) -> None:
    del text


@asynccontextmanager
async def serving(
    folder: Path,
    *,
    clock: Callable[[], int] | None = None,
    settings: Config | None = None,
    invoices: Rate = LOOSE,
    payees: Payees | None = None,
    wallet: Wallet | None = None,
    tile_url: str = "",
    rate: Callable[[], ExchangeRate | None] = lambda: None,
    sealed: bool = False,
    password: str = "",
    routes: Sequence[BaseRoute] = (),
) -> AsyncGenerator[HttpWorld]:
    """A site at work behind HTTP, its first charge point connected and free."""
    clock = clock or ManualClock()
    settings = settings or config()
    # With the protocol named, asyncio sets TCP_NODELAY on what it accepts; otherwise each
    # answer waits 40 ms for the acknowledgement of its own headers.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    links = Links(url)
    identity = Identity.generate()
    play = DevWallet(folder, clock)
    await play.open()
    journal = Journal.open(folder / "strom.db")
    ear = Ear()
    alerts = Alerts(clock, _tell_nobody)
    site = Site(
        settings,
        faces={
            point.id: PublicFace(
                identity.pubkey, identity.npub, "nprofile1example", links.address(point.id)
            )
            for point in settings.charge_points
        },
        journal=journal,
        wallet=wallet or play,
        clock=clock,
        herald=ear,
        voice=ear.deliver,
        payees=payees,
        rate=rate,
        identities={point.id: identity for point in settings.charge_points},
        alerts=alerts,
    )
    linking = Linking(clock)
    lnurl = LnurlServer(
        site,
        LnurlSettings(links, sealed=sealed, looks=LOOSE, invoices=invoices),
        linking,
        clock,
    )
    ocpp = OcppServer(site, "127.0.0.1:0", lambda _: AuthPolicy(), clock)
    chargers = Overview(
        settings,
        site,
        lines=ocpp.desk,
        links=ocpp.links,
        upkeep=ocpp.upkeep,
        security=ChargerSecurity(settings, clock, alerts),
        troubles=alerts,
    )
    app = create_app(
        site,
        WebSettings(links, RELAYS, looks=LOOSE, orders=LOOSE, tile_url=tile_url),
        linking=linking,
        clock=clock,
        fetcher=Fetcher(PublicHosts(allow_loopback=True)),
        play=None if wallet else play,
        operators=Console(password, site.office, chargers) if password else None,
        routes=[*lnurl.routes, *routes],
    )
    server = HttpServer(app, ["127.0.0.1"])
    try:
        async with site.running(), anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            charger = ScriptedCharger()
            await site.charge_point("CP001").attach(charger)
            await site.charge_point("CP001").connector_status(1, ConnectorStatus.AVAILABLE, clock())
            async with httpx.AsyncClient(base_url=url, timeout=30) as http:
                yield HttpWorld(site, play, clock, url, http, identity, charger, links, server)
            server.should_exit = True
    finally:
        listener.close()
        journal.close()
        await play.close()


async def json_of(world: HttpWorld, secret: str) -> dict[str, Any]:
    """A session's page, as JSON."""
    answer = await world.http.get(f"/s/{secret}", headers=JSON)
    assert answer.status_code == 200
    return answer.json()

"""A charger that vanished behind an open socket, as drivers and operators see it: a whole Strom,
with the figures that every Strom has."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

import anyio
import httpx

from agent.machine.events import ConnectorStatus
from bridge.app import App
from bridge.simulator import SimulatedChargePoint
from nips.status import KIND_CONNECTOR_STATUS
from tests.agent.nostr.test_published import TWO, config, relay_and_reader
from tests.bridge.ocpp.proxy import proxied
from tests.bridge.ocpp.wire import now_ms
from tests.bridge.test_metrics import read


async def test_nobody_can_pay_within_15_seconds_and_everyone_again_afterwards(
    tmp_path: Path,
) -> None:
    async with (
        relay_and_reader(tmp_path) as (relay, reader),
        App.open(config(tmp_path, relay, TWO[1:]), now_ms) as app,
        proxied(app.ocpp_port) as proxy,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{app.http_port}") as http,
        anyio.create_task_group() as group,
    ):

        async def status() -> str:
            return (await app.site.view("CP002")).connectors[0].status

        async def published(wanted: str) -> None:
            author = app.identities["CP002"].pubkey
            await reader.until(
                author,
                (KIND_CONNECTOR_STATUS,),
                lambda found: ["status", wanted] in [list(tag) for e in found for tag in e.tags],
            )

        charger = SimulatedChargePoint(f"ws://127.0.0.1:{proxy.port}/ocpp", "CP002", speed=100)
        group.start_soon(charger.run)
        while await status() != ConnectorStatus.AVAILABLE:
            await anyio.sleep(0.02)
        assert (await http.get("/lnurl/cp002")).json()["tag"] == "payRequest"
        await published("Available")

        proxy.open.clear()
        began = monotonic()
        while await status() != ConnectorStatus.OFFLINE:
            await anyio.sleep(0.02)
        assert monotonic() - began < 15
        answer = (await http.get("/lnurl/cp002")).json()
        assert answer == {
            "status": "ERROR",
            "reason": "The charger does not answer at the moment.",
        }
        assert "The charger does not answer at the moment." in (await http.get("/cp/cp002")).text
        figures = read((await http.get("/metrics")).text)
        assert figures["strom_chargers_silent"] == figures["strom_chargers_connected"] == 1
        assert (await http.get("/healthz")).json()["online"] == 0
        await published("Unavailable")

        proxy.open.set()
        await published("Available")
        assert (await http.get("/lnurl/cp002")).json()["tag"] == "payRequest"
        group.cancel_scope.cancel()

"""What a monitoring system reads of a whole Strom: figures, health, and nothing of a driver."""

from __future__ import annotations

from pathlib import Path

import anyio
import httpx
from prometheus_client.parser import text_string_to_metric_families

from agent.ports import Origin, QuoteRequest
from tests.bridge.cli.test_driver import ground
from wallet.dev import DevWallet


def read(text: str) -> dict[str, float]:
    """The samples, by name and labels."""
    return {
        sample.name + "".join(f" {value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_the_figures_of_a_charge(tmp_path: Path) -> None:
    async with ground(tmp_path) as here, httpx.AsyncClient(base_url=here.url) as http:
        wallet = here.app.wallet
        assert isinstance(wallet, DevWallet)
        point = here.app.site.charge_point("CP001")
        quote = await point.quote(QuoteRequest(1_000_000, Origin.LNURL, connector=1))
        await wallet.driver_pay(quote.bolt11)
        health = here.app.presence.health
        while not (point.sessions.open() and health()[here.app.relay_url].connected):
            await anyio.sleep(0.01)
        answer = await http.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        figures = read(answer.text)
        assert figures["strom_sessions starting"] == 1
        assert figures["strom_wallet_up"] == 1
        assert figures["strom_chargers_connected"] == 1
        assert figures[f"strom_relay_up {here.app.relay_url}"] == 1
        await here.app.site.stop(quote.secret)
        figures = read((await http.get("/metrics")).text)
        assert figures["strom_owed_msat"] == 1_000_000
        assert figures["strom_refunds_waiting"] == 1
        for secret in (quote.secret, quote.session_id, quote.payment_hash):
            assert secret not in answer.text


async def test_health_says_what_is_wrong(tmp_path: Path) -> None:
    async with ground(tmp_path) as here, httpx.AsyncClient(base_url=here.url) as http:
        answer = await http.get("/healthz")
        assert answer.status_code == 200
        assert answer.json() == {
            "status": "ok",
            "charge_points": 2,
            "online": 1,
            "troubles": [],
        }
        here.app.alerts.raised("relay away x", "a relay is away")
        assert (await http.get("/healthz")).json()["status"] == "degraded"
        here.app.alerts.raised("wallet", "the wallet is lost")
        answer = await http.get("/healthz")
        assert (answer.status_code, answer.json()["status"]) == (503, "failing")
        assert answer.json()["troubles"] == ["a relay is away", "the wallet is lost"]

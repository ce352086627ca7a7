"""What a monitoring system reads of a whole Strom: figures, health, and nothing of a driver."""

from __future__ import annotations

from pathlib import Path

import anyio
import httpx
from prometheus_client.parser import text_string_to_metric_families

from agent.ports.quotes import Origin, QuoteRequest
from tests.bridge.cli.test_driver import ground
from tests.bridge.whole import METER_START, ready, whole
from wallet.dev import DevWallet

WH = 3600
"""A watt-hour in joules."""
UNITS = ("joules", "watts", "seconds")
BOUNDS = ("0.0", f"{100 * WH}.0", f"{300 * WH}.0", "+Inf")
NO_BASE_UNITS = {"wh", "kwh", "w", "kw", "ms", "minutes", "hours"}


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
        await here.app.site.owned.stop(quote.secret)
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


async def test_what_went_beyond_a_credit_and_what_was_corrected(tmp_path: Path) -> None:
    """Two charges over a real connection: a register that begins anew and 166 Wh beyond the
    credit, and one that ends long before its credit does."""
    async with whole(tmp_path) as strom, ready(strom) as charger:
        before = read((await strom.http.get("/metrics")).text)
        assert before["strom_overshoot_joules_count"] == 0

        quote, first = await strom.charging(charger, 400)
        await strom.sample(charger, first, register=METER_START + 1_000, after_s=600)
        await strom.sample(charger, first, register=4, after_s=60)
        session = await strom.stop(charger, quote, first, 504, after_s=600)
        assert (session.energy_wh, session.overshoot_wh) == (1_500, 166)

        quote, second = await strom.charging(charger, 1_000)
        await strom.sample(charger, second, register=METER_START + 1_000, after_s=600)
        session = await strom.stop(charger, quote, second, METER_START + 1_000)
        assert (session.energy_wh, session.overshoot_wh) == (1_000, 0)

        figures = read((await strom.http.get("/metrics")).text)
        assert figures["strom_overshoot_joules_count"] == 2
        assert figures["strom_overshoot_joules_sum"] == 166 * WH
        buckets = {bound: figures[f"strom_overshoot_joules_bucket {bound}"] for bound in BOUNDS}
        assert list(buckets.values()) == [1, 1, 2, 2]
        assert figures["strom_overshoot_msat_total"] == 50_000
        assert figures["strom_charges_total stopped"] == 2
        assert figures["strom_meter_corrections_total restarted"] == 1
        assert figures["strom_journal_commits_total"] > before["strom_journal_commits_total"]


async def test_what_was_left_of_a_credit_whose_end_ended_the_charge(tmp_path: Path) -> None:
    async with whole(tmp_path) as strom, ready(strom) as charger:
        quote, transaction = await strom.charging(charger, 1_000)
        await strom.sample(charger, transaction, register=METER_START + 3_300, power_w=22_000)
        strom.clock.advance(60)
        await strom.app.site.ring_due()
        await charger.heard("RemoteStopTransaction")
        session = await strom.stop(charger, quote, transaction, METER_START + 3_320, after_s=1)
        assert session.stop_by == "credit"
        figures = read((await strom.http.get("/metrics")).text)
        assert figures["strom_unused_msat_total"] == 1_000_000 - 3_320 * 300
        assert figures["strom_overshoot_msat_total"] == 0


async def test_names_are_as_prometheus_wants_them(tmp_path: Path) -> None:
    """https://prometheus.io/docs/practices/naming/"""
    async with whole(tmp_path) as strom, ready(strom) as charger:
        quote, transaction = await strom.charging(charger, 400)
        await strom.sample(charger, transaction, register=1)
        await strom.stop(charger, quote, transaction, 500)
        text = (await strom.http.get("/metrics")).text
        families = list(text_string_to_metric_families(text))
        assert len(families) > 20
        for family in families:
            words = family.name.split("_")
            assert words[0] == "strom"
            assert family.documentation.endswith("."), family.name
            assert not NO_BASE_UNITS & set(words), f"{family.name}: {UNITS} are base units"
            for sample in family.samples:
                counts = sample.name.endswith("_total")
                assert counts == (family.type == "counter"), sample.name

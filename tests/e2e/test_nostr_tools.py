"""A driver whose client is not ours: nostr-tools under Node, through the whole main job.

Once with our simulated charge point, which ramps and may lose its connection, and once with a
charger that is not ours either: npm's ocpp-rpc, which checks every frame against its schema.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.served import PAID_SAT, Strom, running, strom_and_charger
from tests.node import run_script


async def main_job(strom: Strom, protocol: str) -> dict[str, Any]:
    """What the driver saw, from his first look at the relay to his change."""
    asked = {
        "relay": strom.relay_url,
        "http": str(strom.http.base_url).rstrip("/"),
        "sats": PAID_SAT,
        "protocol": protocol,
    }
    told = await run_script("driver.mjs", asked)
    assert told["paid"] is True
    assert "only the one who paid" in told["refusal"].lower()
    assert "lnurl" not in told["refusal"].lower()
    assert not any("pubkey" in tag[0] or tag[0] == "p" for tag in told["charging"])
    return told


@pytest.mark.usefixtures("node_modules")
@pytest.mark.parametrize("protocol", ["nip04", "nip17"])
async def test_zap_charge_stop_and_change(tmp_path: Path, protocol: str) -> None:
    async with strom_and_charger(tmp_path) as (strom, charger):
        await charger.plug_in()
        told = await main_job(strom, protocol)
    assert 0 < told["refunded_msat"] < PAID_SAT * 1000


@pytest.mark.usefixtures("node_modules")
async def test_neither_driver_nor_charger_is_ours(tmp_path: Path) -> None:
    async with running(tmp_path) as strom:
        asked = {"url": strom.ocpp_url, "id": "CP001", "password": None}
        charger = asyncio.create_task(run_script("ocpp_rpc_charger.js", asked))
        try:
            await strom.until(strom.online)
            told = await main_job(strom, "nip17")
            seen = await charger
        finally:
            charger.cancel()
    # It counts 500 Wh from the start to the stop: 150 sat of the 2,000 paid.
    assert told["refunded_msat"] == (PAID_SAT - 150) * 1000
    assert seen["transactionId"] == seen["start"]["transactionId"]
    assert [entry for entry in seen["seen"] if entry.startswith("invalid")] == []

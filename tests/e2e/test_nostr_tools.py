"""A driver whose client is not ours: nostr-tools under Node, through the whole main job."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.test_crash import PAID_SAT, strom_and_charger
from tests.node import run_script


@pytest.mark.usefixtures("node_modules")
@pytest.mark.parametrize("protocol", ["nip04", "nip17"])
async def test_zap_charge_stop_and_change(tmp_path: Path, protocol: str) -> None:
    async with strom_and_charger(tmp_path) as (strom, charger):
        await charger.plug_in()
        asked = {
            "relay": strom.relay_url,
            "http": str(strom.http.base_url).rstrip("/"),
            "sats": PAID_SAT,
            "protocol": protocol,
        }
        told = await run_script("driver.mjs", asked)
    assert told["paid"] is True
    assert 0 < told["refunded_msat"] < PAID_SAT * 1000
    assert "only the one who paid" in told["refusal"].lower()
    assert "lnurl" not in told["refusal"].lower()
    assert not any("pubkey" in tag[0] or tag[0] == "p" for tag in told["charging"])

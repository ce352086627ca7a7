"""Paid sessions of chargers made of the `ocpp` library, which checks each message by its schema."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from agent.config.tables import load
from agent.machine.events import ConnectorStatus
from agent.machine.model import SessionState
from agent.ports.quotes import Origin, QuoteRequest
from bridge.app import App
from tests.bridge.ocpp.library_chargers import library_charger
from tests.bridge.ocpp.wire import now_ms
from tests.strom_toml import DAY, LOCAL, charge_point
from wallet.dev import DevWallet

CONFIG = LOCAL + DAY + charge_point(more="ocpp_settings = { HeartbeatInterval = 77 }")


@pytest.mark.parametrize(
    ("version", "key", "interval"),
    [
        ("ocpp1.6", "HeartbeatInterval", "MeterValueSampleInterval"),
        ("ocpp2.0.1", "OCPPCommCtrlr.HeartbeatInterval", "SampledDataCtrlr.TxUpdatedInterval"),
    ],
)
async def test_a_session_and_its_configuration(
    tmp_path: Path, version: str, key: str, interval: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "strom.toml").write_text(CONFIG.replace("HeartbeatInterval", f'"{key}"'))
    async with App.open(load(tmp_path / "strom.toml"), now_ms) as app:
        url = f"ws://127.0.0.1:{app.ocpp_port}/ocpp/CP001"
        async with library_charger(url, version) as charger:
            while charger.settings.get(key) != "77":
                await asyncio.sleep(0.01)
            assert charger.settings[interval] == "20"
            point = app.site.charge_point("CP001")
            quote = await point.quote(QuoteRequest(1_000_000, Origin.LNURL, connector=1))
            charging = asyncio.create_task(charger.charge())
            assert isinstance(app.wallet, DevWallet)
            await app.wallet.driver_pay(quote.bolt11)
            while (await app.site.view("CP001")).connectors[0].energy_wh != 400:
                assert not charging.done()
                await asyncio.sleep(0.01)
            await app.site.owned.stop(quote.secret)
            assert await charging
            session = await app.site.owned.session(quote.secret)
            assert (session.state, session.energy_wh) == (SessionState.CLOSED, 500)
            view = await app.site.view("CP001")
            assert view.connectors[0].status is not ConnectorStatus.CHARGING
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert errors == []

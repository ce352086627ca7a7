"""A charge point that leaves the file, or changes its id, while it charges: from file to socket."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest
from websockets.exceptions import InvalidStatus

from agent.config.tables import load
from agent.ports.quotes import Quote
from bridge.app import App
from tests.agent.world import ManualClock
from tests.bridge.ocpp.obedient import ObedientCharger, obedient
from tests.bridge.whole import METER_START, Whole
from tests.strom_toml import DAY, LOCAL, charge_point


def point(name: str, more: str = "") -> str:
    return charge_point(name, more=f'password_file = "{name}.password"\n{more}')


OLD, NEW = "the-old-password-of-it", "another-password-of-it"
BEFORE = point("CP001")
PASSWORDS = (("CP001.password", OLD), ("CP002.password", NEW))


@asynccontextmanager
async def serving(folder: Path, points: str, clock: ManualClock) -> AsyncGenerator[Whole]:
    for name, password in PASSWORDS:
        if not (folder / name).exists() and name in points:
            (folder / name).write_text(password)
    path = folder / "strom.toml"
    path.write_text(LOCAL + DAY + points)
    async with (
        App.open(load(path), clock) as app,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{app.http_port}") as http,
    ):
        yield Whole(app, clock, folder, http)


@asynccontextmanager
async def charging(
    folder: Path, clock: ManualClock
) -> AsyncGenerator[tuple[Whole, ObedientCharger, Quote, int]]:
    """A charge at the charge point as it was before, and its transaction."""
    async with (
        serving(folder, BEFORE, clock) as strom,
        obedient(strom.app.ocpp_port, password=OLD) as charger,
    ):
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
        await charger.say("StatusNotification", status | {"timestamp": strom.at()})
        quote, transaction_id = await strom.charging(charger, 1000)
        yield strom, charger, quote, transaction_id


async def test_its_charger_is_let_in_as_before_until_the_charge_is_over(tmp_path: Path) -> None:
    """Its id goes to another charge point, under the name that the charger has and another
    password: first the old one's charge ends, then the new one's charger is let in."""
    clock = ManualClock()
    async with charging(tmp_path, clock) as (_, _, quote, transaction_id):
        pass
    renamed = point("CP002", 'charger_id = "CP001"')
    async with serving(tmp_path, renamed, clock) as strom:
        port = strom.app.ocpp_port
        with pytest.raises(InvalidStatus):
            async with obedient(port, password=NEW):
                pass
        async with obedient(port, password=OLD) as charger:
            asked = await charger.heard("RemoteStopTransaction")
            assert asked == {"transactionId": transaction_id}
            stop = {
                "transactionId": transaction_id,
                "meterStop": METER_START + 1000,
                "timestamp": strom.at(),
            }
            assert await charger.say("StopTransaction", stop) == {}
            owned = await strom.app.site.owned.session(quote.secret)
            assert (owned.state, owned.cost_msat, owned.owed_msat) == ("CLOSED", 300_000, 700_000)
            await charger.ended.wait()
        with pytest.raises(InvalidStatus):
            async with obedient(port, password=OLD):
                pass
        async with obedient(port, password=NEW):
            assert strom.app.site.charge_point("CP002").online
        assert not strom.app.alerts.current()


async def test_nobody_is_let_in_without_the_password_that_it_had(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    async with charging(tmp_path, clock):
        pass
    (tmp_path / "CP001.password").unlink()
    async with serving(tmp_path, "", clock) as strom:
        with pytest.raises(InvalidStatus):
            async with obedient(strom.app.ocpp_port, password=OLD):
                pass
    assert f"cannot be let in: {tmp_path / 'CP001.password'} does not exist" in caplog.text


async def test_a_charge_is_asked_to_stop_before_its_charge_point_leaves(tmp_path: Path) -> None:
    clock = ManualClock()
    async with charging(tmp_path, clock) as (strom, charger, quote, transaction_id):
        async with anyio.create_task_group() as group:
            group.start_soon(strom.app.site.part_with, ["CP001"], 60.0)
            await charger.heard("RemoteStopTransaction")
            await strom.stop(charger, quote, transaction_id, METER_START + 1000)
        owned = await strom.app.site.owned.session(quote.secret)
        assert (owned.state, owned.cost_msat) == ("CLOSED", 300_000)

"""A journal of yesterday under a Strom of today: what was paid back since is not paid again.

A real process on each backend's own server, and a copy of the database as `cp` makes it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import anyio
import pytest

from bridge.simulator.charge_point import SimulatedChargePoint
from tests.e2e.payouts import (
    PAID_MSAT,
    START_S,
    DevPeer,
    Till,
    balance_msat,
    claim_url,
    tills,
    unplugged,
)
from tests.e2e.served import Strom

FILES = ("strom.sqlite", "strom.sqlite-wal")


def copy(source: Path, target: Path) -> None:
    """The database's files; none of another time stays among them."""
    target.mkdir(exist_ok=True)
    for name in (*FILES, "strom.sqlite-shm"):
        (target / name).unlink(missing_ok=True)
    for name in FILES:
        if (source / name).exists():
            shutil.copy(source / name, target / name)


@pytest.mark.parametrize("name", ["dev", "lnd", "lnbits"])
async def test_what_went_back_since_the_backup_is_not_sent_again(tmp_path: Path, name: str) -> None:
    async with tills(tmp_path, [name]) as (till,):
        folder = tmp_path / "strom"
        folder.mkdir()
        before_msat = await balance_msat(till, folder)
        with anyio.fail_after(START_S):
            await _restored(till, folder)
        # What came in went back once.
        assert await balance_msat(till, folder) == before_msat


async def _restored(till: Till, folder: Path) -> None:
    strom = Strom(folder, till.url)
    peer = till.peer or DevPeer(strom)
    data, backup = folder / "data", folder / "backup"
    try:
        await strom.start()
        async with anyio.create_task_group() as group:
            charger = SimulatedChargePoint(strom.ocpp_url, "CP001", connectors=1, speed=100)
            group.start_soon(charger.run)
            await strom.until(strom.online)
            page = await unplugged(strom, peer)
            strom.kill()
            copy(data, backup)
            await strom.start()
            bolt11, payment_hash = await peer.invoice(PAID_MSAT)
            assert (await strom.get(await claim_url(strom, page, bolt11)))["status"] == "OK"

            async def is_paid_back() -> bool:
                return await peer.paid(payment_hash) and not (await strom.get(page))["owed_msat"]

            await strom.until(is_paid_back)
            strom.kill()
            copy(backup, data)
            await strom.start()
            again, again_hash = await peer.invoice(PAID_MSAT)
            answer = await strom.get(await claim_url(strom, page, again))
            assert answer["status"] == "ERROR"
            assert "operator" in answer["reason"]
            assert not await peer.paid(again_hash)
            assert "see strom owed" in (folder / "log").read_text()
            group.cancel_scope.cancel()
    finally:
        await strom.close()

"""Hearing: what goes wrong with one message keeps nobody else's from being heard."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from agent.journal.journal import Journal
from agent.nostr.couriers import Couriers
from agent.nostr.directory import Directory
from agent.nostr.ears import Ears, Heard
from nips.dms import write_message
from tests.nips.hostile import misbehaving
from tests.nips.support import clock_ms, key_of, now_s, pooling, until

CHARGER, DORA, EVE = key_of("charger"), key_of("dora"), key_of("eve")


async def test_a_message_that_cannot_be_dealt_with_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[str] = []

    async def act(charge_point_id: str, message: Heard) -> str:
        del charge_point_id
        heard.append(message.text)
        if message.sender == EVE.pubkey:
            raise RuntimeError("nobody thought of this")
        return ""

    journal = Journal.open(tmp_path / "strom.db")
    async with (
        misbehaving() as relay,
        pooling(relay.url) as pool,
        anyio.create_task_group() as group,
    ):
        group.start_soon(journal.run)
        couriers = Couriers(journal, pool, clock_ms)
        couriers.start(group, [relay.url])
        directory = Directory(pool, clock_ms)
        ears = Ears(pool, journal, {"CP001": CHARGER}, couriers, directory, clock_ms, act)
        group.start_soon(ears.run)
        for who, text in ((EVE, "price"), (DORA, "status")):
            await relay.store(write_message(who, CHARGER.pubkey, text, "nip17", now_s()))
            await until(lambda text=text: text in heard)
        await until(lambda: "went wrong" in caplog.text)
        journal.stop()
        group.cancel_scope.cancel()
    journal.close()

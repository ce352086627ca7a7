"""Hearing: what goes wrong with one message keeps nobody else's from being heard."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from agent.journal.journal import Journal
from agent.nostr.couriers import Couriers
from agent.nostr.directory import Directory
from agent.nostr.ears import Answer, Ears, Heard
from nips.dms import KIND_GIFT_WRAP, read_message, write_message
from nips.event import NostrEvent
from nips.filters import Filter
from nips.identity import Identity
from tests.agent.test_disk_watch import locked
from tests.nips.hostile import HostileRelay, misbehaving
from tests.nips.support import clock_ms, key_of, now_s, pooling, until

CHARGER, DORA, EVE = key_of("charger"), key_of("dora"), key_of("eve")


@asynccontextmanager
async def listening(folder: Path, relay: HostileRelay, act: Answer) -> AsyncGenerator[Journal]:
    """A charge point that hears what comes over a relay."""
    journal = Journal.open(folder / "strom.db")
    async with pooling(relay.url) as pool, anyio.create_task_group() as group:
        group.start_soon(journal.run)
        couriers = Couriers(journal, pool, clock_ms)
        couriers.start(group, [relay.url])
        directory = Directory(pool, clock_ms)
        ears = Ears(pool, journal, {"CP001": CHARGER}, couriers, directory, clock_ms, act)
        group.start_soon(ears.run)
        yield journal
        journal.stop()
        group.cancel_scope.cancel()
    journal.close()


def said(who: Identity, text: str, ago_s: int = 0) -> NostrEvent:
    return write_message(who, CHARGER.pubkey, text, "nip17", now_s() - ago_s)


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

    async with misbehaving() as relay, listening(tmp_path, relay, act):
        for who, text in ((EVE, "price"), (DORA, "status")):
            await relay.store(said(who, text))
            await until(lambda text=text: text in heard)
        await until(lambda: "went wrong" in caplog.text)


async def test_who_writes_just_now_is_heard_whatever_his_clock_says(tmp_path: Path) -> None:
    """A phone whose clock was an hour behind got no answer at all; one that was ahead did."""
    heard: list[str] = []

    async def act(charge_point_id: str, message: Heard) -> str:
        del charge_point_id
        heard.append(message.text)
        return ""

    async with misbehaving() as relay:
        await relay.store(said(DORA, "stored long ago", 7200), said(DORA, "stored", 60))
        async with listening(tmp_path, relay, act):
            await until(lambda: "stored" in heard)
            await relay.store(said(DORA, "two hours behind", 7200), said(DORA, "ahead", -7200))
            await relay.store(said(DORA, "two days behind", 2 * 86_400), said(DORA, "last"))
            await until(lambda: "last" in heard)
    assert sorted(heard) == ["ahead", "last", "stored", "two hours behind"]


async def test_an_answer_that_cannot_be_stored_is_said_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Who writes "stop" while the disk is full heard nothing."""

    async def act(charge_point_id: str, message: Heard) -> str:
        del charge_point_id, message
        return "The charger was asked to stop."

    async with misbehaving() as relay, listening(tmp_path, relay, act) as journal:
        async with pooling(relay.url) as dora:
            locked(journal, True)
            await relay.store(said(DORA, "stop"))
            wanted = Filter(kinds=(KIND_GIFT_WRAP,), tags={"p": (DORA.pubkey,)})
            with anyio.fail_after(20):
                while not (answers := await dora.fetch(wanted)):
                    await anyio.sleep(0.02)
        assert read_message(DORA, answers[0]).text == "The charger was asked to stop."
        await until(lambda: "a message cannot be stored" in caplog.text)

"""Which readings of a session the journal forgets, and that its bill stays the same."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from agent.journal import pruning
from agent.journal.journal import Journal, Step
from agent.journal.pruning import DAY_MS, EVIDENCE_MS, KEPT_READINGS
from agent.machine.events import MeterSampled
from agent.machine.model import Session
from agent.ports.charger import MeterReport, StartReport, StopReport
from tests.agent.journal.journals import KEEP_MS, opened_at
from tests.agent.world import ManualClock, World, running


async def test_readings_go_by_and_by_and_what_decided_stays(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running(tmp_path, clock) as world:
        charge = await charged(world, readings=600, restarts=True)
        journal, session_id = world.journal, charge.session_id
        before = journal.sessions.events(session_id, without=["MeterSampled"])
        receipt = await world.site.owned.receipt(charge.secret)
        assert len(readings(journal, session_id)) == 600
        # Money is still owed: it is not over.
        await later(world, 500 * DAY_MS)
        assert await journal.pruning.prune(clock(), KEEP_MS) == 0
        await charge.takes_his_money()
        closed_ms = charge.session.closed_at_ms
        assert closed_ms is not None
        assert await journal.pruning.prune(closed_ms + KEEP_MS - 1, KEEP_MS) == 0
        gone = await journal.pruning.prune(closed_ms + KEEP_MS + 1, KEEP_MS)
        kept = readings(journal, session_id)
        assert gone == 600 - len(kept)
        assert KEPT_READINGS // 2 < len(kept) <= KEPT_READINGS + 5
        assert charge.deciding <= set(kept)
        assert len(await world.site.owned.power_curve(charge.secret)) == len(kept)
        # Once is enough.
        assert await journal.pruning.prune(closed_ms + KEEP_MS + 1, KEEP_MS) == 0
        assert await journal.pruning.prune(closed_ms + EVIDENCE_MS, KEEP_MS) == 0
        assert await journal.pruning.prune(closed_ms + EVIDENCE_MS + 1, KEEP_MS) == len(kept) - 5
        assert charge.deciding <= set(readings(journal, session_id))
        # The books stay, and so does what the receipt says.
        after = journal.sessions.events(session_id, without=["MeterSampled"])
        assert after[: len(before)] == before
        now = await world.site.owned.receipt(charge.secret)
        assert (now.meter, now.lines, now.paid_msat) == (
            receipt.meter,
            receipt.lines,
            receipt.paid_msat,
        )


async def test_what_guards_money_is_never_forgotten(tmp_path: Path) -> None:
    """The keys of payments and claims are refused as known, years later and after a restart."""
    clock = ManualClock()
    async with running(tmp_path, clock) as world:
        charge = await charged(world, readings=100)
        await charge.takes_his_money()
        session = charge.session
    async with running(tmp_path, clock) as world:
        await later(world, 2000 * DAY_MS)
        assert await world.journal.pruning.prune(clock(), KEEP_MS) > 0
        events = world.journal.sessions.events(session.id, without=["MeterSampled"])
        keys = {event.key.partition(":")[0] for event in events}
        assert {"paid", "claimed", "sent", "started", "stopped"} <= keys
        for event in events:
            assert world.journal.sessions.has_event(event.key)
            assert await world.journal.commit(Step(session, [event])) is None


async def test_readings_of_an_open_session_stay(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running(tmp_path, clock) as world:
        charge = await charged(world, readings=100, ends=False)
        clock.advance(200 * 86_400)
        await later(world, 0, connector=2)
        assert await world.journal.pruning.prune(clock(), KEEP_MS) == 0
        assert len(readings(world.journal, charge.session_id)) == 100


async def test_a_clock_that_is_years_ahead_thins_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        charge = await charged(world, readings=100)
        await charge.takes_his_money()
        assert await world.journal.pruning.prune(world.clock() + 3000 * DAY_MS, KEEP_MS) == 0
        assert len(readings(world.journal, charge.session_id)) == 100


async def test_others_write_while_readings_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "AT_ONCE", 40)
    gone = 0
    async with running(tmp_path) as world:
        charge = await charged(world, readings=500)
        await charge.takes_his_money()
        await later(world, 200 * DAY_MS)
        journal, wrote = world.journal, 0

        async def write() -> None:
            nonlocal wrote
            while True:
                await journal.set_setting("other", str(wrote))
                wrote += 1

        async with anyio.create_task_group() as group:
            group.start_soon(write)
            gone = await journal.pruning.prune(world.clock(), KEEP_MS)
            group.cancel_scope.cancel()
        assert gone > 400
        assert wrote >= 10


PRUNES = """
import os, signal, sys, anyio
from pathlib import Path
from agent.journal import pruning
from agent.journal.journal import Journal

pruning.AT_ONCE = 20
moment, forgot, stored = sys.argv[4], False, False

def watch(statement):
    global forgot, stored
    stored = stored or (forgot and statement.startswith("BEGIN"))
    forgot = forgot or statement.startswith("DELETE FROM events")
    if stored and statement.startswith(moment):
        os.kill(os.getpid(), signal.SIGKILL)

async def prune(path, now_ms, keep_ms):
    journal = Journal.open(path)
    journal._writing.set_trace_callback(watch)
    async with anyio.create_task_group() as group:
        group.start_soon(journal.run)
        await journal.pruning.prune(now_ms, keep_ms)
        journal.stop()
    journal.close()

anyio.run(prune, Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
"""
"""Prunes a journal; kills itself at a statement, once its first readings are forgotten for good."""


async def test_strom_is_killed_in_the_middle(tmp_path: Path) -> None:
    """What stays is what would have stayed, and the bill is the same."""
    clock = ManualClock()
    async with running(tmp_path, clock) as world:
        charge = await charged(world, readings=1_000, restarts=True)
        await charge.takes_his_money()
        await later(world, 200 * DAY_MS)
        receipt = await world.site.owned.receipt(charge.secret)
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(tmp_path / "strom.db", copy)

    def stored() -> int:
        with closing(sqlite3.connect(tmp_path / "strom.db")) as db:
            return db.execute("SELECT count(*) FROM events WHERE kind = 'MeterSampled'").fetchone()[
                0
            ]

    before = stored()
    for moment in ("BEGIN", "DELETE FROM events", "COMMIT"):
        path, now_ms = str(tmp_path / "strom.db"), str(clock())
        child = await anyio.run_process(
            [sys.executable, "-c", PRUNES, path, now_ms, str(KEEP_MS), moment], check=False
        )
        assert child.returncode == -signal.SIGKILL, child.stderr.decode()
        assert KEPT_READINGS + 10 < stored() < before
        before = stored()
    for folder in (tmp_path, copy):
        async with running(folder, clock) as world:
            await world.journal.pruning.prune(clock(), KEEP_MS)
    kept: list[list[tuple[int, int]]] = []
    for folder in (tmp_path, copy):
        async with opened_at(folder / "strom.db") as journal:
            kept.append(readings(journal, charge.session_id))
    assert kept[0] == kept[1]
    assert charge.deciding <= set(kept[0])
    async with running(tmp_path, clock) as world:
        now = await world.site.owned.receipt(charge.secret)
        assert (now.meter, now.paid_msat) == (receipt.meter, receipt.paid_msat)


def readings(journal: Journal, session_id: str) -> list[tuple[int, int]]:
    """Time and register of the readings that are kept."""
    return [
        (event.at_ms, event.register_wh or 0)
        for event in journal.sessions.events(session_id, only=MeterSampled)
        if isinstance(event, MeterSampled)
    ]


@dataclass
class Charge:
    """A charge that was paid, and what its driver does."""

    world: World
    session_id: str
    secret: str
    deciding: set[tuple[int, int]]

    @property
    def session(self) -> Session:
        session = self.world.journal.sessions.get(self.session_id)
        assert session is not None
        return session

    async def takes_his_money(self) -> None:
        invoice, _ = await self.world.wallet.driver_invoice(self.session.owed_msat)
        await self.world.site.owned.send_refund(self.secret, invoice)
        await self.world.until(lambda: not self.session.owed_msat)


async def charged(
    world: World, *, readings: int, restarts: bool = False, ends: bool = True
) -> Charge:
    """A charge with so many readings of its meter; in the middle its register may begin anew."""
    await world.ready()
    quote = await world.paid(100_000, connector=1)
    begun = StartReport(1, quote.session_id, 1_000_000, world.clock())
    transaction_id = (await world.point.transaction_started(begun)).transaction_id
    register_wh = 1_000_000
    samples: list[tuple[int, int]] = []
    deciding: set[tuple[int, int]] = set()
    for number in range(readings):
        world.clock.advance(20)
        register_wh += 50
        if restarts and number == readings // 2:
            register_wh = 7
            deciding |= {samples[-1], (world.clock(), register_wh)}
        samples.append((world.clock(), register_wh))
        report = MeterReport(1, transaction_id, world.clock(), register_wh, 9_000)
        await world.point.meter_sampled([report])
    if ends:
        # It says no register with its stop: the last reading decides.
        await world.point.transaction_stopped(StopReport(transaction_id, None, world.clock()))
    deciding.add(samples[-1])
    return Charge(world, quote.session_id, quote.secret, deciding)


async def later(world: World, passed_ms: int, connector: int = 1) -> None:
    """Time passes, and somebody else comes."""
    world.clock.now_ms += passed_ms
    await world.ready()
    quote = await world.paid(1_000, connector=connector)
    await world.site.owned.stop(quote.secret)

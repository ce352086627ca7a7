"""What the journal forgets, and that nothing is done twice because of it."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from agent.journal import pruning
from agent.journal.journal import Journal, Step
from agent.journal.nostr_book import Handled
from agent.journal.pruning import AT_ONCE, DAY_MS, EVIDENCE_MS, KEPT_READINGS, MESSAGES_MS
from agent.machine.events import MeterSampled
from agent.machine.model import Session
from agent.nostr.couriers import Couriers
from agent.nostr.directory import Directory
from agent.nostr.ears import FURTHEST_AHEAD_MS, OLDEST_LIVE_MS, OVERLAP_S, Ears, Heard
from agent.ports.charger import MeterReport, StartReport, StopReport
from nips.dms import WRAP_BACKDATING_S, DmProtocol, write_message
from nips.event import NostrEvent
from nips.relays import RelayPool
from tests.agent.world import ManualClock, World, running
from tests.nips.hostile import HostileRelay, misbehaving
from tests.nips.support import key_of, until

CHARGER, DORA = key_of("charger"), key_of("dora")
KEEP_MS = 90 * DAY_MS


def test_an_id_is_kept_longer_than_any_relay_is_asked_to_go_back() -> None:
    overlap_ms = (WRAP_BACKDATING_S + OVERLAP_S) * 1000
    assert overlap_ms + OLDEST_LIVE_MS < MESSAGES_MS
    assert MESSAGES_MS > FURTHEST_AHEAD_MS + OLDEST_LIVE_MS


@asynccontextmanager
async def opened(folder: Path) -> AsyncGenerator[Journal]:
    async with opened_at(folder / "journal.sqlite") as journal:
        yield journal


@asynccontextmanager
async def opened_at(path: Path) -> AsyncGenerator[Journal]:
    journal = Journal.open(path)
    async with anyio.create_task_group() as group:
        group.start_soon(journal.run)
        yield journal
        group.cancel_scope.cancel()
    journal.close()


async def test_messages_are_forgotten_and_money_is_not(tmp_path: Path) -> None:
    now_ms = 100 * DAY_MS
    async with opened(tmp_path) as journal:
        for number in range(2 * AT_ONCE + 1):
            await journal.nostr.set_handled(Handled(f"old {number}", DAY_MS))
        await journal.nostr.set_handled(
            Handled("zap request", DAY_MS, guards_money=True),
            Handled("new", now_ms - MESSAGES_MS),
            Handled("ahead", now_ms + DAY_MS),
        )
        # Without a cursor nobody can say how late it is among the messages.
        assert await journal.pruning.prune(now_ms, KEEP_MS) == 0
        await journal.set_setting("cursor:messages:wss://a", str(now_ms // 1000))
        assert await journal.pruning.prune(now_ms, KEEP_MS) == 2 * AT_ONCE + 1
        for kept in ("zap request", "new", "ahead"):
            assert journal.nostr.is_handled(kept)
        # A message with the id of a paid zap request changes nothing about that.
        await journal.nostr.set_handled(Handled("zap request", DAY_MS))
        assert await journal.pruning.prune(now_ms, KEEP_MS) == 0
        assert journal.nostr.is_handled("zap request")


async def test_a_clock_that_is_years_ahead_makes_nothing_forgotten(tmp_path: Path) -> None:
    now_ms = 100 * DAY_MS
    async with opened(tmp_path) as journal:
        await journal.set_setting("cursor:wraps:wss://a", str(now_ms // 1000))
        await journal.nostr.set_handled(Handled("message", now_ms))
        assert await journal.pruning.prune(now_ms + 3000 * DAY_MS, KEEP_MS) == 0
        assert journal.nostr.is_handled("message")


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


async def test_starts_that_were_refused_are_forgotten_and_those_that_were_paid_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The SAP simulator's ATG began 7,400 in three minutes that nobody had paid for."""
    monkeypatch.setattr("agent.journal.pruning.UNSOLD_KEPT", 10)
    clock = ManualClock()
    async with running(tmp_path, clock) as world:
        await world.ready()

        async def begun(tag: str) -> int:
            clock.advance(1)
            report = StartReport(1, tag, 0, clock())
            return (await world.point.transaction_started(report)).transaction_id

        quote = await world.paid()
        paid = await begun(quote.session_id)
        refused = [await begun("BB2TBR09") for _ in range(AT_ONCE + 20)]
        assert await world.journal.pruning.prune(clock(), KEEP_MS) == AT_ONCE + 10
        assert await world.journal.pruning.prune(clock(), KEEP_MS) == 0
        known = [n for n in (paid, *refused) if world.journal.transactions.get(n) is not None]
        assert known == [paid, *refused[-10:]]


class Listener:
    """Ears on a relay, with a clock that the test moves."""

    def __init__(self, journal: Journal, relay: HostileRelay, clock: ManualClock) -> None:
        self.journal = journal
        self.relay = relay
        self.clock = clock
        self.acted: list[str] = []

    async def _act(self, charge_point_id: str, heard: Heard) -> str:
        self.acted.append(heard.text)
        return ""

    async def hears(self, *events: NostrEvent, last: str, acts: int = 1) -> None:
        """Listen from the stored cursors on until a message with these words was acted on.

        Args:
            events: what is said besides.
            last: the words.
            acts: on how many messages is to be acted at least.
        """
        acts += len(self.acted)
        pool = RelayPool(self.clock)
        await pool.open([self.relay.url])
        async with anyio.create_task_group() as group:
            couriers = Couriers(self.journal, pool, self.clock)
            couriers.start(group, [self.relay.url])
            ears = Ears(
                pool,
                self.journal,
                {"CP001": CHARGER},
                couriers,
                Directory(pool, self.clock),
                self.clock,
                self._act,
            )
            group.start_soon(ears.run)
            await self.relay.store(*events, self.words(last, "nip04"))
            await until(lambda: last in self.acted and len(self.acted) >= acts)
            # What is cut off while it is answered is taken up the next time, and rightly so.
            await until(lambda: not self.journal.nostr.begun())
            group.cancel_scope.cancel()
        await pool.close()

    def words(self, text: str, protocol: DmProtocol, ahead_s: int = 0) -> NostrEvent:
        now_s = self.clock() // 1000 + ahead_s
        return write_message(DORA, CHARGER.pubkey, text, protocol, now_s)


async def test_what_is_forgotten_is_not_acted_on_when_a_relay_brings_it_again(
    tmp_path: Path,
) -> None:
    """All that it has, over and over, whatever it is asked for."""
    clock = ManualClock()
    async with opened(tmp_path) as journal, misbehaving(ignore_until=True) as relay:
        at = Listener(journal, relay, clock)
        await at.hears(
            at.words("stop", "nip04"),
            at.words("stop too", "nip17"),
            at.words("stop soon", "nip04", ahead_s=FURTHEST_AHEAD_MS // 1000 - 60),
            at.words("stop in a year", "nip04", ahead_s=365 * 86_400),
            last="first",
            acts=4,
        )
        assert sorted(at.acted) == ["first", "stop", "stop soon", "stop too"]
        forgotten = 0
        for round_no in range(12):
            clock.advance(DAY_MS // 1000)
            await at.hears(last=f"round {round_no}")
            forgotten += await journal.pruning.prune(clock(), KEEP_MS)
        assert forgotten >= len(relay.stored[:4])
        assert sorted(set(at.acted)) == sorted(at.acted)
        assert "stop in a year" not in at.acted

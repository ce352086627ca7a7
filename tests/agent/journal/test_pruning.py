"""What the journal forgets, and that nothing is done twice because of it."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from agent.journal.journal import Journal
from agent.journal.nostr_book import Handled
from agent.journal.pruning import AT_ONCE, DAY_MS, MESSAGES_MS
from agent.nostr.couriers import Couriers
from agent.nostr.directory import Directory
from agent.nostr.ears import FURTHEST_AHEAD_MS, OLDEST_LIVE_MS, OVERLAP_S, Ears, Heard
from agent.ports.charger import StartReport
from nips.dms import WRAP_BACKDATING_S, DmProtocol, write_message
from nips.event import NostrEvent
from nips.relays import RelayPool
from tests.agent.journal.journals import KEEP_MS, opened
from tests.agent.world import ManualClock, running
from tests.nips.hostile import HostileRelay, misbehaving
from tests.nips.support import key_of, until

CHARGER, DORA = key_of("charger"), key_of("dora")


def test_an_id_is_kept_longer_than_any_relay_is_asked_to_go_back() -> None:
    overlap_ms = (WRAP_BACKDATING_S + OVERLAP_S) * 1000
    assert overlap_ms + OLDEST_LIVE_MS < MESSAGES_MS
    assert MESSAGES_MS > FURTHEST_AHEAD_MS + OLDEST_LIVE_MS


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

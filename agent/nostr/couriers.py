"""Signed events on their way to relays: one courier per relay, so that none waits for another.

Messages and receipts are stored until the relay acknowledges them. Of replaceable events only
the newest version matters: those are kept in memory, and made anew at each start. A relay that
comes back is asked whether it still has what it acknowledged last: some forget in a crash.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

import anyio
import anyio.abc

from agent.clock import Clock
from agent.disk_watch import outlasting
from agent.journal.journal import Journal
from agent.journal.nostr_book import Handled
from nips.event import NostrEvent
from nips.relays import Ack, RelayPool

OWN_RELAY_PATIENCE_MS = 7 * 86_400_000
FOREIGN_RELAY_PATIENCE_MS = 3_600_000
"""How long an event is offered to a relay of ours, and to one that a stranger named."""

MOST_FOREIGN = 200
"""To so many relays of strangers events are brought at once: each zap may name new ones."""

BATCH = 250
FIRST_RETRY_S = 0.5
LAST_RETRY_S = 30.0

_FINAL_REFUSALS = ("blocked", "invalid", "pow", "mute", "not a public relay")
"""Reasons (NIP-01) for which the same event will never be taken."""

PROBED = 100
"""How many of the replaceable events that a relay took last it is asked for when it is back."""

log = logging.getLogger(__name__)


@dataclass
class _Round:
    """One relay's courier.

    Attributes:
        wake: set when there may be something to do.
        back: set when the connection came up again.
        taken: addresses and ids of the replaceable events that it took last.
    """

    wake: asyncio.Event = field(default_factory=asyncio.Event)
    back: asyncio.Event = field(default_factory=asyncio.Event)
    taken: deque[tuple[str, str]] = field(
        default_factory=lambda: deque[tuple[str, str]](maxlen=PROBED)
    )


class Couriers:
    """Brings events to relays until they have them.

    Args:
        journal: where messages and receipts wait.
        pool: the relays.
        clock: Unix milliseconds.
        first_retry_s: after that time an event that did not arrive is offered again; the time
            doubles, and ends when the relay comes back.
    """

    def __init__(
        self,
        journal: Journal,
        pool: RelayPool,
        clock: Clock,
        *,
        first_retry_s: float = FIRST_RETRY_S,
    ) -> None:
        self._book = journal.nostr
        self._pool = pool
        self._clock = clock
        self._first_retry_s = first_retry_s
        self._own: tuple[str, ...] = ()
        self._newest: dict[str, NostrEvent] = {}
        self._latest: dict[str, dict[str, NostrEvent]] = {}
        self._rounds: dict[str, _Round] = {}
        self._group: anyio.abc.TaskGroup | None = None

    @property
    def relays(self) -> tuple[str, ...]:
        """The relays of ours."""
        return self._own

    def start(self, group: anyio.abc.TaskGroup, relays: Iterable[str]) -> None:
        """Carry in the background, first what is left from before."""
        self._group = group
        self._own = tuple(relays)
        self._pool.on_connected(self._relay_is_back)
        for relay in {*self._own, *self._book.publication_relays()}:
            self._rouse(relay)

    async def send(
        self,
        events: Sequence[NostrEvent],
        relays: Iterable[str] = (),
        *,
        delivered: int | None = None,
        handled: Sequence[Handled] = (),
    ) -> None:
        """Store events for our relays and others, and carry them there.

        Args:
            events: signed.
            relays: where to bring them besides our own relays.
            delivered: the stored effect that these events carry out.
            handled: the events that these events answer.
        """
        targets = list(dict.fromkeys((*self._own, *self._taken_on(relays))))
        rows = [(event.id, relay, event.to_json()) for event in events for relay in targets]
        await self._book.publish(rows, self._clock(), delivered=delivered, handled=handled)
        for relay in targets:
            self._rouse(relay)

    async def say_unstored(self, event: NostrEvent, relays: Iterable[str] = ()) -> None:
        """Offer an event once to our relays and others, where it cannot be stored."""
        await self._pool.publish(event, list(dict.fromkeys((*self._own, *self._taken_on(relays)))))

    @property
    def foreign(self) -> frozenset[str]:
        """The relays of strangers to which something is being brought."""
        return frozenset(self._rounds) - frozenset(self._own)

    def _taken_on(self, relays: Iterable[str]) -> list[str]:
        """Those of these relays to which events can be brought besides all others now."""
        foreign, taken = set(self.foreign), list[str]()
        for relay in relays:
            if relay in self._own or relay in foreign or len(foreign) < MOST_FOREIGN:
                taken.append(relay)
                foreign.add(relay)
        return taken

    def replace(self, address: str, event: NostrEvent) -> None:
        """Carry the newest version of a replaceable event to our relays.

        Args:
            address: what the event replaces: author, kind and identifier.
            event: signed.
        """
        self._newest[address] = event
        for relay in self._own:
            self._latest.setdefault(relay, {})[address] = event
            self._rouse(relay)

    def depths(self) -> dict[str, int]:
        """How many events each relay still has to get."""
        stored = self._book.publication_depths()
        return {
            relay: stored.get(relay, 0) + len(self._latest.get(relay, {}))
            for relay in {*self._own, *stored}
        }

    def _rouse(self, relay: str) -> None:
        known = self._rounds.get(relay)
        if known is not None:
            known.wake.set()
        elif self._group is not None:
            self._rounds[relay] = new = _Round()
            new.wake.set()
            carry = partial(self._carry, relay, new)
            what = f"carrying events to {relay}"
            self._group.start_soon(outlasting, carry, what, name=f"courier {relay}")

    def _relay_is_back(self, relay: str) -> None:
        known = self._rounds.get(relay)
        if known is not None:
            known.back.set()
            known.wake.set()

    async def _carry(self, relay: str, here: _Round) -> None:
        pause_s = self._first_retry_s
        while True:
            await here.wake.wait()
            here.wake.clear()
            if here.back.is_set():
                here.back.clear()
                pause_s = self._first_retry_s
                await self._look_what_is_left(relay, here)
            if await self._bring_all(relay):
                pause_s = self._first_retry_s
                if relay not in self._own and not here.wake.is_set():
                    # Strangers name ever new ones: whoever names this one again sends anew.
                    del self._rounds[relay]
                    return
                continue
            here.wake.set()
            with anyio.move_on_after(pause_s):
                await here.back.wait()
            pause_s = min(2 * pause_s, LAST_RETRY_S)

    async def _look_what_is_left(self, relay: str, here: _Round) -> None:
        """Bring everything anew to a relay that has lost what it took last."""
        asked = {
            event.id: address
            for address, identifier in here.taken
            if (event := self._newest.get(address)) is not None and event.id == identifier
        }
        if not asked or not await self._pool.missing(relay, list(asked)):
            return
        log.warning("%s has lost events that it had taken: it gets all of them again", relay)
        here.taken.clear()
        waiting = self._latest.setdefault(relay, {})
        for address, event in self._newest.items():
            waiting.setdefault(address, event)

    async def _bring_all(self, relay: str) -> bool:
        """Bring what waits; False when something has to be tried again."""
        latest_done = await self._bring_latest(relay)
        return await self._bring_stored(relay) and latest_done

    async def _bring_latest(self, relay: str) -> bool:
        waiting = self._latest.get(relay, {})
        while waiting:
            batch = list(waiting.items())[:BATCH]
            acks = await self._offer(relay, [event for _, event in batch])
            for (address, event), ack in zip(batch, acks, strict=True):
                if ack.ok:
                    self._rounds[relay].taken.append((address, event.id))
                if _is_over(ack) and waiting.get(address) is event:
                    del waiting[address]
            if not all(_is_over(ack) for ack in acks):
                return False
        return True

    async def _bring_stored(self, relay: str) -> bool:
        after_seq, complete = 0, True
        while batch := self._book.publications(relay, after_seq, BATCH):
            after_seq = batch[-1].seq
            acks = await self._offer(relay, [NostrEvent.from_own(item.body) for item in batch])
            patience_ms = OWN_RELAY_PATIENCE_MS if relay in self._own else FOREIGN_RELAY_PATIENCE_MS
            oldest_ms = self._clock() - patience_ms
            over = [
                item.seq
                for item, ack in zip(batch, acks, strict=True)
                if _is_over(ack) or item.created_at_ms < oldest_ms
            ]
            if over:
                await self._book.published(over)
            complete = complete and len(over) == len(batch)
            if not over:
                return False
        return complete

    async def _offer(self, relay: str, events: Sequence[NostrEvent]) -> list[Ack]:
        answers = await asyncio.gather(*(self._pool.publish(event, [relay]) for event in events))
        acks = [answer[relay] for answer in answers]
        for event, ack in zip(events, acks, strict=True):
            if not ack.ok and _is_over(ack):
                log.warning("%s refused an event of kind %d: %s", relay, event.kind, ack.reason)
        return acks


def _is_over(ack: Ack) -> bool:
    """Whether the relay has the event, or will never take it."""
    return ack.ok or ack.reason.startswith(("duplicate", *_FINAL_REFUSALS))

"""What the charge points hear on nostr: direct messages, each acted on once.

Cheap checks come before any decryption: the ledger of handled events, the sizes, and how
much a sender may say. An answer is stored in the transaction that marks its question handled.
What was being acted on when Strom died is taken up again from the journal; what had not got
so far is brought again by the relays, from their cursors on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import anyio
import anyio.abc

from agent.buckets import Buckets
from agent.clock import Clock
from agent.journal import codec
from agent.journal.errors import JournalUnusable
from agent.journal.journal import Journal
from agent.journal.nostr_book import Begun, Handled
from agent.nostr.couriers import Couriers
from agent.nostr.directory import Directory
from nips.dms import (
    KIND_GIFT_WRAP,
    KIND_NIP04_MESSAGE,
    WRAP_BACKDATING_S,
    DirectMessage,
    DmProtocol,
    read_message,
    write_message,
)
from nips.errors import NostrError
from nips.event import NostrEvent
from nips.identity import Identity
from nips.relays import Filter, Incoming, RelayPool
from nips.zaps import KIND_ZAP_RECEIPT

OVERLAP_S = 600
RECEIPT_OVERLAP_S = 86_400
"""A receipt is dated by its payment, and may be published much later."""

OLDEST_MESSAGE_MS = 3_600_000
"""A driver who wrote that long ago does not wait for an answer any more."""

OLDEST_LIVE_MS = 86_400_000
"""Who writes just now, and dates it so long ago, has a clock that is wrong: he waits."""

FURTHEST_AHEAD_MS = 86_400_000
"""Some phones are a time zone wrong. What is dated further ahead could be brought again when
its being handled is long forgotten (see `agent.journal.pruning`)."""

SENDER_BURST = 12
SENDER_PER_MINUTE = 12
WRAPS_BURST = 300
WRAPS_PER_MINUTE = 1200
"""Gift wraps hide their sender until they are decrypted: these bound a charge point's work."""

MOST_AT_ONCE = 256
_NEVER = 2**62
"""The time of what waits in the journal: no relay has to bring it again."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Heard:
    """A message to a charge point.

    Attributes:
        sender: hex public key of its author.
        text: the words.
        sent_at_ms: when, as the author says.
        protocol: "nip04" or "nip17".
        id: of the message, hex.
        subject: what it turned out to be about when it was first acted on, before a crash; ""
            for one that nobody has begun to act on.
    """

    sender: str
    text: str
    sent_at_ms: int
    protocol: str
    id: str = ""
    subject: str = ""


Answer = Callable[[str, Heard], Awaitable[str]]
"""Acts on a message to a charge point (by its id) and gives the answer; "" for none."""


class ReceiptListener(Protocol):
    """Takes zap receipts that others sign; see `agent.outside`."""

    @property
    def pubkeys(self) -> tuple[str, ...]:
        """Whose receipts are wanted, hex."""
        ...

    async def hear(self, receipt: NostrEvent) -> None:
        """Take a verified event of kind 9735 that names one of them."""
        ...


class _StoredCursor:
    """Where a subscription goes on at each relay, in the journal."""

    def __init__(self, journal: Journal, overlap_s: int, first_since_s: int) -> None:
        self._journal = journal
        self._overlap_s = overlap_s
        self._first_since_s = first_since_s
        self._known: dict[str, int] = {}
        self._stored: dict[str, int] = {}
        self._changed: set[str] = set()

    def since(self, relay_url: str, subscription: str) -> int | None:
        name = f"cursor:{subscription}:{relay_url}"
        stored = self._known.get(name) or int(self._journal.setting(name) or 0)
        return (stored or self._first_since_s) - self._overlap_s

    def passed(self, relay_url: str, subscription: str, created_at: int) -> None:
        name = f"cursor:{subscription}:{relay_url}"
        if created_at > self._known.get(name, 0):
            self._known[name] = created_at
            self._changed.add(name)

    def to_store(self, oldest_under_way: int | None) -> list[tuple[str, int]]:
        """Name and value of each cursor that moved; not past what is still being dealt with."""
        moved: list[tuple[str, int]] = []
        for name in list(self._changed):
            value = self._known[name]
            if oldest_under_way is None or value <= oldest_under_way:
                self._changed.discard(name)
            else:
                value = oldest_under_way
            if value > self._stored.get(name, 0):
                self._stored[name] = value
                moved.append((name, value))
        return moved


class Ears:
    """Hears and answers direct messages.

    Args:
        pool: the relays.
        journal: the ledger of what was handled, and the cursors.
        identities: of each charge point, by its id.
        couriers: who bring the answers.
        directory: where drivers read.
        clock: Unix milliseconds.
        answer: what to do about a message.
        receipts: who wants zap receipts by others; None for nobody.
    """

    def __init__(
        self,
        pool: RelayPool,
        journal: Journal,
        identities: Mapping[str, Identity],
        couriers: Couriers,
        directory: Directory,
        clock: Clock,
        answer: Answer,
        receipts: ReceiptListener | None = None,
    ) -> None:
        self._receipts = receipts
        self._pool = pool
        self._journal = journal
        self._identities = {
            identity.pubkey: (charge_point_id, identity)
            for charge_point_id, identity in identities.items()
        }
        self._couriers = couriers
        self._directory = directory
        self._clock = clock
        self._answer = answer
        self._senders = Buckets(clock, SENDER_BURST, SENDER_PER_MINUTE)
        self._wraps = Buckets(clock, WRAPS_BURST, WRAPS_PER_MINUTE)
        self._under_way: dict[str, int] = {}
        self._slots = asyncio.Semaphore(MOST_AT_ONCE)

    async def run(self) -> None:
        """Take up what is half done, then hear until cancelled."""
        half_done = self._journal.nostr.begun()
        # Known before the relays bring them again.
        self._under_way.update(dict.fromkeys([begun.message_id for begun in half_done], _NEVER))
        everyone = tuple(self._identities)
        now_s = self._clock() // 1000
        cursors = {
            "messages": _StoredCursor(self._journal, OVERLAP_S, now_s),
            "wraps": _StoredCursor(self._journal, WRAP_BACKDATING_S + OVERLAP_S, now_s),
        }
        messages = Filter(kinds=(KIND_NIP04_MESSAGE,), tags={"p": everyone})
        wraps = Filter(kinds=(KIND_GIFT_WRAP,), tags={"p": everyone})
        await self._pool.subscribe("messages", messages, cursors["messages"])
        await self._pool.subscribe("wraps", wraps, cursors["wraps"])
        if self._receipts is not None and self._receipts.pubkeys:
            cursors["receipts"] = _StoredCursor(self._journal, RECEIPT_OVERLAP_S, now_s)
            receipts = Filter(kinds=(KIND_ZAP_RECEIPT,), tags={"p": self._receipts.pubkeys})
            await self._pool.subscribe("receipts", receipts, cursors["receipts"])
        async with anyio.create_task_group() as group:
            for begun in half_done:
                group.start_soon(self._take_up, begun)
            async for incoming in self._pool.incoming():
                await self._hear(incoming, group)
                for cursor in cursors.values():
                    for name, created_at in cursor.to_store(
                        min(self._under_way.values(), default=None)
                    ):
                        await self._remember(name, created_at)

    async def _remember(self, name: str, created_at: int) -> None:
        """Store a cursor; where it cannot be stored, relays bring some messages again."""
        try:
            await self._journal.set_setting(name, str(created_at))
        except JournalUnusable as error:
            log.error("what was heard cannot be stored: %s", error)

    async def _hear(self, incoming: Incoming, group: anyio.abc.TaskGroup) -> None:
        """Judge an event by what is cheap to know, then deal with it beside the others."""
        event = incoming.event
        if event.kind == KIND_ZAP_RECEIPT:
            if self._receipts is not None:
                try:
                    await self._receipts.hear(event)
                except JournalUnusable as error:
                    # The wallet's own word is asked for anyhow.
                    log.error("a zap receipt cannot be stored: %s", error)
            return
        recipient = self._identities.get(event.tag("p") or "")
        if recipient is None or event.pubkey in self._identities:
            return
        if event.id in self._under_way or self._journal.nostr.is_handled(event.id):
            return
        buckets, name = (
            (self._wraps, recipient[0])
            if event.kind == KIND_GIFT_WRAP
            else (self._senders, event.pubkey)
        )
        if not buckets.take(name):
            log.info("%s hears too much; a message was passed over", recipient[0])
            return
        self._under_way[event.id] = event.created_at
        await self._slots.acquire()
        group.start_soon(self._deal_with, incoming, *recipient)

    async def _deal_with(
        self, incoming: Incoming, charge_point_id: str, identity: Identity
    ) -> None:
        event = incoming.event
        try:
            try:
                message = read_message(identity, event)
            except NostrError as error:
                log.info("%s: a message was not readable: %s", charge_point_id, error)
                await self._journal.nostr.set_handled(Handled(event.id, self._clock()))
                return
            handled = self._handled(message, event.id)
            news = self._is_news(message, event.id, live=incoming.live)
            if news and self._may_speak(message, event.kind):
                # Another wrapping of the same message may come at the same moment.
                self._under_way[message.event_id] = event.created_at
                try:
                    heard = Heard(
                        message.sender,
                        message.text,
                        message.sent_at * 1000,
                        message.protocol,
                        message.event_id,
                    )
                    await self._reply(charge_point_id, identity, heard, handled)
                finally:
                    self._under_way.pop(message.event_id, None)
            else:
                await self._journal.nostr.set_handled(handled[-1])
        except JournalUnusable as error:
            log.error("%s: a message cannot be stored: %s", charge_point_id, error)
        except Exception:
            # What Strom does wrong with one message must not make it deaf to all others.
            log.exception("%s: a message went wrong, which is Strom's own fault", charge_point_id)
        finally:
            self._under_way.pop(event.id, None)
            self._slots.release()

    def _handled(self, message: DirectMessage, event_id: str) -> list[Handled]:
        """A message and its wrapping as they are remembered."""
        now_ms = self._clock()
        # What is dated still further ahead is not acted on, and need not be remembered so long.
        at_ms = min(max(now_ms, message.sent_at * 1000), now_ms + FURTHEST_AHEAD_MS)
        return [Handled(name, at_ms) for name in dict.fromkeys((message.event_id, event_id))]

    async def _take_up(self, begun: Begun) -> None:
        """Bring to its end what was half done when Strom last stopped."""
        try:
            handled = Handled(begun.message_id, self._clock())
            known = next((k for k in self._identities.values() if k[0] == begun.charge_point), None)
            if known is None:
                log.warning("%s is gone, and a message to it unanswered", begun.charge_point)
                await self._journal.nostr.set_handled(handled)
                return
            log.info("%s: a message that was half done is taken up", begun.charge_point)
            heard = replace(codec.decode(begun.body, Heard), subject=begun.subject)
            handled = replace(handled, at_ms=max(handled.at_ms, heard.sent_at_ms))
            await self._reply(*known, heard, [handled])
        except JournalUnusable as error:
            log.error("%s: a message stays half done: %s", begun.charge_point, error)
        except Exception:
            # As above: one message must not keep Strom from all others.
            log.exception(
                "%s: a message stays half done, which is Strom's own fault", begun.charge_point
            )
        finally:
            self._under_way.pop(begun.message_id, None)

    def _is_news(self, message: DirectMessage, event_id: str, *, live: bool) -> bool:
        """Whether a message was not dealt with in another wrapping, and is of these days."""
        if message.sender in self._identities:
            return False
        known = message.event_id in self._under_way or self._journal.nostr.is_handled(
            message.event_id
        )
        if message.event_id != event_id and known:
            return False
        age_ms = self._clock() - message.sent_at * 1000
        return -FURTHEST_AHEAD_MS < age_ms < (OLDEST_LIVE_MS if live else OLDEST_MESSAGE_MS)

    def _may_speak(self, message: DirectMessage, kind: int) -> bool:
        return kind != KIND_GIFT_WRAP or self._senders.take(message.sender)

    async def _reply(
        self, charge_point_id: str, identity: Identity, heard: Heard, handled: Sequence[Handled]
    ) -> None:
        protocol: DmProtocol = "nip17" if heard.protocol == "nip17" else "nip04"
        self._directory.wrote(heard.sender, protocol)
        text = await self._answer(charge_point_id, heard)
        if not text:
            await self._journal.nostr.set_handled(*handled)
            return
        # Acted first, looked up then: a stop must not wait for a relay that is slow to answer.
        peer = await self._directory.peer(heard.sender)
        if peer.is_bot:
            # Two programs that answer each other never end.
            log.info("%s: a bot wrote; it gets no answer", charge_point_id)
            await self._journal.nostr.set_handled(*handled)
            return
        event = write_message(
            identity, heard.sender, text, protocol, self._clock() // 1000, answers=heard.id
        )
        try:
            await self._couriers.send([event], peer.relays, handled=handled)
        except JournalUnusable:
            # It is said once, and forgotten: he may stand at a charger that goes on.
            await self._couriers.say_unstored(event, peer.relays)
            raise

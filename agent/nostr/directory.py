"""What is known of the people a charge point talks with: where and how they read, their address.

Looked up on our own relays, and remembered for a while. Who asks while relays are being asked
is answered by the next question, which is about everyone who waits. Whom ours know nothing of is
looked for on the relays that he named himself, as in a zap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from agent.clock import Clock
from agent.ports.errors import Refused
from nips.dms import DmProtocol
from nips.errors import InvalidEvent
from nips.event import NostrEvent
from nips.profile import (
    KIND_DM_RELAYS,
    KIND_PROFILE,
    KIND_RELAY_LIST,
    lightning_address,
    parse_dm_relays,
    parse_profile,
    parse_relay_list,
)
from nips.relays import Filter, RelayPool

REMEMBERED_MS = 600_000
LARGEST = 10_000
LOOK_UP_S = 3.0
LOOK_UPS_AT_ONCE = 2
MOST_NAMED = 4
NAMED_AT_ONCE = 8
"""So many people are looked for on relays of their own at the same time."""

MOST_IN_ONE = 100
"""Three events of each of so many: less than relays send for one question."""

_KINDS = (KIND_PROFILE, KIND_RELAY_LIST, KIND_DM_RELAYS)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Peer:
    """Somebody on nostr.

    Attributes:
        protocol: how to write to him unasked: NIP-17 when he has named relays for it.
        relays: where he reads, besides our own relays.
        lud16: the lightning address of his profile; "" without.
        has_profile: whether a relay had a profile of him.
        is_bot: whether his profile says that a program writes for him.
    """

    protocol: DmProtocol
    relays: tuple[str, ...]
    lud16: str
    known_at_ms: int
    has_profile: bool = False
    is_bot: bool = False


class Directory:
    """Peers by their public keys."""

    def __init__(self, pool: RelayPool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._peers: dict[str, Peer] = {}
        self._last_used: dict[str, DmProtocol] = {}
        self._waiting: dict[str, asyncio.Future[Peer]] = {}
        self._askers: set[asyncio.Task[None]] = set()
        self._named: dict[str, tuple[str, ...]] = {}
        self._visitors: set[asyncio.Task[None]] = set()
        self._visits = asyncio.Semaphore(NAMED_AT_ONCE)

    def is_found_at(self, pubkey: str, relays: Iterable[str]) -> None:
        """Somebody named relays: he is looked for there where ours know nothing of him.

        Args:
            pubkey: hex.
            relays: a stranger's words; those that are not public are not visited.
        """
        named = tuple(dict.fromkeys(relays))[:MOST_NAMED]
        if not named or self._named.get(pubkey) == named:
            return
        if len(self._named) >= LARGEST:
            self._named.clear()
        self._named[pubkey] = named
        known = self._peers.get(pubkey)
        if known is not None and not known.has_profile:
            del self._peers[pubkey]

    async def peer(self, pubkey: str, *, fresh: bool = False) -> Peer:
        """What is known of somebody; what the relays do not say stays empty.

        Args:
            pubkey: hex.
            fresh: ask the relays also when something is remembered.
        """
        known = self._peers.get(pubkey)
        now_ms = self._clock()
        if known is not None and not fresh and now_ms - known.known_at_ms < REMEMBERED_MS:
            return known
        waiting = self._waiting.get(pubkey)
        if waiting is None:
            waiting = self._waiting[pubkey] = asyncio.get_running_loop().create_future()
            if len(self._askers) < LOOK_UPS_AT_ONCE:
                # A task of its own: who asks may give up, and others still wait.
                asker = asyncio.create_task(self._ask(), name="directory")
                self._askers.add(asker)
                asker.add_done_callback(self._askers.discard)
        return await asyncio.shield(waiting)

    async def _ask(self) -> None:
        while self._waiting:
            await self._look_up(list(self._waiting)[:MOST_IN_ONE])

    async def _look_up(self, pubkeys: Sequence[str]) -> None:
        """Ask the relays about everyone at once, and tell who waits for it."""
        asked = {pubkey: self._waiting.pop(pubkey) for pubkey in pubkeys}
        try:
            newest = await self._newest(pubkeys)
            for pubkey in pubkeys:
                waiting = asked.pop(pubkey)
                if newest[pubkey] or pubkey not in self._named:
                    self._tell(pubkey, newest[pubkey], waiting)
                else:
                    # Beside the others: who named relays that do not answer waits alone.
                    visitor = asyncio.create_task(self._visit(pubkey, waiting), name="directory")
                    self._visitors.add(visitor)
                    visitor.add_done_callback(self._visitors.discard)
        finally:
            for waiting in asked.values():
                waiting.cancel()

    async def _visit(self, pubkey: str, waiting: asyncio.Future[Peer]) -> None:
        """Ask the relays that somebody named about himself, and tell who waits for it."""
        try:
            async with self._visits:
                newest = await self._newest([pubkey], self._named.get(pubkey, ()))
            self._tell(pubkey, newest[pubkey], waiting)
        finally:
            waiting.cancel()

    async def _newest(
        self, pubkeys: Sequence[str], relays: Sequence[str] | None = None
    ) -> dict[str, dict[int, NostrEvent]]:
        """The newest event of each kind by each of these; None: our own relays are asked."""
        newest: dict[str, dict[int, NostrEvent]] = {pubkey: {} for pubkey in pubkeys}
        wanted = Filter(kinds=_KINDS, authors=tuple(pubkeys), limit=len(_KINDS) * len(pubkeys))
        for event in await self._pool.fetch([wanted], relays, timeout_s=LOOK_UP_S):
            theirs = newest[event.pubkey]
            if event.created_at >= _time(theirs.get(event.kind)):
                theirs[event.kind] = event
        return newest

    def _tell(
        self, pubkey: str, newest: dict[int, NostrEvent], waiting: asyncio.Future[Peer]
    ) -> None:
        """What was found of somebody, for who waits for it and for a while."""
        found = _peer(newest, self._named.get(pubkey, ()), self._clock())
        self._remember(pubkey, found)
        waiting.set_result(found)

    def _remember(self, pubkey: str, peer: Peer) -> None:
        if len(self._peers) >= LARGEST:
            self._peers.clear()
        self._peers[pubkey] = peer

    def wrote(self, pubkey: str, protocol: DmProtocol) -> None:
        """Somebody wrote to us: what he hears from now on comes in his protocol."""
        if len(self._last_used) >= LARGEST:
            self._last_used.clear()
        self._last_used[pubkey] = protocol

    def last_used(self, pubkey: str) -> DmProtocol | None:
        """The protocol in which somebody last wrote to us since the start, if he did."""
        return self._last_used.get(pubkey)

    async def lightning_address(self, pubkey: str, relays: Iterable[str] = ()) -> str:
        """The lightning address of somebody's profile as it is now; "" without.

        Money goes there: an address that he has changed since must not be paid.

        Args:
            pubkey: hex.
            relays: where he says that he is found.

        Raises:
            Refused: it is not known now, because relays of ours are away.
        """
        self.is_found_at(pubkey, relays)
        peer = await self.peer(pubkey, fresh=True)
        if not peer.has_profile and not all(one.connected for one in self._pool.health().values()):
            raise Refused("relays that may know his address are away", passing=True)
        return peer.lud16


def _time(event: NostrEvent | None) -> int:
    return -1 if event is None else event.created_at


def _peer(newest: dict[int, NostrEvent], named: tuple[str, ...], now_ms: int) -> Peer:
    dm_relays = _read(newest.get(KIND_DM_RELAYS), parse_dm_relays)
    relay_list = _read(newest.get(KIND_RELAY_LIST), parse_relay_list)
    profile = newest.get(KIND_PROFILE)
    shown = _read(profile, parse_profile)
    return Peer(
        protocol="nip17" if dm_relays else "nip04",
        relays=(dm_relays or (relay_list.read if relay_list else ()) or named)[:4],
        lud16=_read(profile, lightning_address) or "",
        known_at_ms=now_ms,
        has_profile=profile is not None,
        is_bot=shown is not None and shown.bot,
    )


def _read(event: NostrEvent | None, parse: Callable[[NostrEvent], T]) -> T | None:
    """What an event says; a stranger's broken event says nothing."""
    if event is None:
        return None
    try:
        return parse(event)
    except InvalidEvent:
        return None

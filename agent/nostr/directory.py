"""What is known of the people a charge point talks with: where and how they read, their address.

Looked up on our own relays, and remembered for a while.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from agent.clock import Clock
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

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Peer:
    """Somebody on nostr.

    Attributes:
        protocol: how to write to him unasked: NIP-17 when he has named relays for it.
        relays: where he reads, besides our own relays.
        lud16: the lightning address of his profile; "" without.
        is_bot: whether his profile says that a program writes for him.
    """

    protocol: DmProtocol
    relays: tuple[str, ...]
    lud16: str
    known_at_ms: int
    is_bot: bool = False


class Directory:
    """Peers by their public keys."""

    def __init__(self, pool: RelayPool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._peers: dict[str, Peer] = {}
        self._last_used: dict[str, DmProtocol] = {}

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
        asked = Filter(kinds=(KIND_PROFILE, KIND_RELAY_LIST, KIND_DM_RELAYS), authors=(pubkey,))
        newest: dict[int, NostrEvent] = {}
        for event in await self._pool.fetch([asked], timeout_s=LOOK_UP_S):
            if event.pubkey == pubkey and event.created_at >= _time(newest.get(event.kind)):
                newest[event.kind] = event
        found = _peer(newest, now_ms)
        if len(self._peers) >= LARGEST:
            self._peers.clear()
        self._peers[pubkey] = found
        return found

    def wrote(self, pubkey: str, protocol: DmProtocol) -> None:
        """Somebody wrote to us: what he hears from now on comes in his protocol."""
        if len(self._last_used) >= LARGEST:
            self._last_used.clear()
        self._last_used[pubkey] = protocol

    def last_used(self, pubkey: str) -> DmProtocol | None:
        """The protocol in which somebody last wrote to us since the start, if he did."""
        return self._last_used.get(pubkey)

    async def lightning_address(self, pubkey: str) -> str:
        """The lightning address of somebody's profile as it is now; "" without.

        Money goes there: an address that he has changed since must not be paid.
        """
        return (await self.peer(pubkey, fresh=True)).lud16


def _time(event: NostrEvent | None) -> int:
    return -1 if event is None else event.created_at


def _peer(newest: dict[int, NostrEvent], now_ms: int) -> Peer:
    dm_relays = _read(newest.get(KIND_DM_RELAYS), parse_dm_relays)
    relay_list = _read(newest.get(KIND_RELAY_LIST), parse_relay_list)
    profile = newest.get(KIND_PROFILE)
    shown = _read(profile, parse_profile)
    return Peer(
        protocol="nip17" if dm_relays else "nip04",
        relays=(dm_relays or (relay_list.read if relay_list else ()))[:4],
        lud16=_read(profile, lightning_address) or "",
        known_at_ms=now_ms,
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

"""What other people say about themselves: where and how to write to them, and pay them.

https://github.com/nostr-protocol/nips/blob/master/17.md (kind 10050)
https://github.com/nostr-protocol/nips/blob/master/65.md (kind 10002)
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nips.dms import DmProtocol
from nips.errors import InvalidEvent
from nips.event import NostrEvent
from nips.filters import Filter
from nips.profile import (
    KIND_DM_RELAYS,
    KIND_PROFILE,
    KIND_RELAY_LIST,
    Profile,
    RelayList,
    parse_dm_relays,
    parse_profile,
    parse_relay_list,
)
from nips.profile import lightning_address as lightning_address_of
from nips.relay_urls import is_public_relay
from nips.relays import RelayPool

REMEMBERED_PEERS = 5000
FRESH_MS = 10 * 60_000
LOOKUP_TIMEOUT_S = 4.0
MAX_PEER_RELAYS = 5


@dataclass(frozen=True, slots=True)
class Peer:
    """What is known of somebody; everything may be missing.

    Attributes:
        dm_relays: where NIP-17 messages to him belong; empty when he names none.
        relays: where he writes and reads.
        lightning_address: from his profile, well-formed, or None.
    """

    pubkey: str
    profile: Profile | None = None
    dm_relays: tuple[str, ...] = ()
    relays: RelayList = RelayList((), ())
    lightning_address: str | None = None

    @property
    def preferred_protocol(self) -> DmProtocol:
        """How to write to him first: NIP-17 when he says where, else NIP-04."""
        return "nip17" if self.dm_relays else "nip04"


class PeerDirectory:
    """Looks people up on the pool's relays, and remembers them for ten minutes.

    Args:
        clock: Unix time in milliseconds.
    """

    def __init__(
        self, pool: RelayPool, clock: Callable[[], int], *, allow_loopback: bool = False
    ) -> None:
        self._pool = pool
        self._clock = clock
        self._allow_loopback = allow_loopback
        self._known: OrderedDict[str, tuple[int, Peer]] = OrderedDict()

    async def look_up(
        self,
        pubkey: str,
        relays: Sequence[str] = (),
        *,
        fresh: bool = False,
        timeout_s: float = LOOKUP_TIMEOUT_S,
    ) -> Peer:
        """What somebody says about himself, as far as it was found in time.

        Args:
            pubkey: hex.
            relays: where he may be found beside the pool's own relays.
            fresh: ask again even if he is remembered, as before sending money.
        """
        remembered = self._known.get(pubkey)
        now_ms = self._clock()
        if remembered is not None and not fresh and now_ms - remembered[0] < FRESH_MS:
            return remembered[1]
        others = [
            url for url in relays if is_public_relay(url, allow_loopback=self._allow_loopback)
        ][:MAX_PEER_RELAYS]
        wanted = Filter(
            kinds=(KIND_PROFILE, KIND_RELAY_LIST, KIND_DM_RELAYS), authors=(pubkey,), limit=10
        )
        events = await self._pool.fetch(wanted, [*self._pool.relays, *others], timeout_s=timeout_s)
        peer = _peer(pubkey, events)
        if events:
            self._known[pubkey] = (now_ms, peer)
            self._known.move_to_end(pubkey)
            if len(self._known) > REMEMBERED_PEERS:
                self._known.popitem(last=False)
        return peer

    async def preferred_protocol(self, pubkey: str) -> DmProtocol:
        """How to write first to somebody who has not written to us."""
        return (await self.look_up(pubkey)).preferred_protocol

    async def lightning_address(self, pubkey: str) -> str | None:
        """The address in his newest profile now, or None; always asked afresh."""
        return (await self.look_up(pubkey, fresh=True)).lightning_address


def _peer(pubkey: str, events: Sequence[NostrEvent]) -> Peer:
    """From the newest valid event of each kind; `events` come newest first."""
    profile: Profile | None = None
    address: str | None = None
    relays: RelayList | None = None
    dm_relays: tuple[str, ...] | None = None
    for event in events:
        try:
            if event.kind == KIND_PROFILE and profile is None:
                profile = parse_profile(event)
                address = lightning_address_of(event)
            elif event.kind == KIND_RELAY_LIST and relays is None:
                relays = parse_relay_list(event)
            elif event.kind == KIND_DM_RELAYS and dm_relays is None:
                dm_relays = parse_dm_relays(event)
        except InvalidEvent:
            continue
    return Peer(pubkey, profile, dm_relays or (), relays or RelayList((), ()), address)

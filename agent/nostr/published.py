"""What was published of each charge point, so that it can be taken back when that is gone.

Remembered in the journal: a charge point that leaves the operator's file while Strom is not
running is taken back at the next start (NIP-09).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from agent.clock import Clock
from agent.journal.journal import Journal
from agent.nostr.couriers import Couriers
from nips.event import Coordinate, EventTemplate, NostrEvent
from nips.filters import Filter
from nips.identity import Identity
from nips.status import deletion_of

PREFIX = "published:"
AHEAD_S = 3
"""A deletion covers versions up to its own time (NIP-09), and of two versions within a second
the second is dated ahead."""

GONE = "This charge point is gone."

log = logging.getLogger(__name__)

Fetch = Callable[[Filter], Awaitable[Sequence[NostrEvent]]]
"""What our relays have that fits a filter; what has come when time is up."""

IdentityOf = Callable[[str], Identity | None]
"""The identity of a charge point, also of one that is gone; None when its key is not to be had."""


@dataclass
class _Record:
    """What relays have of one charge point.

    Attributes:
        pubkey: under which identity, hex.
        addresses: of its replaceable events.
        regular: its regular events by kind, as JSON: no newer one replaces them.
    """

    pubkey: str = ""
    addresses: list[str] = field(default_factory=list[str])
    regular: dict[int, str] = field(default_factory=dict[int, str])


class Published:
    """The record of what relays have of us.

    Args:
        journal: where it is kept.
        couriers: who bring deletions to the relays.
        clock: Unix milliseconds.
        identity_of: the keys, also of charge points that are gone.
        fetch: reads from our relays.
    """

    def __init__(
        self,
        journal: Journal,
        couriers: Couriers,
        clock: Clock,
        identity_of: IdentityOf,
        fetch: Fetch,
    ) -> None:
        self._fetch = fetch
        self._journal = journal
        self._couriers = couriers
        self._clock = clock
        self._identity_of = identity_of
        self._records = {
            name: msgspec.json.decode(text, type=_Record)
            for name, text in journal.settings(PREFIX).items()
            if text
        }

    async def remember(self, charge_point_id: str, pubkey: str, addresses: Iterable[str]) -> None:
        """Note what is published of a charge point, before it is."""
        record = await self._record(charge_point_id, pubkey)
        new = [address for address in addresses if address not in record.addresses]
        if new:
            record.addresses += new
            await self._store(charge_point_id)

    async def regular(
        self, charge_point_id: str, identity: Identity, template: EventTemplate
    ) -> NostrEvent:
        """A regular event: the same one as long as it says the same; what it said before is
        taken back."""
        record = await self._record(charge_point_id, identity.pubkey)
        stored = record.regular.get(template.kind)
        if stored is not None:
            event = NostrEvent.parse(stored)
            if (event.content, event.tags) == (template.content, template.tags):
                return event
            taken_back = deletion_of([], ids=[event.id], kinds=[event.kind])
            await self._delete(identity, taken_back)
        event = identity.sign_template(template, self._clock() // 1000)
        record.regular[template.kind] = event.to_json()
        await self._store(charge_point_id)
        return event

    async def keep_only(self, current: dict[str, set[str]], regular_kinds: frozenset[int]) -> None:
        """Take back all that is published no more.

        Args:
            current: the addresses that are, by charge point.
            regular_kinds: the kinds of regular events that still are.
        """
        for charge_point_id, record in list(self._records.items()):
            still = current.get(charge_point_id, set())
            gone = [address for address in record.addresses if address not in still]
            kinds = [k for k in record.regular if not still or k not in regular_kinds]
            if not gone and not kinds:
                continue
            await self._take_back(charge_point_id, record, gone, kinds)
            record.addresses = [address for address in record.addresses if address in still]
            for kind in kinds:
                del record.regular[kind]
            await self._store(charge_point_id)

    async def _take_back(
        self, charge_point_id: str, record: _Record, gone: list[str], kinds: list[int]
    ) -> None:
        identity = self._identity_of(charge_point_id)
        if identity is None or identity.pubkey != record.pubkey:
            log.warning(
                "%s: the key under which it published is gone, so relays keep that until it "
                "expires",
                charge_point_id,
            )
            return
        coordinates = [Coordinate.parse(address) for address in gone]
        of_theirs = Filter(
            kinds=tuple({coordinate.kind for coordinate in coordinates}), authors=(record.pubkey,)
        )
        # By id as well as by address: some relays do not read addresses with a colon in their
        # identifier, as ours have one.
        found: Sequence[NostrEvent] = await self._fetch(of_theirs) if coordinates else ()
        ids = [event.id for event in found if str(event.coordinate) in gone]
        ids += [NostrEvent.parse(record.regular[kind]).id for kind in kinds]
        await self._delete(identity, deletion_of(coordinates, GONE, ids=ids, kinds=kinds))
        log.info("%s: what is published no more was taken back", charge_point_id)

    async def _record(self, charge_point_id: str, pubkey: str) -> _Record:
        """The record under an identity; that of an earlier one is taken back."""
        record = self._records.get(charge_point_id)
        if record is None or record.pubkey != pubkey:
            if record is not None:
                await self._take_back(
                    charge_point_id, record, record.addresses, list(record.regular)
                )
            record = self._records[charge_point_id] = _Record(pubkey)
        return record

    async def _delete(self, identity: Identity, template: EventTemplate) -> None:
        at_s = self._clock() // 1000 + AHEAD_S
        await self._couriers.send([identity.sign_template(template, at_s)])

    async def _store(self, charge_point_id: str) -> None:
        record = self._records[charge_point_id]
        empty = not record.addresses and not record.regular
        text = "" if empty else msgspec.json.encode(record).decode()
        await self._journal.set_setting(PREFIX + charge_point_id, text)

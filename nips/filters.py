"""NIP-01: filters, the questions that relays answer, cut to the sizes that relays take.

https://github.com/nostr-protocol/nips/blob/master/01.md
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from nips.event import NostrEvent

MAX_VALUES = 500
"""Values of one list in one filter: 500 keys take 33.5 kB, and strfry's limit is 65,535 bytes."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events are wanted; what is empty or None does not matter.

    Attributes:
        tags: letter of a tag to the values of which one must be there, such as "p".
        since: oldest time, Unix seconds, inclusive.
        until: newest time, Unix seconds, inclusive.
        limit: most stored events to send.
    """

    kinds: tuple[int, ...] = ()
    authors: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    since: int | None = None
    until: int | None = None
    limit: int | None = None

    def to_wire(self) -> dict[str, object]:
        """The filter as NIP-01 writes it."""
        wire: dict[str, object] = {}
        for key, values in (("kinds", self.kinds), ("authors", self.authors), ("ids", self.ids)):
            if values:
                wire[key] = list(values)
        for letter, wanted in self.tags.items():
            if wanted:
                wire["#" + letter] = list(wanted)
        bounds = {"since": self.since, "until": self.until, "limit": self.limit}
        wire |= {key: bound for key, bound in bounds.items() if bound is not None}
        return wire

    def matches(self, event: NostrEvent) -> bool:
        """Whether an event is one that this filter asks for (times left aside)."""
        if self.kinds and event.kind not in self.kinds:
            return False
        if self.authors and event.pubkey not in self.authors:
            return False
        if self.ids and event.id not in self.ids:
            return False
        return all(
            any(len(tag) > 1 and tag[1] in wanted for tag in event.tags_named(letter))
            for letter, wanted in self.tags.items()
            if wanted
        )

    def chunks(self) -> Iterator[Filter]:
        """Filters of relay-friendly size that ask for the same together."""
        if len(self.authors) > MAX_VALUES:
            for part in _cut(self.authors):
                yield from replace(self, authors=part).chunks()
            return
        if len(self.ids) > MAX_VALUES:
            for part in _cut(self.ids):
                yield from replace(self, ids=part).chunks()
            return
        for letter, wanted in self.tags.items():
            if len(wanted) > MAX_VALUES:
                for part in _cut(wanted):
                    yield from replace(self, tags={**self.tags, letter: part}).chunks()
                return
        yield self

    def narrowed_to(self, pubkey: str) -> Filter | None:
        """The part of this filter that concerns one pubkey; None when it names others only."""
        named = self.tags.get("p", ())
        if named:
            return replace(self, tags={**self.tags, "p": (pubkey,)}) if pubkey in named else None
        if self.authors:
            return replace(self, authors=(pubkey,)) if pubkey in self.authors else None
        return self


def _cut(values: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for start in range(0, len(values), MAX_VALUES):
        yield tuple(values[start : start + MAX_VALUES])

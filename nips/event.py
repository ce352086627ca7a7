"""NIP-01: Basic protocol flow, the event. https://github.com/nostr-protocol/nips/blob/master/01.md

An event that came from outside exists here only as a `NostrEvent` whose id and signature
were verified: there is no other way to parse one. Until then it is an `UnverifiedEvent`, which
tells no more than the id and the time that it claims.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import msgspec
from nostr_sdk import Event, NostrSdkError

from nips.errors import InvalidEvent

MAX_EVENT_BYTES = 262_144
"""No relay that we know passes on larger events (strfry: 65,536)."""

HEX_64 = re.compile(r"[0-9a-f]{64}")
HEX_128 = re.compile(r"[0-9a-f]{128}")
COORDINATE = re.compile(r"(\d{1,5}):([0-9a-f]{64}):(.*)", re.DOTALL)

Tags = tuple[tuple[str, ...], ...]

_FORGED = "the event's id or signature is wrong"


@dataclass(frozen=True, slots=True)
class EventTemplate:
    """What an event shall say, before somebody signs it."""

    kind: int
    content: str
    tags: Tags


@dataclass(frozen=True, slots=True)
class Coordinate:
    """The address of a replaceable event: `kind:pubkey:identifier`."""

    kind: int
    pubkey: str
    identifier: str

    @classmethod
    def parse(cls, text: str) -> Coordinate:
        """Parse `kind:pubkey:identifier`.

        Raises:
            InvalidEvent: it is not of that form, or the kind is not a replaceable one.
        """
        match = COORDINATE.fullmatch(text)
        if match is None:
            raise InvalidEvent("an event's address must read kind:pubkey:identifier")
        kind = int(match[1])
        replaceable = kind in (0, 3) or 10_000 <= kind < 20_000
        if not replaceable and not 30_000 <= kind < 40_000:
            raise InvalidEvent(f"kind {kind} is not addressable")
        return cls(kind, match[2], match[3])

    def __str__(self) -> str:
        return f"{self.kind}:{self.pubkey}:{self.identifier}"


@dataclass(frozen=True, slots=True)
class NostrEvent:
    """A signed event.

    Attributes:
        id: hex SHA-256 of the serialised event.
        pubkey: the author, hex.
        created_at: Unix seconds, as the author says.
        sig: hex Schnorr signature over the id.
    """

    id: str
    pubkey: str
    created_at: int
    kind: int
    tags: Tags
    content: str
    sig: str

    @classmethod
    def parse(cls, json_text: str) -> NostrEvent:
        """Parse an event and verify its id and its signature.

        Raises:
            InvalidEvent: it is too large, no event, or forged.
        """
        if len(json_text) > MAX_EVENT_BYTES:
            raise InvalidEvent(f"the event is longer than {MAX_EVENT_BYTES} characters")
        try:
            event = Event.from_json(json_text)
        except NostrSdkError as error:
            raise InvalidEvent(f"not a nostr event: {_cause(error)}") from None
        except UnicodeEncodeError:
            raise InvalidEvent("the event holds text that is not valid Unicode") from None
        return cls.from_sdk(event)

    @classmethod
    def from_sdk(cls, event: Event) -> NostrEvent:
        """Take over nostr-sdk's event, which parses but does not verify.

        Raises:
            InvalidEvent: its id or its signature is wrong.
        """
        if not event.verify():
            raise InvalidEvent(_FORGED)
        return cls.from_own(event.as_json())

    @classmethod
    def from_own(cls, json_text: str) -> NostrEvent:
        """Take over an event that this process has signed itself: it is not verified."""
        return _DECODER.decode(json_text)

    def to_json(self) -> str:
        """The event as it goes over the wire."""
        return _ENCODER.encode(self).decode()

    def tag(self, name: str) -> str | None:
        """The first value of the first tag of that name; "" when the tag has no value."""
        for tag in self.tags:
            if tag and tag[0] == name:
                return tag[1] if len(tag) > 1 else ""
        return None

    def tags_named(self, name: str) -> Tags:
        """All tags of that name, whole."""
        return tuple(tag for tag in self.tags if tag and tag[0] == name)

    @property
    def coordinate(self) -> Coordinate:
        """The event's address; meaningful for replaceable and addressable kinds."""
        return Coordinate(self.kind, self.pubkey, self.tag("d") or "")


_DECODER = msgspec.json.Decoder(NostrEvent)
_ENCODER = msgspec.json.Encoder()


class UnverifiedEvent:
    """An event as a relay sent it."""

    __slots__ = ("_claimed",)

    def __init__(self, claimed: NostrEvent) -> None:
        self._claimed = claimed

    @classmethod
    def parse(cls, raw: bytes | msgspec.Raw) -> UnverifiedEvent:
        """Read the fields of an event.

        Raises:
            InvalidEvent: it is too large, or no event.
        """
        if len(memoryview(raw)) > MAX_EVENT_BYTES:
            raise InvalidEvent(f"the event is longer than {MAX_EVENT_BYTES} bytes")
        try:
            claimed = _DECODER.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise InvalidEvent("not a nostr event") from None
        written_well = (
            HEX_64.fullmatch(claimed.id)
            and HEX_64.fullmatch(claimed.pubkey)
            and HEX_128.fullmatch(claimed.sig)
        )
        if not written_well:
            raise InvalidEvent("id, key and signature of an event are lower-case hex")
        return cls(claimed)

    @property
    def id(self) -> str:
        """What it says its id is, hex."""
        return self._claimed.id

    @property
    def created_at(self) -> int:
        """What it says its time is, Unix seconds."""
        return self._claimed.created_at

    def verified(self) -> NostrEvent:
        """The event, if it is genuine.

        Raises:
            InvalidEvent: its id or its signature is wrong.
        """
        # What nostr-sdk judges is written anew from the fields that were read here: so no two
        # readings of one text can differ.
        try:
            genuine = Event.from_json(self._claimed.to_json()).verify()
        except NostrSdkError as error:
            raise InvalidEvent(f"not a nostr event: {_cause(error)}") from None
        if not genuine:
            raise InvalidEvent(_FORGED)
        return self._claimed


def freeze_tags(tags: Iterable[Sequence[str]]) -> Tags:
    """Tags as they are kept here: nothing in an event can be changed."""
    return tuple(tuple(tag) for tag in tags)


def event_id(pubkey: str, created_at: int, kind: int, tags: Tags, content: str) -> str:
    """The id that NIP-01 gives an event, hex.

    Raises:
        InvalidEvent: a text of it is no valid Unicode.
    """
    # NIP-01 asks for exactly the escapes that json.dumps makes without ensure_ascii.
    serialised = json.dumps(
        [0, pubkey, created_at, kind, tags, content], ensure_ascii=False, separators=(",", ":")
    )
    try:
        return hashlib.sha256(serialised.encode()).hexdigest()
    except UnicodeEncodeError:
        raise InvalidEvent("the event holds text that is not valid Unicode") from None


def next_created_at(last_s: int, now_s: int) -> int:
    """The time to give the next version of an addressable event, in Unix seconds.

    Of two versions of one second relays keep the one with the lower id, which may be the
    older: so a version is always at least one second younger than the last.
    """
    return max(now_s, last_s + 1)


def json_object(text: str, what: str) -> dict[str, object]:
    """Parse a JSON object that a stranger wrote.

    Raises:
        InvalidEvent: it is something else; `what` names it in the sentence.
    """
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidEvent(f"{what} is not valid JSON") from None
    if not isinstance(value, dict):
        raise InvalidEvent(f"{what} is not a JSON object")
    return cast("dict[str, object]", value)


def _cause(error: BaseException) -> str:
    return str(error).strip("'")[:200]

"""What a charge point is doing: user status, connector status, and taking both back.

https://github.com/nostr-protocol/nips/blob/master/38.md (kind 30315, user status)
https://github.com/nostr-protocol/nips/blob/master/40.md (expiration)
https://github.com/nostr-protocol/nips/blob/master/09.md (kind 5, deletion request)

Kind 30716, connector status, is a draft of our own: an addressable event, one for each
connector. The README describes it, for others to read and write it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from nips.errors import InvalidEvent
from nips.event import Coordinate, EventTemplate, NostrEvent, Tags
from nips.profile import TOPIC

KIND_DELETION = 5
KIND_USER_STATUS = 30_315
KIND_CONNECTOR_STATUS = 30_716

STATUSES = frozenset(
    {
        "Available",
        "Preparing",
        "Charging",
        "SuspendedEV",
        "SuspendedEVSE",
        "Finishing",
        "Reserved",
        "Unavailable",
        "Faulted",
    }
)
"""The words of OCPP 1.6 section 7.7 (ChargePointStatus)."""

_NUMBER = re.compile(r"[0-9]{1,15}")
_DECIMAL = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?")
_IDENTIFIER = re.compile(r"(.{1,100}):([0-9]{1,3})", re.DOTALL)
_WORD = re.compile(r"[A-Za-z_]{1,40}")
_TYPE = re.compile(r"[A-Za-z0-9_]{1,40}")
_CURRENCY = re.compile(r"[A-Z]{3}")
_GEOHASH = re.compile(r"[0-9b-hjkmnp-z]{1,12}")
_ADDRESS = re.compile(r"[a-z0-9._+-]{1,64}@[^\s@/]{1,255}")
_ONCE = (
    "d",
    "status",
    "updated_at",
    "expiration",
    "connector",
    "power",
    "energy",
    "free_at",
    "lud16",
    "title",
    "location",
)


@dataclass(frozen=True, slots=True)
class UserStatus:
    """A NIP-38 status: one line for people, a link, and when it goes away (Unix seconds)."""

    text: str
    url: str = ""
    expires_at: int | None = None
    identifier: str = "general"


def user_status(shown: UserStatus) -> EventTemplate:
    """A kind 30315 event."""
    tags: list[tuple[str, ...]] = [("d", shown.identifier)]
    if shown.url:
        tags.append(("r", shown.url))
    if shown.expires_at is not None:
        tags.append(("expiration", str(shown.expires_at)))
    return EventTemplate(KIND_USER_STATUS, shown.text, tuple(tags))


def parse_user_status(event: NostrEvent) -> UserStatus:
    """Read anybody's kind 30315.

    Raises:
        InvalidEvent: it is none.
    """
    if event.kind != KIND_USER_STATUS:
        raise InvalidEvent(f"expected a status of kind {KIND_USER_STATUS}, got {event.kind}")
    return UserStatus(
        text=event.content,
        url=event.tag("r") or "",
        expires_at=expires_at(event),
        identifier=event.tag("d") or "",
    )


@dataclass(frozen=True, slots=True)
class Price:
    """A component of a tariff: "energy", "time", "idle" or "flat".

    Attributes:
        amount: a decimal number in whole units of `currency`.
        currency: "SAT" or ISO 4217.
        unit: "kWh", "hour", "minute" or "session".
    """

    component: str
    amount: str
    currency: str
    unit: str


@dataclass(frozen=True, slots=True)
class ConnectorState:
    """The contents of a kind 30716 event; times in Unix seconds."""

    charge_point: str
    connector: int
    status: str
    updated_at: int
    expires_at: int
    text: str = ""
    title: str = ""
    location: str = ""
    connector_type: str = ""
    max_power_w: int | None = None
    power_w: int | None = None
    energy_wh: int | None = None
    free_at: int | None = None
    prices: tuple[Price, ...] = ()
    lud16: str = ""
    geohashes: tuple[str, ...] = ()

    @property
    def identifier(self) -> str:
        """The `d` tag."""
        return f"{self.charge_point}:{self.connector}"


def connector_status(state: ConnectorState) -> EventTemplate:
    """A kind 30716 event.

    Raises:
        InvalidEvent: the status is not a word of OCPP.
    """
    if state.status not in STATUSES:
        raise InvalidEvent(f'"{state.status[:40]}" is not a status of OCPP 1.6')
    tags: list[tuple[str, ...]] = [
        ("d", state.identifier),
        ("status", state.status),
        ("updated_at", str(state.updated_at)),
        ("expiration", str(state.expires_at)),
    ]
    if state.connector_type:
        power = () if state.max_power_w is None else (str(state.max_power_w),)
        tags.append(("connector", state.connector_type, *power))
    numbers = (("power", state.power_w), ("energy", state.energy_wh), ("free_at", state.free_at))
    tags += [(name, str(value)) for name, value in numbers if value is not None]
    tags += [
        ("price", price.component, price.amount, price.currency, price.unit)
        for price in state.prices
    ]
    texts = (("lud16", state.lud16), ("title", state.title), ("location", state.location))
    tags += [(name, text) for name, text in texts if text]
    tags += [("g", text) for text in state.geohashes]
    tags += [("t", TOPIC), ("alt", state.text or f"EV charging connector: {state.status}")]
    return EventTemplate(KIND_CONNECTOR_STATUS, state.text, tuple(tags))


def parse_connector_status(event: NostrEvent) -> ConnectorState:
    """Read a kind 30716 event, also one that is not ours; tags that are not known are passed over.

    Raises:
        InvalidEvent: it is none, or a tag that is known is missing, wrong or there twice: half
            a state, or a price without one of its parts, would mislead.
    """
    if event.kind != KIND_CONNECTOR_STATUS:
        raise InvalidEvent(f"expected kind {KIND_CONNECTOR_STATUS}, got kind {event.kind}")
    for name in _ONCE:
        if len(event.tags_named(name)) > 1:
            raise InvalidEvent(f"the connector's status has the tag {name} more than once")
    identifier = _IDENTIFIER.fullmatch(event.tag("d") or "")
    if identifier is None:
        raise InvalidEvent("the connector's identifier (d tag) must read {charge point}:{number}")
    status = event.tag("status")
    if status not in STATUSES:
        raise InvalidEvent("the connector's status is not one of OCPP 1.6")
    updated_at, expiration = _count(event, "updated_at"), _count(event, "expiration")
    if updated_at is None or expiration is None:
        raise InvalidEvent("the connector's status lacks updated_at or expiration")
    connector_type, max_power_w = _connector(event)
    lud16 = event.tag("lud16") or ""
    if lud16 and _ADDRESS.fullmatch(lud16) is None:
        raise InvalidEvent("the connector's lud16 is not a lightning address")
    return ConnectorState(
        charge_point=identifier[1],
        connector=int(identifier[2]),
        status=status,
        updated_at=updated_at,
        expires_at=expiration,
        text=event.content,
        title=event.tag("title") or "",
        location=event.tag("location") or "",
        connector_type=connector_type,
        max_power_w=max_power_w,
        power_w=_count(event, "power"),
        energy_wh=_count(event, "energy"),
        free_at=_count(event, "free_at"),
        prices=tuple(_price(tag) for tag in event.tags_named("price")),
        lud16=lud16,
        geohashes=tuple(_geohash(tag) for tag in event.tags_named("g")),
    )


def _connector(event: NostrEvent) -> tuple[str, int | None]:
    """Type and power of the `connector` tag; "" and None without one."""
    for tag in event.tags_named("connector"):
        power = tag[2] if len(tag) > 2 else ""
        if len(tag) < 2 or _TYPE.fullmatch(tag[1]) is None:
            raise InvalidEvent("the connector's type is not a word of OCPI")
        if power and _NUMBER.fullmatch(power) is None:
            raise InvalidEvent("the connector's power is not a number of watts")
        return tag[1], int(power) if power else None
    return "", None


def _count(event: NostrEvent, name: str) -> int | None:
    """A whole number; None where the tag is missing."""
    text = event.tag(name)
    if text is None:
        return None
    if _NUMBER.fullmatch(text) is None:
        raise InvalidEvent(f"the connector's {name} is not a whole number")
    return int(text)


def _price(tag: Sequence[str]) -> Price:
    match tag:
        case (_, component, amount, currency, unit, *_) if (
            _WORD.fullmatch(component)
            and _DECIMAL.fullmatch(amount)
            and _CURRENCY.fullmatch(currency)
            and _WORD.fullmatch(unit)
        ):
            return Price(component, amount, currency, unit)
        case _:
            raise InvalidEvent("a price must read: component, amount, currency, unit")


def _geohash(tag: Sequence[str]) -> str:
    if len(tag) < 2 or _GEOHASH.fullmatch(tag[1]) is None:
        raise InvalidEvent("a place (g tag) is not a geohash")
    return tag[1]


def deletion(events: Sequence[NostrEvent], reason: str = "") -> EventTemplate:
    """A kind 5 event that takes events of one author back.

    Addressable ones are named by their address too, so that all their versions go.
    """
    return _deletion(
        [event.id for event in events],
        [event.coordinate for event in events if _has_address(event)],
        sorted({event.kind for event in events}),
        reason,
    )


def deletion_of(
    coordinates: Sequence[Coordinate],
    reason: str = "",
    *,
    ids: Sequence[str] = (),
    kinds: Sequence[int] = (),
) -> EventTemplate:
    """A kind 5 event that takes all versions at these addresses back.

    Args:
        ids: of events to take back besides, hex.
        kinds: of those that have no address.
    """
    named = {coordinate.kind for coordinate in coordinates}
    return _deletion(ids, coordinates, sorted({*named, *kinds}), reason)


def _deletion(
    ids: Sequence[str], coordinates: Sequence[Coordinate], kinds: Sequence[int], reason: str
) -> EventTemplate:
    tags: Tags = (
        *(("e", identifier) for identifier in ids),
        *(("a", str(coordinate)) for coordinate in dict.fromkeys(coordinates)),
        *(("k", str(kind)) for kind in kinds),
    )
    return EventTemplate(KIND_DELETION, reason, tags)


def expires_at(event: NostrEvent) -> int | None:
    """When an event expires (NIP-40), Unix seconds; None when it does not say."""
    return _number(event, "expiration")


def is_expired(event: NostrEvent, now_s: int) -> bool:
    """Whether an event has expired: relays may still send it."""
    until = expires_at(event)
    return until is not None and until <= now_s


def _has_address(event: NostrEvent) -> bool:
    kind = event.kind
    return kind in (0, 3) or 10_000 <= kind < 20_000 or 30_000 <= kind < 40_000


def _number(event: NostrEvent, name: str) -> int | None:
    text = event.tag(name) or ""
    return int(text) if _NUMBER.fullmatch(text) else None

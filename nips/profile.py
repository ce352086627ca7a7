"""Who a charge point is: profile, relays, listings, handler, and the names that lead to it.

https://github.com/nostr-protocol/nips/blob/master/01.md (kind 0), and 24.md (extra fields)
https://github.com/nostr-protocol/nips/blob/master/05.md (names, nostr.json)
https://github.com/nostr-protocol/nips/blob/master/17.md (kind 10050, relays for messages)
https://github.com/nostr-protocol/nips/blob/master/65.md (kind 10002, relay list)
https://github.com/nostr-protocol/nips/blob/master/89.md (kind 31990, handlers)
https://github.com/nostr-protocol/nips/blob/master/99.md (kind 30402, listings)
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nips import bech32
from nips.errors import InvalidEvent, InvalidRelayUrl
from nips.event import EventTemplate, NostrEvent, Tags, json_object
from nips.relay_urls import check_relay_url

KIND_PROFILE = 0
KIND_RELAY_LIST = 10_002
KIND_DM_RELAYS = 10_050
KIND_LISTING = 30_402
KIND_HANDLER = 31_990

TOPIC = "ev-charging"
"""The `t` tag by which drivers' clients find charge points."""

MAX_LISTED_RELAYS = 20
MAX_LNURL_CHARS = 2_000
_LIGHTNING_ADDRESS = re.compile(r"[a-z0-9_.+-]{1,64}@[a-z0-9.-]{1,253}(?::\d{1,5})?")
_PRICE = re.compile(r"\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Profile:
    """A kind 0 event's content.

    Attributes:
        lud16: lightning address, "" when it has none.
        lud06: LNURL as older profiles have it, "" when it has none; not published.
        nip05: internet identifier, "" when it has none.
        bot: True when the author says that it is a machine.
        geohashes: the `g` tags.
    """

    name: str = ""
    about: str = ""
    picture: str = ""
    website: str = ""
    lud16: str = ""
    nip05: str = ""
    bot: bool = False
    geohashes: tuple[str, ...] = ()
    lud06: str = ""


def profile(
    shown: Profile, *, geohash_tags: Tags = (), extra_tags: Sequence[tuple[str, ...]] = ()
) -> EventTemplate:
    """A kind 0 event; empty fields are left out."""
    texts = {
        "name": shown.name,
        "display_name": shown.name,
        "about": shown.about,
        "picture": shown.picture,
        "website": shown.website,
        "lud16": shown.lud16,
        "nip05": shown.nip05,
    }
    content: dict[str, object] = {key: text for key, text in texts.items() if text}
    if shown.bot:
        content["bot"] = True
    tags = (*geohash_tags, *extra_tags)
    return EventTemplate(KIND_PROFILE, json.dumps(content, ensure_ascii=False), tags)


def parse_profile(event: NostrEvent) -> Profile:
    """Read anybody's kind 0; fields of the wrong type count as absent.

    Raises:
        InvalidEvent: it is no profile.
    """
    _expect(event, KIND_PROFILE)
    content = json_object(event.content, "the profile")

    def text(key: str) -> str:
        value = content.get(key)
        return value.strip() if isinstance(value, str) else ""

    return Profile(
        name=text("name") or text("display_name"),
        about=text("about"),
        picture=text("picture"),
        website=text("website"),
        lud16=text("lud16").lower(),
        nip05=text("nip05"),
        bot=content.get("bot") is True,
        geohashes=_values(event, "g"),
        lud06=text("lud06").lower(),
    )


def lightning_address(event: NostrEvent) -> str | None:
    """Where the author of a kind 0 takes payments; None without a well-formed one.

    Returns:
        His `lud16`, else, as in older profiles (NIP-57), the LNURL of his `lud06`.

    Raises:
        InvalidEvent: it is no profile.
    """
    shown = parse_profile(event)
    if _LIGHTNING_ADDRESS.fullmatch(shown.lud16):
        return shown.lud16
    if len(shown.lud06) > MAX_LNURL_CHARS:
        return None
    try:
        bech32.decode("lnurl", shown.lud06)
    except ValueError:
        return None
    return shown.lud06


@dataclass(frozen=True, slots=True)
class RelayList:
    """Where somebody writes, and where he reads what is written to him."""

    write: tuple[str, ...]
    read: tuple[str, ...]


def relay_list(relays: Sequence[str]) -> EventTemplate:
    """A kind 10002: all relays are for reading and for writing."""
    return EventTemplate(KIND_RELAY_LIST, "", tuple(("r", url) for url in relays))


def parse_relay_list(event: NostrEvent) -> RelayList:
    """Read anybody's kind 10002; at most twenty relays each way, malformed URLs left out.

    Raises:
        InvalidEvent: it is no relay list.
    """
    _expect(event, KIND_RELAY_LIST)
    write: list[str] = []
    read: list[str] = []
    for tag in event.tags_named("r"):
        url = _relay(tag[1] if len(tag) > 1 else "")
        marker = tag[2] if len(tag) > 2 else ""
        if url is None:
            continue
        if marker in ("", "write"):
            write.append(url)
        if marker in ("", "read"):
            read.append(url)
    return RelayList(tuple(write[:MAX_LISTED_RELAYS]), tuple(read[:MAX_LISTED_RELAYS]))


def dm_relays(relays: Sequence[str]) -> EventTemplate:
    """A kind 10050: NIP-17 messages to us belong on these relays."""
    return EventTemplate(KIND_DM_RELAYS, "", tuple(("relay", url) for url in relays))


def parse_dm_relays(event: NostrEvent) -> tuple[str, ...]:
    """The relays of anybody's kind 10050, malformed URLs left out.

    Raises:
        InvalidEvent: it is none.
    """
    _expect(event, KIND_DM_RELAYS)
    found = (_relay(url) for url in _values(event, "relay"))
    return tuple(url for url in found if url is not None)[:MAX_LISTED_RELAYS]


def nostr_json(names: Mapping[str, str], relays: Sequence[str]) -> dict[str, object]:
    """The body of /.well-known/nostr.json (NIP-05).

    Args:
        names: local part of the name to hex pubkey, only the ones that were asked for.
    """
    return {
        "names": {name.lower(): pubkey for name, pubkey in names.items()},
        "relays": {pubkey: list(relays) for pubkey in names.values()},
    }


@dataclass(frozen=True, slots=True)
class Listing:
    """One connector as a listing (NIP-99).

    Attributes:
        identifier: the `d` tag.
        content: Markdown for people.
        price: as a decimal number, in `currency`, for each `frequency` ("kWh", "hour", ...).
        status: "active" or "sold" (NIP-99's words; "sold" is shown while it is occupied).
        published_at: when it was first published, Unix seconds.
    """

    identifier: str
    title: str
    content: str
    summary: str = ""
    price: str = ""
    currency: str = ""
    frequency: str = ""
    location: str = ""
    image: str = ""
    status: str = "active"
    published_at: int = 0
    geohashes: tuple[str, ...] = ()


def listing(
    shown: Listing, *, geohash_tags: Tags = (), extra_tags: Sequence[tuple[str, ...]] = ()
) -> EventTemplate:
    """A kind 30402 event."""
    tags: list[tuple[str, ...]] = [
        ("d", shown.identifier),
        ("title", shown.title),
        ("published_at", str(shown.published_at)),
        ("status", shown.status),
        ("t", TOPIC),
    ]
    optional = (("summary", shown.summary), ("location", shown.location), ("image", shown.image))
    tags += [tag for tag in optional if tag[1]]
    if shown.price:
        price = ("price", shown.price, shown.currency)
        tags.append((*price, shown.frequency) if shown.frequency else price)
    return EventTemplate(KIND_LISTING, shown.content, (*tags, *geohash_tags, *extra_tags))


def parse_listing(event: NostrEvent) -> Listing:
    """Read anybody's kind 30402.

    Raises:
        InvalidEvent: it is none, or lacks an identifier, or its price is no number.
    """
    _expect(event, KIND_LISTING)
    identifier = event.tag("d")
    if not identifier:
        raise InvalidEvent("the listing has no identifier (d tag)")
    price = next(iter(event.tags_named("price")), ("price",))
    amount, currency, frequency = (*price[1:4], "", "", "")[:3]
    if amount and not _PRICE.fullmatch(amount):
        raise InvalidEvent("the listing's price is not a number")
    published = event.tag("published_at") or "0"
    return Listing(
        identifier=identifier,
        title=event.tag("title") or "",
        content=event.content,
        summary=event.tag("summary") or "",
        price=amount,
        currency=currency,
        frequency=frequency,
        location=event.tag("location") or "",
        image=event.tag("image") or "",
        status=event.tag("status") or "active",
        published_at=int(published) if published.isdecimal() and len(published) < 13 else 0,
        geohashes=_values(event, "g"),
    )


def handler(
    identifier: str, kinds: Sequence[int], web_url: str, *, name: str, about: str
) -> EventTemplate:
    """A kind 31990: clients that do not know a kind may open it at `web_url`.

    Args:
        web_url: with `<bech32>` where the event's naddr belongs.
    """
    content = json.dumps({"name": name, "about": about}, ensure_ascii=False)
    tags: Tags = (
        ("d", identifier),
        *(("k", str(kind)) for kind in kinds),
        ("web", web_url, "naddr"),
    )
    return EventTemplate(KIND_HANDLER, content, tags)


def _expect(event: NostrEvent, kind: int) -> None:
    if event.kind != kind:
        raise InvalidEvent(f"expected an event of kind {kind}, got kind {event.kind}")


def _values(event: NostrEvent, name: str) -> tuple[str, ...]:
    return tuple(tag[1] for tag in event.tags_named(name) if len(tag) > 1 and tag[1])


def _relay(url: str) -> str | None:
    try:
        return check_relay_url(url)
    except InvalidRelayUrl:
        return None

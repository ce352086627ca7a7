from __future__ import annotations

import json

import pytest

from nips import bech32
from nips.errors import InvalidEvent
from nips.event import EventTemplate
from nips.profile import (
    Listing,
    Profile,
    RelayList,
    dm_relays,
    handler,
    lightning_address,
    listing,
    nostr_json,
    parse_dm_relays,
    parse_listing,
    parse_profile,
    parse_relay_list,
    profile,
    relay_list,
)
from tests.nips.support import NOW_S, key_of

CHARGER = key_of("charger")
RELAYS = ("wss://a.example.com", "wss://b.example.com/path")


def test_a_profile_is_read_back() -> None:
    shown = Profile(
        name="Old Mill",
        about="0.45 EUR/kWh",
        picture="https://x.org/p.png",
        website="https://x.org",
        lud16="cp001@x.org",
        nip05="cp001@x.org",
        bot=True,
        geohashes=("u33",),
    )
    template = profile(shown, geohash_tags=(("g", "u33"),))
    event = CHARGER.sign_template(template, NOW_S)
    assert parse_profile(event) == shown
    assert lightning_address(event) == "cp001@x.org"
    assert json.loads(template.content)["bot"] is True
    assert "picture" not in json.loads(profile(Profile(name="x")).content)


def test_a_strangers_profile_is_read_with_care() -> None:
    content = json.dumps({"name": 5, "display_name": " Bob ", "lud16": "BOB@x.org", "bot": "yes"})
    shown = parse_profile(CHARGER.sign(0, content, [], NOW_S))
    assert shown == Profile(name="Bob", lud16="bob@x.org")


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000, "null"])
def test_what_is_no_profile_is_refused(content: str) -> None:
    with pytest.raises(InvalidEvent):
        parse_profile(CHARGER.sign(0, content, [], NOW_S))


@pytest.mark.parametrize("address", ["", "x", "@x.org", "a@b@c", "https://x.org", "a b@x.org", 5])
def test_a_malformed_lightning_address_is_none(address: object) -> None:
    event = CHARGER.sign(0, json.dumps({"lud16": address}), [], NOW_S)
    assert lightning_address(event) is None


@pytest.mark.parametrize("lud16", ["", "me at x.org", None])
def test_an_older_profile_names_an_lnurl(lud16: object) -> None:
    lnurl = bech32.encode("lnurl", b"https://x.org/pay/me")
    content = {"lud16": lud16, "lud06": f" {lnurl.upper()} "}
    assert lightning_address(CHARGER.sign(0, json.dumps(content), [], NOW_S)) == lnurl
    endless = bech32.encode("lnurl", b"https://x.org/" + b"x" * 2_000)
    for other in (lnurl[:-1], "lnurl", "https://x.org/pay/me", 5, endless):
        content["lud06"] = other
        assert lightning_address(CHARGER.sign(0, json.dumps(content), [], NOW_S)) is None
    both = json.dumps({"lud16": "me@x.org", "lud06": lnurl})
    assert lightning_address(CHARGER.sign(0, both, [], NOW_S)) == "me@x.org"


def test_relay_lists_are_read_back() -> None:
    assert parse_relay_list(CHARGER.sign_template(relay_list(RELAYS), 1)) == RelayList(
        RELAYS, RELAYS
    )
    assert parse_dm_relays(CHARGER.sign_template(dm_relays(RELAYS), 1)) == RELAYS


def test_a_strangers_relay_list_is_read_with_care() -> None:
    tags = [["r", "wss://w.org", "write"], ["r", "wss://r.org/", "read"], ["r"], ["r", "x"]]
    tags += [["r", f"wss://{number}.org", "read"] for number in range(100)]
    found = parse_relay_list(CHARGER.sign(10002, "", tags, NOW_S))
    assert found.write == ("wss://w.org",)
    assert found.read[0] == "wss://r.org"
    assert len(found.read) == 20


def test_names_come_with_their_relays() -> None:
    assert nostr_json({"CP001": CHARGER.pubkey}, RELAYS) == {
        "names": {"cp001": CHARGER.pubkey},
        "relays": {CHARGER.pubkey: list(RELAYS)},
    }


def test_a_listing_is_read_back() -> None:
    shown = Listing(
        identifier="CP001:1",
        title="Old Mill, connector 1",
        content="**22 kW**",
        summary="22 kW, type 2",
        price="0.45",
        currency="EUR",
        frequency="kWh",
        location="Mill Road 1",
        image="https://x.org/p.png",
        status="active",
        published_at=NOW_S,
        geohashes=("u33", "u33d"),
    )
    template = listing(shown, geohash_tags=(("g", "u33"), ("g", "u33d")))
    assert parse_listing(CHARGER.sign_template(template, NOW_S)) == shown
    assert ("t", "ev-charging") in template.tags


@pytest.mark.parametrize("tags", [[], [["d", ""]], [["d", "x"], ["price", "cheap"]]])
def test_what_is_no_listing_is_refused(tags: list[list[str]]) -> None:
    with pytest.raises(InvalidEvent):
        parse_listing(CHARGER.sign(30402, "", tags, NOW_S))


def test_a_listing_of_few_words_is_read() -> None:
    tags = [["d", "x"], ["price", "5"], ["published_at", "soon"]]
    found = parse_listing(CHARGER.sign(30402, "", tags, NOW_S))
    assert (found.price, found.currency, found.published_at) == ("5", "", 0)


@pytest.mark.parametrize("parse", [parse_profile, parse_relay_list, parse_dm_relays, parse_listing])
def test_a_parser_takes_its_own_kind_only(parse: object) -> None:
    assert callable(parse)
    with pytest.raises(InvalidEvent, match="kind"):
        parse(CHARGER.sign(1, "{}", [["d", "x"]], NOW_S))


def test_a_handler_names_its_kinds() -> None:
    template = handler("strom", [30716], "https://x.org/e/<bech32>", name="Strom", about="EV")
    assert template == EventTemplate(
        31990,
        '{"name": "Strom", "about": "EV"}',
        (("d", "strom"), ("k", "30716"), ("web", "https://x.org/e/<bech32>", "naddr")),
    )

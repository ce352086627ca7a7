"""Every line of relay-fixtures/ against the module that it is for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nips.dms import read_message
from nips.errors import InvalidEvent, NostrError
from nips.event import NostrEvent
from nips.identity import Identity, decode_naddr, decode_nprofile, decode_npub
from nips.profile import parse_dm_relays, parse_listing, parse_profile, parse_relay_list
from nips.status import (
    ConnectorState,
    Price,
    is_expired,
    parse_connector_status,
    parse_user_status,
)
from nips.zaps import check_receipt, parse_zap_request
from tests.nips.make_fixtures import FILES
from tests.nips.support import key_of

FOLDER = Path(__file__).parents[2] / "relay-fixtures"
Line = dict[str, Any]


def lines() -> Iterator[tuple[str, Line]]:
    for file in sorted(FOLDER.glob("*.jsonl")):
        # Not splitlines: a text may hold a line separator of Unicode.
        for text in file.read_text(encoding="utf-8").rstrip("\n").split("\n"):
            yield file.stem, json.loads(text)


def check_event(line: Line) -> None:
    NostrEvent.parse(line["event"])


def check_zap_request(line: Line) -> None:
    request = parse_zap_request(
        line["event"],
        recipient_pubkey=key_of("charger").pubkey,
        amount_msat=line["amount_msat"],
        own_relays=["wss://own.example.com"],
    )
    assert request.sender == line["sender"]
    assert request.relays


def check_zap_receipt(line: Line) -> None:
    check_receipt(
        NostrEvent.parse(line["event"]),
        recipient_pubkey=line["recipient"],
        issuer_pubkey=line["issuer"],
        network=line["network"],
        payee=line["payee"],
    )


def check_message(line: Line) -> None:
    message = read_message(Identity.from_nsec(line["nsec"]), NostrEvent.parse(line["event"]))
    assert (message.sender, message.text, message.protocol) == (
        line["sender"],
        line["text"],
        line["protocol"],
    )


def check_published(line: Line) -> None:
    event = NostrEvent.parse(line["event"])
    parsers: dict[int, Callable[[NostrEvent], object]] = {
        0: parse_profile,
        10002: parse_relay_list,
        10050: parse_dm_relays,
        30315: parse_user_status,
        30402: parse_listing,
        30716: parse_connector_status,
    }
    found = parsers[event.kind](event)
    if isinstance(found, ConnectorState):
        fields = line["fields"]
        fields["prices"] = tuple(Price(**price) for price in fields["prices"])
        fields["geohashes"] = tuple(fields["geohashes"])
        assert found == ConnectorState(**fields)


def check_expiration(line: Line) -> None:
    if is_expired(NostrEvent.parse(line["event"]), line["now"]):
        raise InvalidEvent("expired")


def check_entity(line: Line) -> None:
    code = line["event"]
    if code.startswith("naddr"):
        pubkey = decode_naddr(code)[0].pubkey
    else:
        pubkey = decode_nprofile(code)[0] if code.startswith("nprofile") else decode_npub(code)
    assert pubkey == line["hex"]


CHECKS = {
    "entities": check_entity,
    "expirations": check_expiration,
    "events": check_event,
    "zap-requests": check_zap_request,
    "zap-receipts": check_zap_receipt,
    "messages": check_message,
    "published": check_published,
}


@pytest.mark.parametrize(
    ("file", "line"), [pytest.param(*both, id=f"{both[0]}: {both[1]['name']}") for both in lines()]
)
def test_verdict(file: str, line: Line) -> None:
    if line["verdict"] == "valid":
        CHECKS[file](line)
    else:
        with pytest.raises(NostrError):
            CHECKS[file](line)


def test_every_file_has_valid_and_invalid_cases() -> None:
    verdicts = {(file, line["verdict"]) for file, line in lines()}
    assert verdicts == {(file, verdict) for file in CHECKS for verdict in ("valid", "invalid")}
    assert all(line["rule"] for _, line in lines())
    names = [(file, line["name"]) for file, line in lines()]
    assert len(set(names)) == len(names)


def test_every_case_is_recorded() -> None:
    made = {(file, str(line["name"])) for file, make in FILES.items() for line in make()}
    assert made == {(file, line["name"]) for file, line in lines()}

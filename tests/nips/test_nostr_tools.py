"""nostr-tools under Node verifies what we write, and we read what it writes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from nips.dms import read_message, write_message
from nips.event import Coordinate, NostrEvent
from nips.identity import Identity, decode_naddr, decode_nprofile, encode_naddr
from nips.profile import Profile, profile
from nips.status import UserStatus, user_status
from nips.zaps import parse_zap_request, zap_receipt, zap_request
from tests.nips.support import key_of, now_s
from tests.node import run_script

pytestmark = pytest.mark.usefixtures("node_modules")

CHARGER = key_of("charger")
DRIVER = key_of("driver")
RELAYS = ("wss://relay.example.com",)


def secret(identity: Identity) -> str:
    return identity.keys.secret_key().to_hex()


async def ask(*questions: Mapping[str, object]) -> list[Any]:
    """Answers of nostr-tools; fails on the first one that is an error."""
    answers = await run_script("nostr_tools.mjs", questions)
    assert not [answer for answer in answers if "error" in answer]
    return [answer["value"] for answer in answers]


def plain(event: NostrEvent) -> dict[str, object]:
    return json.loads(event.to_json())


async def test_it_verifies_our_events() -> None:
    tricky = 'Grüße ⚡ \n\t"\\\u2028\x01\x7f'
    events = [
        DRIVER.sign(1, tricky, [["p", CHARGER.pubkey], ["x", tricky]], now_s()),
        CHARGER.sign_template(profile(Profile(name="Old Mill", bot=True)), now_s()),
        CHARGER.sign_template(user_status(UserStatus("Available")), now_s()),
    ]
    assert await ask(*({"op": "verify", "event": plain(event)} for event in events)) == [True] * 3


async def test_we_verify_its_events() -> None:
    draft = {
        "kind": 1,
        "content": 'é "\\\n',
        "tags": [["p", CHARGER.pubkey]],
        "created_at": now_s(),
    }
    pubkey, event = await ask(
        {"op": "pubkey", "secret": secret(DRIVER)},
        {"op": "sign", "secret": secret(DRIVER), "event": draft},
    )
    assert pubkey == DRIVER.pubkey
    assert NostrEvent.parse(json.dumps(event)).content == 'é "\\\n'


async def test_it_reads_our_names_and_we_read_its() -> None:
    coordinate = Coordinate(30716, CHARGER.pubkey, "CP001:1")
    naddr = encode_naddr(coordinate, RELAYS)
    npub, nprofile, address, its_profile, its_address = await ask(
        {"op": "decode", "text": CHARGER.npub},
        {"op": "decode", "text": CHARGER.nprofile(RELAYS)},
        {"op": "decode", "text": naddr},
        {
            "op": "encode",
            "kind": "nprofile",
            "data": {"pubkey": CHARGER.pubkey, "relays": RELAYS},
        },
        {
            "op": "encode",
            "kind": "naddr",
            "data": {
                "pubkey": CHARGER.pubkey,
                "relays": RELAYS,
                "kind": 30716,
                "identifier": "CP001:1",
            },
        },
    )
    assert npub == {"type": "npub", "data": CHARGER.pubkey}
    assert nprofile["data"] == {"pubkey": CHARGER.pubkey, "relays": list(RELAYS)}
    assert address["data"]["identifier"] == "CP001:1"
    assert address["data"]["kind"] == 30716
    assert decode_nprofile(its_profile) == (CHARGER.pubkey, RELAYS)
    assert decode_naddr(its_address) == (coordinate, RELAYS)


async def test_messages_go_both_ways_in_both_protocols() -> None:
    nip04 = write_message(CHARGER, DRIVER.pubkey, "Grüße ⚡", "nip04", now_s())
    nip17 = write_message(CHARGER, DRIVER.pubkey, "Grüße ⚡", "nip17", now_s())
    read04, read17, written04, written17 = await ask(
        {
            "op": "nip04Decrypt",
            "secret": secret(DRIVER),
            "peer": CHARGER.pubkey,
            "text": nip04.content,
        },
        {"op": "nip17Unwrap", "secret": secret(DRIVER), "event": plain(nip17)},
        {
            "op": "nip04Encrypt",
            "secret": secret(DRIVER),
            "peer": CHARGER.pubkey,
            "text": "stop ✋",
        },
        {"op": "nip17Wrap", "secret": secret(DRIVER), "peer": CHARGER.pubkey, "text": "stop ✋"},
    )
    assert read04 == "Grüße ⚡"
    assert read17["content"] == "Grüße ⚡"
    assert read17["pubkey"] == CHARGER.pubkey
    event04 = DRIVER.sign(4, written04, [["p", CHARGER.pubkey]], now_s())
    event17 = NostrEvent.parse(json.dumps(written17))
    for event in (event04, event17):
        message = read_message(CHARGER, event)
        assert (message.sender, message.text) == (DRIVER.pubkey, "stop ✋")


async def test_its_zap_requests_pass_and_ours_pass_there() -> None:
    ours = zap_request(
        DRIVER,
        recipient_pubkey=CHARGER.pubkey,
        amount_msat=21_000,
        relays=RELAYS,
        comment="",
        created_at=now_s(),
        coordinate=Coordinate(30716, CHARGER.pubkey, "CP001:1"),
    )
    status = CHARGER.sign(30315, "Available", [["d", "general"]], now_s())
    params = {"amount": 21_000, "relays": RELAYS, "comment": "2"}
    verdict, of_profile, of_status = await ask(
        {"op": "validateZapRequest", "text": ours.to_json()},
        {
            "op": "zapRequest",
            "secret": secret(DRIVER),
            "params": {**params, "pubkey": CHARGER.pubkey},
        },
        {
            "op": "zapRequest",
            "secret": secret(DRIVER),
            "params": {**params, "event": plain(status)},
        },
    )
    assert verdict is None
    for its in (of_profile, of_status):
        request = parse_zap_request(
            json.dumps(its), recipient_pubkey=CHARGER.pubkey, amount_msat=21_000, own_relays=()
        )
        assert request.sender == DRIVER.pubkey
    assert request.event == status.id
    assert request.coordinate == Coordinate(30315, CHARGER.pubkey, "general")
    assert request.zapped_kind == 30315


async def test_its_receipt_of_a_request_says_what_ours_says() -> None:
    paid_at = now_s()
    raw = zap_request(
        DRIVER,
        recipient_pubkey=CHARGER.pubkey,
        amount_msat=21_000,
        relays=RELAYS,
        comment="",
        created_at=paid_at,
    ).to_json()
    ours = zap_receipt(CHARGER, raw, "lnbcrt1", paid_at, "ab" * 32)
    verified, its = await ask(
        {"op": "verify", "event": plain(ours)},
        {
            "op": "zapReceipt",
            "params": {
                "zapRequest": raw,
                "bolt11": "lnbcrt1",
                "preimage": "ab" * 32,
                "paidAt": paid_at * 1000,
            },
        },
    )
    assert verified is True
    assert its["created_at"] == ours.created_at
    assert {tuple(tag) for tag in its["tags"]} <= set(ours.tags)
    assert hashlib.sha256((ours.tag("description") or "").encode()).hexdigest()


async def test_a_package_folder_is_there(node_modules: Path) -> None:
    assert (node_modules / "nostr-tools").is_dir()

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nips.errors import InvalidZapReceipt, InvalidZapRequest
from nips.event import Coordinate, NostrEvent
from nips.identity import Identity
from nips.private_zaps import private_zap_request, read_private_zap
from nips.relay_urls import is_public_relay
from nips.zaps import (
    KIND_ZAP_RECEIPT,
    CheckedReceipt,
    ZapRequest,
    check_receipt,
    parse_zap_request,
    receipt_relays,
    zap_receipt,
    zap_request,
)
from tests.nips.invoices import NODE_PUBKEY, PREIMAGE, make_invoice
from tests.nips.support import NOW_S, key_of

CHARGER = key_of("charger")
DRIVER = key_of("driver")
PROVIDER = key_of("provider")
STATUS = Coordinate(30716, CHARGER.pubkey, "CP001:1")
OWN = ("wss://own.example.com",)


def request_event(**changes: object) -> NostrEvent:
    arguments: dict[str, object] = {
        "recipient_pubkey": CHARGER.pubkey,
        "amount_msat": 21_000,
        "relays": ["wss://relay.example.com"],
        "comment": "connector 2",
        "created_at": NOW_S,
    }
    return zap_request(DRIVER, **(arguments | changes))  # pyright: ignore[reportArgumentType]


def parse(raw: str, amount_msat: int | None = 21_000, **options: object) -> ZapRequest:
    return parse_zap_request(
        raw,
        recipient_pubkey=CHARGER.pubkey,
        amount_msat=amount_msat,
        own_relays=OWN,
        **options,  # pyright: ignore[reportArgumentType]
    )


def test_a_zap_of_the_profile() -> None:
    event = request_event()
    request = parse(event.to_json())
    assert request.sender == request.signer == DRIVER.pubkey
    assert request.amount_msat == 21_000
    assert request.relays == ("wss://relay.example.com",)
    assert request.comment == "connector 2"
    assert request.event_id == event.id
    assert request.coordinate is request.event is request.zapped_kind is None
    assert not request.is_private


def test_a_zap_of_the_status_binds_to_its_address() -> None:
    request = parse(request_event(coordinate=STATUS, event="ab" * 32).to_json())
    assert request.coordinate == STATUS
    assert request.event == "ab" * 32
    assert request.zapped_kind == 30716
    assert parse(request.raw, coordinates={STATUS}).coordinate == STATUS
    with pytest.raises(InvalidZapRequest, match="not of this charge point"):
        parse(request.raw, coordinates=set[Coordinate]())


def test_an_anonymous_zap_has_no_sender() -> None:
    thrown_away = Identity.generate()
    event = zap_request(
        thrown_away,
        recipient_pubkey=CHARGER.pubkey,
        amount_msat=1,
        relays=[],
        comment="",
        created_at=NOW_S,
        anonymous=True,
    )
    request = parse(event.to_json(), 1)
    assert request.sender is None
    assert request.signer == thrown_away.pubkey
    assert not request.is_private
    assert request.relays == OWN


def private(**changes: object) -> NostrEvent:
    arguments: dict[str, object] = {
        "recipient_pubkey": CHARGER.pubkey,
        "amount_msat": 21_000,
        "relays": ["wss://relay.example.com"],
        "comment": "for your eyes only",
        "created_at": NOW_S,
    }
    return private_zap_request(DRIVER, **(arguments | changes))  # pyright: ignore[reportArgumentType]


def test_a_private_zap_is_read_by_its_recipient_only() -> None:
    event = private()
    request = parse(event.to_json())
    assert request.is_private
    assert request.sender is None
    assert DRIVER.pubkey not in request.raw
    assert "eyes" not in request.raw
    secret = read_private_zap(CHARGER, request)
    assert (secret.sender, secret.comment) == (DRIVER.pubkey, "for your eyes only")
    with pytest.raises(InvalidZapRequest):
        read_private_zap(PROVIDER, request)


def test_a_private_zap_made_for_another_is_not_believed() -> None:
    stolen = private(recipient_pubkey=PROVIDER.pubkey)
    inner = read_private_zap(
        PROVIDER,
        parse_zap_request(
            stolen.to_json(), recipient_pubkey=PROVIDER.pubkey, amount_msat=None, own_relays=()
        ),
    )
    assert inner.sender == DRIVER.pubkey
    relabelled = DRIVER.sign(
        9734, "", [["p", CHARGER.pubkey], ["anon", stolen.tag("anon") or ""]], NOW_S
    )
    with pytest.raises(InvalidZapRequest):
        read_private_zap(CHARGER, parse(relabelled.to_json()))


@pytest.mark.parametrize("anon", ["", "x", "pzap1_iv1", "pzap1qqqqqqq_iv1qqqqqqq", "_" * 20_000])
def test_a_broken_private_zap_is_refused(anon: str) -> None:
    event = DRIVER.sign(9734, "", [["p", CHARGER.pubkey], ["anon", anon]], NOW_S)
    with pytest.raises(InvalidZapRequest):
        read_private_zap(CHARGER, parse(event.to_json()))


Tagging = Callable[[list[list[str]]], list[list[str]]]


def tagged(change: Tagging, kind: int = 9734) -> str:
    tags = [["relays", "wss://x.org"], ["amount", "21000"], ["p", CHARGER.pubkey]]
    return DRIVER.sign(kind, "", change(tags), NOW_S).to_json()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (tagged(lambda tags: tags, kind=1), "kind 1"),
        (tagged(lambda _: []), "no tags"),
        (tagged(lambda tags: tags[:2]), "exactly one recipient"),
        (tagged(lambda tags: [*tags, tags[2]]), "exactly one recipient"),
        (tagged(lambda tags: [*tags[:2], ["p", DRIVER.pubkey]]), "somebody else"),
        (tagged(lambda tags: [*tags[:2], ["p"]]), "somebody else"),
        (tagged(lambda tags: [*tags, ["e", "ab" * 32], ["e", "cd" * 32]]), "more than one e"),
        (tagged(lambda tags: [*tags, ["e", "xyz"]]), "e tag"),
        (tagged(lambda tags: [*tags, ["a", "xyz"]]), "a tag"),
        (tagged(lambda tags: [*tags, ["a", f"1:{CHARGER.pubkey}:"]]), "a tag"),
        (tagged(lambda tags: [*tags, ["a", f"30716:{DRIVER.pubkey}:x"]]), "not of this charge"),
        (tagged(lambda tags: [*tags, ["k", "x"]]), "k tag"),
        (tagged(lambda tags: [*tags, ["P", DRIVER.pubkey]]), "P tag"),
        (tagged(lambda tags: [*tags, ["P", CHARGER.pubkey], ["P", CHARGER.pubkey]]), "P tag"),
        (tagged(lambda tags: [tags[0], ["amount", "21001"], tags[2]]), "21001 msat"),
        (tagged(lambda tags: [tags[0], ["amount", "-1"], tags[2]]), "not a number"),
        (tagged(lambda tags: [tags[0], ["amount", "٣"], tags[2]]), "asked for"),
        (tagged(lambda tags: [tags[0], ["amount", "9" * 30], tags[2]]), "not a number"),
        (tagged(lambda tags: [*tags, ["amount", "21000"]]), "more than one amount"),
        (tagged(lambda tags: [*tags, *[["x", str(n)] for n in range(200)]]), "100 tags"),
        (request_event().to_json().replace("connector 2", "connector 1"), "not valid"),
        (request_event(comment="x" * 40_000).to_json(), "too long"),
        ("", "not valid"),
        ("[" * 30_000, "not valid"),
    ],
)
def test_each_rule_for_servers(raw: str, reason: str) -> None:
    with pytest.raises(InvalidZapRequest, match=reason):
        parse(raw)


@given(st.text(max_size=300))
def test_no_text_does_more_than_be_refused(raw: str) -> None:
    with pytest.raises(InvalidZapRequest):
        parse(raw)


def test_a_request_without_relays_or_amount_is_fine() -> None:
    request = parse(tagged(lambda tags: tags[2:]))
    assert request.relays == OWN
    assert request.amount_msat is None


def test_a_receipt_is_the_same_event_whenever_it_is_made() -> None:
    raw = request_event(coordinate=STATUS, event="ab" * 32).to_json()
    first = zap_receipt(CHARGER, raw, "lnbcrt1...", NOW_S, PREIMAGE)
    again = zap_receipt(CHARGER, raw, "lnbcrt1...", NOW_S, PREIMAGE)
    assert first.id == again.id
    assert first.kind == KIND_ZAP_RECEIPT
    assert first.content == ""
    assert first.tags == (
        ("p", CHARGER.pubkey),
        ("e", "ab" * 32),
        ("a", str(STATUS)),
        ("k", "30716"),
        ("P", DRIVER.pubkey),
        ("bolt11", "lnbcrt1..."),
        ("description", raw),
        ("preimage", PREIMAGE),
    )
    assert NostrEvent.parse(first.to_json()) == first


def test_the_description_is_the_raw_text_to_the_byte() -> None:
    raw = json.dumps(json.loads(request_event(comment="Grüße ⚡").to_json()), indent=1)
    receipt = zap_receipt(CHARGER, raw, "lnbcrt1...", NOW_S)
    assert receipt.tag("description") == raw
    assert parse(raw).description_hash == hashlib.sha256(raw.encode()).hexdigest()


def test_hostile_relays_are_defused() -> None:
    hostile = [
        "ws://relay.example.com",
        "wss://127.0.0.1",
        "wss://10.1.2.3",
        "wss://192.168.1.1",
        "wss://169.254.169.254/latest",
        "wss://[::1]",
        "wss://[fe80::1]",
        "wss://[::ffff:10.0.0.1]",
        "wss://[64:ff9b::a00:1]",
        "wss://localhost",
        "wss://printer.local",
        "wss://router",
        "wss://2130706433",
        "wss://0x7f.1",
        "wss://127.1",
        "wss://user:pass@relay.example.com",
        "wss://relay.example.com:0",
        "wss://relay.example.com:99999",
        "wss://re lay.example.com",
        "wss://rel\u0430y.example.com",
        "http://relay.example.com",
        "wss://" + "a" * 300 + ".com",
        "wss://xyz.onion",
        "wss://",
        "",
    ]
    many = [f"wss://r{number}.example.com" for number in range(50)]
    request = parse(request_event(relays=[*hostile, *many]).to_json())
    assert receipt_relays(request, OWN) == (*OWN, *many[:10])


def test_own_relays_always_get_the_receipt_and_only_once() -> None:
    request = parse(request_event(relays=["WSS://OWN.example.com/", "wss://b.org"]).to_json())
    assert receipt_relays(request, OWN) == (*OWN, "wss://b.org")


def test_loopback_is_for_development() -> None:
    request = parse(request_event(relays=["ws://127.0.0.1:7777"]).to_json())
    assert receipt_relays(request, ()) == ()
    assert receipt_relays(request, (), allow_loopback=True) == ("ws://127.0.0.1:7777",)
    assert not is_public_relay("ws://10.0.0.1", allow_loopback=True)


def checked(receipt: NostrEvent, **options: object) -> CheckedReceipt:
    arguments: dict[str, object] = {
        "recipient_pubkey": CHARGER.pubkey,
        "issuer_pubkey": PROVIDER.pubkey,
        "network": "bcrt",
        "payee": NODE_PUBKEY,
    }
    return check_receipt(receipt, **(arguments | options))  # pyright: ignore[reportArgumentType]


def provider_receipt(raw: str | None = None, **invoice: object) -> NostrEvent:
    raw = request_event().to_json() if raw is None else raw
    arguments: dict[str, object] = {"amount_msat": 21_000, "description": raw, "date": NOW_S}
    bolt11 = make_invoice(**(arguments | invoice))  # pyright: ignore[reportArgumentType]
    return zap_receipt(PROVIDER, raw, bolt11, NOW_S + 5, PREIMAGE)


def test_a_receipt_of_our_provider_is_consistent() -> None:
    receipt = provider_receipt()
    result = checked(receipt)
    assert result.request.sender == DRIVER.pubkey
    assert result.invoice.amount_msat == 21_000
    assert result.invoice.payment_hash == hashlib.sha256(bytes.fromhex(PREIMAGE)).hexdigest()
    assert result.preimage == PREIMAGE
    assert result.paid_at_s == NOW_S + 5
    assert checked(receipt, invoice=result.invoice) == result


def retagged(change: Callable[[list[tuple[str, ...]]], list[tuple[str, ...]]]) -> NostrEvent:
    receipt = provider_receipt()
    tags = change(list(receipt.tags))
    return PROVIDER.sign(KIND_ZAP_RECEIPT, "", tags, receipt.created_at)


def without(name: str) -> NostrEvent:
    return retagged(lambda tags: [tag for tag in tags if tag[0] != name])


def instead(name: str, *values: str) -> NostrEvent:
    return retagged(lambda tags: [*(tag for tag in tags if tag[0] != name), (name, *values)])


ANOTHERS = zap_request(
    DRIVER,
    recipient_pubkey=DRIVER.pubkey,
    amount_msat=21_000,
    relays=[],
    comment="",
    created_at=NOW_S,
).to_json()


@pytest.mark.parametrize(
    ("receipt", "reason"),
    [
        (DRIVER.sign(9735, "", provider_receipt().tags, NOW_S), "another key"),
        (PROVIDER.sign(1, "", provider_receipt().tags, NOW_S), "kind 1"),
        (without("p"), "p tag"),
        (instead("p", DRIVER.pubkey), "p tag"),
        (without("bolt11"), "one invoice"),
        (instead("bolt11", "lnbcrt1"), "cannot be read"),
        (instead("bolt11", "x" * 5000), "too long"),
        (without("description"), "one zap request"),
        (instead("description", "{}"), "zap request is invalid"),
        (instead("description", ANOTHERS), "somebody else"),
        (instead("P", CHARGER.pubkey), "P tag"),
        (instead("e", "ab" * 32), "e tag"),
        (instead("a", str(STATUS)), "a tag"),
        (instead("preimage", "00" * 32), "preimage"),
        (instead("preimage", "xyz"), "preimage"),
        (provider_receipt(amount_msat=1000), "1000 msat were asked"),
        (provider_receipt(request_event(amount_msat=1000).to_json()), "1000 msat"),
        (provider_receipt(amount_msat=None, description=request_event().to_json()), "no amount"),
        (provider_receipt(network="bc"), "network"),
        (provider_receipt(node="another node"), "another node"),
        (provider_receipt(description="something else"), "another zap request"),
        (provider_receipt(description=None), "h field"),
        (provider_receipt(date=NOW_S - 7200), "expired"),
    ],
)
def test_each_rule_for_a_third_partys_receipt(receipt: NostrEvent, reason: str) -> None:
    with pytest.raises(InvalidZapReceipt, match=reason):
        checked(receipt)


def test_a_provider_known_to_leave_out_the_hash_may() -> None:
    receipt = provider_receipt(description=None)
    assert checked(receipt, needs_description_hash=False).request.sender == DRIVER.pubkey
    other = provider_receipt(description="something else")
    with pytest.raises(InvalidZapReceipt):
        checked(other, needs_description_hash=False)


def test_given_facts_are_used() -> None:
    receipt = provider_receipt()
    facts = replace(checked(receipt).invoice, network="bc")
    with pytest.raises(InvalidZapReceipt, match="network"):
        checked(receipt, invoice=facts)


def test_a_shared_providers_receipt_of_an_attacker_looks_sound() -> None:
    """A provider that copies the request's p tag signs this for a payment to the attacker.

    Nothing in the receipt gives it away: so a receipt is no payment, and its payment hash
    has to be one of our own wallet's.
    """
    raw = request_event().to_json()
    to_himself = make_invoice(
        amount_msat=21_000, description=raw, date=NOW_S, payment_hash="ab" * 32
    )
    receipt = zap_receipt(PROVIDER, raw, to_himself, NOW_S + 5)
    assert checked(receipt).invoice.payment_hash == "ab" * 32

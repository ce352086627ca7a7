"""Zaps over LNURL: whose session they make, and what of a zap request is checked."""

from __future__ import annotations

import hashlib
import json

from agent.machine.model import SessionState
from nips.event import Coordinate
from nips.identity import Identity
from nips.zaps import zap_request
from tests.bridge.http_world import HttpWorld, path_of, secret_of
from tests.bridge.lnurl.steps import first_step, second_step, zap
from wallet.bolt11 import decode


async def test_zap(world: HttpWorld) -> None:
    first = await first_step(world, "/.well-known/lnurlp/cp001")
    assert first.allowsNostr is True
    assert first.nostrPubkey == world.identity.pubkey
    payer = Identity.generate()
    raw = zap(world, payer)
    answer = await second_step(world, first, amount=500_000, nostr=raw)
    assert decode(answer["pr"]).description_hash == hashlib.sha256(raw.encode()).hexdigest()
    quote = await world.site.owned.quote_of(decode(answer["pr"]).payment_hash)
    assert quote.payer.pubkey == payer.pubkey
    assert quote.zap_request == raw


async def test_anonymous_zap_has_no_owner_by_key(world: HttpWorld) -> None:
    first = await first_step(world, "/.well-known/lnurlp/cp001")
    raw = zap(world, Identity.generate(), anonymous=True)
    answer = await second_step(world, first, amount=500_000, nostr=raw)
    quote = await world.site.owned.quote_of(decode(answer["pr"]).payment_hash)
    assert quote.payer.pubkey is None


async def test_zap_of_another_amount_is_refused(world: HttpWorld) -> None:
    first = await first_step(world, "/.well-known/lnurlp/cp001")
    raw = zap(world, Identity.generate(), amount_msat=400_000)
    reason = await world.reason(path_of(str(first.callback)), amount=500_000, nostr=raw)
    assert "400000 msat" in reason


async def test_zap_tops_up_for_its_own_pubkey_only(world: HttpWorld) -> None:
    first = await first_step(world, "/.well-known/lnurlp/cp001.1")
    payer = Identity.generate()
    opened = await second_step(world, first, amount=500_000, nostr=zap(world, payer))
    secret = secret_of(opened)
    await world.pay(opened["pr"], secret)
    again = await second_step(world, first, amount=500_000, nostr=zap(world, payer))
    assert secret not in json.dumps(again)
    assert (await world.pay(again["pr"], secret)).paid_msat == 1_000_000
    stranger = zap(world, Identity.generate())
    reason = await world.reason(path_of(str(first.callback)), amount=500_000, nostr=stranger)
    assert reason == "In use by somebody else."


async def test_a_stranger_who_pays_late_tops_up_nobody(world: HttpWorld) -> None:
    first = await first_step(world, "/.well-known/lnurlp/cp001.1")
    stranger = await second_step(
        world, first, amount=500_000, nostr=zap(world, Identity.generate())
    )
    owner = await second_step(world, first, amount=500_000, nostr=zap(world, Identity.generate()))
    running = await world.pay(owner["pr"], secret_of(owner))
    late = await world.pay(stranger["pr"], secret_of(stranger))
    assert (late.state, late.owed_msat) == (SessionState.CLOSED, 500_000)
    assert (await world.site.owned.session(running.secret)).paid_msat == 500_000


async def test_a_zap_names_its_connector_by_the_event_it_zaps(world: HttpWorld) -> None:
    first = await first_step(world, "/.well-known/lnurlp/cp001")
    request = zap_request(
        Identity.generate(),
        recipient_pubkey=world.identity.pubkey,
        amount_msat=500_000,
        relays=["wss://relay.example.com"],
        comment="",
        created_at=world.clock() // 1000,
        coordinate=Coordinate(30716, world.identity.pubkey, "CP001:9"),
    )
    path = path_of(str(first.callback))
    reason = await world.reason(path, amount=500_000, nostr=request.to_json())
    assert reason == "The zapped event is of no connector that is here (a tag)."

"""The LNURL service over real HTTP, with the models of the lnurl package as the wallet."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from coincurve import PrivateKey
from lnurl import (
    AesAction,
    LnurlPayActionResponse,
    LnurlPayResponse,
    LnurlPayVerifyResponse,
    LnurlWithdrawResponse,
    UrlAction,
)
from lnurl.helpers import aes_decrypt, lnurlauth_signature
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from agent.machine.events import ConnectorStatus
from agent.machine.model import SessionState
from agent.machine.refund import RefundState
from bridge.limits import Rate
from bridge.payees import LnurlPayees
from nips.event import Coordinate
from nips.identity import Identity
from nips.zaps import zap_request
from tests.bridge.far_server import far_server
from tests.bridge.http_world import HttpWorld, path_of, secret_of, serving
from wallet.bolt11 import decode


async def first_step(world: HttpWorld, path: str = "/lnurl/cp001") -> LnurlPayResponse:
    return LnurlPayResponse.model_validate(await world.lnurl(path))


async def second_step(world: HttpWorld, first: LnurlPayResponse, **query: Any) -> dict[str, Any]:
    answer = await world.lnurl(path_of(str(first.callback)), **query)
    LnurlPayActionResponse.model_validate(answer)
    return answer


async def test_pay_commits_to_exactly_the_metadata_served(world: HttpWorld) -> None:
    first = await first_step(world)
    answer = await second_step(world, first, amount=1_234_000)
    invoice = decode(answer["pr"])
    assert invoice.amount_msat == 1_234_000
    assert invoice.description_hash == hashlib.sha256(first.metadata.encode()).hexdigest()
    assert answer["routes"] == []
    assert answer["disposable"] is False
    metadata = dict(json.loads(first.metadata))
    assert metadata["text/plain"].startswith("Charge at Old Mill, west wall: 300")
    assert metadata["text/identifier"] == world.links.address("CP001")
    assert "Idle" in metadata["text/long-desc"]
    assert (first.minSendable, first.maxSendable) == (100_000, 200_000_000)
    assert first.commentAllowed == 255


@pytest.mark.parametrize("path", ["/lnurl/CP001", "/lnurl/cp001", "/.well-known/lnurlp/cp001"])
async def test_id_in_any_case(world: HttpWorld, path: str) -> None:
    first = await first_step(world, path)
    assert "/lnurl/cp001/pay/" in str(first.callback)


async def test_success_action_leads_to_the_session(world: HttpWorld) -> None:
    answer = await second_step(world, await first_step(world), amount=500_000)
    action = LnurlPayActionResponse.model_validate(answer).successAction
    assert isinstance(action, UrlAction)
    secret = secret_of(answer)
    assert (await world.http.get(f"/s/{secret}")).status_code == 404
    view = await world.pay(answer["pr"], secret)
    assert (view.state, view.paid_msat, view.connector) == (SessionState.STARTING, 500_000, 1)


async def test_success_action_tells_to_unplug_first(world: HttpWorld) -> None:
    await world.point.connector_status(1, ConnectorStatus.FINISHING, world.clock())
    answer = await second_step(world, await first_step(world), amount=500_000)
    action = LnurlPayActionResponse.model_validate(answer).successAction
    assert isinstance(action, UrlAction)
    assert action.description.startswith("Unplug, plug in again")


async def test_a_sealed_link_is_opened_by_the_payment_alone(tmp_path: Path) -> None:
    """LUD-10: who asked for the invoice learns nothing; who paid it has the key."""
    async with serving(tmp_path, sealed=True) as world:
        answer = await second_step(world, await first_step(world), amount=500_000)
        action = LnurlPayActionResponse.model_validate(answer).successAction
        assert isinstance(action, AesAction)
        assert "/s/" not in json.dumps(answer)
        preimage = bytes.fromhex(await world.wallet.driver_pay(answer["pr"]))
        url = aes_decrypt(preimage, str(action.ciphertext), str(action.iv))
        assert url.startswith(f"{world.url}/s/")
        view = await world.pay(answer["pr"], url.rpartition("/s/")[2])
        assert view.paid_msat == 500_000


async def test_connector_suffix(world: HttpWorld) -> None:
    first = await first_step(world, "/lnurl/cp001.2")
    assert dict(json.loads(first.metadata))["text/identifier"] == world.links.address("CP001", 2)
    answer = await second_step(world, first, amount=500_000)
    view = await world.pay(answer["pr"], secret_of(answer))
    assert view.connector == 2


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/lnurl/nowhere", "no charge point"),
        ("/lnurl/cp001.3", "no connector 3"),
        ("/lnurl/cp001.x", "no charge point"),
        ("/.well-known/lnurlp/nobody", "no charge point"),
        ("/lnurl/cp001?s=short", "belongs"),
        ("/lnurl/cp001?s=aaaaaaaaaaaaaaaaaaaaaa", "belongs"),
        ("/lnurl/cp001/pay/x", '"amount" is missing'),
        ("/lnurl/cp001/pay/x?amount=", '"amount" is missing'),
        ("/lnurl/cp001/pay/x?amount=1000&amount=2000", "more than once"),
        ("/lnurl/cp001/pay/x?amount=-5", "whole number"),
        ("/lnurl/cp001/pay/x?amount=1e3", "whole number"),
        ("/lnurl/cp001/pay/x?amount=99999999999999999999", "whole number"),
        ("/lnurl/cp001/pay/x?amount=500000", "price has changed"),
        ("/lnurl/cp001/pay/x?amount=500000&nostr=notjson", "zap request"),
        ("/lnurl/cp001/withdraw", '"k1" is missing'),
        ("/lnurl/cp001/withdraw?k1=00", '"pr" is missing'),
        ("/lnurl/cp001/withdraw?k1=00&pr=lnbc", "used up"),
        ("/lnurl/cp001/verify/zz", "not a payment hash"),
        ("/lnurl/cp001/verify/" + "0" * 64, "not one of ours"),
        ("/lnurl/cp001/login?k1=00&key=00&sig=00", "not one of ours"),
        ("/lnurl/cp001/topup/aaaaaaaaaaaaaaaaaaaaaa?amount=500000", "belongs"),
    ],
)
async def test_bad_requests_get_a_reason(world: HttpWorld, path: str, reason: str) -> None:
    answer = await world.http.get(path)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.json()["status"] == "ERROR"
    assert reason in answer.json()["reason"]


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ({"amount": 1_000}, "least payment"),
        ({"amount": 900_000_000}, "largest payment"),
        ({"amount": 500_000, "comment": "x" * 256}, "comment"),
        ({"amount": 500_000, "payerdata": "[]"}, "JSON object"),
        ({"amount": 500_000, "payerdata": "{"}, "not JSON"),
        ({"amount": 500_000, "payerdata": "[" * 4_000}, "not JSON"),
        ({"amount": 500_000, "payerdata": '{"auth":5}'}, "auth must have"),
        ({"amount": 500_000, "payerdata": '{"identifier":[1]}'}, "identifier"),
    ],
)
async def test_bad_callbacks_make_no_invoice(
    world: HttpWorld, query: dict[str, Any], reason: str
) -> None:
    first = await first_step(world)
    assert reason in await world.reason(path_of(str(first.callback)), **query)


@pytest.mark.parametrize("name", ["payerdata", "nostr", "comment"])
async def test_what_is_left_empty_is_none(world: HttpWorld, name: str) -> None:
    first = await first_step(world)
    answer = await second_step(world, first, amount=500_000, **{name: ""})
    made = decode(answer["pr"])
    assert made.description_hash == hashlib.sha256(first.metadata.encode()).hexdigest()


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (ConnectorStatus.FAULTED, "Out of order."),
        (ConnectorStatus.RESERVED, "Reserved for somebody else."),
        (ConnectorStatus.UNAVAILABLE, "Not available at the moment."),
        (ConnectorStatus.CHARGING, "In use by somebody else."),
    ],
)
async def test_refused_before_an_invoice(
    world: HttpWorld, status: ConnectorStatus, reason: str
) -> None:
    first = await first_step(world, "/lnurl/cp001.1")
    await world.point.connector_status(1, status, world.clock())
    assert await world.reason("/lnurl/cp001.1") == reason
    assert await world.reason(path_of(str(first.callback)), amount=500_000) == reason
    german = await world.http.get("/lnurl/cp001.1", headers={"Accept-Language": "de-AT,de;q=0.9"})
    assert german.json()["reason"] != reason


async def test_offline(world: HttpWorld) -> None:
    await world.point.detach(world.charger)
    assert await world.reason("/lnurl/cp001") == "Offline at the moment."
    assert (await world.lnurl("/.well-known/lnurlp/cp001"))["tag"] == "payRequest"


async def test_in_use_says_until_when(world: HttpWorld) -> None:
    await world.charging(sats=3300, energy_wh=10)
    await world.session(connector=2)
    reason = await world.reason("/lnurl/cp001.1")
    assert reason == "In use, free in about 60 min."


async def test_payer_data_are_hashed_as_they_came(world: HttpWorld) -> None:
    raw = '{ "identifier":"me@wallet.example",  "name":"Zoë" }'
    first = await first_step(world)
    assert first.payerData is not None
    answer = await second_step(world, first, amount=500_000, payerdata=raw, comment="hello")
    expected = hashlib.sha256((first.metadata + raw).encode()).hexdigest()
    assert decode(answer["pr"]).description_hash == expected


async def test_what_is_left_goes_to_the_address_in_the_payer_data(tmp_path: Path) -> None:
    async def far_wallet(request: Request) -> Response:
        if "amount" in request.query_params:
            amount_msat = int(request.query_params["amount"])
            bolt11, _ = await world.wallet.driver_invoice(amount_msat)
            return JSONResponse({"pr": bolt11, "routes": []})
        offer = {"tag": "payRequest", "callback": str(request.url), "metadata": "[]"}
        return JSONResponse(offer | {"minSendable": 1000, "maxSendable": 10**9})

    payees = LnurlPayees(allow_loopback=True)
    async with serving(tmp_path, payees=payees) as world, far_server(far_wallet) as url:
        first = await first_step(world)
        raw = json.dumps({"identifier": f"Me@{url.partition('://')[2]}"})
        answer = await second_step(world, first, amount=1_000_000, payerdata=raw)
        view = await world.pay(answer["pr"], secret_of(answer))
        await world.start(view)
        await world.end(view, 1000)
        async for changed in world.site.owned.session_changes(view.secret):
            if changed.refunded_msat == 700_000:
                break


async def test_linking_key_in_payer_data_owns(world: HttpWorld) -> None:
    key = PrivateKey()
    first = await first_step(world)
    assert first.payerData is not None
    assert first.payerData.auth is not None
    k1 = first.payerData.auth.k1
    public_key, signature = lnurlauth_signature(k1, key.secret)
    raw = json.dumps({"auth": {"key": public_key, "k1": k1, "sig": signature}})
    answer = await second_step(world, first, amount=500_000, payerdata=raw)
    quote = await world.site.owned.quote_of(decode(answer["pr"]).payment_hash)
    assert quote.payer.linking_keys == (public_key,)
    again = await world.reason(path_of(str(first.callback)), amount=500_000, payerdata=raw)
    assert "used already" in again


async def test_forged_linking_key_is_refused(world: HttpWorld) -> None:
    first = await first_step(world)
    assert first.payerData is not None
    assert first.payerData.auth is not None
    k1 = first.payerData.auth.k1
    _, signature = lnurlauth_signature(k1, PrivateKey().secret)
    stranger = PrivateKey().public_key.format().hex()
    for auth in (
        {"key": stranger, "k1": k1, "sig": signature},
        {"key": stranger, "k1": "00" * 32, "sig": signature},
        {"key": "zz" * 33, "k1": k1, "sig": signature},
        {"key": stranger, "k1": k1, "sig": "30"},
    ):
        raw = json.dumps({"auth": auth})
        await world.reason(path_of(str(first.callback)), amount=500_000, payerdata=raw)


def zap(
    world: HttpWorld, payer: Identity, amount_msat: int = 500_000, anonymous: bool = False
) -> str:
    return zap_request(
        payer,
        recipient_pubkey=world.identity.pubkey,
        amount_msat=amount_msat,
        relays=["wss://relay.example.com"],
        comment="charge + go",
        created_at=world.clock() // 1000,
        anonymous=anonymous,
    ).to_json()


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


async def test_verify_tells_nothing_but_whether_it_was_paid(world: HttpWorld) -> None:
    answer = await second_step(world, await first_step(world), amount=500_000)
    path = path_of(answer["verify"])
    before = await world.lnurl(path)
    assert before == {"status": "OK", "settled": False, "preimage": None, "pr": answer["pr"]}
    await world.pay(answer["pr"], secret_of(answer))
    after = await world.lnurl(path)
    assert (after["settled"], after["preimage"]) == (True, None)
    LnurlPayVerifyResponse.model_validate(after)


async def test_withdraw_what_is_left_after_the_charge(world: HttpWorld) -> None:
    view = await world.charging(sats=1000, energy_wh=1000)
    await world.end(view, 1000)
    offer = LnurlWithdrawResponse.model_validate(await world.lnurl("/lnurl/cp001", s=view.secret))
    assert (offer.minWithdrawable, offer.maxWithdrawable) == (700_000, 700_000)
    assert offer.payLink is not None
    bolt11, payment_hash = await world.wallet.driver_invoice(700_000)
    path = path_of(str(offer.callback))
    assert await world.lnurl(path, k1=offer.k1, pr=bolt11) == {"status": "OK"}
    assert await world.lnurl(path, k1=offer.k1, pr=bolt11) == {"status": "OK"}
    other, other_hash = await world.wallet.driver_invoice(700_000)
    assert "already on its way" in await world.reason(path, k1=offer.k1, pr=other)
    async for changed in world.site.owned.session_changes(view.secret):
        if changed.refunds[0].state == RefundState.PAID:
            break
    assert await world.wallet.driver_invoice_paid(payment_hash)
    assert not await world.wallet.driver_invoice_paid(other_hash)
    assert "already been paid back" in await world.reason("/lnurl/cp001", s=view.secret)


async def test_withdraw_while_charging_stops_it(world: HttpWorld) -> None:
    view = await world.charging(sats=1000, energy_wh=1000)
    offer = await world.lnurl("/lnurl/cp001", s=view.secret)
    # 700 sat are left, less what may flow until it has stopped.
    assert offer["maxWithdrawable"] == 617_000
    assert offer["payLink"].startswith("lnurlp://127.0.0.1:")
    assert "topup=1" in offer["payLink"]
    bolt11, _ = await world.wallet.driver_invoice(offer["maxWithdrawable"])
    assert await world.lnurl(path_of(offer["callback"]), k1=offer["k1"], pr=bolt11) == {
        "status": "OK"
    }
    await world.until(lambda: any(asked[0] == "stop" for asked in world.charger.asked))


@pytest.mark.parametrize("wrong_msat", [699_000, 701_000, None])
async def test_wrong_invoices_leave_the_offer_open(
    world: HttpWorld, wrong_msat: int | None
) -> None:
    view = await world.charging(sats=1000, energy_wh=1000)
    await world.end(view, 1000)
    offer = await world.lnurl("/lnurl/cp001", s=view.secret)
    path = path_of(offer["callback"])
    wrong, _ = await world.wallet.driver_invoice(wrong_msat)
    assert "exactly 700 sat" in await world.reason(path, k1=offer["k1"], pr=wrong)
    assert "cannot read" in await world.reason(path, k1=offer["k1"], pr="lnbc1nonsense")
    right, _ = await world.wallet.driver_invoice(700_000)
    assert await world.lnurl(path, k1=offer["k1"], pr=right) == {"status": "OK"}


async def test_two_claims_in_the_same_moment_pay_once(world: HttpWorld) -> None:
    view = await world.charging(sats=1000, energy_wh=1000)
    await world.end(view, 1000)
    offer = await world.lnurl("/lnurl/cp001", s=view.secret)
    invoices = [await world.wallet.driver_invoice(700_000) for _ in range(5)]
    answers: list[str] = []

    async def claim(bolt11: str) -> None:
        answer = await world.lnurl(path_of(offer["callback"]), k1=offer["k1"], pr=bolt11)
        answers.append(str(answer["status"]))

    async with anyio.create_task_group() as tasks:
        for bolt11, _ in invoices:
            tasks.start_soon(claim, bolt11)
    assert sorted(answers) == ["ERROR"] * 4 + ["OK"]
    async for changed in world.site.owned.session_changes(view.secret):
        if changed.refunds[0].state == RefundState.PAID:
            break
    paid = [await world.wallet.driver_invoice_paid(payment_hash) for _, payment_hash in invoices]
    assert sum(paid) == 1


async def test_an_invoice_is_the_same_however_it_is_written(world: HttpWorld) -> None:
    """As a wallet hands it in again that had no answer, or scanned it: it was another one."""
    view = await world.charging(sats=1000, energy_wh=1000)
    await world.end(view, 1000)
    offer = await world.lnurl("/lnurl/cp001", s=view.secret)
    path = path_of(offer["callback"])
    invoice, payment_hash = await world.wallet.driver_invoice(700_000)
    for written in (f"lightning:{invoice.upper()}", invoice, f" LIGHTNING://{invoice}"):
        assert await world.lnurl(path, k1=offer["k1"], pr=written) == {"status": "OK"}
    async for changed in world.site.owned.session_changes(view.secret):
        if changed.refunds[0].state == RefundState.PAID:
            break
    assert await world.wallet.driver_invoice_paid(payment_hash)


async def test_the_secret_works_only_at_its_own_charge_point(world: HttpWorld) -> None:
    view = await world.charging()
    assert "belongs" in await world.reason("/lnurl/cp002", s=view.secret)


async def test_top_up_by_the_secret(world: HttpWorld) -> None:
    view = await world.charging(sats=1000)
    first = await first_step(world, f"/lnurl/cp001?s={view.secret}&topup=1")
    answer = await second_step(world, first, amount=400_000)
    invoice = decode(answer["pr"])
    assert invoice.description_hash == hashlib.sha256(first.metadata.encode()).hexdigest()
    assert secret_of(answer) == view.secret
    assert (await world.pay(answer["pr"], view.secret)).paid_msat == 1_400_000
    await world.end(view, 100)
    assert "is over" in await world.reason(f"/lnurl/cp001?s={view.secret}&topup=1")
    assert "is over" in await world.reason(path_of(str(first.callback)), amount=400_000)


async def test_two_drivers_pay_for_one_connector(world: HttpWorld) -> None:
    first = await first_step(world, "/lnurl/cp001.1")
    one = await second_step(world, first, amount=500_000)
    other = await second_step(world, first, amount=600_000)
    views = [
        await world.pay(one["pr"], secret_of(one)),
        await world.pay(other["pr"], secret_of(other)),
    ]
    assert [view.state for view in views] == [SessionState.STARTING, SessionState.CLOSED]
    assert views[1].owed_msat == 600_000
    offer = await world.lnurl("/lnurl/cp001", s=secret_of(other))
    assert offer["maxWithdrawable"] == 600_000


async def test_preflight(world: HttpWorld) -> None:
    answer = await world.http.options("/lnurl/cp001", headers={"Origin": "https://wallet.example"})
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_a_flood_of_invoice_requests_is_slowed(tmp_path: Path) -> None:
    async with serving(tmp_path, invoices=Rate(burst=20, per_minute=20)) as world:
        first = await first_step(world)
        statuses: list[Any] = []
        for _ in range(1000):
            answer = await world.lnurl(path_of(str(first.callback)), amount=500_000)
            statuses.append(answer.get("status"))
        assert statuses.count("ERROR") == 980
        assert "wait" in await world.reason(path_of(str(first.callback)), amount=500_000)
        assert await world.point.obstacle(1) is None


async def test_a_thousand_unpaid_invoices_lock_nothing(world: HttpWorld) -> None:
    first = await first_step(world)
    for _ in range(1000):
        await second_step(world, first, amount=500_000)
    view = await world.session()
    assert view.state == SessionState.STARTING


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

"""The LNURL service over real HTTP, with the models of the lnurl package as the wallet."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from lnurl import (
    AesAction,
    LnurlPayActionResponse,
    LnurlPayVerifyResponse,
    UrlAction,
)
from lnurl.helpers import aes_decrypt

from agent.machine.events import ConnectorStatus
from agent.machine.model import SessionState
from bridge.limits import Rate
from tests.bridge.http_world import HttpWorld, path_of, secret_of, serving
from tests.bridge.lnurl.steps import first_step, second_step
from wallet.bolt11 import decode


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


async def test_verify_tells_nothing_but_whether_it_was_paid(world: HttpWorld) -> None:
    answer = await second_step(world, await first_step(world), amount=500_000)
    path = path_of(answer["verify"])
    before = await world.lnurl(path)
    assert before == {"status": "OK", "settled": False, "preimage": None, "pr": answer["pr"]}
    await world.pay(answer["pr"], secret_of(answer))
    after = await world.lnurl(path)
    assert (after["settled"], after["preimage"]) == (True, None)
    LnurlPayVerifyResponse.model_validate(after)


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


async def test_a_wallet_is_told_that_nothing_can_be_stored(tmp_path: Path) -> None:
    """A disk that is full: "something went wrong" told nobody when to try again."""
    async with serving(tmp_path) as world:
        first = await first_step(world)
        with closing(sqlite3.connect(tmp_path / "strom.db")) as database:
            refusal = "SELECT RAISE(ABORT, 'database or disk is full')"
            database.execute(f"CREATE TRIGGER full BEFORE INSERT ON quotes BEGIN {refusal}; END")
            reason = await world.reason(path_of(str(first.callback)), amount=500_000)
            database.execute("DROP TRIGGER full")
        assert "nothing was charged: please try again in a minute" in reason
        await second_step(world, first, amount=500_000)


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

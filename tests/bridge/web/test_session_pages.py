"""A driver's own page over real HTTP, as a browser without script sees it, and the same as JSON."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from lnurl import decode as decode_lnurl

from agent.machine.events import ConnectorStatus
from agent.machine.model import SessionState
from agent.talk.words import LANGUAGES, words
from tests.agent.world import ManualClock
from tests.bridge.http_world import HTML, JSON, HttpWorld, json_of, serving


async def test_session_json_has_what_the_contract_names(world: HttpWorld) -> None:
    view = await world.charging(sats=1000, energy_wh=1500, power_w=7400)
    body = await json_of(world, view.secret)
    assert body["state"] == "CHARGING"
    assert (body["charge_point"], body["connector"]) == ("CP001", 1)
    assert (body["energy_wh"], body["power_w"]) == (1500, 7400)
    assert (body["paid_msat"], body["cost_msat"], body["owed_msat"]) == (1_000_000, 450_000, 0)
    # What may flow in 90 s is set aside: 185 Wh, for 55.5 sat.
    assert body["refund"]["amount_msat"] == 494_000
    assert body["refund"]["set_aside_msat"] == 56_000
    offer = await world.lnurl("/lnurl/cp001", s=view.secret)
    assert offer["maxWithdrawable"] == body["refund"]["amount_msat"]
    assert "56\N{NO-BREAK SPACE}sat more are set aside" in offer["defaultDescription"]
    lnurl = decode_lnurl(body["refund"]["lnurl"])
    assert str(lnurl.url) == world.links.lnurl_url("CP001", secret=view.secret)
    assert [event["kind"] for event in body["events"]] == ["PaymentSettled", "TransactionStarted"]
    await world.end(view, 1500)
    closed = await json_of(world, view.secret)
    assert (closed["state"], closed["owed_msat"]) == ("CLOSED", 550_000)
    assert closed["refund"] == {**closed["refund"], "state": "DUE", "amount_msat": 550_000}
    assert closed["refund"]["set_aside_msat"] == 0
    assert closed["refund"]["lnurl"]


async def test_stop_by_json(world: HttpWorld) -> None:
    view = await world.session()
    answer = await world.http.post(f"/s/{view.secret}/stop", headers=JSON)
    assert (answer.status_code, answer.json()["state"]) == (200, "CLOSED")
    assert answer.json()["owed_msat"] == 1_000_000


@pytest.mark.parametrize("accept", [HTML, JSON])
async def test_a_driver_is_told_that_nothing_can_be_stored(
    tmp_path: Path, accept: dict[str, str]
) -> None:
    """A disk that is full: he saw "Internal Server Error", and not what he can do."""
    async with serving(tmp_path) as world:
        view = await world.charging()
        with closing(sqlite3.connect(tmp_path / "strom.db")) as database:
            refusal = "SELECT RAISE(ABORT, 'database or disk is full')"
            database.execute(f"CREATE TRIGGER full BEFORE INSERT ON events BEGIN {refusal}; END")
            answer = await world.http.post(f"/s/{view.secret}/stop", headers=accept)
            database.execute("DROP TRIGGER full")
        assert answer.status_code == 503
        assert "The charger was asked to stop" in answer.text
        assert world.charger.asked[-1][0] == "stop"
        assert "content-security-policy" in answer.headers
        assert (await json_of(world, view.secret))["state"] == "CHARGING"
        await world.http.post(f"/s/{view.secret}/stop", headers=accept)
        assert (await json_of(world, view.secret))["state"] == "STOPPING"


async def test_stop_by_form_leads_back(world: HttpWorld) -> None:
    view = await world.charging()
    answer = await world.http.post(f"/s/{view.secret}/stop", headers=HTML)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/s/{view.secret}")
    assert (await json_of(world, view.secret))["state"] == "STOPPING"


@pytest.mark.parametrize("path", ["", "/stop", "/topup", "/refund", "/receipt"])
@pytest.mark.parametrize("secret", ["short", "a" * 22, "%2e%2e%2f", "%00", "x" * 500])
async def test_wrong_secrets_learn_nothing(world: HttpWorld, secret: str, path: str) -> None:
    url = f"/s/{secret}{path}"
    get = path in ("", "/receipt")
    answer = await (world.http.get(url) if get else world.http.post(url))
    assert answer.status_code == 404


@pytest.mark.parametrize("language", LANGUAGES)
async def test_a_session_page_says_what_hinders_the_charge(tmp_path: Path, language: str) -> None:
    said = words(language)
    keys = (
        "offline_start",
        "offline",
        "faulted",
        "suspended_evse",
        "suspended_ev",
        "unplug_first",
    )
    sentences = {said(f"hindrance.{key}"): key for key in keys}
    assert len(sentences) == len(keys)
    clock = ManualClock()
    async with serving(tmp_path, clock=clock) as world:
        point = world.point
        await point.connector_status(1, ConnectorStatus.FINISHING, clock())
        view = await world.session()

        async def hindrances() -> list[str]:
            clock.advance(1)
            headers = HTML | {"Accept-Language": language}
            page = (await world.http.get(f"/s/{view.secret}", headers=headers)).text
            return [key for sentence, key in sentences.items() if sentence in page]

        async def shown(status: ConnectorStatus) -> list[str]:
            await point.connector_status(1, status, clock())
            return await hindrances()

        assert await hindrances() == ["unplug_first"]
        assert await shown(ConnectorStatus.AVAILABLE) == []
        await point.detach(world.charger)
        assert await hindrances() == ["offline_start"]
        await point.attach(world.charger)
        await world.start(view)
        assert await hindrances() == []
        assert await shown(ConnectorStatus.FAULTED) == ["faulted"]
        assert await shown(ConnectorStatus.SUSPENDED_EVSE) == ["suspended_evse"]
        assert await shown(ConnectorStatus.SUSPENDED_EV) == ["suspended_ev"]
        await point.detach(world.charger)
        assert await hindrances() == ["offline"]
        await world.end(view, 100)
        assert await hindrances() == []


async def test_without_script_a_moment_is_told_as_one(world: HttpWorld) -> None:
    """It said "Plug in at connector 1", and below it a bare time."""
    view = await world.session()
    page = (await world.http.get(f"/s/{view.secret}", headers=HTML)).text
    assert re.search(r"<small>until \d\d:\d\d UTC</small>", page)
    await world.http.post(f"/s/{view.secret}/stop", headers=HTML)
    receipt = (await world.http.get(f"/s/{view.secret}/receipt", headers=HTML)).text
    assert re.search(r">\d{4}-\d\d-\d\d \d\d:\d\d UTC</time>", receipt)


async def test_no_secret_in_a_title(world: HttpWorld) -> None:
    view = await world.session()
    page = (await world.http.get(f"/s/{view.secret}", headers=HTML)).text
    title = re.search(r"<title>(.*?)</title>", page)
    assert title is not None
    assert view.secret not in title[1]


async def test_refund_to_the_play_wallet(world: HttpWorld) -> None:
    view = await world.charging(sats=1000, energy_wh=1000)
    await world.end(view, 1000)
    page = (await world.http.get(f"/s/{view.secret}", headers=HTML)).text
    assert "700\N{NO-BREAK SPACE}sat go back to you" in page
    answer = await world.http.post(f"/s/{view.secret}/refund/play", headers=HTML)
    assert answer.status_code == 303
    while (await json_of(world, view.secret))["refund"]["state"] != "PAID":
        pass
    page = (await world.http.get(f"/s/{view.secret}", headers=HTML)).text
    assert "700\N{NO-BREAK SPACE}sat came back to you" in page


async def test_refund_to_an_invoice_by_form(world: HttpWorld) -> None:
    view = await world.charging(sats=1000, energy_wh=1000)
    await world.end(view, 1000)
    bad = await world.http.post(f"/s/{view.secret}/refund", data={"target": "no"}, headers=HTML)
    assert bad.status_code == 409
    bolt11, payment_hash = await world.wallet.driver_invoice(700_000)
    form = {"target": f"lightning:{bolt11}"}
    good = await world.http.post(f"/s/{view.secret}/refund", data=form, headers=HTML)
    assert good.status_code == 303
    while not await world.wallet.driver_invoice_paid(payment_hash):
        pass


async def test_unknown_session_page_comes_back_by_itself(world: HttpWorld) -> None:
    answer = await world.http.get(f"/s/{'a' * 22}", headers=HTML)
    assert 'http-equiv="refresh"' in answer.text


async def test_a_start_that_never_came(world: HttpWorld) -> None:
    view = await world.session()
    await world.http.post(f"/s/{view.secret}/stop")
    page = (await world.http.get(f"/s/{view.secret}", headers=HTML)).text
    assert "1,000\N{NO-BREAK SPACE}sat go back to you" in page
    assert (await json_of(world, view.secret))["state"] == SessionState.CLOSED

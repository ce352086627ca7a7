"""The pages over real HTTP, as a browser without script sees them, and the JSON of a session."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from lnurl import decode as decode_lnurl

from agent.machine.events import ConnectorStatus
from agent.machine.model import SessionState
from agent.talk.words import LANGUAGES, words
from agent.tariff.rate import ExchangeRate
from tests.agent.world import ManualClock
from tests.bridge.http_world import HttpWorld, serving

HTML = {"Accept": "text/html,application/xhtml+xml"}
JSON = {"Accept": "application/json"}


async def json_of(world: HttpWorld, secret: str) -> dict[str, Any]:
    answer = await world.http.get(f"/s/{secret}", headers=JSON)
    assert answer.status_code == 200
    return answer.json()


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


async def test_charge_point_page(world: HttpWorld) -> None:
    page = (await world.http.get("/cp/cp001", headers=HTML)).text
    assert "<h1><bdi>Old Mill, west wall</bdi></h1>" in page
    assert "300\N{NO-BREAK SPACE}sat/kWh" in page
    assert "lightning:LNURL1" in page
    assert "nostr:nprofile1" in page
    assert page.count('name="sat"') >= 3


async def test_what_an_amount_buys_has_the_price_of_time_in_it(world: HttpWorld) -> None:
    """At 11 kW, as the example beside it: 20 kWh for 50 + 20 * 200 + 20 / 11 * 60 sat."""
    page = (await world.http.get("/cp/cp002", headers=HTML)).text
    assert "4,159.090\N{NO-BREAK SPACE}sat" in page
    bought = re.findall(r'value="(\d+)".*?≈ (\d+) kWh', page)
    assert bought == [("1500", "7"), ("2500", "12"), ("4500", "22"), ("8500", "41")]


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


async def test_a_cable_that_is_still_plugged_in_is_told_before_the_payment(
    world: HttpWorld,
) -> None:
    told = words("en")("hindrance.unplug_first")

    async def pages() -> list[bool]:
        form = {"sat": "500", "connector": "1"}
        paying = await world.http.post("/cp/cp001/invoice", data=form, headers=HTML)
        invoice = await world.http.get(paying.headers["location"], headers=HTML)
        assert invoice.status_code == 200
        return [told in (await world.http.get("/cp/cp001.1")).text, told in invoice.text]

    assert await pages() == [False, False]
    await world.point.connector_status(1, ConnectorStatus.FINISHING, world.clock())
    assert await pages() == [True, True]


async def test_whoever_asks_for_the_head_alone_gets_it(world: HttpWorld) -> None:
    """Programs that watch a site ask so; they were told that it may not be."""
    view = await world.session()
    for path in ("/", "/cp/CP001", f"/s/{view.secret}", "/.well-known/lnurlp/cp001", "/nowhere"):
        whole = await world.http.get(path, headers=HTML)
        head = await world.http.head(path, headers=HTML)
        assert (head.status_code, head.content) == (whole.status_code, b"")
        assert head.headers["content-type"] == whole.headers["content-type"]
    stopped = await world.http.head(f"/s/{view.secret}/stop", headers=HTML)
    assert stopped.status_code == 405
    assert (await json_of(world, view.secret))["state"] == "STARTING"


async def test_names_are_escaped(world: HttpWorld) -> None:
    for path in ("/", "/cp/cp002"):
        page = (await world.http.get(path)).text
        assert "<b>east" not in page
        assert "Harbour &lt;b&gt;east" in page


async def test_a_bystander_sees_no_secret_and_no_payer(world: HttpWorld) -> None:
    view = await world.charging(energy_wh=1000)
    for path in ("/", "/cp/cp001", "/cp/cp001/state", "/.well-known/nostr.json"):
        page = (await world.http.get(path)).text
        assert view.secret not in page
        assert view.id not in page


async def test_without_script_a_moment_is_told_as_one(world: HttpWorld) -> None:
    """It said "Plug in at connector 1", and below it a bare time."""
    view = await world.session()
    page = (await world.http.get(f"/s/{view.secret}", headers=HTML)).text
    assert re.search(r"<small>until \d\d:\d\d UTC</small>", page)
    await world.http.post(f"/s/{view.secret}/stop", headers=HTML)
    receipt = (await world.http.get(f"/s/{view.secret}/receipt", headers=HTML)).text
    assert re.search(r">\d{4}-\d\d-\d\d \d\d:\d\d UTC</time>", receipt)


async def test_pay_by_the_page_without_script(world: HttpWorld) -> None:
    form = {"sat": "2000", "other_sat": "1 500", "connector": "2"}
    answer = await world.http.post("/cp/cp001/invoice", data=form, headers=HTML)
    assert answer.status_code == 303
    pay_path = answer.headers["location"]
    page = (await world.http.get(pay_path, headers=HTML)).text
    assert "1,500\N{NO-BREAK SPACE}sat" in page
    assert "lightning:lnbcrt" in page
    assert (await world.http.get(pay_path, headers=JSON)).json()["settled"] is False
    played = await world.http.post(f"{pay_path}/play")
    assert played.status_code == 303
    while not (await world.http.get(pay_path, headers=JSON)).json()["settled"]:
        pass
    landed = await world.http.get(pay_path, headers=HTML)
    assert landed.status_code == 303
    session = await world.http.get(landed.headers["location"], headers=HTML)
    assert "Plug in at connector 2" in session.text


@pytest.mark.parametrize("amount", ["", "0", "99", "999999999", "12.5", "-1", "١٢٣٤", "x" * 50])
async def test_bad_amounts(world: HttpWorld, amount: str) -> None:
    answer = await world.http.post("/cp/cp001/invoice", data={"sat": amount}, headers=HTML)
    assert answer.status_code == 400
    assert "from 100 to 200,000 sat" in answer.text


@pytest.mark.parametrize("amount", ["12.500", "12,500", "12 500", "12’500", "12500"])
async def test_amounts_may_be_written_as_the_page_shows_them(world: HttpWorld, amount: str) -> None:
    """The field says "100 – 200.000" in German, and took no point."""
    answer = await world.http.post("/cp/cp001/invoice", data={"other_sat": amount}, headers=HTML)
    assert answer.status_code == 303
    page = (await world.http.get(answer.headers["location"], headers=HTML)).text
    assert "12,500\N{NO-BREAK SPACE}sat" in page


@pytest.mark.parametrize("amount", ["1.5000", "1,50", "1.500,000", "1..500", ".500", "12.34.567"])
async def test_amounts_with_a_mark_elsewhere_are_none(world: HttpWorld, amount: str) -> None:
    answer = await world.http.post("/cp/cp001/invoice", data={"other_sat": amount}, headers=HTML)
    assert answer.status_code == 400


async def test_whoever_is_refused_is_led_back_to_where_he_was(world: HttpWorld) -> None:
    """To the list of charge points alone: a driver had lost his charge, and his money with it."""
    view = await world.session()
    refused = await world.http.post(f"/s/{view.secret}/refund", data={"target": "?"}, headers=HTML)
    assert refused.status_code == 409
    assert f'href="/s/{view.secret}">Your charge<' in refused.text
    amount = await world.http.post("/cp/cp002/invoice", data={"sat": "1"}, headers=HTML)
    assert 'href="/cp/cp002">Back to the charge point<' in amount.text
    assert "<title>Choose an amount" in amount.text
    unknown = await world.http.get(f"/s/{'a' * 22}", headers=HTML)
    assert 'href="/">All charge points<' in unknown.text


async def test_a_forms_address_is_no_page_and_says_so(world: HttpWorld) -> None:
    """Whoever opens his browser again comes by it; he saw {"detail": "Method Not Allowed"}."""
    view = await world.session()
    for path, page in (
        ("/cp/cp001/invoice", "/cp/cp001"),
        (f"/s/{view.secret}/stop", f"/s/{view.secret}"),
    ):
        answer = await world.http.get(path, headers=HTML)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        assert "only works from the form" in answer.text
        assert f'href="{page}">' in answer.text
    plain = await world.http.put("/", headers=JSON)
    assert (plain.status_code, plain.headers["allow"]) == (405, "GET, HEAD")
    assert plain.json() == {"error": "This address only works from the form it belongs to."}
    assert (await json_of(world, view.secret))["state"] == "STARTING"


async def test_bad_forms(world: HttpWorld) -> None:
    for body in (b"\xff\xfe", b"x" * 20_000, b"a&b&c"):
        answer = await world.http.post("/cp/cp001/invoice", content=body, headers=HTML)
        assert answer.status_code == 400


async def test_a_busy_connector_is_refused_in_words(world: HttpWorld) -> None:
    await world.session(connector=1)
    form = {"sat": "2000", "connector": "1"}
    answer = await world.http.post("/cp/cp001/invoice", data=form, headers=HTML)
    assert answer.status_code == 409
    assert "In use by somebody else." in answer.text


async def test_the_invoice_page_belongs_to_its_secret(world: HttpWorld) -> None:
    form = {"sat": "2000"}
    first = await world.http.post("/cp/cp001/invoice", data=form, headers=HTML)
    _, _, secret, _, payment_hash = first.headers["location"].split("/")
    other = await world.http.get(f"/s/{'a' * 22}/pay/{payment_hash}")
    assert other.status_code == 404
    assert secret not in other.text


@pytest.mark.parametrize("path", ["/", "/cp/cp001", "/cp/none", "/nothing", "/s/" + "a" * 22])
async def test_every_page_is_locked_down(world: HttpWorld, path: str) -> None:
    answer = await world.http.get(path, headers=HTML)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert " style=" not in answer.text
    assert not re.search(r"<script(?! src=)", answer.text)
    assert not re.search(r" on[a-z]+=", answer.text)
    foreign = re.findall(r'(?:src|href|action)="(https?://[^"]+)"', answer.text)
    assert [url for url in foreign if "mill.example.com" not in url] == []


async def test_no_secret_in_a_title(world: HttpWorld) -> None:
    view = await world.session()
    page = (await world.http.get(f"/s/{view.secret}", headers=HTML)).text
    title = re.search(r"<title>(.*?)</title>", page)
    assert title is not None
    assert view.secret not in title[1]


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_page_in_every_language(world: HttpWorld, language: str) -> None:
    headers = {**HTML, "Accept-Language": f"{language}-XX,{language};q=0.8"}
    view = await world.charging(energy_wh=500)
    pages = ["/", "/cp/cp001", "/cp/cp002", "/cp/none", f"/s/{view.secret}"]
    for path in pages:
        answer = await world.http.get(path, headers=headers)
        assert f'<html lang="{language}">' in answer.text
        assert answer.headers["content-language"] == language
    await world.end(view, 500)
    assert (await world.http.get(f"/s/{view.secret}", headers=headers)).status_code == 200


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


async def test_dev_wallet(world: HttpWorld) -> None:
    made = (await world.http.post("/dev/invoice", json={"amount_msat": 5000})).json()
    state = await world.http.get(f"/dev/invoice/{made['payment_hash']}")
    assert state.json() == {"paid": False}
    assert (await world.http.post("/dev/pay", json={"pr": "nonsense"})).status_code == 400
    assert (await world.http.get(f"/dev/invoice/{'0' * 64}")).status_code == 404
    first = await world.lnurl("/lnurl/cp001")
    second = await world.http.get(first["callback"], params={"amount": 500_000})
    paid = await world.http.post("/dev/pay", json={"pr": second.json()["pr"]})
    assert re.fullmatch(r"[0-9a-f]{64}", paid.json()["preimage"])


async def test_nostr_json(world: HttpWorld) -> None:
    answer = await world.http.get("/.well-known/nostr.json", params={"name": "cp001"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.json()["names"] == {"cp001": world.identity.pubkey}
    assert answer.json()["relays"][world.identity.pubkey] == ["wss://relay.example.com"]
    unknown = await world.http.get("/.well-known/nostr.json", params={"name": "x"})
    assert unknown.json() == {"names": {}, "relays": {}}


async def test_list_shows_live_state_and_draws_a_map(world: HttpWorld) -> None:
    page = (await world.http.get("/", headers=HTML)).text
    assert "2 of 2 free" in page
    assert page.count('class="pin ') == 2
    assert "<image" not in page
    await world.point.connector_status(1, ConnectorStatus.FAULTED, world.clock())
    assert "1 of 2 free" in (await world.http.get("/")).text
    await world.point.connector_status(2, ConnectorStatus.FAULTED, world.clock())
    broken = (await world.http.get("/", headers=HTML)).text
    assert "Not available" in broken
    assert "In use" not in broken
    assert 'class="pin off"' in broken


async def test_tiles_only_where_configured(tmp_path: Path) -> None:
    tiles = "https://tiles.example.org/{z}/{x}/{y}.png"
    async with serving(tmp_path, tile_url=tiles) as world:
        answer = await world.http.get("/", headers=HTML)
        assert "https://tiles.example.org/" in answer.text
        assert (
            "img-src 'self' data: https://tiles.example.org;"
            in (answer.headers["content-security-policy"])
        )


async def test_fiat_beside_sats(tmp_path: Path) -> None:
    async with serving(tmp_path, rate=lambda: ExchangeRate("EUR", 1_538_461, 0)) as world:
        page = (await world.http.get("/cp/cp001", headers=HTML)).text
        assert "6,000\N{NO-BREAK SPACE}sat ≈ €3.90" in page
        german = await world.http.get("/cp/cp001", headers={**HTML, "Accept-Language": "de"})
        assert "6.000\N{NO-BREAK SPACE}sat ≈ 3,90\N{NO-BREAK SPACE}€" in german.text


async def test_pages_are_small(world: HttpWorld) -> None:
    view = await world.charging(energy_wh=1000)
    script = re.search(r"/static/strom\.[0-9a-f]+\.js", (await world.http.get("/")).text)
    assert script is not None
    extra = int((await world.http.get(script[0])).headers["content-length"])
    for path in ("/", "/cp/cp001", f"/s/{view.secret}"):
        answer = await world.http.get(path, headers=HTML)
        assert len(answer.content) + extra < 60_000
        assert int(answer.headers["content-length"]) + extra < 20_000


async def test_unknown_session_page_comes_back_by_itself(world: HttpWorld) -> None:
    answer = await world.http.get(f"/s/{'a' * 22}", headers=HTML)
    assert 'http-equiv="refresh"' in answer.text


async def test_a_start_that_never_came(world: HttpWorld) -> None:
    view = await world.session()
    await world.http.post(f"/s/{view.secret}/stop")
    page = (await world.http.get(f"/s/{view.secret}", headers=HTML)).text
    assert "1,000\N{NO-BREAK SPACE}sat go back to you" in page
    assert (await json_of(world, view.secret))["state"] == SessionState.CLOSED

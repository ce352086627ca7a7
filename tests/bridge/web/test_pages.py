"""The pages over real HTTP, as a browser without script sees them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.machine.events import ConnectorStatus
from agent.talk.words import LANGUAGES
from agent.tariff.rate import ExchangeRate
from tests.bridge.http_world import HTML, JSON, HttpWorld, json_of, serving


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


async def test_a_dev_wallet_that_cannot_write_says_so(world: HttpWorld) -> None:
    await world.wallet.close()
    refused = await world.http.post("/dev/invoice", json={"amount_msat": 5000})
    assert refused.status_code == 400
    assert "play-money wallet" in refused.json()["error"]


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

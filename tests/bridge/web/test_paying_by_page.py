"""Payments by the pages' forms, without script: amounts, refusals, and the page of an invoice."""

from __future__ import annotations

import pytest

from agent.machine.events import ConnectorStatus
from agent.talk.words import words
from tests.bridge.http_world import HTML, JSON, HttpWorld


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

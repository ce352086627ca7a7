"""The receipt in its three forms."""

from __future__ import annotations

import shutil
from decimal import Decimal
from pathlib import Path

import anyio
import pytest

from agent.notary import read_receipt
from agent.signed_values import SignedValue
from agent.tariff.rate import ExchangeRate
from tests.bridge.http_world import HttpWorld, config, serving


async def test_it_is_signed_and_adds_up(world: HttpWorld) -> None:
    view = await world.charging(sats=1000, energy_wh=1111)
    early = await world.http.get(f"/s/{view.secret}/receipt")
    assert early.status_code == 409
    await world.end(view, 1111)
    answer = await world.http.get(f"/s/{view.secret}/receipt.json")
    assert view.secret not in answer.headers["content-disposition"] + answer.text
    signed = read_receipt(answer.text)
    assert signed.pubkey == world.identity.pubkey
    body = signed.receipt
    assert (body.energy_wh, body.meter_start_wh, body.meter_stop_wh) == (1111, 1_000_000, 1_001_111)
    assert sum(line.amount_msat for line in body.lines) == body.cost_msat == 333_300
    parts = (body.cost_msat, body.refunded_msat, body.owed_msat, body.rounding_msat)
    assert sum(parts) == body.paid_msat == 1_000_000
    assert body.rounding_msat == 700
    assert len(body.payments) == 1
    page = (await world.http.get(f"/s/{view.secret}/receipt")).text
    assert "333.300\N{NO-BREAK SPACE}sat" in page
    assert "Rounding" in page


@pytest.mark.parametrize("language", ["en", "de", "fr"])
async def test_pdf_can_be_read(world: HttpWorld, tmp_path: Path, language: str) -> None:
    view = await world.charging(sats=1000, energy_wh=1000)
    await world.end(view, 1000)
    answer = await world.http.get(
        f"/s/{view.secret}/receipt.pdf", headers={"Accept-Language": language}
    )
    assert answer.headers["content-type"] == "application/pdf"
    assert view.secret not in answer.headers["content-disposition"]
    pdftotext = shutil.which("pdftotext")
    if pdftotext is None:
        pytest.skip("needs pdftotext (Debian: apt-get install poppler-utils)")
    (tmp_path / "r.pdf").write_bytes(answer.content)
    done = await anyio.run_process([pdftotext, "-layout", tmp_path / "r.pdf", "-"])
    text = done.stdout.decode()
    for wanted in ("Old Mill, west wall", "Mühlenweg 3, Berlin", view.id, "300", "700"):
        assert wanted in text
    assert view.secret not in text


async def test_tax_and_the_rate_that_the_driver_saw(tmp_path: Path) -> None:
    """Both are frozen in the quote: what they are later changes nothing on his receipt."""
    rates = [ExchangeRate("EUR", 1_250_000, 7, ("coinbase", "kraken"))]
    taxed = config()
    tariffs = {"day": taxed.tariffs["day"].model_copy(update={"tax_percent": Decimal(19)})}
    taxed = taxed.model_copy(update={"tariffs": {**taxed.tariffs, **tariffs}})
    async with serving(tmp_path, settings=taxed, rate=lambda: rates[-1]) as world:
        assert "Prices include 19 % tax." in (await world.http.get("/cp/cp001")).text
        view = await world.charging(sats=1000, energy_wh=1000)
        rates.append(ExchangeRate("EUR", 1, 8, ("coinbase", "kraken")))
        await world.end(view, 1000)
        signed = read_receipt((await world.http.get(f"/s/{view.secret}/receipt.json")).text)
        page = (await world.http.get(f"/s/{view.secret}/receipt")).text
    assert (signed.receipt.cost_msat, signed.receipt.tax_msat) == (300_000, 47_899)
    assert signed.receipt.tariff.rate == rates[0]
    assert "of which 19 % tax" in page
    assert "47.899" in page
    assert "≈ €0.24" in page


async def test_what_the_operator_bears_is_taken_off(world: HttpWorld) -> None:
    view = await world.charging(sats=1000, energy_wh=4111)
    await world.end(view, 4111)
    page = (await world.http.get(f"/s/{view.secret}/receipt")).text
    assert "−233.300\N{NO-BREAK SPACE}sat" in page
    assert "1,233.300\N{NO-BREAK SPACE}sat" in page
    pdf = await world.http.get(f"/s/{view.secret}/receipt.pdf")
    assert pdf.content.startswith(b"%PDF")


async def test_signed_meter_values_are_a_file_for_transparency_software(world: HttpWorld) -> None:
    view = await world.charging(sats=1000, energy_wh=1000)
    signed = SignedValue('OCMF|{"RV":1}|{"SD":"3045"}', 1, "Transaction.End", "OCMF")
    point = world.site.charge_point(view.charge_point)
    await point.signed_values(view.connector, None, [signed])
    await world.end(view, 1000)
    file = await world.http.get(f"/s/{view.secret}/receipt.xml")
    assert file.headers["content-type"] == "application/xml"
    assert 'OCMF|{"RV":1}|{"SD":"3045"}' in file.text
    assert "receipt.xml" in (await world.http.get(f"/s/{view.secret}/receipt")).text
    body = read_receipt((await world.http.get(f"/s/{view.secret}/receipt.json")).text).receipt
    assert [value.data for value in body.signed_values] == [signed.data]


async def test_no_file_where_the_meter_signs_nothing(world: HttpWorld) -> None:
    view = await world.charging(sats=1000, energy_wh=1000)
    await world.end(view, 1000)
    assert (await world.http.get(f"/s/{view.secret}/receipt.xml")).status_code == 409
    page = (await world.http.get(f"/s/{view.secret}/receipt")).text
    assert "receipt.xml" not in page
    assert "as the charger read it when it stopped" in page

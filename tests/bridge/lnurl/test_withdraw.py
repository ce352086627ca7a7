"""Money back over LNURL-withdraw (LUD-03): after the charge, and while it runs."""

from __future__ import annotations

import anyio
import pytest
from lnurl import LnurlWithdrawResponse

from agent.machine.refund import RefundState
from tests.bridge.http_world import HttpWorld, path_of


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

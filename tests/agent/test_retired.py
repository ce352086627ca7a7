"""A charge point that has left the operator's file: what was paid there is still settled."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agent.config.tables import Config, WalletConfig
from agent.machine.events import ConnectorStatus, Obstacle
from agent.ports.charger import MeterReport, StartReport, StopReport
from agent.ports.errors import UnknownChargePoint
from agent.ports.quotes import Origin, Quote, QuoteRequest
from tests.agent.world import ManualClock, ScriptedCharger, World, config, running
from wallet.base import InvoiceState, WalletRefused
from wallet.dev import DevWallet


def renamed(hold: bool = False) -> Config:
    """The file after its charge point got another id."""
    before = config()
    points = (before.charge_points[0].model_copy(update={"id": "CP002"}),)
    wallet = WalletConfig(hold="always" if hold else "auto")
    return before.model_copy(update={"charge_points": points, "wallet": wallet})


async def charging(world: World) -> tuple[Quote, int]:
    """A charge that began a minute ago, and its transaction."""
    await world.ready()
    quote = await world.paid(1000)
    started = StartReport(1, quote.session_id, 0, world.clock())
    transaction_id = (await world.point.transaction_started(started)).transaction_id
    world.clock.advance(60)
    return quote, transaction_id


async def quoted(world: World) -> Quote:
    """An invoice that nobody has paid yet."""
    await world.ready()
    return await world.point.quote(QuoteRequest(1_000_000, Origin.LNURL, connector=1))


async def test_an_invoice_that_is_paid_after_that_is_owed_back(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running(tmp_path, clock) as world:
        quote = await quoted(world)
    wallet = DevWallet(tmp_path, clock)
    await wallet.open()
    await wallet.driver_pay(quote.bolt11)
    await wallet.close()
    async with running(tmp_path, clock, renamed()) as world:
        await world.until(lambda: world.journal.sessions.get(quote.session_id) is not None)
        view = await world.site.owned.session(quote.secret)
        assert (view.obstacle, view.owed_msat) == (Obstacle.UNAVAILABLE, 1_000_000)
        offer = await world.site.owned.offer_refund(quote.secret)
        bolt11, payment_hash = await world.wallet.driver_invoice(offer.amount_msat)
        await world.site.owned.claim_refund(offer.k1, bolt11)
        await world.until(lambda: world.journal.sessions.live() == [])
        assert await world.wallet.driver_invoice_paid(payment_hash)


async def test_a_payment_that_is_held_after_that_is_let_go(tmp_path: Path) -> None:
    clock = ManualClock()
    holding = config().model_copy(update={"wallet": WalletConfig(hold="always")})
    async with running(tmp_path, clock, holding) as world:
        quote = await quoted(world)
    async with running(tmp_path, clock, renamed(hold=True)) as world:
        paying = asyncio.create_task(world.wallet.driver_pay(quote.bolt11))
        with pytest.raises(WalletRefused):
            await paying
        state, _ = await world.wallet.lookup_invoice(quote.payment_hash)
        assert state is InvoiceState.CANCELED


async def test_a_charge_there_ends_by_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Also one that draws nothing, whose credit would never end."""
    clock = ManualClock()
    async with running(tmp_path, clock) as world:
        quote, transaction_id = await charging(world)
        sample = MeterReport(1, transaction_id, clock(), 1000, 11_000)
        await world.point.meter_sampled([sample])
        await world.point.connector_status(1, ConnectorStatus.SUSPENDED_EV, clock())
    async with running(tmp_path, clock, renamed()) as world:
        assert "CP001 has left the file while a charge was open there" in caplog.text
        clock.advance(3600)
        await world.site.ring_due()
        view = await world.site.owned.session(quote.secret)
        assert (view.state, view.cost_msat, view.owed_msat) == ("CLOSED", 300_000, 700_000)


async def test_a_charge_there_is_asked_to_stop_and_the_rest_goes_back(tmp_path: Path) -> None:
    """Its charger comes back to a charge point that is not in the file any more."""
    clock = ManualClock()
    async with running(tmp_path, clock) as world:
        quote, transaction_id = await charging(world)
    async with running(tmp_path, clock, renamed()) as world:
        gone: list[str] = []
        world.site.leaving.on_gone(gone.append)
        assert world.site.leaving.by_charger("CP002") is None
        point = world.site.leaving.by_charger("cp001")
        assert point is not None
        charger = ScriptedCharger()
        await point.attach(charger)
        await world.until(lambda: ("stop", transaction_id, "") in charger.asked)
        assert not gone
        stop = StopReport(transaction_id, 2000, clock(), "Remote")
        await point.transaction_stopped(stop)
        view = await world.site.owned.session(quote.secret)
        assert (view.state, view.cost_msat, view.owed_msat) == ("CLOSED", 600_000, 400_000)
        await world.until(lambda: gone == ["CP001"])
        assert world.site.leaving.by_charger("CP001") is None
        with pytest.raises(UnknownChargePoint):
            world.site.charge_point("CP001")


async def test_who_has_not_plugged_in_there_gets_all_of_it_back(tmp_path: Path) -> None:
    """A charger that begins all the same, because it was asked before, is asked to stop."""
    clock = ManualClock()
    async with running(tmp_path, clock) as world:
        await world.ready()
        quote = await world.paid(1000)
    async with running(tmp_path, clock, renamed()) as world:
        view = await world.site.owned.session(quote.secret)
        assert (view.state, view.owed_msat) == ("CLOSED", 1_000_000)
        point = world.site.leaving.by_charger("CP001")
        assert point is not None
        charger = ScriptedCharger()
        await point.attach(charger)
        verdict = await point.transaction_started(StartReport(1, quote.session_id, 0, clock()))
        assert not verdict.accepted
        await world.until(lambda: ("stop", verdict.transaction_id, "") in charger.asked)


async def test_what_the_journal_of_an_older_strom_does_not_know_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    async with running(tmp_path, clock) as world:
        await world.ready()
        await world.paid(1000)
        await world.journal.set_setting("point:CP001", "of another version")
    async with running(tmp_path, clock, renamed()) as world:
        assert world.site.leaving.by_charger("CP001") is None
    assert "its charger cannot be let in" in caplog.text

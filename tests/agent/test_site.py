"""The main job through the agent alone: paid, started, metered, stopped, paid back."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from agent.machine.effects import Topic
from agent.machine.events import ConnectorStatus, MeterSampled, Obstacle
from agent.ports.charger import MeterReport, Nameplate, StartOutcome, StartReport, StopReport
from agent.ports.errors import NotThePayer, Refused
from agent.ports.quotes import Origin, QuoteRequest
from tests.agent.world import ManualClock, ScriptedCharger, running


async def test_a_payment_becomes_a_charge_and_the_rest_goes_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="agent.sessions")
    async with running(tmp_path) as world:
        charger = await world.ready()
        quote = await world.paid(1000)
        await world.until(lambda: ("start", 1, quote.session_id) in charger.asked)
        report = StartReport(1, quote.session_id, 5000, world.clock())
        verdict = await world.point.transaction_started(report)
        assert verdict.accepted
        assert await world.point.transaction_started(report) == verdict
        world.clock.advance(60)
        sample = MeterReport(1, verdict.transaction_id, world.clock(), 6000, 11_000)
        await world.point.meter_sampled([sample])
        await world.point.meter_sampled([sample])
        assert len(world.journal.sessions.events(quote.session_id, only=MeterSampled)) == 1
        view = await world.site.owned.session(quote.secret)
        assert (view.state, view.energy_wh, view.cost_msat) == ("CHARGING", 1000, 300_000)
        await world.site.owned.stop(quote.secret)
        await world.until(lambda: ("stop", verdict.transaction_id, "") in charger.asked)
        world.clock.advance(2)
        stop = StopReport(verdict.transaction_id, 6100, world.clock())
        await world.point.transaction_stopped(stop)
        await world.point.transaction_stopped(stop)
        view = await world.site.owned.session(quote.secret)
        assert (view.state, view.cost_msat, view.owed_msat) == ("CLOSED", 330_000, 670_000)
        assert [one.message for one in caplog.records if one.name == "agent.sessions"] == [
            f"CP001: connector 1 charges, transaction {verdict.transaction_id} of session "
            f"{quote.session_id}",
            f"CP001: session {quote.session_id} at connector 1 is over: 1100 Wh for 330.000 sat of "
            "1,000.000",
        ]
        offer = await world.site.owned.offer_refund(quote.secret)
        assert offer.amount_msat == 670_000
        bolt11, payment_hash = await world.wallet.driver_invoice(offer.amount_msat)
        await world.site.owned.claim_refund(offer.k1, bolt11)
        await world.site.owned.claim_refund(offer.k1, bolt11)
        await world.until(lambda: Topic.REFUND_PAID in world.ear.topics())
        assert await world.wallet.driver_invoice_paid(payment_hash)
        view = await world.site.owned.session(quote.secret)
        assert (view.owed_msat, view.refunded_msat, view.rounding_msat) == (0, 670_000, 0)


async def test_a_charger_that_says_no_costs_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.ready(ScriptedCharger(start_outcome=StartOutcome.REJECTED))
        quote = await world.paid(500)
        await world.until(lambda: Topic.NOT_STARTED in world.ear.topics())
        view = await world.site.owned.session(quote.secret)
        assert (view.state, view.obstacle, view.owed_msat) == (
            "CLOSED",
            Obstacle.REJECTED,
            500_000,
        )


async def test_a_charger_that_does_not_answer_takes_no_money_and_keeps_none(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as world:
        charger = await world.ready()
        request = QuoteRequest(1_000_000, Origin.LNURL, connector=1)
        quote = await world.point.quote(request)
        await world.point.answering(ScriptedCharger(), False)
        assert world.point.online
        statuses = world.ear.statuses
        await world.point.answering(charger, False)
        assert world.ear.statuses == statuses + 1
        with pytest.raises(Refused, match="the charger does not answer at the moment"):
            await world.point.quote(request)
        await world.wallet.driver_pay(quote.bolt11)
        await world.until(lambda: world.journal.sessions.get(quote.session_id) is not None)
        view = await world.site.owned.session(quote.secret)
        assert (view.obstacle, view.owed_msat) == (Obstacle.NOT_ANSWERING, 1_000_000)
        assert charger.asked == []
        await world.point.answering(charger, True)
        await world.paid()
        await world.until(lambda: bool(charger.asked))


async def test_a_restart_goes_on_with_the_charge(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running(tmp_path, clock) as world:
        await world.ready()
        quote = await world.paid(1000)
        verdict = await world.point.transaction_started(
            StartReport(1, quote.session_id, 0, clock())
        )
    async with running(tmp_path, clock) as world:
        assert (await world.site.owned.session(quote.secret)).state == "CHARGING"
        charger = await world.ready()
        await world.point.connector_status(1, ConnectorStatus.CHARGING, clock())
        clock.advance(60)
        await world.point.meter_sampled(
            [MeterReport(1, verdict.transaction_id, clock(), 2000, 11_000)]
        )
        await world.site.owned.stop(quote.secret)
        await world.until(lambda: ("stop", verdict.transaction_id, "") in charger.asked)
        await world.point.transaction_stopped(StopReport(verdict.transaction_id, 2000, clock()))
        view = await world.site.owned.session(quote.secret)
        assert (view.cost_msat, view.owed_msat) == (600_000, 400_000)


@pytest.mark.parametrize("reason", ["PowerLoss", "EVDisconnected"])
async def test_a_power_cut_that_took_strom_too_is_nobodys_time(tmp_path: Path, reason: str) -> None:
    """Strom and its chargers are often behind one fuse; some write a stop once they are back."""
    clock = ManualClock()
    async with running(tmp_path, clock) as world:
        await world.ready()
        quote = await world.paid(1000)
        verdict = await world.point.transaction_started(
            StartReport(1, quote.session_id, 0, clock())
        )
        clock.advance(60)
        await world.point.meter_sampled([MeterReport(1, verdict.transaction_id, clock(), 100, 0)])
    clock.advance(3600)
    async with running(tmp_path, clock) as world:
        clock.advance(10)
        await world.point.attach(ScriptedCharger())
        await world.point.introduced(Nameplate())
        stop = StopReport(verdict.transaction_id, 100, clock(), reason)
        await world.point.transaction_stopped(stop)
        session = world.point.sessions.get(quote.session_id)
        assert (session.energy_wh, session.charging_ms) == (100, 60_000)


async def test_nobody_plugs_in_and_all_goes_back(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        charger = await world.ready()
        quote = await world.paid(1000)
        await world.until(lambda: bool(charger.asked))
        world.clock.advance(120)
        await world.site.ring_due()
        view = await world.site.owned.session(quote.secret)
        assert (view.obstacle, view.owed_msat) == (Obstacle.NOT_PLUGGED_IN, 1_000_000)
        late = await world.point.transaction_started(
            StartReport(1, quote.session_id, 0, world.clock())
        )
        assert not late.accepted
        await world.until(lambda: ("stop", late.transaction_id, "") in charger.asked)


async def test_a_start_that_strom_was_not_there_for_is_waited_for(tmp_path: Path) -> None:
    clock = ManualClock()
    async with running(tmp_path, clock) as world:
        charger = await world.ready()
        quote = await world.paid(1000)
        await world.until(lambda: bool(charger.asked))
    clock.advance(60)
    began_at_ms = clock()
    clock.advance(540)
    async with running(tmp_path, clock) as world:
        await world.site.ring_due()
        clock.advance(20)
        await world.ready()
        await world.point.connector_status(1, ConnectorStatus.CHARGING, clock())
        await world.site.ring_due()
        verdict = await world.point.transaction_started(
            StartReport(1, quote.session_id, 0, began_at_ms)
        )
        assert verdict.accepted
        await world.point.transaction_stopped(StopReport(verdict.transaction_id, 2000, clock()))
        view = await world.site.owned.session(quote.secret)
        assert (view.cost_msat, view.owed_msat) == (600_000, 400_000)


async def test_a_start_that_strom_was_not_there_for_is_not_waited_for_for_long(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    async with running(tmp_path, clock) as world:
        charger = await world.ready()
        quote = await world.paid(1000)
        await world.until(lambda: bool(charger.asked))
    clock.advance(600)
    async with running(tmp_path, clock) as world:
        clock.advance(59)
        await world.site.ring_due()
        assert (await world.site.owned.session(quote.secret)).state == "STARTING"
        clock.advance(1)
        await world.site.ring_due()
        view = await world.site.owned.session(quote.secret)
        assert (view.obstacle, view.owed_msat) == (Obstacle.OFFLINE, 1_000_000)


async def test_claiming_while_charging_stops_and_pays_what_was_offered(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        charger = await world.ready()
        quote = await world.paid(1000)
        await world.until(lambda: bool(charger.asked))
        verdict = await world.point.transaction_started(
            StartReport(1, quote.session_id, 0, world.clock())
        )
        world.clock.advance(360)
        await world.point.meter_sampled(
            [MeterReport(1, verdict.transaction_id, world.clock(), 1000, 11_000)]
        )
        offer = await world.site.owned.offer_refund(quote.secret)
        # 275 Wh may flow in the next 90 s.
        assert offer.amount_msat == 617_000
        bolt11, payment_hash = await world.wallet.driver_invoice(617_000)
        await world.site.owned.claim_refund(offer.k1, bolt11)
        await world.until(lambda: ("stop", verdict.transaction_id, "") in charger.asked)
        await world.point.transaction_stopped(
            StopReport(verdict.transaction_id, 1050, world.clock())
        )
        await world.until(lambda: Topic.REFUND_PAID in world.ear.topics())
        assert await world.wallet.driver_invoice_paid(payment_hash)
        view = await world.site.owned.session(quote.secret)
        assert (view.cost_msat, view.refunded_msat, view.owed_msat) == (315_000, 617_000, 68_000)


async def test_what_is_used_while_it_is_offered_is_not_offered(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.ready()
        quote = await world.paid(1000)
        start = StartReport(1, quote.session_id, 0, world.clock())
        transaction_id = (await world.point.transaction_started(start)).transaction_id
        world.clock.advance(360)
        sample = MeterReport(1, transaction_id, world.clock(), 1000, 11_000)
        reading = asyncio.create_task(world.point.meter_sampled([sample]))
        # It begins, and has not come to the disk.
        await asyncio.sleep(0)
        with pytest.raises(Refused, match="stop first"):
            await world.site.owned.offer_refund(quote.secret)
        await reading
        assert (await world.site.owned.offer_refund(quote.secret)).amount_msat == 617_000


async def test_a_connector_is_taken_from_the_moment_its_session_can_be_read(
    tmp_path: Path,
) -> None:
    """Not only once the disk's answer has come back: a second driver would pay for nothing."""
    async with running(tmp_path) as world:
        await world.ready()
        for connector in (1, 2):
            request = QuoteRequest(1_000_000, Origin.LNURL, connector=connector)
            first = await world.point.quote(request)
            assert await world.point.obstacle(connector) is None
            await world.wallet.driver_pay(first.bolt11)
            while world.journal.sessions.get(first.session_id) is None:
                await asyncio.sleep(0)
            assert await world.point.obstacle(connector) is Obstacle.OCCUPIED
            with pytest.raises(NotThePayer):
                await world.point.quote(request)


async def test_no_reading_is_lost_where_two_of_one_moment_show_the_first_of_two_transactions(
    tmp_path: Path,
) -> None:
    """A charger began twice for one driver, and tells energy and power of the first apart."""
    async with running(tmp_path) as world:
        await world.ready()
        quote = await world.paid(1000)
        first = StartReport(1, quote.session_id, 5000, world.clock())
        shown = (await world.point.transaction_started(first)).transaction_id
        world.clock.advance(5)
        second = StartReport(1, quote.session_id, 5010, world.clock())
        await world.point.transaction_started(second)
        for energy_wh in (500, 900):
            world.clock.advance(60)
            energy = MeterReport(1, shown, world.clock(), 5000 + energy_wh)
            power = MeterReport(1, shown, world.clock(), None, 11_000)
            await world.point.meter_sampled([energy, power])
            session = world.point.sessions.get(quote.session_id)
            assert (session.power_w, session.transaction_id) == (11_000, shown)
        assert session.energy_wh == 890

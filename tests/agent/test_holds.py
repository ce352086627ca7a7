"""Hold invoices on a whole site: taken when charging begins, let go when it does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from agent.config.tables import Config, WalletConfig
from agent.holds import Holds
from agent.machine.effects import SendMessage, Topic
from agent.machine.events import ConnectorStatus, Obstacle
from agent.machine.model import Session, SessionState
from agent.ports.charger import MeterReport, StartOutcome, StartReport, StopReport
from agent.ports.quotes import Origin, Quote, QuoteRequest
from tests.agent.journal.journals import opened as _stored
from tests.agent.world import ManualClock, ScriptedCharger, World, config, running
from wallet.base import InvoiceState, WalletRefused, WalletUnavailable
from wallet.dev import DevWallet


def holding() -> Config:
    return config().model_copy(update={"wallet": WalletConfig(hold="always")})


@asynccontextmanager
async def held_world(
    folder: Path, clock: ManualClock | None = None
) -> AsyncGenerator[tuple[World, ScriptedCharger]]:
    async with running(folder, clock, holding()) as world:
        yield world, await world.ready()


async def reserve(world: World, sats: int = 1000) -> tuple[Quote, asyncio.Task[str]]:
    """A driver whose payment is held; the task ends with his preimage, or with an error."""
    request = QuoteRequest(sats * 1000, Origin.LNURL, connector=1)
    quote = await world.point.quote(request)
    assert quote.hold
    assert quote.preimage not in repr(quote)
    paying = asyncio.create_task(world.wallet.driver_pay(quote.bolt11))
    await world.until(lambda: world.journal.sessions.get(quote.session_id) is not None)
    return quote, paying


def session_of(world: World, quote: Quote) -> Session:
    return world.point.sessions.get(quote.session_id)


async def begin(world: World, quote: Quote, connector: int = 1) -> int:
    report = StartReport(connector, quote.session_id, 10_000, world.clock())
    return (await world.point.transaction_started(report)).transaction_id


async def test_charging_takes_the_payment(tmp_path: Path) -> None:
    async with held_world(tmp_path) as (world, charger):
        quote, paying = await reserve(world)
        await world.until(lambda: bool(charger.asked))
        starting = session_of(world, quote)
        assert (starting.paid_msat, starting.held_msat) == (0, 1_000_000)
        assert not paying.done()
        transaction = await begin(world, quote)
        assert await paying == quote.preimage
        await world.until(lambda: session_of(world, quote).paid_msat == 1_000_000)
        assert session_of(world, quote).held_msat == 0
        stored = world.journal.quotes.get(quote.payment_hash)
        assert stored is not None
        assert stored.settled_at_ms is not None
        await world.point.transaction_stopped(StopReport(transaction, 11_000, world.clock()))
        closed = session_of(world, quote)
        assert (closed.cost_msat, closed.owed_msat) == (300_000, 700_000)


@pytest.mark.parametrize("why", ["rejected", "canceled by the driver", "not plugged in"])
async def test_a_start_that_does_not_come_lets_it_go(tmp_path: Path, why: str) -> None:
    outcome = StartOutcome.REJECTED if why == "rejected" else StartOutcome.ACCEPTED
    async with running(tmp_path, settings=holding()) as world:
        await world.ready(ScriptedCharger(start_outcome=outcome))
        quote, paying = await reserve(world)
        if why == "canceled by the driver":
            await world.site.owned.stop(quote.secret)
        elif why == "not plugged in":
            world.clock.advance(120)
            await world.site.ring_due()
        with pytest.raises(WalletRefused):
            await paying
        await world.until(lambda: not session_of(world, quote).held)
        closed = session_of(world, quote)
        assert closed.state is SessionState.CLOSED
        assert (closed.paid_msat, closed.owed_msat, closed.refunds) == (0, 0, ())
        told = [e for _, e in world.ear.said if isinstance(e, SendMessage)]
        assert told[-1].topic is Topic.NOT_STARTED
        # Nothing is live any more: the journal has nothing to take up at a start.
        assert world.journal.sessions.live() == []


async def test_an_occupied_connector_lets_it_go_at_once(tmp_path: Path) -> None:
    async with held_world(tmp_path) as (world, _):
        request = QuoteRequest(1_000_000, Origin.LNURL, connector=1)
        quote = await world.point.quote(request)
        await world.point.connector_status(1, ConnectorStatus.FAULTED, world.clock())
        with pytest.raises(WalletRefused):
            await world.wallet.driver_pay(quote.bolt11)
        await world.until(lambda: world.journal.sessions.get(quote.session_id) is not None)
        assert session_of(world, quote).obstacle is Obstacle.FAULTED
        assert session_of(world, quote).paid_msat == 0


async def test_a_payment_withdrawn_while_charging_stops_the_charge(tmp_path: Path) -> None:
    """The wallet let it go before we could take it: the operator bears what flowed."""
    clock = ManualClock()
    async with held_world(tmp_path, clock) as (world, charger):
        quote, paying = await reserve(world)
        await world.wallet.cancel_held(quote.payment_hash)
        with pytest.raises(WalletRefused):
            await paying
        transaction = await begin(world, quote)
        await world.until(lambda: ("stop", transaction, "") in charger.asked)
        report = MeterReport(1, transaction, clock(), 10_200, 11_000)
        await world.point.meter_sampled([report])
        await world.point.transaction_stopped(StopReport(transaction, 10_300, clock()))
        closed = session_of(world, quote)
        assert (closed.paid_msat, closed.cost_msat) == (0, 0)
        assert closed.overshoot_msat == 90_000
        assert closed.owed_msat == 0


@pytest.mark.parametrize("when", ["before Strom noticed", "after"])
async def test_a_restart_forgets_nothing_that_is_held(tmp_path: Path, when: str) -> None:
    clock = ManualClock()
    async with held_world(tmp_path, clock) as (world, _):
        quote = await world.point.quote(QuoteRequest(1_000_000, Origin.LNURL, connector=1))
        if when == "after":
            paying = asyncio.create_task(world.wallet.driver_pay(quote.bolt11))
            await world.until(lambda: world.journal.sessions.get(quote.session_id) is not None)
            paying.cancel()
    if when == "before Strom noticed":
        wallet = DevWallet(tmp_path, clock)
        await wallet.open()
        paying = asyncio.create_task(wallet.driver_pay(quote.bolt11))
        assert await wallet.await_held(quote.payment_hash) is InvoiceState.HELD
        paying.cancel()
        await wallet.close()
    async with held_world(tmp_path, clock) as (world, _):
        await world.until(lambda: world.journal.sessions.get(quote.session_id) is not None)
        await begin(world, quote)
        await world.until(lambda: session_of(world, quote).paid_msat == 1_000_000)
        assert await world.wallet.driver_pay(quote.bolt11) == quote.preimage


class Away(DevWallet):
    """Cannot be asked to let go while it is away."""

    is_away = False
    tries = 0

    async def cancel_held(self, payment_hash: str) -> None:
        if self.is_away:
            self.tries += 1
            raise WalletUnavailable("nobody listens")
        await super().cancel_held(payment_hash)


class AtTheLastMoment(DevWallet):
    """Its word comes as the watch ends, or only when it is asked once more."""

    word: InvoiceState | None = InvoiceState.HELD

    async def await_held(self, payment_hash: str) -> InvoiceState:
        if self.word is None:
            return await super().await_held(payment_hash)
        return self.word


@pytest.mark.parametrize("word", [InvoiceState.HELD, None])
async def test_a_payment_that_comes_in_as_its_invoice_expires_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: InvoiceState | None
) -> None:
    """The end of the watch cuts nothing off: a session half opened would sell its connector
    twice, and keep the money until the wallet lets it go."""
    monkeypatch.setattr("agent.holds.PATIENCE_S", 0)
    clock = ManualClock()
    wallet = AtTheLastMoment(tmp_path / "wallet", clock)
    wallet.word = word
    await wallet.open()
    async with running(tmp_path, settings=holding(), money=wallet) as world:
        await world.ready()
        quote = await world.point.quote(QuoteRequest(1_000_000, Origin.LNURL, connector=1))
        paying = asyncio.create_task(wallet.driver_pay(quote.bolt11))
        await world.until(lambda: world.journal.sessions.get(quote.session_id) is not None)
        paying.cancel()
    async with _stored(tmp_path) as journal:
        waits = replace(quote, session_id="1122334455667788", expires_at_ms=clock())
        held: list[Quote] = []

        async def hold(noticed: Quote) -> None:
            await journal.set_setting("held", noticed.session_id)
            held.append(noticed)

        async def never(*arguments: object) -> None:
            raise AssertionError(arguments)

        holds = Holds(journal, wallet, clock, "always", hold=hold, credit=never, cancel=never)
        async with anyio.create_task_group() as group:
            group.start_soon(holds.run)
            await anyio.lowlevel.checkpoint()
            holds.watch(waits)
            while not held:
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        assert held == [waits]
        assert journal.setting("held") == waits.session_id
    await wallet.close()


@pytest.mark.parametrize("restarts", [False, True])
async def test_what_is_to_be_let_go_waits_for_the_wallet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restarts: bool
) -> None:
    """The start that comes meanwhile is nobody's to pay for."""
    monkeypatch.setattr("agent.outbox.FIRST_RETRY_S", 0.01)
    clock = ManualClock()
    wallet = Away(tmp_path / "wallet", clock)
    await wallet.open()
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(running(tmp_path, clock, holding(), money=wallet))
        charger = await world.ready()
        quote = await world.point.quote(QuoteRequest(1_000_000, Origin.LNURL, connector=1))
        paying = asyncio.create_task(wallet.driver_pay(quote.bolt11))
        await world.until(lambda: world.journal.sessions.get(quote.session_id) is not None)
        wallet.is_away = True
        clock.advance(120)
        await world.site.ring_due()
        await world.until(lambda: wallet.tries > 0)
        assert session_of(world, quote).state is SessionState.CLOSED
        if restarts:
            await stack.aclose()
            world = await stack.enter_async_context(
                running(tmp_path, clock, holding(), money=wallet)
            )
            charger = await world.ready()
        transaction = await begin(world, quote)
        await world.until(lambda: ("stop", transaction, "") in charger.asked)
        wallet.is_away = False
        with pytest.raises(WalletRefused):
            await paying
        await world.until(lambda: not session_of(world, quote).held)
        await world.point.transaction_stopped(StopReport(transaction, 10_300, clock()))
        closed = session_of(world, quote)
        assert (closed.paid_msat, closed.cost_msat, closed.owed_msat) == (0, 0, 0)
        await stack.aclose()
    await wallet.close()


async def test_what_was_held_while_strom_was_down_for_long_goes_back(tmp_path: Path) -> None:
    clock = ManualClock()
    async with held_world(tmp_path, clock) as (world, _):
        quote = await world.point.quote(QuoteRequest(1_000_000, Origin.LNURL, connector=1))
    wallet = DevWallet(tmp_path, clock)
    await wallet.open()
    paying = asyncio.create_task(wallet.driver_pay(quote.bolt11))
    assert await wallet.await_held(quote.payment_hash) is InvoiceState.HELD
    paying.cancel()
    await wallet.close()
    clock.advance(3_600)
    async with held_world(tmp_path, clock) as (world, charger):
        await world.until(lambda: world.journal.sessions.get(quote.session_id) is not None)
        await world.until(lambda: not session_of(world, quote).held)
        closed = session_of(world, quote)
        assert (closed.obstacle, closed.paid_msat, closed.owed_msat) == (Obstacle.LATE, 0, 0)
        state, _ = await world.wallet.lookup_invoice(quote.payment_hash)
        assert state is InvoiceState.CANCELED
        assert not charger.asked


async def test_a_top_up_is_not_held(tmp_path: Path) -> None:
    async with held_world(tmp_path) as (world, _):
        quote, paying = await reserve(world)
        await begin(world, quote)
        await paying
        more = QuoteRequest(500_000, Origin.LNURL, topup_secret=quote.secret)
        topup = await world.point.quote(more)
        assert not topup.hold
        await world.wallet.driver_pay(topup.bolt11)
        await world.until(lambda: session_of(world, quote).paid_msat == 1_500_000)


async def test_play_money_is_held_only_where_that_is_asked_for(tmp_path: Path) -> None:
    auto = config().model_copy(update={"wallet": WalletConfig(hold="auto")})
    async with running(tmp_path, settings=auto) as world:
        await world.ready()
        quote = await world.paid()
        assert not quote.hold
        state, _ = await world.wallet.lookup_invoice(quote.payment_hash)
        assert state is InvoiceState.SETTLED

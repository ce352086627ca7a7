"""A wallet that is down, lost, slow or empty: charging goes on, new payments get a reason."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import pytest

from agent.alerts import Alerts
from agent.machine.model import SessionState
from agent.machine.refund import RefundState
from agent.ports.charger import MeterReport, StartReport, StopReport
from agent.ports.errors import Refused
from agent.ports.quotes import Origin, Quote, QuoteRequest
from agent.settlements import Settlements
from tests.agent.world import ManualClock, World, running
from tests.wallet.backends.lnd import NodePeer, lnd_backend, lnd_url
from tests.wallet.clock import now_ms
from tests.wallet.contract import Backend
from tests.wallet.lnd_node import EVERYTHING
from tests.wallet.lnd_server import lnd_server
from tests.wallet.proxy import proxy
from wallet.base import Invoice, PaymentOutcome, PaymentState, Settlement, WalletUnavailable
from wallet.checks import issued, whole_sats
from wallet.connect import connect
from wallet.dev import DevWallet

ONE_SESSION = QuoteRequest(1_000_000, Origin.LNURL, connector=1)


class RealTime(ManualClock):
    """The time of the backend, which has its own clock."""

    def __call__(self) -> int:
        return now_ms()


@asynccontextmanager
async def site_on(folder: Path, backend: Backend) -> AsyncGenerator[tuple[World, Alerts]]:
    """A site whose wallet is an LND-shaped server."""

    async def tell(text: str) -> None:
        del text

    alerts = Alerts(now_ms, tell)
    wallet = await backend.connect()
    try:
        async with running(folder, RealTime(), money=wallet, alerts=alerts) as world:
            await world.ready()
            yield world, alerts
    finally:
        await wallet.close()


async def charge(world: World, backend: Backend) -> tuple[Quote, int]:
    """A session under power."""
    quote = await world.point.quote(ONE_SESSION)
    await backend.peer.pay(quote.bolt11)
    await world.until(lambda: world.journal.sessions.get(quote.session_id) is not None)
    report = StartReport(1, quote.session_id, 10_000, now_ms())
    return quote, (await world.point.transaction_started(report)).transaction_id


async def test_lost_while_charging_and_back_with_a_backlog(tmp_path: Path) -> None:
    async with lnd_backend(tmp_path) as backend, site_on(tmp_path, backend) as (world, alerts):
        restart = backend.restart
        assert restart is not None
        quote, transaction = await charge(world, backend)
        waiting = await world.point.quote(QuoteRequest(2_000_000, Origin.LNURL, connector=2))
        async with restart():
            await world.until(lambda: world.site.settlements.trouble is not None)
            assert "wallet" in alerts.current()
            with pytest.raises(Refused, match="does not answer"):
                await world.point.quote(QuoteRequest(1_000_000, Origin.LNURL, connector=2))
            await world.point.meter_sampled([MeterReport(1, transaction, now_ms(), 11_000, 11_000)])
            assert world.point.sessions.get(quote.session_id).energy_wh == 1_000
            await backend.peer.pay(waiting.bolt11)
        await world.until(lambda: world.journal.sessions.get(waiting.session_id) is not None)
        assert world.point.sessions.get(waiting.session_id).paid_msat == 2_000_000
        await world.until(lambda: alerts.current() == {})
        # The backlog and the look-up both told of it: it is credited once.
        await world.site.settlements.look_up_open()
        assert world.point.sessions.get(waiting.session_id).paid_msat == 2_000_000
        await world.point.transaction_stopped(StopReport(transaction, 11_000, now_ms()))
        assert world.point.sessions.get(quote.session_id).owed_msat == 700_000


async def test_down_at_the_start(tmp_path: Path) -> None:
    async with lnd_server() as (server, peer):
        wallet = connect(lnd_url(server, tmp_path, server.node.bake()), tmp_path, now_ms)
        await server.stop()
        try:
            with pytest.raises(WalletUnavailable):
                await wallet.open()
            async with running(tmp_path, RealTime(), money=wallet) as world:
                await world.ready()
                await world.until(lambda: world.site.settlements.trouble is not None)
                with pytest.raises(Refused, match="does not answer"):
                    await world.point.quote(ONE_SESSION)
                await server.start()
                await world.until(lambda: world.site.settlements.trouble is None)
                quote = await world.point.quote(ONE_SESSION)
                await NodePeer(peer).pay(quote.bolt11)
                await world.until(lambda: world.journal.sessions.get(quote.session_id) is not None)
        finally:
            await wallet.close()


async def test_a_wallet_that_is_lost_is_told_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Seen with a real lnd that was killed: with no open invoice to look up, nothing was asked,
    and nothing refused was taken for an answer."""
    async with lnd_backend(tmp_path) as backend, site_on(tmp_path, backend) as (world, alerts):
        restart = backend.restart
        assert restart is not None
        async with restart():
            await world.until(lambda: "wallet" in alerts.current())
            await world.site.settlements.look_up_open()
            assert "wallet" in alerts.current()
        await world.until(lambda: alerts.current() == {})
    assert caplog.text.count("the wallet is lost") == 1


async def test_a_refund_is_tried_again_as_soon_as_the_wallet_is_back(tmp_path: Path) -> None:
    async with lnd_backend(tmp_path) as backend, site_on(tmp_path, backend) as (world, _):
        restart = backend.restart
        assert restart is not None
        quote, transaction = await charge(world, backend)
        await world.point.transaction_stopped(StopReport(transaction, 11_000, now_ms()))
        bolt11, payment_hash = await backend.peer.invoice(700_000)
        offer = await world.site.owned.offer_refund(quote.secret)
        assert offer.amount_msat == 700_000
        await world.site.owned.claim_refund(offer.k1, bolt11)
        async with restart():
            await world.until(lambda: world.site.settlements.trouble is not None)
        await world.until(lambda: world.point.sessions.get(quote.session_id).owed_msat == 0)
        assert await backend.peer.paid(payment_hash)


class LostOnTheWay(DevWallet):
    """The driver's refund does not get through to it."""

    tries = 0
    arrives: PaymentState | None = None

    async def pay(self, bolt11: str, *, fee_limit_msat: int, timeout_s: int) -> PaymentOutcome:
        self.tries += 1
        if self.arrives is PaymentState.SETTLED:
            return await super().pay(bolt11, fee_limit_msat=fee_limit_msat, timeout_s=timeout_s)
        if self.arrives is PaymentState.UNKNOWN and self.tries == 1:
            return PaymentOutcome(PaymentState.UNKNOWN)
        raise WalletUnavailable("nobody listens")


@pytest.mark.parametrize("first_answer", [None, PaymentState.UNKNOWN])
async def test_a_refund_that_never_reached_the_wallet_is_free_again_once_its_invoice_expired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first_answer: PaymentState | None
) -> None:
    """And one of which that is not sure is not: it may arrive."""
    monkeypatch.setattr("agent.outbox.FIRST_RETRY_S", 0.01)
    clock = ManualClock()
    wallet = LostOnTheWay(tmp_path / "wallet", clock)
    wallet.arrives = first_answer
    await wallet.open()
    async with running(tmp_path, clock, money=wallet) as world:
        await world.ready()
        quote = await world.point.quote(ONE_SESSION)
        await wallet.driver_pay(quote.bolt11)
        await world.until(lambda: world.journal.sessions.get(quote.session_id) is not None)
        await world.site.owned.stop(quote.secret)
        first, first_hash = await wallet.driver_invoice(1_000_000, expiry_s=60)
        await world.site.owned.claim_refund(
            (await world.site.owned.offer_refund(quote.secret)).k1, first
        )
        await world.until(lambda: wallet.tries == 2)
        clock.advance(61)

        def refund_state() -> RefundState:
            return world.point.sessions.get(quote.session_id).refunds[0].state

        if first_answer is PaymentState.UNKNOWN:
            assert refund_state() is RefundState.UNKNOWN
            with pytest.raises(Refused, match="on its way"):
                await world.site.owned.offer_refund(quote.secret)
        else:
            await world.until(lambda: refund_state() is RefundState.FAILED)
            wallet.arrives = PaymentState.SETTLED
            second, second_hash = await wallet.driver_invoice(1_000_000)
            await world.site.owned.claim_refund(
                (await world.site.owned.offer_refund(quote.secret)).k1, second
            )
            await world.until(lambda: refund_state() is RefundState.PAID)
            assert await wallet.driver_invoice_paid(second_hash)
        assert not await wallet.driver_invoice_paid(first_hash)
    await wallet.close()


async def test_a_slow_wallet_does_not_keep_a_driver_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.quotes.ANSWER_S", 0.3)
    async with lnd_server() as (server, _), proxy(server.port) as between:
        url = lnd_url(server, tmp_path, server.node.bake())
        wallet = connect(url.replace(f":{server.port}?", f":{between.port}?"), tmp_path, now_ms)
        await wallet.open()
        try:
            async with running(tmp_path, RealTime(), money=wallet) as world:
                await world.ready()
                await world.point.quote(ONE_SESSION)
                # HTTP/2 compresses a path that it has sent before: everything is held back.
                between.hold_from(b"")
                with pytest.raises(Refused, match="too slow"):
                    await world.point.quote(ONE_SESSION)
                between.release_answers()
        finally:
            await wallet.close()


class WholeSats(DevWallet):
    """Takes no fractions of a satoshi, as LNbits and many a wallet behind NWC."""

    async def create_invoice(
        self, amount_msat: int, *, memo: str, description: bytes | None, expiry_s: int
    ) -> Invoice:
        whole_sats(amount_msat, "this wallet")
        return await super().create_invoice(
            amount_msat, memo=memo, description=description, expiry_s=expiry_s
        )


async def test_a_fraction_that_the_wallet_does_not_take_is_named(tmp_path: Path) -> None:
    """It said that it does not answer: who tried again was told so again."""
    wallet = WholeSats(tmp_path / "far", ManualClock())
    await wallet.open()
    async with running(tmp_path, money=wallet) as at:
        await at.ready()
        with pytest.raises(Refused, match="whole satoshi only: pay 1000 sat") as refused:
            await at.point.quote(replace(ONE_SESSION, amount_msat=1_000_500))
        assert refused.value.word == "whole_sats"
        assert (await at.point.quote(ONE_SESSION)).amount_msat == 1_000_000
    await wallet.close()


@pytest.mark.parametrize(("told_msat", "credited_msat"), [(0, 1_000_000), (1_000_007, 1_000_007)])
async def test_what_an_invoice_asks_for_has_come_at_least(
    tmp_path: Path, told_msat: int, credited_msat: int
) -> None:
    """A wallet that does not say how much came: it counted as nothing."""
    async with running(tmp_path) as at:
        await at.ready()
        quote = await at.point.quote(ONE_SESSION)
        settlement = Settlement(quote.payment_hash, told_msat, at.clock(), "")
        session = await at.site.credit(quote, settlement)
        assert (session.paid_msat, session.state) == (credited_msat, SessionState.STARTING)


class Uncommitted(DevWallet):
    """Makes no invoice that commits to a description, as some wallets behind NWC."""

    async def create_invoice(
        self, amount_msat: int, *, memo: str, description: bytes | None, expiry_s: int
    ) -> Invoice:
        made = await super().create_invoice(
            amount_msat, memo=memo, description=None, expiry_s=expiry_s
        )
        return issued(
            made.bolt11,
            backend="the wallet",
            network="regtest",
            amount_msat=amount_msat,
            description=description,
        )


async def test_a_wallet_that_makes_no_such_invoice_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Every driver heard that it does not answer, and the operator nothing at all."""
    told: list[str] = []

    async def tell(text: str) -> None:
        told.append(text)

    wallet = Uncommitted(tmp_path / "far", ManualClock())
    await wallet.open()
    alerts = Alerts(ManualClock(), tell)
    async with running(tmp_path, money=wallet, alerts=alerts) as at:
        await at.ready()
        for _ in range(2):
            with pytest.raises(Refused, match="makes no such invoice") as refused:
                await at.point.quote(replace(ONE_SESSION, description="[]"))
            assert refused.value.word == "no_sale"
        await at.until(lambda: bool(told))
        assert (await at.point.quote(ONE_SESSION)).amount_msat == 1_000_000
    [sentence] = told
    assert "CP001: no invoice was made" in sentence
    assert "does not commit to its description" in sentence
    assert "does not commit to its description" in caplog.text
    await wallet.close()


async def test_a_payment_waits_for_a_full_disk(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It ended Strom, and every charger with it."""
    async with running(tmp_path) as at:
        await at.ready()
        quote = await at.point.quote(ONE_SESSION)
        with closing(sqlite3.connect(tmp_path / "strom.db")) as database:
            refusal = "SELECT RAISE(ABORT, 'database or disk is full')"
            database.execute(f"CREATE TRIGGER full BEFORE INSERT ON events BEGIN {refusal}; END")
            await at.wallet.driver_pay(quote.bolt11)
            await at.until(lambda: "waits until it can be stored" in caplog.text)
            assert at.journal.sessions.get(quote.session_id) is None
            database.execute("DROP TRIGGER full")
        await at.until(lambda: at.journal.sessions.get(quote.session_id) is not None)
        assert at.point.sessions.get(quote.session_id).state is SessionState.STARTING


@pytest.mark.parametrize("behind_s", [200, -200, 3600])
async def test_a_wallet_whose_clock_is_wrong(tmp_path: Path, behind_s: int) -> None:
    """No payment is older than its quote: one made in time was called late, and went back."""
    clock = ManualClock()
    wallet = DevWallet(tmp_path / "far", lambda: clock() - behind_s * 1000)
    await wallet.open()
    async with running(tmp_path, clock, money=wallet) as at:
        await at.ready()
        quote = await at.point.quote(ONE_SESSION)
        clock.advance(30)
        await wallet.driver_pay(quote.bolt11)
        await at.until(lambda: at.journal.sessions.get(quote.session_id) is not None)
        session = at.point.sessions.get(quote.session_id)
        assert (session.state, session.obstacle) == (SessionState.STARTING, None)
    await wallet.close()


async def test_operators_hear_that_the_key_may_not_pay(tmp_path: Path) -> None:
    async def tell(text: str) -> None:
        del text

    clock = RealTime()
    alerts = Alerts(clock, tell)
    async with lnd_server() as (server, _):
        macaroon = server.node.bake(EVERYTHING - {("offchain", "write")})
        wallet = connect(lnd_url(server, tmp_path, macaroon), tmp_path, now_ms)
        await wallet.open()
        async with running(tmp_path, clock, money=wallet, alerts=alerts) as world:
            await world.ready()
            # Who wants to pay back by hand may do so.
            await world.point.quote(ONE_SESSION)
            (sentence,) = alerts.current().values()
            assert "may not pay" in sentence
        await wallet.close()


async def test_nothing_is_sold_that_could_not_be_paid_back(tmp_path: Path) -> None:
    async def tell(text: str) -> None:
        del text

    clock = ManualClock()
    alerts = Alerts(clock, tell)
    async with running(tmp_path, clock, alerts=alerts) as world:
        await world.ready()
        first = await world.paid(1_000)
        report = StartReport(1, first.session_id, 10_000, clock())
        transaction = (await world.point.transaction_started(report)).transaction_id
        # The operator spends what is not his yet.
        elsewhere, _ = await world.wallet.driver_invoice(600_000)
        spent = await world.wallet.pay(elsewhere, fee_limit_msat=0, timeout_s=5)
        assert spent.state is PaymentState.SETTLED
        clock.advance(31)
        second = QuoteRequest(1_000_000, Origin.LNURL, connector=2)
        with pytest.raises(Refused, match="could not pay back"):
            await world.point.quote(second)
        assert "400 sat" in alerts.current()["liquidity"]
        await world.point.transaction_stopped(StopReport(transaction, 12_000, clock()))
        closed = world.point.sessions.get(first.session_id)
        assert (closed.state, closed.owed_msat) == (SessionState.CLOSED, 400_000)
        # 400 sat are owed and 400 sat are there.
        await world.point.quote(second)
        assert alerts.current() == {}


async def test_a_payment_that_goes_wrong_keeps_no_other_from_being_credited(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It ended Strom, and again at each start."""
    credited: list[str] = []

    async def credit(quote: Quote, settlement: Settlement) -> None:
        if not settlement.amount_msat:
            raise RuntimeError("nobody thought of this")
        credited.append(quote.payment_hash)

    async with running(tmp_path) as world:
        await world.ready()
        settlements = Settlements(
            world.site.commons,
            credit,
            hold=world.site.hold,
            recovered=lambda: None,
            unexplained=world.site.outside.explain,
        )
        for amount_msat in (0, 1_000_000):
            quote = await world.point.quote(ONE_SESSION)
            await settlements.take(
                Settlement(quote.payment_hash, amount_msat, world.clock(), cursor="")
            )
        assert credited == [quote.payment_hash]
    assert "went wrong, which is Strom's own fault" in caplog.text

"""Refunds of which the wallet cannot say what became of them: found out, owed again, or decided."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import pytest

from agent.alerts import Alerts
from agent.machine.events import RefundDecided
from agent.machine.refund import Refund, RefundState
from agent.paying import IDLE_FEES_MSAT, SURELY_EXPIRED_MS
from agent.ports.errors import Refused, UnknownSession
from agent.ports.quotes import Origin, Quote, QuoteRequest
from tests.agent.world import ManualClock, World, running
from wallet.base import PaymentOutcome, PaymentState, WalletInfo
from wallet.dev import DevWallet

AMOUNT_MSAT = 1_000_000
LARGE_MSAT = 10_000_000
INVOICE_S = 60
SURELY_S = INVOICE_S + SURELY_EXPIRED_MS / 1000 + 1


class Slow(DevWallet):
    """Never gets what it is asked to pay; tells nothing of payments where `is_mute`.

    Attributes:
        says: what it answers to a payment, where it answers.
    """

    is_mute = False
    asked = 0
    says: PaymentOutcome | None = None

    async def pay(self, bolt11: str, *, fee_limit_msat: int, timeout_s: int) -> PaymentOutcome:
        self.asked += 1
        if self.says is None:
            await anyio.sleep_forever()
        return self.says or PaymentOutcome(PaymentState.UNKNOWN)

    async def lookup_payment(self, payment_hash: str) -> PaymentOutcome:
        told = await super().lookup_payment(payment_hash)
        mute = self.is_mute and told.state is PaymentState.NO_RECORD
        return PaymentOutcome(PaymentState.UNKNOWN) if mute else told


class Mute(DevWallet):
    """Pays, and knows nothing of payments that it does not know of."""

    async def lookup_payment(self, payment_hash: str) -> PaymentOutcome:
        told = await super().lookup_payment(payment_hash)
        if told.state is PaymentState.NO_RECORD:
            return PaymentOutcome(PaymentState.UNKNOWN)
        return told


class Forgetful(DevWallet):
    """Tells of its payments only later."""

    remembers = False

    async def lookup_payment(self, payment_hash: str) -> PaymentOutcome:
        if self.remembers:
            return await super().lookup_payment(payment_hash)
        return PaymentOutcome(PaymentState.UNKNOWN)


@dataclass
class Stage:
    """A site whose refund went out to a wallet that did not answer, and died then."""

    folder: Path
    clock: ManualClock
    alerts: Alerts
    quote: Quote
    first: str = ""
    first_hash: str = ""

    def refund(self, world: World) -> Refund:
        return world.point.sessions.get(self.quote.session_id).refunds[0]

    async def until(self, world: World, state: RefundState) -> None:
        await world.until(lambda: self.refund(world).state is state)

    @asynccontextmanager
    async def again(self, wallet: DevWallet) -> AsyncGenerator[World]:
        """After a restart, on a wallet."""
        await wallet.open()
        try:
            async with running(self.folder, self.clock, money=wallet, alerts=self.alerts) as world:
                await world.ready()
                yield world
        finally:
            await wallet.close()

    def wallet(self, kind: type[DevWallet] = DevWallet, name: str = "wallet") -> DevWallet:
        return kind(self.folder / name, self.clock)

    async def claims(self, world: World, wallet: DevWallet) -> str:
        """The driver hands in another invoice, and is paid; returns its hash."""
        bolt11, payment_hash = await wallet.driver_invoice(AMOUNT_MSAT)
        offer = await world.site.owned.offer_refund(self.quote.secret)
        await world.site.owned.claim_refund(offer.k1, bolt11)
        await self.until(world, RefundState.PAID)
        return payment_hash

    async def decide(self, world: World, *, arrived: bool) -> tuple[bool, bool]:
        verdict = await world.site.office.decide_refund(
            self.quote.session_id, None, arrived=arrived, operator="alice"
        )
        return verdict.arrived, verdict.by_wallet

    def words(self, world: World) -> list[RefundDecided]:
        events = world.journal.sessions.events(self.quote.session_id, only=RefundDecided)
        return [event for event in events if isinstance(event, RefundDecided)]


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """Strom died after it had stored that it sends, and before the wallet was asked."""
    monkeypatch.setattr("agent.outbox.FIRST_RETRY_S", 0.01)
    monkeypatch.setattr("agent.outbox.LAST_RETRY_S", 0.02)
    clock = ManualClock()

    async def tell(text: str) -> None:
        del text

    alerts = Alerts(clock, tell)
    wallet = Slow(tmp_path / "wallet", clock)
    await wallet.open()
    try:
        async with running(tmp_path, clock, money=wallet, alerts=alerts) as world:
            await world.ready()
            quote = await world.point.quote(QuoteRequest(AMOUNT_MSAT, Origin.LNURL, connector=1))
            await wallet.driver_pay(quote.bolt11)
            await world.until(lambda: world.journal.sessions.get(quote.session_id) is not None)
            await world.site.owned.stop(quote.secret)
            stage = Stage(tmp_path, clock, alerts, quote)
            made = await wallet.driver_invoice(AMOUNT_MSAT, expiry_s=INVOICE_S)
            stage.first, stage.first_hash = made
            offer = await world.site.owned.offer_refund(quote.secret)
            await world.site.owned.claim_refund(offer.k1, stage.first)
            await world.until(lambda: wallet.asked == 1)
            assert stage.refund(world).state is RefundState.SENDING
            assert stage.refund(world).wallet == await wallet.source()
    finally:
        await wallet.close()
    return stage


async def test_what_the_wallet_never_got_is_sent_while_its_invoice_lives(stage: Stage) -> None:
    wallet = stage.wallet()
    async with stage.again(wallet) as world:
        await stage.until(world, RefundState.PAID)
        assert await wallet.driver_invoice_paid(stage.first_hash)


async def test_what_the_wallet_never_got_is_owed_again_once_nobody_pays_its_invoice(
    stage: Stage,
) -> None:
    stage.clock.advance(INVOICE_S + 1)
    wallet = stage.wallet()
    async with stage.again(wallet) as world:
        await stage.until(world, RefundState.UNKNOWN)
        with pytest.raises(Refused, match="on its way"):
            await world.site.owned.offer_refund(stage.quote.secret)
        stage.clock.advance(SURELY_S - INVOICE_S)
        await stage.until(world, RefundState.FAILED)
        assert "never got" in stage.refund(world).failure
        assert not stage.alerts.current()
        second_hash = await stage.claims(world, wallet)
        assert await wallet.driver_invoice_paid(second_hash)
        assert not await wallet.driver_invoice_paid(stage.first_hash)
        assert (await wallet.info()).balance_msat == 0


async def test_another_wallet_neither_pays_nor_tells(stage: Stage) -> None:
    """Two that pay one invoice may both succeed, and one knows nothing of the other."""
    other = stage.wallet(Slow, "another")
    assert isinstance(other, Slow)
    async with stage.again(other) as world:
        await stage.until(world, RefundState.UNKNOWN)
        stage.clock.advance(SURELY_S)
        await world.until(lambda: bool(stage.alerts.current()))
        assert other.asked == 0
        assert stage.refund(world).state is RefundState.UNKNOWN
        [(name, sentence)] = stage.alerts.current().items()
        assert name == f"refund CP001/{stage.quote.session_id}"
        assert f"strom owed {stage.quote.session_id}" in sentence
    # Where the operator goes back to the first one, it knows.
    async with stage.again(stage.wallet()) as world:
        await stage.until(world, RefundState.FAILED)
        assert not stage.alerts.current()


@pytest.mark.parametrize("arrived", [False, True])
async def test_where_no_wallet_can_tell_the_operator_does(stage: Stage, arrived: bool) -> None:
    stage.clock.advance(SURELY_S)
    wallet = stage.wallet(Mute)
    async with stage.again(wallet) as world:
        await world.until(lambda: bool(stage.alerts.current()))
        await stage.until(world, RefundState.UNKNOWN)
        [owed] = world.site.office.owed()
        assert (owed.state, owed.payment_hash) == ("UNKNOWN", stage.first_hash)
        assert await stage.decide(world, arrived=arrived) == (arrived, False)
        [word] = stage.words(world)
        assert (word.operator, word.arrived, word.at_ms) == ("alice", arrived, stage.clock())
        assert word.payment_hash == stage.first_hash
        assert not stage.alerts.current()
        if arrived:
            assert stage.refund(world).state is RefundState.PAID
            assert world.site.office.owed() == []
            with pytest.raises(Refused, match="has been paid"):
                await world.site.owned.offer_refund(stage.quote.secret)
        else:
            assert stage.refund(world).state is RefundState.FAILED
            await stage.claims(world, wallet)
        with pytest.raises(Refused, match="nothing is owed"):
            await stage.decide(world, arrived=False)


async def test_nobody_says_that_it_did_not_arrive_while_it_still_may(stage: Stage) -> None:
    stage.clock.advance(INVOICE_S + 1)
    async with stage.again(stage.wallet(Mute)) as world:
        await stage.until(world, RefundState.UNKNOWN)
        with pytest.raises(Refused, match=r"can still be paid.* UTC"):
            await stage.decide(world, arrived=False)
        assert stage.words(world) == []
        assert await stage.decide(world, arrived=True) == (True, False)


async def test_the_wallets_own_word_comes_before_the_operators(stage: Stage) -> None:
    wallet = stage.wallet()
    await wallet.open()
    paid = await wallet.pay(stage.first, fee_limit_msat=0, timeout_s=1)
    assert paid.state is PaymentState.SETTLED
    await wallet.close()
    stage.clock.advance(SURELY_S)
    wallet = stage.wallet(Forgetful)
    async with stage.again(wallet) as world:
        await world.until(lambda: bool(stage.alerts.current()))
        assert isinstance(wallet, Forgetful)
        wallet.remembers = True
        assert await stage.decide(world, arrived=False) == (True, True)
        assert stage.refund(world).state is RefundState.PAID
        assert stage.words(world) == []


async def test_a_no_to_the_second_attempt_says_nothing_of_the_first(stage: Stage) -> None:
    """A wallet that answers "already under way", and tells nothing of what it pays."""
    wallet = stage.wallet(Slow)
    assert isinstance(wallet, Slow)
    wallet.is_mute = True
    wallet.says = PaymentOutcome(PaymentState.FAILED, reason="already in flight")
    async with stage.again(wallet) as world:
        await world.until(lambda: wallet.asked >= 2)
        assert stage.refund(world).state is RefundState.UNKNOWN
        wallet.is_mute = False
        asked = wallet.asked
        await world.until(lambda: wallet.asked > asked + 1)
        assert stage.refund(world).state is RefundState.UNKNOWN
        stage.clock.advance(SURELY_S)
        await stage.until(world, RefundState.FAILED)
        assert "never got" in stage.refund(world).failure


class Hesitating(DevWallet):
    """Tells the second who asks how it is only once he may know."""

    def __init__(self, data_dir: Path, clock: ManualClock) -> None:
        super().__init__(data_dir, clock)
        self.hesitates = False
        self.asked = anyio.Event()
        self.may_tell = anyio.Event()

    async def info(self) -> WalletInfo:
        if self.hesitates:
            self.hesitates = False
            self.asked.set()
            await self.may_tell.wait()
        return await super().info()


@pytest.mark.parametrize("is_same", [True, False])
async def test_two_claims_at_once_are_one_decision(tmp_path: Path, is_same: bool) -> None:
    """The same invoice again is fine, also where it was paid meanwhile; another one is not."""
    wallet = Hesitating(tmp_path / "wallet", clock := ManualClock())
    await wallet.open()
    async with running(tmp_path, clock, money=wallet) as world:
        await world.ready()
        quote = await world.point.quote(QuoteRequest(AMOUNT_MSAT, Origin.LNURL, connector=1))
        await wallet.driver_pay(quote.bolt11)
        await world.until(lambda: world.journal.sessions.get(quote.session_id) is not None)
        await world.site.owned.stop(quote.secret)
        offer = await world.site.owned.offer_refund(quote.secret)
        first, first_hash = await wallet.driver_invoice(AMOUNT_MSAT)
        second = first if is_same else (await wallet.driver_invoice(AMOUNT_MSAT))[0]
        refusals: list[str] = []

        async def claim(bolt11: str) -> None:
            try:
                await world.site.owned.claim_refund(offer.k1, bolt11)
            except Refused as refused:
                refusals.append(refused.word)

        wallet.hesitates = True
        async with anyio.create_task_group() as group:
            group.start_soon(claim, second)
            await wallet.asked.wait()
            await claim(first)
            await world.until(lambda: world.site.office.owed() == [])
            wallet.may_tell.set()
        assert refusals == ([] if is_same else ["on_its_way"])
        assert await wallet.driver_invoice_paid(first_hash)
        assert (await wallet.info()).balance_msat == 0
    await wallet.close()


async def test_what_was_paid_back_by_hand_is_not_paid_again(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.ready()
        quote = await world.paid()
        with pytest.raises(Refused, match="not ended"):
            await world.site.office.decide_refund(
                quote.session_id, None, arrived=True, operator="alice"
            )
        await world.site.owned.stop(quote.secret)
        offer = await world.site.owned.offer_refund(quote.secret)
        with pytest.raises(Refused, match="can ask for it"):
            await world.site.office.decide_refund(
                quote.session_id, 1, arrived=False, operator="alice"
            )
        with pytest.raises(Refused, match="no refund 2"):
            await world.site.office.decide_refund(
                quote.session_id, 2, arrived=True, operator="alice"
            )
        with pytest.raises(UnknownSession):
            await world.site.office.decide_refund("nobody's", None, arrived=True, operator="alice")
        await world.site.office.decide_refund(quote.session_id, 1, arrived=True, operator="alice")
        bolt11, payment_hash = await world.wallet.driver_invoice(1_000_000)
        with pytest.raises(Refused):
            await world.site.owned.claim_refund(offer.k1, bolt11)
        assert not await world.wallet.driver_invoice_paid(payment_hash)
        receipt = await world.site.owned.receipt(quote.secret)
        assert (receipt.owed_msat, receipt.refunded_msat) == (0, 1_000_000)
        view = await world.site.owned.session(quote.secret)
        assert all("operator" not in entry.detail for entry in view.events)


class Dear(DevWallet):
    """Routes are dear."""

    limit_msat = 0

    async def pay(self, bolt11: str, *, fee_limit_msat: int, timeout_s: int) -> PaymentOutcome:
        self.limit_msat = fee_limit_msat
        paid = await super().pay(bolt11, fee_limit_msat=fee_limit_msat, timeout_s=timeout_s)
        return replace(paid, fee_msat=IDLE_FEES_MSAT // 2)


async def test_operators_hear_what_routing_for_nothing_costs_them(tmp_path: Path) -> None:
    clock, told = ManualClock(), list[str]()

    async def tell(text: str) -> None:
        told.append(text)

    wallet = Dear(tmp_path / "wallet", clock)
    await wallet.open()
    alerts = Alerts(clock, tell)
    async with running(tmp_path, clock, money=wallet, alerts=alerts) as world:
        await world.ready()

        async def pays_and_cancels() -> None:
            quote = await world.point.quote(QuoteRequest(LARGE_MSAT, Origin.LNURL, connector=1))
            await wallet.driver_pay(quote.bolt11)
            await world.until(lambda: world.journal.sessions.get(quote.session_id) is not None)
            await world.site.owned.stop(quote.secret)
            invoice, _ = await wallet.driver_invoice(LARGE_MSAT)
            await world.site.owned.claim_refund(
                (await world.site.owned.offer_refund(quote.secret)).k1, invoice
            )
            await world.until(lambda: world.site.office.owed() == [])

        await pays_and_cancels()
        clock.advance(86_400)
        await pays_and_cancels()
        assert told == []
        await pays_and_cancels()
        await world.until(lambda: bool(told))
        assert wallet.limit_msat == LARGE_MSAT // 100
        # From now on it may cost them little.
        await pays_and_cancels()
        assert wallet.limit_msat == 10_000
        clock.advance(86_400)
        await pays_and_cancels()
        assert wallet.limit_msat == LARGE_MSAT // 100
    assert "refunds of 2 charges that never began have cost 1,000 sat" in told[0]
    await wallet.close()

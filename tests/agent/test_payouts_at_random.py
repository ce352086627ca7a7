"""A refund on a wallet that loses requests and answers, with restarts: paid once, and whole."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from agent.machine.refund import RefundState
from agent.paying import SURELY_EXPIRED_MS
from agent.ports.errors import Refused
from agent.ports.quotes import Origin, Quote, QuoteRequest
from tests.agent.world import ManualClock, World, running
from wallet.base import PaymentOutcome, PaymentState, WalletUnavailable
from wallet.dev import DevWallet

DUE_MSAT = 1_000_000
OTHERS_MSAT = 20 * DUE_MSAT
SURELY_S = SURELY_EXPIRED_MS / 1000 + 1
LIVES_S = (30, 7_200)
STEPS = 12
WAYS = (
    "loses the request",
    "loses the request",
    "refuses",
    "refuses",
    "loses the answer",
    "is away",
    "hangs",
    "hangs having paid",
)


class Fickle(DevWallet):
    """Loses what it is asked, for a while or for good, or its answer, or says no.

    Attributes:
        chance: what happens next; None for an honest wallet.
        on_the_way: requests that may still reach it.
    """

    chance: random.Random | None = None

    def __init__(self, data_dir: Path, clock: ManualClock) -> None:
        super().__init__(data_dir, clock)
        self.on_the_way: list[str] = []
        self.calls = 0
        self.hangs = False

    async def arrive(self) -> None:
        """What was thought lost reaches it."""
        while self.on_the_way:
            await super().pay(self.on_the_way.pop(), fee_limit_msat=0, timeout_s=1)

    async def pay(self, bolt11: str, *, fee_limit_msat: int, timeout_s: int) -> PaymentOutcome:
        way = self.chance.choice(WAYS) if self.chance else "pays"
        self.calls += 1
        if way == "is away":
            raise WalletUnavailable("nobody listens")
        if way == "refuses":
            return PaymentOutcome(PaymentState.FAILED, reason="no route")
        if way in ("pays", "loses the answer", "hangs having paid"):
            paid = await super().pay(bolt11, fee_limit_msat=fee_limit_msat, timeout_s=timeout_s)
            if way == "pays":
                return paid
        elif self.chance and self.chance.random() < 0.5:
            self.on_the_way.append(bolt11)
        self.hangs = way.startswith("hangs")
        if self.hangs:
            await anyio.sleep_forever()
        return PaymentOutcome(PaymentState.UNKNOWN)

    async def lookup_payment(self, payment_hash: str) -> PaymentOutcome:
        self.calls += 1
        if self.chance and self.chance.random() < 0.3:
            raise WalletUnavailable("nobody listens")
        return await super().lookup_payment(payment_hash)


class Driver:
    """Asks for his refund with one invoice after the other."""

    def __init__(self, wallet: Fickle, quote: Quote, chance: random.Random) -> None:
        self._wallet = wallet
        self._quote = quote
        self._chance = chance
        self.hashes: list[str] = []

    async def claims(self, world: World, life_s: int = LIVES_S[1]) -> None:
        """With a new invoice, by the withdraw link or by a message, at times both at once."""
        bolt11, payment_hash = await self._wallet.driver_invoice(DUE_MSAT, expiry_s=life_s)
        self.hashes.append(payment_hash)
        async with anyio.create_task_group() as group:
            group.start_soon(self._claim, world, bolt11)
            if self._chance.random() < 0.5:
                other, other_hash = await self._wallet.driver_invoice(DUE_MSAT, expiry_s=life_s)
                self.hashes.append(other_hash)
                group.start_soon(self._send, world, other)

    async def _claim(self, world: World, bolt11: str) -> None:
        with suppress(Refused):
            offer = await world.site.owned.offer_refund(self._quote.secret)
            await world.site.owned.claim_refund(offer.k1, bolt11)

    async def _send(self, world: World, bolt11: str) -> None:
        with suppress(Refused):
            await world.site.owned.send_refund(self._quote.secret, bolt11)

    async def paid(self) -> int:
        """How many of his invoices were."""
        return sum([await self._wallet.driver_invoice_paid(one) for one in self.hashes])


def is_under_way(world: World) -> bool:
    return any(one.state in ("CLAIMED", "SENDING", "UNKNOWN") for one in world.site.office.owed())


@pytest.mark.parametrize("seed", range(12))
async def test_a_refund_comes_once_and_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr("agent.outbox.FIRST_RETRY_S", 0.001)
    monkeypatch.setattr("agent.outbox.LAST_RETRY_S", 0.005)
    chance = random.Random(seed)  # noqa: S311  no secret
    clock = ManualClock()
    wallet = Fickle(tmp_path / "wallet", clock)
    await wallet.open()
    # There is money of others too: nothing else would keep one refund from being paid twice.
    others = await wallet.create_invoice(OTHERS_MSAT, memo="", description=None, expiry_s=60)
    await wallet.driver_pay(others.bolt11)
    async with running(tmp_path, clock, money=wallet) as world:
        await world.ready()
        quote = await world.point.quote(QuoteRequest(DUE_MSAT, Origin.LNURL, connector=1))
        await wallet.driver_pay(quote.bolt11)
        await world.until(lambda: world.journal.sessions.get(quote.session_id) is not None)
        await world.site.owned.stop(quote.secret)
    driver = Driver(wallet, quote, chance)
    wallet.chance = chance
    for _ in range(STEPS):
        wallet.hangs = False
        async with running(tmp_path, clock, money=wallet) as world:
            for _ in range(chance.randrange(3)):
                await driver.claims(world, chance.choice(LIVES_S))
                enough = wallet.calls + chance.randrange(8)
                while wallet.calls < enough and not wallet.hangs and is_under_way(world):
                    await anyio.lowlevel.checkpoint()
                if chance.random() < 0.5:
                    await wallet.arrive()
                assert await driver.paid() <= 1
        clock.advance(chance.choice((0, 1, LIVES_S[0] + 1, SURELY_S)))
        if chance.random() < 0.3:
            await wallet.arrive()
    wallet.chance = None
    await wallet.arrive()
    clock.advance(LIVES_S[1] + SURELY_S)
    async with running(tmp_path, clock, money=wallet) as world:
        while world.site.office.owed():
            if not is_under_way(world):
                await driver.claims(world)
            await anyio.lowlevel.checkpoint()
        session = world.journal.sessions.get(quote.session_id)
        assert session is not None
        assert [refund.state for refund in session.refunds] == [RefundState.PAID]
        assert session.refunded_msat == DUE_MSAT
    assert await driver.paid() == 1
    assert (await wallet.info()).balance_msat == OTHERS_MSAT
    await wallet.close()

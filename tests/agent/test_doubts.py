"""A journal from a backup, or a copy of one: what was paid since is not paid again by itself."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.alerts import Alerts
from agent.doubts import ALIVE, Doubted
from agent.machine.model import SessionState
from agent.machine.refund import RefundState
from agent.ports.charger import StartReport, StopReport
from agent.ports.errors import Refused
from agent.ports.quotes import Quote
from tests.agent.world import ManualClock, World, running
from wallet.base import Sent, WalletUnavailable
from wallet.dev import DevWallet

JOURNAL = ("strom.db", "strom.db-wal", "strom.db-shm")
AMOUNT_MSAT = 1_000_000


@dataclass
class Heard:
    """What operators hear."""

    told: list[str] = field(default_factory=list[str])

    async def __call__(self, text: str) -> None:
        self.told.append(text)


class Away(DevWallet):
    """Does not say what it sent while it is away."""

    is_away = True

    async def sent_since(self, at_ms: int) -> list[Sent]:
        if self.is_away:
            raise WalletUnavailable("it is away")
        return await super().sent_since(at_ms)


def back_up(folder: Path) -> None:
    """Copy the database as it is on the disk, as `cp` does."""
    for name in JOURNAL:
        if (folder / name).exists():
            shutil.copy(folder / name, folder / f"{name}.backup")


def restore(folder: Path) -> None:
    """Put the copy back. The wallet's file is the wallet's, and stays as it is."""
    for name in JOURNAL:
        (folder / name).unlink(missing_ok=True)
        if (folder / f"{name}.backup").exists():
            shutil.copy(folder / f"{name}.backup", folder / name)


async def unplugged(world: World) -> Quote:
    """A session that was paid and stopped before anything flowed: all of it is owed."""
    await world.ready()
    quote = await world.paid()
    await world.site.owned.stop(quote.secret)
    return quote


async def claim(world: World, quote: Quote, amount_msat: int = AMOUNT_MSAT) -> str:
    """Have a refund sent to an invoice of the driver's; returns its payment hash."""
    bolt11, payment_hash = await world.wallet.driver_invoice(amount_msat)
    await world.site.owned.send_refund(quote.secret, bolt11)
    await world.until(lambda: state(world, quote) is RefundState.PAID)
    return payment_hash


def state(world: World, quote: Quote) -> RefundState:
    session = world.journal.sessions.get(quote.session_id)
    assert session is not None
    return session.refunds[-1].state


async def alive(world: World) -> None:
    """The journal says that it is at work."""
    await world.until(lambda: world.journal.setting(ALIVE) is not None)


async def claim_after_a_backup(world: World, folder: Path, quote: Quote) -> None:
    await alive(world)
    back_up(folder)
    await claim(world, quote)


async def paid_and_forgotten(folder: Path) -> Quote:
    """A refund that was paid after the backup which is the journal now."""
    async with running(folder) as world:
        quote = await unplugged(world)
        await claim_after_a_backup(world, folder, quote)
    restore(folder)
    return quote


async def test_what_was_paid_after_the_backup_waits_for_the_operator(tmp_path: Path) -> None:
    quote = await paid_and_forgotten(tmp_path)
    heard = Heard()
    clock = ManualClock()
    async with running(tmp_path, clock, alerts=Alerts(clock, heard)) as world:
        await world.until(lambda: bool(world.site.office.troubles()))
        (sentence,) = world.site.office.troubles().values()
        assert "backup" in sentence
        assert "strom owed" in sentence
        bolt11, payment_hash = await world.wallet.driver_invoice(AMOUNT_MSAT)
        with pytest.raises(Doubted, match="operator"):
            await world.site.owned.send_refund(quote.secret, bolt11)
        (owed,) = world.site.office.owed()
        assert owed.doubted
        assert not await world.wallet.driver_invoice_paid(payment_hash)
    # It is not forgotten with the next start.
    async with running(tmp_path, clock) as world:
        with pytest.raises(Doubted):
            await world.site.owned.send_refund(quote.secret, bolt11)
        await world.site.office.decide_refund(quote.session_id, None, arrived=True, operator="Otto")
        assert state(world, quote) is RefundState.PAID
        assert not world.site.office.owed()
        await world.until(lambda: not world.site.office.troubles())
        assert not await world.wallet.driver_invoice_paid(payment_hash)


async def test_what_the_operator_finds_unpaid_is_paid(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        quote = await unplugged(world)
        other = await unplugged(world)
        await claim_after_a_backup(world, tmp_path, quote)
    restore(tmp_path)
    async with running(tmp_path) as world:
        # Both are over the same amount, and only one was paid.
        for one in (quote, other):
            with pytest.raises(Doubted):
                await claim(world, one)
        verdict = await world.site.office.decide_refund(
            other.session_id, None, arrived=False, operator="Otto"
        )
        assert not verdict.arrived
        await claim(world, other)
        with pytest.raises(Doubted):
            await claim(world, quote)


async def test_a_refund_of_another_amount_was_not_what_was_paid(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.ready()
        larger = await world.paid(2000)
        await world.site.owned.stop(larger.secret)
        quote = await unplugged(world)
        await claim_after_a_backup(world, tmp_path, quote)
    restore(tmp_path)
    async with running(tmp_path) as world:
        await claim(world, larger, 2_000_000)
        with pytest.raises(Doubted):
            await claim(world, quote)


async def test_a_charge_that_ran_at_the_backup_pays_nothing_back_by_itself(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.ready()
        quote = await world.paid()
        start = StartReport(1, quote.session_id, 1000, world.clock())
        verdict = await world.point.transaction_started(start)
        await alive(world)
        back_up(tmp_path)
        world.clock.advance(30)
        await world.point.transaction_stopped(
            StopReport(verdict.transaction_id, 2000, world.clock())
        )
        await claim(world, quote, 700_000)
    restore(tmp_path)
    async with running(tmp_path) as world:
        await world.ready()
        world.clock.advance(4000)
        await world.point.detach(await world.ready())
        await world.site.ring_due()
        world.clock.advance(4000)
        await world.site.ring_due()
        session = world.journal.sessions.get(quote.session_id)
        assert session is not None
        assert session.state is SessionState.CLOSED
        # Less was used as far as this journal knows, so the amounts differ.
        with pytest.raises(Doubted):
            await claim(world, quote)


async def test_nothing_old_is_paid_before_the_wallet_has_told(tmp_path: Path) -> None:
    quote = await paid_and_forgotten(tmp_path)
    clock = ManualClock()
    wallet = Away(tmp_path, clock)
    async with running(tmp_path, clock, play=wallet) as world:
        with pytest.raises(Refused, match="does not answer") as refusal:
            await claim(world, quote)
        assert refusal.value.passing
        wallet.is_away = False
        with pytest.raises(Doubted):
            await claim(world, quote)


async def test_a_restart_without_a_gap_pays_as_ever(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        first, second = await unplugged(world), await unplugged(world)
        await claim(world, first)
    async with running(tmp_path) as world:
        await claim(world, second)
        assert not world.site.office.troubles()
        with pytest.raises(Refused):
            await claim(world, first)

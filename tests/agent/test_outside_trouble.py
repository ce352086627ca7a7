"""Zaps at a provider that come late, twice or in a flood, while Strom or the provider fails."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.machine.model import SessionState
from agent.outside import ASK_PROVIDER_AGAIN_MS
from agent.ports.quotes import Origin
from nips.identity import Identity
from tests.agent.elsewhere import ADDRESS, Provider, elsewhere
from tests.agent.world import ManualClock
from wallet.dev import DevWallet


async def test_a_receipt_that_comes_twice_counts_once(tmp_path: Path) -> None:
    async with elsewhere(tmp_path) as at:
        receipt = await at.pay(at.request())
        other = at.provider.key.sign(9735, "again", receipt.tags, receipt.created_at)
        await at.hear(receipt, receipt)
        await at.hear(receipt, other)
        assert at.session_of(receipt).paid_msat == 1_000_000
        assert len(at.world.site.charge_point("CP001").sessions.open()) == 1
        assert at.world.journal.outside.waiting() == []


async def test_a_receipt_before_its_money_waits_for_the_wallet(tmp_path: Path) -> None:
    async with elsewhere(tmp_path) as at:
        raw = at.request()
        invoice = await at.invoice(raw)
        receipt = at.provider.receipt(raw, invoice.bolt11, at.world.clock())
        await at.hear(receipt)
        assert at.maybe_session_of(receipt) is None
        await at.world.wallet.driver_pay(invoice.bolt11)
        await at.world.until(lambda: at.maybe_session_of(receipt) is not None)
        assert at.session_of(receipt).state is SessionState.STARTING


async def test_a_receipt_heard_before_a_crash_is_not_lost(tmp_path: Path) -> None:
    provider, clock = Provider(trouble="down"), ManualClock()
    async with elsewhere(tmp_path, provider, clock) as at:
        receipt = await at.pay(at.request())
        await at.hear(receipt)
        assert at.maybe_session_of(receipt) is None
    provider.trouble = ""
    async with elsewhere(tmp_path, provider, clock) as at:
        assert at.session_of(receipt).state is SessionState.STARTING


async def test_a_payment_taken_before_a_crash_is_credited_after_it(tmp_path: Path) -> None:
    provider, clock = Provider(), ManualClock()
    async with elsewhere(tmp_path, provider, clock) as at:
        invoice = await at.invoice(at.request())
        asked = await at.world.point.quote_zap(at.request(), 1_000_000, 1)
        quote = replace(
            asked,
            payment_hash=invoice.payment_hash,
            bolt11=invoice.bolt11,
            origin=Origin.OUTSIDE,
            session_id="0123456789abcdef",
        )
        assert await at.world.journal.outside.take(quote, "aa" * 32, "bb" * 32, clock())
        assert not await at.world.journal.outside.take(quote, "aa" * 32, "cc" * 32, clock())
    wallet = DevWallet(tmp_path, clock)
    await wallet.open()
    await wallet.driver_pay(invoice.bolt11)
    await wallet.close()
    async with elsewhere(tmp_path, provider, clock) as at:
        await at.world.until(lambda: at.world.journal.sessions.get(quote.session_id) is not None)
        assert at.world.point.sessions.get(quote.session_id).paid_msat == 1_000_000


async def test_a_provider_that_changes_its_key_is_followed_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with elsewhere(tmp_path) as at:
        at.provider.key = Identity.generate()
        receipt = await at.pay(at.request())
        await at.hear(receipt)
        assert at.maybe_session_of(receipt) is None
        at.world.clock.advance(3601)
        await at.hear()
        assert "signs its zap receipts with another key" in caplog.text
        await at.hear(receipt)
        assert at.session_of(receipt).owed_msat == 1_000_000


async def test_a_provider_that_does_not_answer_is_asked_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    provider = Provider(trouble="it is asleep")
    async with elsewhere(tmp_path, provider) as at:
        assert f"{ADDRESS} cannot be watched now: it is asleep" in caplog.text
        receipt = await at.pay(at.request())
        await at.hear(receipt)
        provider.trouble = ""
        at.world.clock.advance(ASK_PROVIDER_AGAIN_MS / 1000)
        await at.hear()
        assert at.session_of(receipt).state is SessionState.STARTING


async def test_a_flood_of_true_receipts_does_not_hide_ours(tmp_path: Path) -> None:
    async with elsewhere(tmp_path) as at:
        thief = DevWallet(tmp_path / "thief", ManualClock())
        await thief.open()
        mine = await at.pay(at.request())
        await at.world.until(lambda: len(at.world.journal.outside.unattributed()) == 1)
        for number in range(60):
            raw = at.request(comment=str(number))
            invoice = await at.invoice(raw, wallet=thief)
            flood = at.provider.receipt(raw, invoice.bolt11, at.world.clock())
            await at.world.site.outside.hear(flood)
        assert len(at.world.journal.outside.waiting()) <= 31
        await at.hear(mine)
        assert at.session_of(mine).state is SessionState.STARTING
        await thief.close()

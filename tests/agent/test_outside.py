"""Zaps to an address at a provider: what starts a charge, what starts nothing, what goes back."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.machine.effects import Topic
from agent.machine.events import Obstacle
from agent.machine.model import SessionState
from agent.outside import GRACE_MS, WAIT_MS
from agent.ports.charger import MeterReport, StartReport
from nips.event import NostrEvent
from nips.identity import Identity
from nips.private_zaps import private_zap_request
from nips.zaps import zap_request
from tests.agent.elsewhere import ADDRESS, DRIVER, Elsewhere, elsewhere
from tests.agent.world import KEY, ManualClock
from wallet.dev import DevWallet


async def test_a_zap_that_the_wallet_confirms_starts_charging(tmp_path: Path) -> None:
    async with elsewhere(tmp_path) as at:
        session = await at.zapped(comment="Säule 1, bitte")
        assert (session.state, session.paid_msat) == (SessionState.STARTING, 1_000_000)
        assert (session.payer.pubkey, session.connector) == (DRIVER.pubkey, 1)
        quote = at.world.journal.quotes.of_session(session.id)[0]
        assert (quote.language, quote.zap_request) == ("de", None)
        await at.world.until(lambda: Topic.PLUG_IN in at.world.ear.topics())
        assert at.world.journal.outside.unattributed() == []
        assert (await at.world.site.view("CP001")).zap_address == ADDRESS


async def test_money_for_somebody_else_starts_nothing(tmp_path: Path) -> None:
    """The attack on shared providers: a true receipt, signed by our provider, for our key."""
    thief = DevWallet(tmp_path / "thief", ManualClock())
    await thief.open()
    async with elsewhere(tmp_path) as at:
        raw = at.request(100_000)
        invoice = await at.invoice(raw, 100_000, thief)
        await thief.driver_pay(invoice.bolt11)
        receipt = at.provider.receipt(raw, invoice.bolt11, at.world.clock())
        await at.hear(receipt)
        assert at.maybe_session_of(receipt) is None
        at.world.clock.advance(WAIT_MS / 1000 + 1)
        await at.hear()
        assert at.world.journal.outside.waiting() == []
        assert at.world.journal.nostr.is_handled(receipt.id)
        assert at.world.site.charge_point("CP001").sessions.open() == []
    await thief.close()


async def test_forged_receipts_start_nothing(tmp_path: Path) -> None:
    async with elsewhere(tmp_path) as at:
        raw = at.request()
        invoice = await at.invoice(raw)
        await at.world.wallet.driver_pay(invoice.bolt11)
        good = at.provider.receipt(raw, invoice.bolt11, at.world.clock())
        stranger, key = Identity.generate(), at.provider.key

        def with_tag(name: str, value: str) -> NostrEvent:
            tags = [(name, value) if tag[0] == name else tag for tag in good.tags]
            return key.sign(9735, "", tags, good.created_at)

        another = at.request(2000)
        poorer = await at.invoice(at.request(500), 500)
        forged = [
            stranger.sign(9735, "", good.tags, good.created_at),
            key.sign(9734, "", good.tags, good.created_at),
            with_tag("p", stranger.pubkey),
            with_tag("description", another),
            with_tag("description", raw.replace("1000000", "9000000")),
            with_tag("description", "{"),
            with_tag("bolt11", poorer.bolt11),
            with_tag("bolt11", "lnbc1"),
            with_tag("P", stranger.pubkey),
            key.sign(9735, "", [*good.tags, ("preimage", "00" * 32)], good.created_at),
            key.sign(9735, "", [*good.tags, ("p", KEY.pubkey)], good.created_at),
            key.sign(9735, "", good.tags, good.created_at + 700),
        ]
        await at.hear(*forged)
        assert at.world.site.charge_point("CP001").sessions.open() == []
        assert at.world.journal.outside.waiting() == []
        # None of them has used up what the true one needs.
        await at.hear(good)
        assert at.session_of(good).paid_msat == 1_000_000


async def test_a_replayed_zap_request_is_charged_for_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with elsewhere(tmp_path) as at:
        raw = at.request()
        first, again = await at.pay(raw), await at.pay(raw)
        await at.hear(first, again)
        assert at.session_of(first).paid_msat == 1_000_000
        assert at.maybe_session_of(again) is None
        (booked,) = at.world.journal.outside.unattributed()
        assert (booked.amount_msat, booked.reason) == (
            1_000_000,
            "its zap request was paid before",
        )
        at.world.clock.advance(GRACE_MS / 1000 + 1)
        await at.hear()
        assert "belongs to no charge: its zap request was paid before" in caplog.text


async def test_the_owner_tops_up_and_nobody_else_does(tmp_path: Path) -> None:
    async with elsewhere(tmp_path) as at:
        first = await at.zapped()
        verdict = await at.world.point.transaction_started(
            StartReport(1, first.id, 0, at.world.clock())
        )
        assert verdict.accepted
        report = MeterReport(1, verdict.transaction_id, at.world.clock(), 100, 11_000)
        await at.world.point.meter_sampled([report])
        topped = await at.zapped(500)
        assert (topped.id, topped.paid_msat) == (first.id, 1_500_000)
        # A zap by somebody else is for connector 2, which is free here.
        stranger = await at.zapped(payer=Identity.generate())
        assert (stranger.id != first.id, stranger.connector) == (True, 2)
        # And one for the connector in use goes back whole.
        late = await at.zapped(payer=Identity.generate(), comment="connector 1")
        assert (late.state, late.obstacle) == (SessionState.CLOSED, Obstacle.OCCUPIED)
        assert late.owed_msat == 1_000_000
        assert at.world.point.sessions.get(first.id).paid_msat == 1_500_000


@pytest.mark.parametrize(
    ("sats", "comment", "obstacle"),
    [
        (1, "", Obstacle.AMOUNT),
        (300_000, "", Obstacle.AMOUNT),
        (1000, "connector 9", Obstacle.UNAVAILABLE),
    ],
)
async def test_money_that_can_buy_nothing_goes_back(
    tmp_path: Path, sats: int, comment: str, obstacle: Obstacle
) -> None:
    async with elsewhere(tmp_path) as at:
        session = await at.zapped(sats, comment=comment)
        assert (session.state, session.obstacle) == (SessionState.CLOSED, obstacle)
        assert session.owed_msat == sats * 1000
        await at.world.until(lambda: Topic.NOT_STARTED in at.world.ear.topics())


async def test_a_charger_that_is_away_and_a_receipt_that_is_late(tmp_path: Path) -> None:
    async with elsewhere(tmp_path) as at:
        receipt = await at.pay(at.request())
        at.world.clock.advance(300)
        await at.hear(receipt)
        assert at.session_of(receipt).obstacle is Obstacle.LATE
        await at.world.point.detach(at.charger)
        at.world.clock.advance(3600)
        offline = await at.zapped()
        assert (offline.obstacle, offline.owed_msat) == (Obstacle.OFFLINE, 1_000_000)


async def test_the_price_is_the_one_of_the_invoice(tmp_path: Path) -> None:
    async with elsewhere(tmp_path) as at:
        receipt = await at.pay(at.request())
        at.world.clock.advance(5)
        await at.world.site.office.set_tariff("CP001", "night")
        await at.hear(receipt)
        assert at.session_of(receipt).tariff.name == "day"
        at.world.clock.advance(5)
        payer = Identity.generate()
        # Whoever dates his request back gets today's price all the same.
        old = dated(at, payer, at.world.clock() // 1000 - 100_000)
        later = await at.pay(old)
        await at.hear(later)
        assert at.session_of(later).tariff.name == "night"


def dated(at: Elsewhere, payer: Identity, created_at: int) -> str:
    event = zap_request(
        payer,
        recipient_pubkey=KEY.pubkey,
        amount_msat=1_000_000,
        relays=["wss://relay.example.com"],
        comment="",
        created_at=created_at,
    )
    return event.to_json()


async def test_a_private_zap_belongs_to_the_payer_it_proves(tmp_path: Path) -> None:
    async with elsewhere(tmp_path) as at:
        event = private_zap_request(
            DRIVER,
            recipient_pubkey=KEY.pubkey,
            amount_msat=1_000_000,
            relays=["wss://relay.example.com"],
            comment="#2",
            created_at=at.world.clock() // 1000,
        )
        receipt = await at.pay(event.to_json())
        await at.hear(receipt)
        session = at.session_of(receipt)
        assert (session.payer.pubkey, session.connector) == (DRIVER.pubkey, 2)


async def test_unexplained_money_is_booked_and_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with elsewhere(tmp_path) as at:
        receipt = await at.pay(at.request())
        await at.world.until(lambda: len(at.world.journal.outside.unattributed()) == 1)
        for _ in range(3):
            at.world.clock.advance(GRACE_MS / 1000)
            await at.hear()
        assert caplog.text.count("belongs to no charge: no zap receipt names it") == 1
        assert caplog.text.count("see strom owed") == 1
        (booked,) = at.world.journal.outside.unattributed()
        assert booked.told
        # A receipt that comes after all explains it; the driver is long gone, so it goes back.
        await at.hear(receipt)
        assert at.world.journal.outside.unattributed() == []
        assert at.session_of(receipt).owed_msat == 1_000_000
        await at.hear()
        assert "no payment is without its charge" in caplog.text


async def test_ordinary_payments_are_not_booked_as_unexplained(tmp_path: Path) -> None:
    async with elsewhere(tmp_path) as at:
        await at.world.paid()
        assert at.world.journal.outside.unattributed() == []

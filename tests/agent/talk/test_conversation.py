"""Who may say what, on a whole site with play money."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from agent.config.tables import TariffConfig
from agent.machine.effects import Topic
from agent.machine.events import ConnectorStatus
from agent.nostr.ears import Heard
from agent.notary import read_receipt
from agent.ports.charger import MeterReport, StartReport, StopReport
from agent.talk.conversation import OLDEST_COMMAND_MS, Conversation
from agent.talk.memories import GREETINGS, HELP_EVERY_MS
from tests.agent.test_disk_watch import locked
from tests.agent.world import KEY, ManualClock, ScriptedCharger, World, config, running
from wallet.base import WalletInfo, WalletRefused
from wallet.dev import DevWallet

DRIVER, BYSTANDER, OPERATOR = "d1" * 32, "b2" * 32, "0e" * 32
URL = "https://charge.example.com"


@dataclass
class Talk:
    """A site and those who write to it."""

    world: World
    charger: ScriptedCharger
    conversation: Conversation
    wallet: DevWallet

    async def say(self, text: str, sender: str = DRIVER, age_ms: int = 0) -> str:
        heard = Heard(sender, text, self.world.clock() - age_ms, "nip17")
        told = await self.conversation.answer("CP001", heard)
        return told.replace("\N{NO-BREAK SPACE}", " ")

    async def pay(self, answer: str) -> str:
        """Pay the invoice in an answer; returns the id of the session."""
        bolt11 = next(line for line in answer.splitlines() if line.startswith("ln"))
        await self.wallet.driver_pay(bolt11)

        def sessions() -> list[str]:
            found = self.world.journal.sessions.of_payer("CP001", DRIVER)
            return [s.id for s in found if s.paid_msat]

        await self.world.until(lambda: bool(sessions()))
        return sessions()[0]

    async def charging(self, text: str = "start 1000") -> tuple[str, int]:
        """A session under way with 1 kWh in it: its id and its transaction."""
        session_id = await self.pay(await self.say(text))
        verdict = await self.world.point.transaction_started(
            StartReport(1, session_id, 0, self.world.clock())
        )
        self.world.clock.advance(60)
        await self.world.point.meter_sampled(
            [MeterReport(1, verdict.transaction_id, self.world.clock(), 1000, 11_000)]
        )
        return session_id, verdict.transaction_id

    async def stopped(self, transaction_id: int) -> None:
        report = StopReport(transaction_id, 1000, self.world.clock())
        await self.world.point.transaction_stopped(report)


@asynccontextmanager
async def talking(
    folder: Path, clock: ManualClock | None = None, money: DevWallet | None = None
) -> AsyncGenerator[Talk]:
    settings = config()
    night = TariffConfig.model_validate({"energy_per_kwh": 100})
    settings = settings.model_copy(update={"tariffs": {**settings.tariffs, "night": night}})
    async with running(folder, clock, settings, money=money) as world:
        charger = await world.ready()
        conversation = Conversation(world.site, URL, frozenset({OPERATOR}))
        yield Talk(world, charger, conversation, money or world.wallet)


async def test_a_driver_charges_by_words_alone(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        assert "300 sat/kWh" in await talk.say("what does it cost?")
        assert "Connector 1 is free." in await talk.say("status please")
        assert "How many sats?" in await talk.say("please charge my car")
        answer = await talk.say("charge for 1,000 sats please")
        assert "Pay 1,000 sat and plug in at connector 1." in answer
        assert answer.splitlines()[-1].startswith("LNURL1")
        session_id = await talk.pay(answer)
        quote = talk.world.journal.quotes.of_session(session_id)[0]
        assert (quote.payer.pubkey, quote.reply, quote.language) == (DRIVER, "nip17", "en")
        assert "Paid: 1,000 sat" in await talk.say("status")
        topup = await talk.say("topup 500")
        assert "goes on longer" in topup
        await talk.world.wallet.driver_pay(topup.splitlines()[1])
        await talk.world.until(lambda: Topic.TOPPED_UP in talk.world.ear.topics())
        assert "still running" in await talk.say("refund bob@wallet.com")
        assert "Cancelled" in await talk.say("stop")
        view = (await talk.world.site.owned.sessions_of("CP001", DRIVER))[0]
        assert (view.state, view.owed_msat) == ("CLOSED", 1_500_000)


async def test_a_driver_is_told_what_a_full_disk_lets_be_done(tmp_path: Path) -> None:
    """He heard nothing, and his charger was not even asked to stop."""
    async with talking(tmp_path) as talk:
        _, transaction_id = await talk.charging()
        locked(talk.world.journal, True)
        assert "please try again in a minute" in await talk.say("topup 1000")
        assert "The charger was asked to stop." in await talk.say("stop")
        await talk.world.until(lambda: ("stop", transaction_id, "") in talk.charger.asked)
        locked(talk.world.journal, False)
        assert "I am stopping your charge" in await talk.say("stop")


async def test_stop_refund_and_receipt_of_the_payer(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        _, transaction_id = await talk.charging("lade für 1.000 sats")
        told = await talk.say("Wie weit bist du?")
        assert "1,00 kWh" in told
        assert "300 sat von 1.000 sat" in told
        assert "noch" in await talk.say("refund bob@wallet.com")
        assert "Ich beende" in await talk.say("stopp bitte")
        await talk.world.until(lambda: ("stop", transaction_id, "") in talk.charger.asked)
        assert "beendet" in await talk.say("stopp")
        await talk.stopped(transaction_id)
        assert "700 sat stehen dir noch zu." in await talk.say("Wo ist mein Geld?")
        wrong, _ = await talk.world.wallet.driver_invoice(600_000)
        assert await talk.say(f"refund {wrong}") == "Die Rechnung muss über genau 700 sat lauten."
        assert "Lightning-Adresse" in await talk.say("refund lnbcfoo@x.example")
        bolt11, payment_hash = await talk.world.wallet.driver_invoice(700_000)
        assert "unterwegs" in await talk.say(f"Rückerstattung an lightning:{bolt11}")
        await talk.world.until(lambda: Topic.REFUND_PAID in talk.world.ear.topics())
        assert await talk.world.wallet.driver_invoice_paid(payment_hash)
        assert "sind bei dir angekommen" in await talk.say("refund bob@wallet.com")
        receipt = await talk.say("Quittung")
        assert "Energie 1,00 kWh: 300 sat" in receipt
        assert "Zurückgezahlt: 700 sat" in receipt
        signed = read_receipt(receipt)
        assert (signed.pubkey, signed.receipt.refunded_msat) == (KEY.pubkey, 700_000)


async def test_a_bystander_changes_nothing_and_learns_nothing(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        session_id, _ = await talk.charging()
        secret = talk.world.journal.quotes.of_session(session_id)[0].secret
        asked = list(talk.charger.asked)
        bolt11, _ = await talk.world.wallet.driver_invoice(700_000)
        for text in (
            "stop",
            "stop CP001",
            f"stop {session_id}",
            f"refund {bolt11}",
            "receipt",
            "topup 500",
            "status",
            "start 1000 1",
            "sessions",
            "reset",
            "unlock 1",
            "disable",
            "tariff night",
        ):
            told = await talk.say(text, BYSTANDER)
            assert told, text
            for private in (secret, session_id, DRIVER, "1.00 kWh", "1,000 sat of"):
                assert private not in told, text
        assert "Only the one who paid" in await talk.say("please stop", BYSTANDER)
        assert "In use" in await talk.say("start 1000 1", BYSTANDER)
        assert talk.charger.asked == asked
        assert (await talk.world.site.owned.session(secret)).state == "CHARGING"
        assert talk.world.point.sales.tariff.name == "day"
        assert await talk.world.point.obstacle(2) is None


async def test_old_commands_are_refused(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        for text in ("start 1000", "topup 1000", "stop", "start 1000 2"):
            assert "5 min old" in await talk.say(text, age_ms=OLDEST_COMMAND_MS + 1)
        assert "5 min old" in await talk.say("reset", OPERATOR, age_ms=OLDEST_COMMAND_MS + 1)
        assert talk.charger.asked == []
        assert talk.world.journal.quotes.unsettled(0) == []
        assert "Pay 1,000 sat" in await talk.say("start 1000 please", age_ms=OLDEST_COMMAND_MS)


async def test_refusals_say_why(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        assert "least payment here is 100 sat" in await talk.say("please start 5")
        assert "largest payment" in await talk.say("start 5M, please start 5000000")
        assert "There is no connector 7 here, only 1, 2." in await talk.say("start 1000 7")
        await talk.world.point.connector_status(2, ConnectorStatus.FAULTED, talk.world.clock())
        assert "Out of order." in await talk.say("start 1000 2")
        await talk.world.point.detach(talk.charger)
        assert "Offline" in await talk.say("start 1000")
        assert "Offline" in await talk.say("reset", OPERATOR)


async def test_an_operator_commands(tmp_path: Path) -> None:
    clock = ManualClock()
    async with talking(tmp_path, clock) as talk:
        assert "No charge is running." in await talk.say("sessions", OPERATOR)
        session_id, transaction_id = await talk.charging()
        listed = await talk.say("sessions", OPERATOR)
        assert f"{session_id} at CP001.1: Charging, 1.00 kWh, 300 sat of 1,000 sat" in listed
        assert "Which one?" in await talk.say("stop", OPERATOR)
        assert "No running charge" in await talk.say("stop CP9", OPERATOR)
        assert f"Stopping {session_id}" in await talk.say("stop cp001", OPERATOR)
        await talk.world.until(lambda: ("stop", transaction_id, "") in talk.charger.asked)
        await talk.stopped(transaction_id)
        assert await talk.say("reset", OPERATOR) == "Done."
        assert "Which connector?" in await talk.say("unlock", OPERATOR)
        assert await talk.say("unlock 2", OPERATOR) == "Done."
        assert "There is: day, night" in await talk.say("tariff noon", OPERATOR)
        assert "100 sat/kWh" in await talk.say("tariff Night", OPERATOR)
        assert "Switched off" in await talk.say("disable", OPERATOR)
        asked = [command for command, _, _ in talk.charger.asked]
        assert asked[-3:] == ["reset", "unlock", "disable"]
        assert "Switched off by the operator." in await talk.say("start 1000")
    async with talking(tmp_path, clock) as talk:
        assert talk.world.point.sales.tariff.name == "night"
        assert "Switched off by the operator." in await talk.say("please start 1000")
        assert "Switched on" in await talk.say("enable", OPERATOR)
        assert "Pay 1,000 sat" in await talk.say("please start 1000")


async def test_bots_get_no_second_help(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        told = await talk.say("lorem ipsum")
        assert "start 5000" in told
        assert await talk.say("dolor sit amet") == ""
        assert await talk.say(told) == ""
        assert "start 5000" in await talk.say("help")
        assert "start 5000" in await talk.say("help")
        assert await talk.say("help") == ""
        assert "start 5000" in await talk.say("hello", BYSTANDER)
        talk.world.clock.advance(HELP_EVERY_MS / 1000)
        assert "start 5000" in await talk.say("and now?")
        priced = await talk.say("price")
        assert await talk.say(f"You said: {priced}") == ""


async def test_who_has_paid_is_helped_more_than_once(tmp_path: Path) -> None:
    """He stood at his car, wrote in French, then in Dutch, and the second had no answer."""
    async with talking(tmp_path) as talk:
        await talk.charging()
        for _ in range(GREETINGS):
            assert "stop" in await talk.say("arrête la charge")
        assert await talk.say("arrête la charge") == ""
        assert "kWh" in await talk.say("status")
        assert "stop" in await talk.say("arrête la charge", BYSTANDER)
        assert await talk.say("arrête la charge", BYSTANDER) == ""


async def test_a_page_full_of_words_costs_nothing(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        assert await talk.say("stop " * 10_000) != ""
        assert await talk.say("start 1000 " * 5_000) == ""
        assert talk.world.journal.quotes.unsettled(0) == []


async def test_the_operators_language_holds_until_the_driver_shows_his(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        talk.conversation = Conversation(talk.world.site, URL, frozenset({OPERATOR}), "fr")
        assert "est libre" in await talk.say("status")
        assert "is free" in await talk.say("is it free?")
        assert "is free" in await talk.say("status")


class Faulty(DevWallet):
    """Says of itself what the test wants."""

    fault: Exception | None = None

    async def info(self) -> WalletInfo:
        if self.fault is not None:
            raise self.fault
        return await super().info()


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (WalletRefused("unable to fetch the channels"), "My wallet does not answer right now"),
        (RuntimeError("nobody thought of this"), "Something went wrong on my side"),
    ],
)
async def test_whatever_fails_the_driver_is_told(
    tmp_path: Path, fault: Exception, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It ended Strom, and again at each start, because a message that is begun is taken up."""
    clock = ManualClock()
    money = Faulty(tmp_path / "money", clock)
    await money.open()
    async with talking(tmp_path, clock, money) as talk:
        await talk.pay(await talk.say("start 1000"))
        await talk.say("stop")
        bolt11, payment_hash = await money.driver_invoice(1_000_000)
        money.fault = fault
        assert sentence in await talk.say(f"refund {bolt11}")
        assert ("nobody thought of this" in caplog.text) == isinstance(fault, RuntimeError)
        money.fault = None
        assert "1,000 sat are on their way" in await talk.say(f"refund {bolt11}")
        while not await money.driver_invoice_paid(payment_hash):
            await anyio.sleep(0.001)
    await money.close()

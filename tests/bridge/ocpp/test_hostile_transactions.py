"""Transactions of hostile or confused chargers: elsewhere, twice, out of order, in another's name.

Each test says what becomes of the money: the driver's and the operator's.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from agent.machine.events import ConnectorStatus, Obstacle
from agent.machine.model import SessionState
from bridge.ocpp.limits import Limits
from tests.agent.world import config
from tests.bridge.ocpp.stage import METER_START, Stage, billed, booted, staged


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncGenerator[Stage]:
    async with staged(tmp_path) as here:
        yield here


async def test_a_transaction_on_another_connector_than_the_one_that_was_paid(
    stage: Stage,
) -> None:
    """The driver plugs in next door, and the charger starts him there: it is his session all the
    same, and what that connector says counts for it."""
    async with booted(stage) as raw:
        await stage.status(raw, "Available", 2)
        quote = await stage.paid(raw)
        await stage.status(raw, "Preparing", 2)
        answer = await stage.start(raw, quote, connectorId=2)
        assert answer["idTagInfo"] == {"status": "Accepted"}
        await stage.status(raw, "Charging", 2)
        await stage.sample(raw, METER_START + 400, connectorId=2)
        await stage.status(raw, "Available", 1)
        await stage.tick(61)
        assert stage.session(quote).state is SessionState.CHARGING
        assert stage.session(quote).energy_wh == 400
        await stage.status(raw, "Available", 2)
        await stage.tick(61)
        assert await stage.closed(quote) == (400, 120_000, 880_000)
        assert [await stage.world.point.obstacle(connector) for connector in (1, 2)] == [None, None]


@pytest.mark.parametrize("connector", [0, 99, -1, None, "x"])
async def test_a_start_on_a_connector_that_does_not_exist(stage: Stage, connector: object) -> None:
    """It is the session's own connector that is meant: there the tag was sent."""
    async with booted(stage) as raw:
        quote = await stage.paid(raw, connector=2)
        answer = await stage.start(raw, quote, connectorId=connector)
        await stage.sample(raw, METER_START + 100, connectorId=2)
        assert stage.session(quote).energy_wh == 100
        views = (await stage.world.point.view()).connectors
        assert [(view.id, view.obstacle) for view in views] == [(1, None), (2, Obstacle.OCCUPIED)]
        await stage.stop(raw, answer["transactionId"])
        assert await stage.closed(quote) == (1000, 300_000, 700_000)


async def test_connectors_that_do_not_exist_fill_neither_memory_nor_disk(stage: Stage) -> None:
    """A charger makes up connectors: none of them is remembered."""
    async with booted(stage) as raw:
        for connector in range(3, 40):
            await stage.status(raw, "Charging", connector)
        await stage.status(raw, "Available", 0)
        assert set(stage.world.journal.connectors("CP001")) == {0, 1}


async def test_a_stranger_starts_on_the_connector_of_a_session(stage: Stage) -> None:
    """One connector has one transaction: the paid one has ended without a word. A stranger's
    energy is not the driver's to pay, whether its samples name a transaction or none."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.sample(raw, METER_START + 500, transactionId=transaction_id)
        answer = await stage.start(raw, quote, idTag="04AABBCC", meterStart=METER_START + 500)
        assert answer["idTagInfo"] == {"status": "Invalid"}
        await stage.status(raw, "Charging")
        await stage.sample(raw, METER_START + 900)
        await stage.sample(raw, METER_START + 1900, transactionId=answer["transactionId"])
        await stage.tick(61)
        assert await stage.closed(quote) == (500, 150_000, 850_000)
        await stage.stop(raw, transaction_id, meterStop=METER_START + 2000)
        assert billed(stage.session(quote)) == (500, 150_000, 850_000)


async def test_a_stranger_starts_and_the_stop_of_the_session_comes_late(stage: Stage) -> None:
    """The order of the two was changed on the way: the stop counts."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.sample(raw, METER_START + 500, transactionId=transaction_id)
        await stage.start(raw, quote, idTag="04AABBCC", meterStart=METER_START + 600)
        await stage.stop(raw, transaction_id, meterStop=METER_START + 600)
        assert await stage.closed(quote) == (600, 180_000, 820_000)


async def test_a_late_stop_of_the_session_before(stage: Stage) -> None:
    """The first session was given up; its stop comes while the next driver charges there."""
    async with booted(stage) as raw:
        first, first_id = await stage.charging(raw)
        await stage.sample(raw, METER_START + 300, transactionId=first_id)
        await stage.status(raw, "Available")
        await stage.tick(61)
        before = await stage.closed(first)
        assert before == (300, 90_000, 910_000)
        second = await stage.paid(raw)
        answer = await stage.start(raw, second, meterStart=METER_START + 350)
        await stage.status(raw, "Charging")
        await stage.stop(raw, first_id, meterStop=METER_START + 350)
        await stage.stop(raw, first_id, meterStop=METER_START + 350, idTag=first.session_id)
        assert billed(stage.session(first)) == before
        assert stage.session(second).state is SessionState.CHARGING
        view = (await stage.world.point.view()).connectors[0]
        assert view.status.value == "Charging"
        await stage.stop(raw, answer["transactionId"], meterStop=METER_START + 1350)
        assert await stage.closed(second) == (1000, 300_000, 700_000)


async def test_the_stop_comes_before_its_start(stage: Stage) -> None:
    """A queue is delivered in the wrong order: the stop names the tag, which is the session's
    alone, and its start comes behind it."""
    async with booted(stage) as raw:
        quote = await stage.paid(raw)
        stage.world.clock.advance(60)
        started_at = stage.at(-50)
        await stage.stop(raw, -1, idTag=quote.session_id, meterStop=METER_START + 700)
        assert stage.session(quote).state is SessionState.STARTING
        await stage.start(raw, quote, timestamp=started_at)
        assert await stage.closed(quote) == (700, 210_000, 790_000)


async def test_a_stop_is_sent_before_its_start_was_answered(stage: Stage) -> None:
    """The charger does not know its transaction yet, and does not wait to hear of it."""
    async with booted(stage) as raw:
        quote = await stage.paid(raw)
        start = {
            "connectorId": 1,
            "idTag": quote.session_id,
            "meterStart": METER_START,
            "timestamp": stage.at(),
        }
        stage.world.clock.advance(20)
        stop = {
            "transactionId": 0,
            "idTag": quote.session_id,
            "meterStop": METER_START + 50,
            "timestamp": stage.at(),
        }
        await raw.send([2, "a", "StartTransaction", start])
        await raw.send([2, "b", "StopTransaction", stop])
        assert [(await raw.receive())[1] for _ in range(2)] == ["a", "b"]
        assert await stage.closed(quote) == (50, 15_000, 985_000)


async def test_a_start_repeated_with_another_timestamp(stage: Stage) -> None:
    """The answer was lost, and the charger writes the time of each try: its register stands where
    it stood, so nothing began anew, and whichever answer it heard, its stop counts."""
    async with booted(stage) as raw:
        quote = await stage.paid(raw)
        first = await stage.start(raw, quote)
        stage.world.clock.advance(30)
        assert await stage.start(raw, quote, timestamp=stage.at()) == first
        await stage.stop(raw, first["transactionId"])
        assert await stage.closed(quote) == (1000, 300_000, 700_000)


async def test_a_transaction_that_began_again_is_ended_by_its_own_stop_alone(stage: Stage) -> None:
    """The charger lost power and began another transaction for the same driver: the stop of the
    first one, behind it, ends nothing."""
    async with booted(stage) as raw:
        quote, first = await stage.charging(raw)
        await stage.status(raw, "Charging")
        await stage.sample(raw, METER_START + 300, transactionId=first)
        answer = await stage.start(raw, quote, meterStart=METER_START + 350)
        second = answer["transactionId"]
        assert second != first
        assert stage.session(quote).status is ConnectorStatus.CHARGING
        await stage.sample(raw, METER_START + 450, transactionId=second)
        await stage.stop(raw, first, meterStop=METER_START + 340)
        assert stage.session(quote).state is SessionState.CHARGING
        assert stage.session(quote).energy_wh == 400
        await stage.stop(raw, second, meterStop=METER_START + 550)
        assert await stage.closed(quote) == (500, 150_000, 850_000)


async def test_a_charger_in_the_name_of_another(tmp_path: Path) -> None:
    """It names the transaction and the tag of the charge point next door: nothing of it reaches
    the session there, neither a stop nor a reading nor a start."""
    one = config().charge_points[0]
    two = one.model_copy(update={"id": "CP002"})
    both = config().model_copy(update={"charge_points": (one, two)})
    async with (
        staged(tmp_path, settings=both) as stage,
        booted(stage) as raw,
        booted(stage, "/ocpp/CP002") as other,
    ):
        quote, transaction_id = await stage.charging(raw)
        await stage.sample(raw, METER_START + 100, transactionId=transaction_id)
        await stage.sample(other, METER_START + 3_000, transactionId=transaction_id)
        answer = await stage.start(other, quote, meterStart=0)
        assert answer["idTagInfo"] == {"status": "Invalid"}
        await stage.stop(other, transaction_id, idTag=quote.session_id)
        await stage.stop(other, answer["transactionId"])
        session = stage.session(quote)
        assert (session.state, session.energy_wh) == (SessionState.CHARGING, 100)
        await stage.stop(raw, transaction_id)
        assert await stage.closed(quote) == (1000, 300_000, 700_000)


async def test_two_who_paid_meet_at_one_connector(stage: Stage) -> None:
    """One of them plugs in where the other was expected: what is read there is his."""
    async with booted(stage) as raw:
        waiting = await stage.paid(raw, connector=2)
        quote = await stage.paid(raw)
        answer = await stage.start(raw, quote, connectorId=2)
        await stage.sample(raw, METER_START + 400, connectorId=2)
        assert stage.session(quote).energy_wh == 400
        await stage.tick(111)
        assert await stage.closed(waiting) == (0, 0, 1_000_000)
        await stage.stop(raw, answer["transactionId"], meterStop=METER_START + 500)
        assert await stage.closed(quote) == (500, 150_000, 850_000)


async def test_a_paid_transaction_on_the_connector_of_another_paid_one(stage: Stage) -> None:
    """The second driver plugs in where the first one charged, whose stop is never sent: what is
    read there from then on is the second one's."""
    async with booted(stage) as raw:
        first, first_id = await stage.charging(raw)
        await stage.sample(raw, METER_START + 300, transactionId=first_id)
        second = await stage.paid(raw, connector=2)
        answer = await stage.start(raw, second, connectorId=1, meterStart=METER_START + 300)
        await stage.status(raw, "Charging")
        await stage.sample(raw, METER_START + 700)
        assert stage.session(second).energy_wh == 400
        await stage.tick(61)
        assert await stage.closed(first) == (300, 90_000, 910_000)
        await stage.stop(raw, answer["transactionId"], meterStop=METER_START + 800)
        assert await stage.closed(second) == (500, 150_000, 850_000)


async def test_the_start_is_rejected_after_it_came(stage: Stage) -> None:
    """The charger says no to what it has done already: what it does counts."""
    async with booted(stage) as raw:
        quote = await stage.world.paid(1000, 1)
        asked = await raw.asked()
        answer = await stage.start(raw, quote)
        await raw.send([3, asked[1], {"status": "Rejected"}])
        await stage.sample(raw, METER_START + 200)
        assert stage.session(quote).state is SessionState.CHARGING
        await stage.stop(raw, answer["transactionId"])
        assert await stage.closed(quote) == (1000, 300_000, 700_000)


async def test_the_start_comes_after_it_was_rejected(stage: Stage) -> None:
    """The money is on its way back: nobody pays for this, and it is stopped."""
    async with booted(stage) as raw:
        quote = await stage.world.paid(1000, 1)
        await raw.accept("RemoteStartTransaction", "Rejected")
        assert await stage.closed(quote) == (0, 0, 1_000_000)
        answer = await stage.start(raw, quote)
        assert answer["idTagInfo"] == {"status": "Invalid"}
        asked = await raw.accept("RemoteStopTransaction")
        assert asked == {"transactionId": answer["transactionId"]}
        await stage.stop(raw, answer["transactionId"])
        assert billed(stage.session(quote)) == (0, 0, 1_000_000)


async def test_the_answer_to_the_start_comes_too_late(tmp_path: Path) -> None:
    """No answer in time is no refusal: the session waits for the car, and charges."""
    async with staged(tmp_path, limits=Limits(call_timeout_s=0.2)) as stage, booted(stage) as raw:
        quote = await stage.world.paid(1000, 1)
        asked = await raw.asked()
        probe = await raw.asked()
        assert (asked[2], probe[2]) == ("RemoteStartTransaction", "TriggerMessage")
        await raw.send([3, asked[1], {"status": "Accepted"}])
        await raw.send([3, probe[1], {"status": "Accepted"}])
        stage.world.clock.advance(60)
        answer = await stage.start(raw, quote)
        assert answer["idTagInfo"] == {"status": "Accepted"}
        await stage.stop(raw, answer["transactionId"])
        assert await stage.closed(quote) == (1000, 300_000, 700_000)


async def test_a_stop_that_another_central_system_left_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It counted from 1 as well; a card of today may end what runs."""
    async with staged(tmp_path) as stage, booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        old = {"idTag": "OLDCARD", "timestamp": stage.at(-7200), "meterStop": 90_000}
        await stage.stop(raw, transaction_id, **old)
        assert stage.session(quote).state is SessionState.CHARGING
        assert "that nobody paid for" not in caplog.text
        await stage.stop(raw, transaction_id, idTag="MASTER")
        assert await stage.closed(quote) == (1000, 300_000, 700_000)


@pytest.mark.parametrize("reason", ["PowerLoss", "EVDisconnected"])
async def test_a_stop_without_a_card_counts_whatever_its_time(tmp_path: Path, reason: str) -> None:
    """The clock went back while the car charged: by a power cut, or because summer time ended."""
    async with staged(tmp_path) as stage, booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.stop(raw, transaction_id, timestamp=stage.at(-7200), reason=reason)
        assert stage.session(quote).state is SessionState.CLOSED
        assert await stage.closed(quote) == (1000, 300_000, 700_000)

"""Chargers that charge under tags nobody paid for: over real sockets."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.bridge.ocpp.stage import METER_START, Stage, booted, staged
from tests.bridge.ocpp.wire import RawCharger

TROUBLE = "stop ignored CP001/1"


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncGenerator[Stage]:
    async with staged(tmp_path) as here:
        yield here


async def swiped(stage: Stage, raw: RawCharger) -> int:
    """Somebody starts with a card; returns the transaction, whose tag is not accepted."""
    payload = {"connectorId": 1, "idTag": "CARD", "meterStart": METER_START}
    answer = await raw.call("StartTransaction", payload | {"timestamp": stage.at()})
    assert answer["idTagInfo"] == {"status": "Invalid"}
    return answer["transactionId"]


async def sampled(stage: Stage, raw: RawCharger, register: int, named: int | None) -> None:
    """A sample, ten seconds later, with the transaction or without."""
    fields = {} if named is None else {"transactionId": named}
    value = {"timestamp": stage.at(10), "sampledValue": [{"value": str(register)}]}
    stage.world.clock.advance(10)
    await raw.call("MeterValues", {"connectorId": 1, "meterValue": [value]} | fields)


async def told_to_stop(raw: RawCharger, transaction_id: int) -> None:
    asked = await raw.accept("RemoteStopTransaction")
    assert asked == {"transactionId": transaction_id}


async def is_not_asked(raw: RawCharger) -> None:
    await raw.call("Heartbeat", {})
    assert raw.waiting == 0


@pytest.mark.parametrize("named", [True, False])
async def test_a_charger_that_goes_on_unpaid_is_asked_to_stop_and_operators_are_told(
    stage: Stage, named: bool
) -> None:
    """With StopTransactionOnInvalidId off, or with the card on a list of its own."""
    async with booted(stage) as raw:
        transaction_id = await swiped(stage, raw)
        number = transaction_id if named else None
        stage.world.clock.advance(-9)
        await sampled(stage, raw, METER_START + 10, number)
        await is_not_asked(raw)
        await sampled(stage, raw, METER_START + 20, number)
        await told_to_stop(raw, transaction_id)
        await sampled(stage, raw, METER_START + 30, number)
        await is_not_asked(raw)
        for round_no in range(3):
            assert TROUBLE not in stage.world.site.office.troubles()
            stage.world.clock.advance(20 if round_no < 2 else 70)
            await sampled(stage, raw, METER_START + 40 + 10 * round_no, number)
            await told_to_stop(raw, transaction_id)
            profile = await raw.accept("SetChargingProfile")
            assert profile["csChargingProfiles"]["chargingProfilePurpose"] == "TxProfile"
        assert TROUBLE in stage.world.site.office.troubles()
        await stage.stop(raw, transaction_id)
        assert TROUBLE not in stage.world.site.office.troubles()
        await stage.sample(raw, METER_START + 80)
        await is_not_asked(raw)


async def test_a_charger_that_only_shows_that_it_charges_is_asked_again(stage: Stage) -> None:
    """The example charge point of ocpp-go accepts the stop and goes on, and what it samples is no
    energy that it gave (Energy.Active.Export.Register)."""
    async with booted(stage) as raw:
        transaction_id = await swiped(stage, raw)
        await stage.status(raw, "Charging")
        await told_to_stop(raw, transaction_id)
        for pause in (15, 15, 60):
            assert TROUBLE not in stage.world.site.office.troubles()
            await stage.tick(pause - 1)
            await is_not_asked(raw)
            await stage.tick(1)
            await told_to_stop(raw, transaction_id)
            await raw.accept("SetChargingProfile")
        assert TROUBLE in stage.world.site.office.troubles()
        await stage.status(raw, "Finishing")
        assert TROUBLE not in stage.world.site.office.troubles()
        await stage.tick(60)
        await is_not_asked(raw)


async def test_a_charger_that_ends_an_unpaid_charge_is_asked_once(stage: Stage) -> None:
    async with booted(stage) as raw:
        transaction_id = await swiped(stage, raw)
        await stage.status(raw, "Charging")
        await told_to_stop(raw, transaction_id)
        await stage.stop(raw, transaction_id)
        await stage.tick(60)
        await is_not_asked(raw)


async def test_a_restart_of_strom_does_not_forget_who_did_not_pay(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage, booted(stage) as raw:
        transaction_id = await swiped(stage, raw)
    async with staged(tmp_path) as stage, booted(stage) as raw:
        await stage.sample(raw, METER_START + 20, transactionId=transaction_id)
        await told_to_stop(raw, transaction_id)


async def test_nobody_is_asked_by_old_readings_or_by_those_of_an_end(stage: Stage) -> None:
    """A charger was offline, let somebody charge, and tells it all later."""
    async with booted(stage) as raw:
        transaction_id = await swiped(stage, raw)
        stage.world.clock.advance(600)
        value = {"timestamp": stage.at(-300), "sampledValue": [{"value": "40500"}]}
        payload = {"connectorId": 1, "transactionId": transaction_id, "meterValue": [value]}
        assert await raw.call("MeterValues", payload) == {}
        await is_not_asked(raw)
        data = [{"timestamp": stage.at(), "sampledValue": [{"value": "41000"}]}]
        await stage.stop(raw, transaction_id, transactionData=data)
        await is_not_asked(raw)


async def test_a_transaction_of_before_strom_is_left_alone(stage: Stage) -> None:
    """It began under another central system, which knows who pays for it."""
    async with booted(stage) as raw:
        await stage.sample(raw, METER_START, transactionId=4711)
        await is_not_asked(raw)


async def test_a_paid_session_after_an_unpaid_start_is_left_alone(stage: Stage) -> None:
    async with booted(stage) as raw:
        await swiped(stage, raw)
        quote, transaction_id = await stage.charging(raw)
        await stage.sample(raw, METER_START + 500, transactionId=transaction_id)
        await stage.sample(raw, METER_START + 600)
        await is_not_asked(raw)
        assert stage.session(quote).energy_wh == 600


async def test_the_late_end_of_an_unpaid_charge_says_nothing_of_the_paid_one(
    stage: Stage,
) -> None:
    async with booted(stage) as raw:
        unpaid = await swiped(stage, raw)
        await stage.charging(raw)
        await stage.stop(raw, unpaid, meterStop=METER_START + 40)
        assert (await stage.world.point.view()).connectors[0].status == "Charging"

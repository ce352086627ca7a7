"""What chargers in the field do wrong, each with where it was seen, and what becomes of it here.

The problems 1 to 8 and 19 to 22, those of transactions: all against a real site, that is journal,
machine and play-money wallet, over real sockets. Those of connections (9 to 12 and 18) are in
`test_field_connections`, those of what is written (13 to 17) in `test_field_readings`.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from agent.machine.events import Obstacle, TransactionStopped
from agent.machine.model import SessionState
from bridge.ocpp.configuration.billing import WANTED_SAMPLES_S
from bridge.ocpp.limits import Limits
from tests.bridge.ocpp.stage import METER_START, Stage, billed, booted, staged
from tests.bridge.ocpp.wire import charger


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncGenerator[Stage]:
    async with staged(tmp_path) as here:
        yield here


async def test_01_a_stop_for_an_unknown_transaction_is_acknowledged_and_kept(stage: Stage) -> None:
    """Answered with an error, a charger retries such a stop for ever: steve#156."""
    async with booted(stage) as raw:
        unknown = {"transactionId": 777, "meterStop": 5, "timestamp": stage.at()}
        for _ in range(3):
            assert await raw.call("StopTransaction", unknown) == {}
        quote, transaction_id = await stage.charging(raw)
        await stage.stop(raw, 0, reason="PowerLoss", meterStop=140)
        assert stage.session(quote).state is SessionState.CHARGING
        await stage.stop(raw, transaction_id)
        assert await stage.closed(quote) == (1000, 300_000, 700_000)
    with sqlite3.connect(stage.world.journal.path) as database:
        kept = database.execute("SELECT kind, body FROM evidence ORDER BY seq").fetchall()
    assert [kind for kind, _ in kept] == ["StopReport", "StopReport"]
    assert [json.loads(body)["transaction_id"] for _, body in kept] == [777, 0]


@pytest.mark.parametrize("number", [-1, 0, None])
async def test_02_an_offline_start_and_a_stop_with_transaction_minus_one(
    stage: Stage, number: int | None
) -> None:
    """Started offline, stopped online: the charger does not put in the id that it was told:
    EVerest/libocpp#495. Others say 0: mikuso/ocpp-rpc#82. The tag is the session's alone."""
    async with booted(stage) as raw:
        quote = await stage.paid(raw)
    stage.world.clock.advance(90)
    async with booted(stage) as raw:
        await stage.status(raw, "Preparing")
        await stage.start(raw, quote, timestamp=stage.at(-60))
        await stage.status(raw, "Charging")
        await stage.stop(raw, number, idTag=quote.session_id)
        assert await stage.closed(quote) == (1000, 300_000, 700_000)
        assert stage.session(quote).charging_ms == 70_000


async def test_02_a_stop_with_transaction_minus_one_and_no_tag(stage: Stage) -> None:
    """Unplugged, so nobody's tag ended it (the same thread): whose stop it is stays unknown, and
    the connector's state ends the session by its last reading."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.sample(raw, METER_START + 900, transactionId=transaction_id)
        await stage.stop(raw, -1, reason="EVDisconnected")
        await stage.status(raw, "Available")
        await stage.tick(61)
        assert await stage.closed(quote) == (900, 270_000, 730_000)


async def test_03_a_stop_is_never_resolved_by_guessing(stage: Stage) -> None:
    """A stop of something else must not end the only session there is; lbbrhzn/ocpp#2123."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw, sats=100_000)
        for stranger in (-1, 0, transaction_id + 1, 2**62):
            await stage.stop(raw, stranger)
        await stage.stop(raw, -1, idTag="SOMEBODY")
        assert stage.session(quote).state is SessionState.CHARGING
        stray = await stage.start(raw, quote, idTag="SOMEBODY", connectorId=2)
        assert stray["transactionId"] == transaction_id + 1
        await stage.stop(raw, stray["transactionId"], meterStop=METER_START + 9000)
        await stage.stop(raw, transaction_id)
        assert await stage.closed(quote) == (1000, 300_000, 99_700_000)


async def test_03_two_starts_within_a_second(stage: Stage) -> None:
    """Ids made of the time were the same, and the stop of connector 2 ended connector 1: the
    same thread."""
    async with booted(stage) as raw:
        one, one_id = await stage.charging(raw)
        two = await stage.paid(raw, connector=2)
        answer = await stage.start(raw, two, meterStart=7_000)
        assert answer["transactionId"] != one_id
        await stage.stop(raw, answer["transactionId"], meterStop=7_200)
        assert await stage.closed(two) == (200, 60_000, 940_000)
        assert stage.session(one).state is SessionState.CHARGING
        await stage.stop(raw, one_id)
        assert await stage.closed(one) == (1000, 300_000, 700_000)


async def test_04_transaction_zero_is_never_given_and_an_ignored_stop_is_repeated(
    stage: Stage,
) -> None:
    """Transaction 0 was echoed and its remote stop ignored: woopstar/hsem#906."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        assert transaction_id > 0
        await stage.sample(raw, METER_START + 500, transactionId=0)
        assert stage.session(quote).energy_wh == 500
        await stage.world.site.owned.stop(quote.secret)
        assert await raw.accept("RemoteStopTransaction") == {"transactionId": transaction_id}
        await stage.tick(16)
        asked = await raw.accept("RemoteStopTransaction", "Rejected")
        assert asked == {"transactionId": transaction_id}
        cut = await raw.accept("SetChargingProfile")
        assert cut["csChargingProfiles"]["transactionId"] == transaction_id
        await stage.stop(raw, transaction_id)
        assert await stage.closed(quote) == (1000, 300_000, 700_000)


async def test_05_a_start_repeated_under_a_new_message_id_is_the_same(stage: Stage) -> None:
    """ConcurrentTx as the answer led to DeAuthorized: matth-x/MicroOcpp#237."""
    async with booted(stage) as raw:
        quote = await stage.paid(raw)
        written = stage.at()
        first = await stage.start(raw, quote, timestamp=written)
        stage.world.clock.advance(30)
        assert await stage.start(raw, quote, timestamp=written) == first
        assert first["idTagInfo"] == {"status": "Accepted"}
        await stage.stop(raw, first["transactionId"])
        assert await stage.closed(quote) == (1000, 300_000, 700_000)
        again = await stage.start(raw, quote, timestamp=written)
        assert again["transactionId"] == first["transactionId"]


async def test_06_a_start_resent_after_a_reconnect_is_the_same(stage: Stage) -> None:
    """The connection is lost in the middle of a charge; there is no stop, but the start once
    more, with its original timestamp and a register of 0: mobilityhouse/ocpp#186."""
    async with booted(stage) as raw:
        quote = await stage.paid(raw)
        written = stage.at(-7200)
        first = await stage.start(raw, quote, timestamp=written, meterStart=0)
        transaction_id = first["transactionId"]
        await stage.sample(raw, 500, transactionId=transaction_id)
    stage.world.clock.advance(60)
    async with booted(stage) as raw:
        assert await stage.start(raw, quote, timestamp=written, meterStart=0) == first
        assert stage.session(quote).transaction_id == transaction_id
        await stage.sample(raw, 800, transactionId=transaction_id)
        await stage.stop(raw, transaction_id, meterStop=900)
        assert await stage.closed(quote) == (900, 270_000, 730_000)


async def test_07_available_ends_a_session_whose_stop_never_comes(stage: Stage) -> None:
    """StopTransaction is never sent, or with an id that nobody knows: evcc PR 30247."""
    async with booted(stage) as raw:
        for number in (None, 4_711):
            quote, transaction_id = await stage.charging(raw, sats=10_000)
            await stage.sample(raw, METER_START + 700, transactionId=transaction_id)
            if number is not None:
                await stage.stop(raw, number, meterStop=METER_START + 800)
            await stage.status(raw, "Available")
            await stage.tick(59)
            assert stage.session(quote).state is SessionState.CHARGING
            await stage.tick(2)
            assert await stage.closed(quote) == (700, 210_000, 9_790_000)


async def test_08_id_tags_are_short_and_junk_behind_them_does_no_harm(stage: Stage) -> None:
    """A tag of exactly 20 characters comes back with junk bytes, strict validation refuses the
    stop, and power keeps flowing: lbbrhzn/ocpp#2030, #1803."""
    async with booted(stage) as raw:
        quote = await stage.paid(raw)
        assert len(quote.session_id) <= 18
        answer = await stage.start(
            raw, quote, idTag=quote.session_id.upper() + "\x00\x17\x7fabcdef"
        )
        assert answer["idTagInfo"] == {"status": "Accepted"}
        frame = (
            b'[2,"s","StopTransaction",{"transactionId":%d,"idTag":"%b\xff\xfe\x80","meterStop":%d,'
            b'"timestamp":"%b"}]'
        ) % (
            answer["transactionId"],
            quote.session_id.encode(),
            METER_START + 10,
            stage.at().encode(),
        )
        await raw.send(frame)
        assert await raw.receive() == [3, "s", {}]
        assert await stage.closed(quote) == (10, 3_000, 997_000)


async def test_08_a_tag_with_junk_behind_it_is_known_wherever_it_stands(stage: Stage) -> None:
    """In capitals, and with a dash that is no part of it: lbbrhzn/ocpp#1803."""
    async with booted(stage) as raw:
        quote = await stage.paid(raw)
        tag = quote.session_id.upper() + "-7"
        assert await raw.call("Authorize", {"idTag": tag}) == {"idTagInfo": {"status": "Accepted"}}
        answer = await stage.start(raw, quote, idTag=tag)
        assert answer["idTagInfo"] == {"status": "Accepted"}
        await stage.stop(raw, -1, idTag=tag)
        assert await stage.closed(quote) == (1000, 300_000, 700_000)


async def test_08_a_tag_that_is_cut_short(stage: Stage) -> None:
    """Memory for a card's number of seven bytes and no more; less than four say nothing."""
    async with booted(stage) as raw:
        quote = await stage.paid(raw)
        for few in ("", quote.session_id[:7]):
            answer = await stage.start(raw, quote, idTag=few)
            assert answer["idTagInfo"] == {"status": "Invalid"}
        answer = await stage.start(raw, quote, idTag=quote.session_id[:14])
        assert answer["idTagInfo"] == {"status": "Accepted"}
        await stage.stop(raw, -1, idTag=quote.session_id[:8].upper())
        assert await stage.closed(quote) == (1000, 300_000, 700_000)


async def test_08_a_stop_with_a_long_tag_of_twenty_days_ago(stage: Stage) -> None:
    """It was refused for its tag again and again (lbbrhzn/ocpp#1803), with bytes behind it that
    JSON does not allow (#2030): here it is taken, once, and retried no more."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.sample(raw, METER_START + 300, transactionId=transaction_id)
        raw.socket.transport.abort()
        await stage.world.until(lambda: stage.session(quote).offline_since_ms is not None)
    stopped_at = stage.at(60)
    await stage.tick(20 * 86_400)
    assert await stage.closed(quote) == (300, 90_000, 910_000)
    frame = (
        b'[2,"s","StopTransaction",{"meterStop":%d,"idTag":"X16WG99J2QIEGCC0MCJ5-\x10\x0e",'
        b'"transactionId":%d,"timestamp":"%b","reason":"EVDisconnected"}]'
    ) % (METER_START + 350, transaction_id, stopped_at.encode())
    async with booted(stage) as raw:
        for _ in range(2):
            await raw.send(frame)
            assert await raw.receive() == [3, "s", {}]
        assert await stage.closed(quote) == (300, 90_000, 910_000)


async def test_19_the_start_is_accepted_and_nobody_plugs_in(stage: Stage) -> None:
    """The charger's ConnectionTimeOut ends its readiness without a word: MicroOcpp#89; some go
    Preparing -> Finishing (evcc#15752). The money goes back in full."""
    async with booted(stage) as raw:
        quote = await stage.paid(raw)
        await stage.status(raw, "Preparing")
        stage.world.clock.advance(30)
        await stage.status(raw, "Finishing")
        await stage.tick(91)
        session = await stage.until(quote, SessionState.CLOSED)
        assert session.obstacle is Obstacle.NOT_PLUGGED_IN
        assert billed(session) == (0, 0, 1_000_000)


async def test_19_the_start_is_never_answered(tmp_path: Path) -> None:
    """Seen with the SAP simulator, whose boot was too long for its own schema: it took no order.
    The driver did nothing wrong, and is not told that he did not plug in."""
    limits = Limits(call_timeout_s=0.1, silence_s=0.1)
    async with staged(tmp_path, limits=limits) as stage, charger(stage.server) as raw:
        quote = await stage.world.paid(1000)
        while stage.server.silent() == ():
            await raw.receive()
        await stage.tick(121)
        session = await stage.until(quote, SessionState.CLOSED)
        assert session.obstacle is Obstacle.NOT_ANSWERING
        assert billed(session) == (0, 0, 1_000_000)


async def test_19_somebody_plugs_in_when_the_charger_has_forgotten_the_start(stage: Stage) -> None:
    """Its ConnectionTimeOut of 30 s is over, the driver's time of two minutes is not: it is asked
    once more, and he charges."""
    async with booted(stage) as raw:
        quote = await stage.paid(raw)
        await stage.status(raw, "Preparing")
        stage.world.clock.advance(30)
        await stage.status(raw, "Available")
        stage.world.clock.advance(30)
        await stage.status(raw, "Preparing")
        asked = await raw.accept("RemoteStartTransaction")
        assert asked == {"connectorId": 1, "idTag": quote.session_id}
        answer = await stage.start(raw, quote)
        await stage.stop(raw, answer["transactionId"])
        assert await stage.closed(quote) == (1000, 300_000, 700_000)


async def test_20_charging_is_shown_before_the_start(stage: Stage) -> None:
    """Connector 2 is Charging before its StartTransaction comes."""
    async with booted(stage) as raw:
        await stage.status(raw, "Available", 2)
        quote = await stage.paid(raw, connector=2)
        await stage.status(raw, "Charging", 2)
        assert stage.session(quote).state is SessionState.STARTING
        answer = await stage.start(raw, quote)
        assert answer["idTagInfo"] == {"status": "Accepted"}
        assert stage.session(quote).state is SessionState.CHARGING
        await stage.stop(raw, answer["transactionId"])
        assert await stage.closed(quote) == (1000, 300_000, 700_000)


async def test_20_start_and_stop_come_before_the_boot(stage: Stage) -> None:
    """A queue is delivered before the boot, older than everything else."""
    async with booted(stage) as raw:
        quote = await stage.paid(raw)
    stage.world.clock.advance(20)
    async with charger(stage.server) as raw:
        answer = await stage.start(raw, quote, timestamp=stage.at(-15))
        await stage.stop(raw, answer["transactionId"], timestamp=stage.at(-5))
        assert (await raw.boot())["status"] == "Accepted"
        assert await stage.closed(quote) == (1000, 300_000, 700_000)
        assert stage.session(quote).charging_ms == 10_000


async def test_20_the_register_begins_anew_after_a_power_loss(stage: Stage) -> None:
    """The meter restarts near 0 in the middle of a session: what was counted stays counted."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.sample(raw, METER_START + 600, transactionId=transaction_id)
    async with booted(stage) as raw:
        await stage.sample(raw, 3, transactionId=transaction_id)
        await stage.sample(raw, 203, transactionId=transaction_id)
        assert stage.session(quote).energy_wh == 800
        await stage.stop(raw, transaction_id, meterStop=303)
        assert await stage.closed(quote) == (900, 270_000, 730_000)


async def test_21_a_second_stop_with_another_register_settles_nothing(stage: Stage) -> None:
    """82 times in 55 s with 100 simulated stations: the first settles, the second is kept."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.stop(raw, transaction_id, meterStop=METER_START + 1000)
        before = await stage.until(quote, SessionState.CLOSED)
        await stage.stop(raw, transaction_id, meterStop=METER_START + 1234)
        after = stage.session(quote)
        assert billed(after) == billed(before) == (1000, 300_000, 700_000)
        stops = [
            event.register_wh
            for event in stage.world.journal.sessions.events(quote.session_id)
            if isinstance(event, TransactionStopped)
        ]
        assert stops == [METER_START + 1000, METER_START + 1234]


async def test_a_stop_with_all_readings_of_a_day_ends_the_charge(stage: Stage) -> None:
    """StopTxnSampledData, at the interval that Strom sets: EVerest/libocpp PR 651. A stop that is
    refused for its size comes back for ever, and its connection ends each time."""
    names = ("Energy.Active.Import.Register", "Power.Active.Import", "Current.Import", "Voltage")
    values = [
        {"value": "12345.6", "context": "Sample.Periodic", "measurand": name, "location": "Outlet"}
        for name in names
    ]
    day = [{"timestamp": stage.at(), "sampledValue": values}] * (86_400 // WANTED_SAMPLES_S)
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
        await stage.stop(raw, transaction_id, transactionData=day)
        assert await stage.closed(quote) == (1000, 300_000, 700_000)


async def test_22_free_vend_stops_without_a_start(stage: Stage) -> None:
    """connectorio-addons#199."""
    async with booted(stage) as raw:
        await stage.stop(raw, 0, reason="Local", idTag="FREEVEND")
        quote, transaction_id = await stage.charging(raw)
        await stage.stop(raw, 12_345, idTag="FREEVEND")
        await stage.stop(raw, transaction_id)
        assert await stage.closed(quote) == (1000, 300_000, 700_000)


async def test_22_nothing_is_awaited_and_everything_comes_twice(stage: Stage) -> None:
    """Authorize twice; Start and Status sent without waiting for the replies."""
    async with booted(stage) as raw:
        quote = await stage.paid(raw)
        start = {
            "connectorId": 1,
            "idTag": quote.session_id,
            "meterStart": METER_START,
            "timestamp": stage.at(),
        }
        charging = {"connectorId": 1, "errorCode": "NoError", "status": "Charging"}
        flood = [
            ["Authorize", {"idTag": quote.session_id}],
            ["Authorize", {"idTag": quote.session_id}],
            ["StartTransaction", start],
            ["StatusNotification", charging],
            ["StartTransaction", start],
            ["StatusNotification", charging],
        ]
        for number, (action, payload) in enumerate(flood):
            await raw.send([2, f"f{number}", action, payload])
        answers = [await raw.receive() for _ in flood]
        assert [answer[1] for answer in answers] == [f"f{n}" for n in range(len(flood))]
        assert answers[0][2] == answers[1][2] == {"idTagInfo": {"status": "Accepted"}}
        assert answers[2][2] == answers[4][2]
        assert stage.session(quote).state is SessionState.CHARGING
        await stage.stop(raw, answers[2][2]["transactionId"])
        assert await stage.closed(quote) == (1000, 300_000, 700_000)
        late = await raw.call("Authorize", {"idTag": quote.session_id})
        assert late == {"idTagInfo": {"status": "Invalid"}}

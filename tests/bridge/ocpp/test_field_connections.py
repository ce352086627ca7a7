"""What connections of chargers in the field do wrong, each with where it was seen.

The problems 9 to 12 and 18, all against a real site over real sockets. Those of transactions are in
`test_field_transactions`, those of what is written in `test_field_readings`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import anyio
import pytest
from websockets.exceptions import InvalidStatus

from bridge.ocpp.limits import Limits
from bridge.ocpp.server import AuthPolicy
from tests.bridge.ocpp.stage import METER_START, Stage, booted, staged
from tests.bridge.ocpp.wire import charger


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncGenerator[Stage]:
    async with staged(tmp_path) as here:
        yield here


async def test_09_no_boot_after_a_reconnect(tmp_path: Path) -> None:
    """Neither is a boot demanded (evcc PR 31192) nor is a charger called before it (PR 27309)."""
    async with staged(tmp_path, limits=Limits(silence_s=0.05)) as stage:
        async with booted(stage) as raw:
            quote, transaction_id = await stage.charging(raw)
        async with charger(stage.server) as raw:
            for connector in (1, 2):
                asked = await raw.accept("TriggerMessage")
                assert asked == {"requestedMessage": "StatusNotification", "connectorId": connector}
            await stage.sample(raw, METER_START + 300, transactionId=transaction_id)
            assert stage.session(quote).energy_wh == 300
            await stage.world.site.owned.stop(quote.secret)
            await raw.accept("RemoteStopTransaction")
            await stage.stop(raw, transaction_id, meterStop=METER_START + 400)
            assert await stage.closed(quote) == (400, 120_000, 880_000)


async def test_09_nothing_is_asked_before_the_boot(stage: Stage) -> None:
    """Called before its boot was answered, a charger starts anew, again and again: evcc PR 27309,
    lbbrhzn/ocpp#1503. A stop that was wanted meanwhile waits for it."""
    async with booted(stage) as raw:
        quote, transaction_id = await stage.charging(raw)
    await stage.world.site.owned.stop(quote.secret)
    async with charger(stage.server) as raw:
        with anyio.move_on_after(0.2):
            raise AssertionError(await raw.receive())
        assert (await raw.boot())["status"] == "Accepted"
        assert raw.waiting == 0
        assert await raw.accept("RemoteStopTransaction") == {"transactionId": transaction_id}
        await stage.stop(raw, transaction_id)
        assert await stage.closed(quote) == (1000, 300_000, 700_000)


async def test_09_only_connectors_that_a_charger_does_not_show_are_asked_for(
    tmp_path: Path,
) -> None:
    """Without a connector in the question ocpp-go's example ends itself; here it is named."""
    async with (
        staged(tmp_path, limits=Limits(silence_s=0.2)) as stage,
        charger(stage.server) as raw,
    ):
        await stage.status(raw, "Available")
        asked = await raw.accept("TriggerMessage")
        assert asked == {"requestedMessage": "StatusNotification", "connectorId": 2}
        await stage.status(raw, "Available", connector=2)
        assert raw.waiting == 0


async def test_10_the_newest_connection_is_the_charger(stage: Stage) -> None:
    """The old connection's cleanup closed the new socket (lbbrhzn/ocpp PR 2122), or a half-open
    old socket locked the charger out (lorenzodonini/ocpp-go#314)."""
    async with booted(stage) as old:
        quote, transaction_id = await stage.charging(old)
        old.socket.transport.pause_reading()
        async with booted(stage) as new:
            await stage.world.site.owned.stop(quote.secret)
            asked = await new.accept("RemoteStopTransaction")
            assert asked == {"transactionId": transaction_id}
            old.socket.transport.abort()
            await stage.stop(new, transaction_id)
            assert stage.world.point.online
            assert await stage.closed(quote) == (1000, 300_000, 700_000)
            await new.call("Heartbeat", {})


async def test_11_a_charger_without_heartbeats_is_not_dropped(tmp_path: Path) -> None:
    """Dropped because a deadline equalled the heartbeat's interval: evcc PR 33099. Here pings of
    our own tell who is there, and an idle charger answers them."""
    limits = Limits(ping_interval_s=0.02, ping_timeout_s=5, lost_after_s=1, heartbeat_s=1)
    async with staged(tmp_path, limits=limits) as stage, booted(stage) as raw:
        answered: list[int] = []
        protocol = raw.socket.protocol
        receive = protocol.receive_data

        def count(data: bytes | bytearray) -> None:
            answered.append(len(data))
            receive(data)

        protocol.receive_data = count
        with anyio.fail_after(20):
            # That takes longer than a charger may be silent.
            while len(answered) < 75:
                await anyio.sleep(0.01)
        stage.world.clock.advance(3600)
        assert stage.world.point.online
        await raw.call("Heartbeat", {})


async def test_12_no_subprotocol_is_offered(stage: Stage) -> None:
    """The charger cannot be told to offer one: lbbrhzn/ocpp#442."""
    async with booted(stage, subprotocols=None) as raw:
        assert raw.socket.subprotocol is None
        quote, transaction_id = await stage.charging(raw)
        await stage.stop(raw, transaction_id)
        assert await stage.closed(quote) == (1000, 300_000, 700_000)


async def test_18_the_whole_url_as_the_id_and_the_key_in_hex(tmp_path: Path) -> None:
    """OpenEMS#1401 and steve#1899."""
    async with staged(tmp_path, policy=AuthPolicy(password="c0ffee00" * 5)) as stage:
        path = "/ocpp/ws%3A%2F%2Fhost%3A9000%2Focpp%2FCP001"
        raw_key = bytes.fromhex("c0ffee00" * 5)
        async with booted(stage, path, credentials=b"CP001:" + raw_key) as raw:
            quote, transaction_id = await stage.charging(raw)
            await stage.stop(raw, transaction_id)
            assert await stage.closed(quote) == (1000, 300_000, 700_000)
        with pytest.raises(InvalidStatus):
            async with booted(stage, path, credentials=b"CP001:" + raw_key[::-1]):
                pass

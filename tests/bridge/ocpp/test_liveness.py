"""Chargers that vanish without a word, hang behind a living socket, or are only slow."""

from __future__ import annotations

import asyncio
import json
import logging
from base64 import b64encode
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from agent.machine.events import ConnectorStatus, Obstacle
from agent.machine.model import SessionState
from agent.ports.errors import Refused
from agent.ports.quotes import Origin, QuoteRequest
from bridge.ocpp.limits import Limits
from tests.bridge.ocpp.proxy import proxied
from tests.bridge.ocpp.recorder import RecordingSite
from tests.bridge.ocpp.stage import METER_START, Stage, booted, staged
from tests.bridge.ocpp.wire import charger, serving

HASTY = Limits(ping_interval_s=0.2, ping_timeout_s=0.3, lost_after_s=60)
TEXT, PONG = 1, 10
PAYMENT = QuoteRequest(1_000_000, Origin.LNURL, connector=1)


async def nobody_can_pay(stage: Stage, obstacle: Obstacle) -> None:
    """A payment is refused before an invoice exists, and everyone sees why."""
    point = stage.world.point
    await stage.world.until(lambda: not point.online)
    assert await point.obstacle(1) is obstacle
    with pytest.raises(Refused) as caught:
        await point.quote(PAYMENT)
    assert caught.value.obstacle is obstacle
    assert stage.world.journal.quotes.unsettled(0) == []
    view = await point.view()
    assert not view.online
    assert view.connectors[0].status is ConnectorStatus.OFFLINE


def test_a_dead_peer_is_found_within_15_seconds_and_a_slow_one_is_never_dropped_that_soon() -> None:
    """The figures that chargers in the field get: evcc PR 33099."""
    limits = Limits()
    assert limits.ping_interval_s is not None
    assert limits.ping_interval_s + limits.ping_timeout_s < 15
    assert limits.lost_after_s >= 3 * (limits.ping_interval_s + limits.ping_timeout_s)


async def test_a_half_open_socket_is_found_and_well_again_with_the_next_byte(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        staged(tmp_path, limits=HASTY) as stage,
        proxied(stage.server.port) as proxy,
        booted(stage, port=proxy.port) as raw,
    ):
        assert await stage.world.point.obstacle(1) is None
        assert stage.server.silent() == ()
        proxy.open.clear()
        await nobody_can_pay(stage, Obstacle.NOT_ANSWERING)
        assert "CP001 does not answer: no payment is taken for it" in caplog.text
        assert stage.server.silent() == stage.server.connected() == ("CP001",)
        proxy.open.set()
        await stage.world.until(lambda: stage.world.point.online)
        assert stage.server.silent() == ()
        await stage.charging(raw)


async def test_a_peer_that_is_gone_for_good_is_dropped_and_its_session_goes_on(
    tmp_path: Path,
) -> None:
    limits = Limits(ping_interval_s=0.1, ping_timeout_s=0.1, lost_after_s=0.5)
    async with (
        staged(tmp_path, limits=limits) as stage,
        proxied(stage.server.port) as proxy,
    ):
        async with booted(stage, port=proxy.port) as raw:
            quote, transaction_id = await stage.charging(raw)
            proxy.open.clear()
            await stage.world.until(lambda: not stage.server.connected())
            await stage.world.until(lambda: stage.session(quote).offline_since_ms is not None)
            proxy.open.set()
            with pytest.raises(ConnectionClosed):
                await raw.receive()
        async with booted(stage) as raw:
            await stage.sample(raw, METER_START + 400, transactionId=transaction_id)
            assert stage.session(quote).state is SessionState.CHARGING
            assert stage.session(quote).energy_wh == 400


async def test_a_frame_that_takes_longer_than_a_pong_may_is_a_sign_of_life() -> None:
    """Behind a large message on a slow line no pong can come: the bytes themselves count."""
    site = RecordingSite("CP001")
    point = site.points["CP001"]
    limits = Limits(ping_interval_s=0.2, ping_timeout_s=1, lost_after_s=60)
    async with serving(site, limits=limits) as server:
        reader, writer = await _opened(server.port)
        samples = [{"timestamp": "2026-01-01T00:00:00Z", "sampledValue": [{"value": "1"}]}] * 200
        stop = json.dumps([2, "slow", "StopTransaction", {"transactionData": samples}]).encode()
        # It answers a ping once, so that it is known to answer them; then the frame is in the way.
        await reader.readuntil(b"\x89\x05Strom")
        writer.write(_masked(b"Strom", PONG))
        frame = _masked(stop)
        loop = asyncio.get_running_loop()
        until = loop.time() + 2 * (limits.ping_timeout_s + 0.2)
        sent = 0
        while loop.time() < until:
            writer.write(frame[sent : sent + 1])
            sent += 1
            # A line so slow that the frame takes longer than an answer to a ping may.
            await asyncio.sleep(0.05)
            assert not point.silent
        assert sent < len(frame)
        writer.write(frame[sent:])
        received = b""
        while b'[3,"slow"' not in received:
            received += await reader.read(65536)
        writer.close()


async def test_a_program_that_hangs_behind_a_living_socket_is_found_by_its_unanswered_calls(
    tmp_path: Path,
) -> None:
    """Its pongs go on, since the network's part of the firmware sends them."""
    limits = Limits(ping_interval_s=0.1, ping_timeout_s=5, call_timeout_s=0.2)
    async with staged(tmp_path, limits=limits) as stage, booted(stage) as raw:
        assert stage.world.point.online
        charger_of = stage.world.point
        await stage.world.paid(connector=2)
        assert (await raw.asked())[2] == "RemoteStartTransaction"
        assert (await raw.asked())[2:] == ["TriggerMessage", {"requestedMessage": "Heartbeat"}]
        await stage.world.until(lambda: not charger_of.online)
        await nobody_can_pay(stage, Obstacle.NOT_ANSWERING)
        assert stage.server.connected() == ("CP001",)
        await raw.call("Heartbeat", {})
        await stage.world.until(lambda: charger_of.online)
        assert await charger_of.obstacle(1) is None


async def test_one_unanswered_call_is_enough_of_a_charger_that_never_said_a_word(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It may not have got as far as its boot, and hears nothing before that is accepted."""
    caplog.set_level(logging.INFO)
    site = RecordingSite("CP001")
    point = site.points["CP001"]
    async with (
        serving(site, limits=Limits(silence_s=0.05, call_timeout_s=0.2)) as server,
        charger(server) as raw,
    ):
        await raw.asked()
        await raw.asked()
        await raw.call("Heartbeat", {})
        await point.until(lambda: not point.silent)
    told = [record.getMessage() for record in caplog.records if "answer" in record.message]
    assert told == ["CP001 does not answer: no payment is taken for it", "CP001 answers again"]


async def test_one_unanswered_call_is_not_enough() -> None:
    """A charger that knows no triggers answers the question with an error: it lives."""
    site = RecordingSite("CP001")
    point = site.points["CP001"]
    async with (
        serving(site, limits=Limits(call_timeout_s=0.2)) as server,
        charger(server) as raw,
    ):
        await raw.boot()
        await point.charger.start(1, "TAG")
        await raw.asked()
        question = await raw.asked()
        assert question[2] == "TriggerMessage"
        assert server.silent() == ()
        refusal: list[object] = [4, question[1], "NotImplemented", "", {}]
        await raw.send(refusal)
        await raw.call("Heartbeat", {})
        assert server.silent() == ()
        assert not point.silent


async def test_a_charger_that_answers_no_pings_is_judged_by_its_word(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is asked for a heartbeat before it counts as lost; without an answer it is."""
    caplog.set_level(logging.WARNING)
    site = RecordingSite("CP001")
    limits = Limits(ping_interval_s=0.1, ping_timeout_s=0.1, heartbeat_s=1, lost_after_s=0.3)
    async with serving(site, limits=limits) as server:
        reader, writer = await _opened(server.port)
        writer.write(_masked(b'[2,"1","Heartbeat",{}]'))
        received = b""
        while b'"TriggerMessage",{"requestedMessage":"Heartbeat"}' not in received:
            received += await reader.read(65536)
        assert server.connected() == ("CP001",)
        assert server.silent() == ()
        assert received.count(b"\x89\x05Strom") > 5
        while data := await reader.read(65536):
            received += data
        assert "CP001 is lost" in caplog.text
        writer.close()


async def _opened(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A websocket of a charger that answers no pings."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    key = b64encode(bytes(16)).decode()
    writer.write(
        f"GET /ocpp/CP001 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
        f"Sec-WebSocket-Version: 13\r\n\r\n".encode()
    )
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer


def _masked(payload: bytes, opcode: int = TEXT) -> bytes:
    """A frame as a client sends it."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else bytes([0xFE]) + size.to_bytes(2, "big")
    return bytes([0x80 | opcode]) + length + bytes(4) + payload

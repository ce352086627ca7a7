"""Frames good and bad, and the bounds of a connection."""

from __future__ import annotations

import json
import logging
import time
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosedError

from agent.ports.charger import StopReport
from bridge.ocpp.limits import Limits
from tests.bridge.ocpp.recorder import RecordingSite
from tests.bridge.ocpp.wire import charger, serving

BROKEN: list[tuple[str | bytes, list[Any] | None]] = [
    ("not json", None),
    ("", None),
    ("{}", None),
    ("[]", None),
    ("[2]", None),
    ('[2,"a"]', [4, "a", "FormationViolation"]),
    ('[2,"a",7,{}]', [4, "a", "FormationViolation"]),
    ('[2,"a",["x"],{}]', [4, "a", "FormationViolation"]),
    ('[2,"a","Heartbeat"]', [4, "a", "ProtocolError"]),
    ('[2,"a","Heartbeat",null]', [4, "a", "ProtocolError"]),
    ('[2,"a","Heartbeat",[]]', [4, "a", "ProtocolError"]),
    ('[2,12,"Heartbeat",{}]', [4, 12, "ProtocolError"]),
    ('[2,"","Heartbeat",{}]', None),
    ('[9,"a","Heartbeat",{}]', [4, "a", "FormationViolation"]),
    ('["2","a","Heartbeat",{}]', [4, "a", "FormationViolation"]),
    ('[2,"a","Heartbeat",{"x":', [4, "a", "FormationViolation"]),
    ('[2,"a","Heartbeat",{"x":' + "[" * 40 + "]" * 40 + "}]", [4, "a", "FormationViolation"]),
    ('[2,"a","Heartbeat",' + '{"a":' * 5000 + "1" + "}" * 5000 + "]", None),
    ("[" * 100_000, None),
    ('[2,"a","Teleport",{}]', [4, "a", "NotImplemented"]),
    ('[2,"a","RemoteStartTransaction",{}]', [4, "a", "NotSupported"]),
    ('[3,"nobody asked",{}]', None),
    ('[3,"nobody asked"]', None),
    ('[4,"nobody asked"]', None),
    ("[3,{}]", None),
    (b'[2,"a","\xff\xfe",{}]', [4, "a", "NotImplemented"]),
    ("[NaN]", None),
    ('[2,"a",1e999,{}]', [4, "a", "FormationViolation"]),
]


@pytest.mark.parametrize(("frame", "expected"), BROKEN)
async def test_a_broken_frame_is_answered_where_it_can_be_and_harms_nothing(
    frame: str | bytes, expected: list[Any] | None, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(RecordingSite("CP001")) as server, charger(server) as raw:
        await raw.send(frame)
        if expected is not None:
            answer = await raw.receive()
            assert answer[:3] == expected
            assert len(answer) == 5
            assert answer[4] == {}
        assert "currentTime" in await raw.call("Heartbeat", {})
    assert "Traceback" not in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    "frame",
    [
        rb'[2,"c1","Authorize",{"idTag":"A\B"}]',
        b'[2,"c1","Authorize",{"idTag":"AB\x01"}]',
        b'\xef\xbb\xbf[2,"c1","Authorize",{"idTag":"AB"}]',
        b'[2,"c1","Authorize",{"idTag":"AB\xff\xfe"}]',
        b'[2,"c1","Authorize",{"idTag":"AB"}]\x00',
        b'[2,"c1","Authorize",{"idTag":"AB","x":NaN}]',
        b'[2.0,"c1","Authorize",{"idTag":"AB"}, "more"]',
    ],
)
async def test_json_that_is_broken_as_chargers_break_it_is_mended(frame: bytes) -> None:
    async with serving(RecordingSite("CP001")) as server, charger(server) as raw:
        await raw.send(frame)
        assert await raw.receive() == [3, "c1", {"idTagInfo": {"status": "Accepted"}}]


async def test_an_action_that_nobody_knows_is_named_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """MicroOcpp answers a trigger of FirmwareStatusNotification with a CustomOperation."""
    async with serving(RecordingSite("CP001")) as server, charger(server) as raw:
        assert (await raw.exchange("Custom\nOperation" + "!" * 99, {}))[2] == "NotImplemented"
    said = [record.getMessage() for record in caplog.records]
    assert any("CP001" in one and "'Custom\\nOperation!!" in one for one in said)
    assert all(len(one) < 160 and "\n" not in one for one in said)


async def test_a_binary_frame_counts_as_text() -> None:
    async with serving(RecordingSite("CP001")) as server, charger(server) as raw:
        await raw.socket.send(b'[2,"c1","Authorize",{"idTag":"AB"}]')
        assert (await raw.receive())[0] == 3


async def test_a_frame_over_the_limit_ends_that_connection_alone() -> None:
    site = RecordingSite("CP001", "CP002")
    async with (
        serving(site, limits=Limits(frame_bytes=10_000)) as server,
        charger(server, "/ocpp/CP002") as other,
        charger(server) as raw,
    ):
        await raw.send("x" * 10_001)
        with pytest.raises(ConnectionClosedError) as caught:
            await raw.receive()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1009
        await other.call("Heartbeat", {})


async def test_a_large_frame_is_taken_where_it_is_about_a_transaction() -> None:
    """A stop that is refused for its size comes back for ever; anything else ends there."""
    async with serving(RecordingSite("CP001")) as server, charger(server) as raw:
        samples = [{"timestamp": "x", "sampledValue": [{"value": "1"}]}] * 5000
        stop = {"transactionId": 1, "transactionData": samples}
        assert await raw.call("StopTransaction", stop) == {}
        await raw.send([2, "c", "DataTransfer", {"vendorId": "x" * 200_000}])
        with pytest.raises(ConnectionClosedError) as caught:
            await raw.receive()
        assert caught.value.rcvd is not None
        assert caught.value.rcvd.code == 1009


async def test_a_flood_without_waiting_for_answers_is_answered_in_order() -> None:
    """Start and Status sent without waiting for replies: field problem 22."""
    site = RecordingSite("CP001")
    async with serving(site) as server, charger(server) as raw:
        for number in range(300):
            await raw.send(f'[2,"n{number}","Heartbeat",{{}}]')
        for number in range(300):
            assert (await raw.receive())[1] == f"n{number}"


async def test_who_sends_faster_than_he_may_waits() -> None:
    site = RecordingSite("CP001")
    limits = Limits(frames_per_s=100, burst_frames=10)
    async with serving(site, limits=limits) as server, charger(server) as raw:
        before = time.monotonic()
        for number in range(40):
            await raw.send(f'[2,"n{number}","Heartbeat",{{}}]')
        for _ in range(40):
            await raw.receive()
        assert time.monotonic() - before > 0.25


async def test_what_could_not_be_stored_is_asked_for_again() -> None:
    site = RecordingSite("CP001")
    point = site.points["CP001"]
    async with serving(site) as server, charger(server) as raw:
        point.failing = True
        stop = {"transactionId": 1, "meterStop": 5, "timestamp": "2026-01-01T00:00:00Z"}
        assert (await raw.exchange("StopTransaction", stop))[2] == "InternalError"
        point.failing = False
        assert await raw.call("StopTransaction", stop) == {}


@pytest.mark.parametrize("says_goodbye", [True, False])
async def test_what_a_charger_said_before_it_went_counts(*, says_goodbye: bool) -> None:
    """One that restarts tells all it knows in one breath and waits for no answer."""
    site = RecordingSite("CP001")
    point = site.points["CP001"]
    async with serving(site) as server, charger(server) as raw:
        await raw.boot()
        protocol = raw.socket.protocol
        for state in ("Preparing", "Charging", "Finishing"):
            status = {"connectorId": 1, "errorCode": "NoError", "status": state}
            protocol.send_text(json.dumps([2, state, "StatusNotification", status]).encode())
        stop = {"transactionId": 7, "meterStop": 12, "timestamp": "2026-01-01T00:00:00Z"}
        protocol.send_text(json.dumps([2, "stop", "StopTransaction", stop]).encode())
        if says_goodbye:
            protocol.send_close(1001)
        raw.socket.transport.write(b"".join(protocol.data_to_send()))
        raw.socket.transport.close()
        await point.until(lambda: not point.chargers)
    assert [report.transaction_id for report in point.of(StopReport)] == [7]

"""The message log: bounded, readable, and without secrets."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest

from bridge.ocpp.message_log import MASK, Entry, MessageLog, follow, masked, read
from tests.bridge.ocpp.recorder import RecordingSite
from tests.bridge.ocpp.wire import charger, now_ms, serving


async def test_what_goes_over_the_wire_can_be_read_afterwards(tmp_path: Path) -> None:
    log = MessageLog(tmp_path / "log", now_ms)
    async with serving(RecordingSite("CP001"), log=log) as server, charger(server) as raw:
        await raw.send("not json")
        await raw.call("Heartbeat", {})
    assert list(read(tmp_path / "log", "CP001")) == []
    async with anyio.create_task_group() as group:
        group.start_soon(log.run)
        await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    entries = list(read(tmp_path / "log", "CP001"))
    assert [(entry.incoming, entry.frame[:10]) for entry in entries] == [
        (True, "not json"),
        (True, '[2, "c1", '),
        (False, '[3,"c1",{"'),
    ]
    assert abs(entries[0].at_ms - now_ms()) < 60_000


def write(log: MessageLog) -> None:
    async def briefly() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(log.run)
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()

    anyio.run(briefly)


def test_it_takes_no_more_than_its_share_of_the_disk(tmp_path: Path) -> None:
    log = MessageLog(tmp_path, lambda: 1, limit_bytes=2000)
    for number in range(50):
        log.received("CP001", b"x" * 100 + b"%d" % number)
        write(log)
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == ["CP001.1.log", "CP001.log"]
    assert sum(file.stat().st_size for file in files) < 4500
    last = list(read(tmp_path, "CP001"))[-1]
    assert last == Entry(1, True, "x" * 100 + "49")


def test_a_damaged_line_is_skipped_and_a_folder_that_cannot_be_is_survived(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "CP001.log").write_text('{"at_ms":1\n{"at_ms":1,"dir":"in","frame":"x"}\n7\n')
    assert list(read(tmp_path, "CP001")) == [Entry(1, True, "x")]
    log = MessageLog(tmp_path / "CP001.log" / "no", lambda: 1)
    log.sent("CP001", b"x")
    write(log)
    assert "the message log cannot be written" in caplog.text


async def test_it_can_be_followed(tmp_path: Path) -> None:
    log = MessageLog(tmp_path, lambda: 1)
    async with anyio.create_task_group() as group:
        group.start_soon(log.run)

        async def say() -> None:
            await anyio.sleep(0.1)
            log.received("CP001", b"hello")

        group.start_soon(say)
        async for entry in follow(tmp_path, "CP001"):
            assert entry.frame == "hello"
            break
        group.cancel_scope.cancel()


SECRET = "hunter2"


@pytest.mark.parametrize(
    "message",
    [
        [2, "1", "ChangeConfiguration", {"key": "AuthorizationKey", "value": SECRET}],
        [2, "1", "ChangeConfiguration", {"value": SECRET, "key": "authorizationkey"}],
        [3, "1", {"configurationKey": [{"key": "AuthorizationKey", "value": SECRET}]}],
        [2, "1", "GetDiagnostics", {"location": f"ftp://user:{SECRET}@host/x"}],
        [2, "1", "X", {"setVariableData": [
            {"variable": {"name": "BasicAuthPassword"}, "attributeValue": SECRET}]}],
        [2, "1", "DataTransfer", {"vendorId": "x", "password": SECRET}],
    ],
)  # fmt: skip
def test_secrets_are_masked(message: object) -> None:
    text = masked(json.dumps(message).encode())
    assert SECRET not in text
    assert MASK in text
    assert json.loads(text)


def test_what_cannot_be_read_and_names_a_secret_is_left_out() -> None:
    assert SECRET not in masked(b'[2,"1","X",{"key":"AuthorizationKey","value":"' + SECRET.encode())


def test_the_rest_stays_as_it_was() -> None:
    assert masked(b'[2, "1","A", {"x":\xff}]') == '[2, "1","A", {"x":\ufffd}]'

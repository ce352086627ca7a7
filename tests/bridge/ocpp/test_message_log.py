"""The message log: bounded, readable, and without secrets."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.ocpp.message_log import Entry, MessageLog, Tail, follow, last_heard_ms, read
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


@pytest.mark.parametrize(
    ("more", "is_kept_as_it_is"), [({}, True), ({"AuthorizationKey": "hunter2"}, False)]
)
async def test_readings_are_kept_without_secrets(
    tmp_path: Path, more: dict[str, str], is_kept_as_it_is: bool
) -> None:
    """Those by the book are not looked through: they have no place for any."""
    log = MessageLog(tmp_path, now_ms)
    sample = {"timestamp": "2026-01-01T00:00:00Z", "sampledValue": [{"value": "7"}]}
    payload = {"connectorId": 1, "meterValue": [sample], **more}
    async with serving(RecordingSite("CP001"), log=log) as server, charger(server) as raw:
        await raw.call("MeterValues", payload)
    async with anyio.create_task_group() as group:
        group.start_soon(log.run)
        await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    entry, answer = read(tmp_path, "CP001")
    sent = json.dumps([2, "c1", "MeterValues", payload])
    assert (entry.frame == sent) is is_kept_as_it_is
    assert "hunter2" not in entry.frame
    assert answer.frame == '[3,"c1",{}]'


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
    (tmp_path / "CP001.log").write_text("1\t<\n1\t<\tx\n7\nx\t<\ty\n1\t?\tz\n")
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
            # Until it is heard: what was said before it is followed is not told.
            while True:
                log.received("CP001", b"hello")
                await anyio.sleep(0.01)

        group.start_soon(say)
        async for entry in follow(tmp_path, "CP001"):
            assert entry.frame == "hello"
            break
        group.cancel_scope.cancel()


def frames_of(tail: Tail) -> list[str]:
    return [entry.frame for entry in tail.read()]


def test_nothing_is_missed_where_a_file_is_full(tmp_path: Path) -> None:
    """What was added between the last look and the renaming is read first."""
    tail = Tail(tmp_path, "CP001")
    assert tail.read() == []
    log = MessageLog(tmp_path, lambda: 1, limit_bytes=100)
    log.received("CP001", b"a")
    write(log)
    assert frames_of(tail) == ["a"]
    assert tail.read() == []
    log.received("CP001", b"b" * 95)
    write(log)
    assert not (tmp_path / "CP001.log").exists()
    log.received("CP001", b"c")
    write(log)
    assert frames_of(tail) == ["b" * 95, "c"]
    for frame in (b"d" * 95, b"e" * 95, b"f"):
        log.received("CP001", frame)
        write(log)
    assert frames_of(tail) == ["d" * 95, "e" * 95, "f"]
    assert [entry.frame for entry in read(tmp_path, "CP001")] == ["e" * 95, "f"]
    tail.close()


@given(st.lists(st.one_of(st.none(), st.integers(1, 40)), max_size=60))
def test_who_looks_often_enough_reads_each_message_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int | None]
) -> None:
    """None is a look; a number a message of that length. One file fills between two looks."""
    folder = tmp_path_factory.mktemp("log")
    log = MessageLog(folder, lambda: 1, limit_bytes=100)
    tail = Tail(folder, "CP001")
    seen: list[str] = []
    written: list[str] = []
    since_look = 0
    for step in steps:
        if step is None or since_look > 100:
            seen += frames_of(tail)
            since_look = 0
        if step is not None:
            frame = f"{len(written)} ".ljust(step, "x")
            since_look += len(frame) + 5
            written.append(frame)
            log.sent("CP001", frame.encode())
            write(log)
    seen += frames_of(tail)
    tail.close()
    assert seen == written


def test_a_line_that_is_half_written_waits_for_its_end(tmp_path: Path) -> None:
    tail = Tail(tmp_path, "CP001")
    with (tmp_path / "CP001.log").open("wb") as file:
        file.write(b"1\t<\thal")
        file.flush()
        assert tail.read() == []
        file.write(b"f\n")
        file.flush()
        assert tail.read() == [Entry(1, True, "half")]
    tail.close()


def test_when_a_charger_last_said_something(tmp_path: Path) -> None:
    """Its own word alone counts, also where that is in the older file, behind long ones of ours."""
    assert last_heard_ms(tmp_path, "CP001") is None
    times = iter(range(1, 1000))
    log = MessageLog(tmp_path, lambda: next(times), limit_bytes=1000)
    log.sent("CP001", b"hello")
    write(log)
    assert last_heard_ms(tmp_path, "CP001") is None
    log.received("CP001", b"x" * 990)
    write(log)
    log.sent("CP001", b"y" * 200)
    write(log)
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["CP001.1.log", "CP001.log"]
    assert last_heard_ms(tmp_path, "CP001") == 2
    log.received("CP001", b"z")
    log.sent("CP001", b"y")
    write(log)
    assert last_heard_ms(tmp_path, "CP001") == 4


async def test_of_many_chargers_each_message_reaches_the_disk_in_its_order(tmp_path: Path) -> None:
    log = MessageLog(tmp_path, lambda: 1)
    ids = [f"CP{number:03d}" for number in range(100)]
    async with anyio.create_task_group() as group:
        group.start_soon(log.run)
        for number in range(3):
            for charge_point_id in ids:
                log.received(charge_point_id, b"%d" % number)
            first = ids[number]
            with anyio.fail_after(5):
                while str(number) not in [entry.frame for entry in read(tmp_path, first)]:
                    await anyio.sleep(0.01)
        group.cancel_scope.cancel()
    for charge_point_id in ids:
        assert [entry.frame for entry in read(tmp_path, charge_point_id)] == ["0", "1", "2"]


async def test_what_does_not_fit_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = MessageLog(tmp_path, lambda: 1, limit_bytes=1_000_000_000)
    for _ in range(100):
        log.sent("CP001", b"x" * 99_990)
    await anyio.to_thread.run_sync(write, log)
    kept = len(read(tmp_path, "CP001"))
    assert 80 <= kept < 100
    assert f"{100 - kept} messages are missing" in caplog.text
    log.sent("CP001", b"y")
    await anyio.to_thread.run_sync(write, log)
    assert len(read(tmp_path, "CP001")) == kept + 1
    assert caplog.text.count("are missing") == 1

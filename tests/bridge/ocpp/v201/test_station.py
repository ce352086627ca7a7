"""What is kept of a station's transactions: bounded, over restarts, and whatever is on the disk."""

from __future__ import annotations

from pathlib import Path

from bridge.ocpp.v201.transactions import LARGEST_START_ID, Stations
from tests.bridge.ocpp.recorder import RecordingChargePoint


async def test_names_and_starts_survive_a_restart() -> None:
    point = RecordingChargePoint("CP001")
    station = await Stations().of(point)
    added = station.add("tx-a\n7\tCP002")
    added.number, added.evse, added.tag = 7, 2, "0123456789abcdef"
    start = await station.new_start("0123456789abcdef", 2)
    await station.became(start, "tx-a")
    stations = Stations()
    again = await stations.of(point)
    assert again.name(7) == "tx-a\n7\tCP002"
    assert again.running(2) == added
    assert again.start_of(start.id) == start
    assert (await again.new_start("fedcba9876543210", 1)).id == start.id + 1
    assert stations.name("CP001", 7) == "tx-a\n7\tCP002"
    assert stations.name("CP002", 7) is None


async def test_what_is_kept_is_bounded_and_what_runs_is_kept_longest() -> None:
    point = RecordingChargePoint("CP001")
    station = await Stations().of(point)
    station.add("runs").number = 1
    for number in range(200):
        station.add(f"tx-{number}").ended = True
        await station.new_start(f"{number:016x}", 1)
    await station.save()
    again = await Stations().of(point)
    assert again.name(1) == "runs"
    assert again.get("tx-199") is not None
    assert again.get("tx-1") is None
    assert again.start_of(200) is not None
    assert again.start_of(1) is None
    assert len(point.notes["ocpp2.0.1"]) < 20_000


async def test_ids_of_starts_begin_again_before_those_of_the_operator() -> None:
    point = RecordingChargePoint("CP001")
    point.notes["ocpp2.0.1"] = f'{{"last_start":{LARGEST_START_ID - 1}}}'
    station = await Stations().of(point)
    ids = [(await station.new_start("0123456789abcdef", 1)).id for _ in range(2)]
    assert ids == [LARGEST_START_ID, 1]


async def test_a_note_that_cannot_be_read_is_told_of_and_begun_anew() -> None:
    point = RecordingChargePoint("CP001")
    point.notes["ocpp2.0.1"] = '{"transactions":7}'
    station = await Stations().of(point)
    assert (await station.new_start("0123456789abcdef", 1)).id == 1


async def test_the_names_of_an_earlier_version_are_taken_up(tmp_path: Path) -> None:
    """Strom is updated in the middle of a charge."""
    path = tmp_path / "names"
    path.write_text("CP001\t7\ttx-a\nCP002\t8\ttx-b\ntorn line\nCP001\tx\ty\n")
    point = RecordingChargePoint("CP001")
    station = await Stations(path).of(point)
    assert station.name(7) == "tx-a"
    assert station.name(8) is None
    known = station.get("tx-a")
    assert known is not None
    assert known.sold
    await station.save()
    assert (await Stations().of(point)).name(7) == "tx-a"


async def test_events_that_are_missing_are_counted() -> None:
    """Repeated ones and a numbering that begins anew are no gap."""
    station = await Stations().of(RecordingChargePoint("CP001"))
    told = [0, 1, 1, 4, 2, 3, 5, 0, 1, None]
    assert [station.missing("a", number) for number in told] == [0, 0, 0, 2, 0, 0, 0, 0, 0, 0]
    assert station.missing("b", 7) == 0
    for number in range(100):
        station.missing(f"tx-{number}", 0)
    assert station.missing("b", 70) == 0

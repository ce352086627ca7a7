"""A session is read from the disk as it was in memory, however many readings came since."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlite_utils import Database

from agent.journal import codec
from agent.journal.journal import Journal, Step
from agent.journal.restoring import MOST_READINGS
from agent.journal.schema import MIGRATIONS
from agent.machine.events import ConnectorStatus, Event, MeterSampled
from agent.machine.model import Session
from agent.machine.session import step
from tests.agent.journal.journals import opened
from tests.agent.machine import examples
from tests.agent.machine.examples import SECOND, T0


def _snapshots(journal: Journal) -> list[bytes]:
    with sqlite3.connect(journal.path) as db:
        return [row[0] for row in db.execute("SELECT snapshot FROM sessions")]


async def _charge(journal: Journal) -> Session:
    session = examples.after(examples.starting(), examples.begun())
    assert await journal.commit(Step(session, [examples.begun()])) == []
    return session


async def _take(journal: Journal, session: Session, event: Event) -> Session:
    after, effects = step(session, event)
    tasks = [("voice:CP001", effect) for effect in effects]
    assert await journal.commit(Step(after, [event], tasks)) is not None
    return after


@pytest.mark.parametrize("readings", [1, MOST_READINGS, MOST_READINGS + 1, 3 * MOST_READINGS])
async def test_readings_since_the_snapshot_are_stepped_through_again(
    tmp_path: Path, readings: int
) -> None:
    async with opened(tmp_path) as journal:
        session = await _charge(journal)
        first = _snapshots(journal)
        for number in range(1, readings + 1):
            at_ms = T0 + (10 + number) * SECOND
            session = await _take(journal, session, examples.sampled(at_ms, 40_000 + number, 3_600))
            assert journal.sessions.get(session.id) == session
        assert (_snapshots(journal) == first) is (readings <= MOST_READINGS)
    async with opened(tmp_path) as journal:
        assert journal.sessions.get(session.id) == session
        assert journal.sessions.live() == [session]
        sampled = journal.sessions.events(session.id, only=MeterSampled)
        assert len(sampled) == readings


Happening = Callable[[int], Event]
"""An event by its place among the others: its key is its own."""


def _reading(after_s: int, register_wh: int | None, power_w: int | None) -> Happening:
    at_ms = T0 + after_s * SECOND
    return lambda number: MeterSampled(f"meter:{number}", at_ms, register_wh, power_w)


def _status(after_s: int, status: ConnectorStatus) -> Happening:
    return lambda number: examples.showed(T0 + after_s * SECOND + number, status)


def _payment(after_s: int) -> Happening:
    return lambda number: examples.paid(T0 + after_s * SECOND, payment_hash=f"{number:02x}")


def _stop(after_s: int) -> Happening:
    return lambda number: examples.asked_to_stop(T0 + after_s * SECOND + number)


_SECONDS = st.integers(10, 600)
_HAPPENINGS: st.SearchStrategy[list[Happening]] = st.lists(
    st.one_of(
        st.builds(
            _reading,
            _SECONDS,
            st.none() | st.integers(0, 60_000),
            st.none() | st.integers(0, 22_000),
        ),
        st.builds(_status, _SECONDS, st.sampled_from(list(ConnectorStatus))),
        st.builds(_payment, _SECONDS),
        st.builds(_stop, _SECONDS),
    ),
    max_size=80,
)


@settings(max_examples=60, deadline=None)
@given(_HAPPENINGS)
def test_whatever_happened_the_disk_has_what_memory_has(happenings: list[Happening]) -> None:
    async def play() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with opened(Path(folder)) as journal:
                session = await _charge(journal)
                for number, happening in enumerate(happenings):
                    session = await _take(journal, session, happening(number))
            async with opened(Path(folder)) as journal:
                assert journal.sessions.get(session.id) == session

    anyio.run(play)


async def test_of_a_step_with_a_known_event_nothing_is_stored(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        session = await _charge(journal)
        reading = examples.sampled(T0 + 20 * SECOND, 40_100)
        session = await _take(journal, session, reading)
        both = Step(session, [reading, examples.begun()])
        assert await journal.commit(both) is None
        assert journal.sessions.events(session.id) == [examples.begun(), reading]


async def test_readings_that_an_older_snapshot_has_are_not_taken_again(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    reading = examples.sampled(T0 + 20 * SECOND, 41_000, 3_600)
    session = examples.after(examples.starting(), examples.begun(), reading)
    with sqlite3.connect(path) as db:
        MIGRATIONS.apply(Database(db), stop_before="m005_samples_beside_the_snapshot")
        db.execute(
            "INSERT INTO sessions VALUES(?, 'CP001', 1, 'CHARGING', '', 1, ?, ?)",
            (session.id, T0, codec.encode(session)),
        )
        for event in (examples.begun(), reading):
            values = (event.key, session.id, event.at_ms, type(event).__name__, codec.encode(event))
            db.execute(
                "INSERT INTO events(key, session_id, at_ms, kind, body) VALUES(?, ?, ?, ?, ?)",
                values,
            )
    async with opened(tmp_path) as journal:
        assert journal.sessions.live() == [session]
        later = await _take(journal, session, examples.sampled(T0 + 30 * SECOND, 42_000))
        assert journal.sessions.live() == [later]
        assert len(journal.sessions.events(session.id)) == 3

"""A database that is damaged, or that another version wrote."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest

from agent.alerts import Alerts
from agent.disk_watch import DiskWatch
from agent.journal.errors import JournalUnusable
from agent.journal.journal import Journal
from bridge.groups import leaves
from tests.agent.journal.journals import opened_at
from tests.agent.test_disk_watch import heard_nothing
from tests.agent.world import ManualClock, running

TABLES = ("sessions", "events", "outbox", "settings")


def damage(path: Path, table: str) -> None:
    """Overwrite the first page of a table, as a bad card does."""
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (page,) = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,))
        (size,) = database.execute("PRAGMA page_size").fetchone()
    database.close()
    content = bytearray(path.read_bytes())
    content[(page[0] - 1) * size : page[0] * size] = b"\xff" * size
    path.write_bytes(content)


@pytest.mark.parametrize("table", TABLES)
async def test_a_start_on_a_damaged_database_says_so(tmp_path: Path, table: str) -> None:
    async with running(tmp_path) as world:
        await world.ready()
        await world.paid()
    damage(tmp_path / "strom.db", table)
    with pytest.raises((JournalUnusable, ExceptionGroup)) as raised:
        async with running(tmp_path):
            pass
    reasons = list(leaves(raised.value))
    assert all(isinstance(reason, JournalUnusable) for reason in reasons), reasons
    assert all("is damaged" in str(reason) for reason in reasons)


async def test_operators_hear_of_what_cannot_be_read_any_more(tmp_path: Path) -> None:
    path = tmp_path / "strom.db"
    async with opened_at(path):
        pass
    damage(path, "outbox")
    alerts = Alerts(ManualClock(), heard_nothing)
    async with opened_at(path) as journal:
        DiskWatch(journal, alerts)
        assert journal.setting("anything") is None
        with pytest.raises(JournalUnusable, match="is damaged"):
            journal.undelivered()
        (sentence,) = alerts.current().values()
        assert f"{path} is damaged" in sentence
        with pytest.raises(sqlite3.ProgrammingError):
            journal.quotes.get(object())  # pyright: ignore[reportArgumentType]


def test_what_a_newer_strom_wrote_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "strom.db"
    Journal.open(path).close()
    with sqlite3.connect(path) as database:
        database.execute(
            "INSERT INTO _sqlite_migrations(migration_set, name, applied_at)"
            " VALUES('strom', 'm999_from_tomorrow', '2099-01-01')"
        )
    database.close()
    before = tmp_path / "before"
    shutil.copy(path, before)
    with pytest.raises(JournalUnusable, match="written by a newer Strom"):
        Journal.open(path)
    assert path.read_bytes() == before.read_bytes()

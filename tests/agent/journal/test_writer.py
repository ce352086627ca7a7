"""The one writer of the database, cut off in the middle."""

from __future__ import annotations

from collections.abc import Awaitable
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from agent.journal.checkpoints import MOST_PAGES, Checkpoints
from agent.journal.errors import JournalUnusable
from agent.journal.journal import Journal
from agent.journal.writer import Writer
from tests.agent.journal.journals import opened

PAGE_BYTES = 4096
ROUNDS = 40
"""The moment in which the thread commits is short: not each round hits it."""


async def test_a_cancellation_waits_for_the_commit_that_is_under_way(tmp_path: Path) -> None:
    """Else the database is closed under the thread that writes to it."""
    hit = 0
    for number in range(ROUNDS):
        journal = Journal.open(tmp_path / f"{number}.sqlite")
        writing = journal._writing  # pyright: ignore[reportPrivateUsage]
        async with anyio.create_task_group() as group:
            group.start_soon(journal.run)
            group.start_soon(journal.set_setting, "name", "x" * 100)
            while not writing.in_transaction and not journal.commits:
                await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        assert not writing.in_transaction
        hit += journal.setting("name") is not None
        journal.close()
    assert hit
    async with opened(tmp_path) as journal:
        assert journal.setting("name") is None


@pytest.mark.parametrize("value", [1 << 70, "\ud800", object(), "its own key"])
async def test_what_cannot_be_stored_takes_nothing_with_it(tmp_path: Path, value: object) -> None:
    """Neither what shares its group, nor the journal."""

    async def refused(write: Awaitable[object]) -> None:
        with pytest.raises(JournalUnusable):
            await write

    statement = "INSERT INTO settings(name, value) VALUES(?, ?)"
    async with opened(tmp_path) as journal:
        writer = journal._writer  # pyright: ignore[reportPrivateUsage]
        await journal.set_setting("its own key", "kept")
        bad = [("its own key" if value == "its own key" else "bad", value)]
        async with anyio.create_task_group() as group:
            group.start_soon(refused, writer.insert(statement, bad))
            group.start_soon(refused, writer.write(lambda db: db.execute(statement, bad[0])))
            good = writer.insert(statement, [("first", "1"), ("second", "2")])
            group.start_soon(journal.set_setting, "third", "3")
            await good
        known = {
            name: journal.setting(name) for name in ("its own key", "first", "second", "third")
        }
        assert known == {"its own key": "kept", "first": "1", "second": "2", "third": "3"}
        assert journal.setting("bad") is None


async def test_what_was_refused_is_told_in_one_line_with_its_origin(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    statement = "INSERT INTO settings(name, value) VALUES(?, ?)"
    async with opened(tmp_path) as journal:
        with pytest.raises(JournalUnusable, match=r"Journal\.set_setting.*surrogates") as refused:
            await journal.set_setting("nameplate:CP001", "half a character \ud800")
        writer = journal._writer  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(JournalUnusable, match=r"2 of settings, the first with 'CP001', 9"):
            await writer.insert(statement, [("CP001", 9), ("CP002", 1 << 70)])
        with pytest.raises(JournalUnusable, match="UNIQUE"):
            await writer.insert(statement, [("twice", "1"), ("twice", "2")])
    told = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(told) == 2, told
    assert told[0].startswith(str(refused.value))
    assert not any("\n" in line for line in told)
    assert not any(record.exc_info for record in caplog.records)


async def test_rows_gather_until_something_is_decided(tmp_path: Path) -> None:
    """The first goes to the disk at once; later ones share a COMMIT with what cannot wait."""
    statement = "INSERT INTO settings(name, value) VALUES(?, ?)"
    async with opened(tmp_path) as journal:
        writing, moving = journal._writing, journal._moving  # pyright: ignore[reportPrivateUsage]
        writer = Writer(writing, Checkpoints(moving), gather_s=3600)
        async with anyio.create_task_group() as group:
            group.start_soon(writer.run)
            await writer.insert(statement, [("first", "1")])
            assert writer.commits == 1
            gathered = [writer.insert(statement, [("second", "2")])]
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            gathered.append(writer.insert(statement, [("third", "3")]))
            assert await writer.write(lambda _: "decided") == "decided"
            for row in gathered:
                await row
            assert writer.commits == 2
            last = writer.insert(statement, [("fourth", "4")])
            await anyio.lowlevel.checkpoint()
            writer.close()
            await last
        assert [journal.setting(name) for name in ("first", "second", "third", "fourth")] == [
            *"1234"
        ]


async def test_the_log_begins_anew_however_long_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an end to the writing, and without a COMMIT that moves all of the log."""
    monkeypatch.setattr("agent.journal.checkpoints.COMMITS", 20)
    async with opened(tmp_path) as journal:
        wal = journal.path.with_name(f"{journal.path.name}-wal")
        begun_anew = 0
        salt = b""
        number = 0
        while begun_anew < 3:
            number += 1
            await journal.set_setting(f"name {number}", "x" * 100)
            begun_anew += salt not in (b"", salt := _salt(wal))
        assert wal.stat().st_size < PAGE_BYTES * MOST_PAGES
    async with opened(tmp_path) as journal:
        kept = [journal.setting(f"name {one + 1}") for one in range(number)]
    assert kept == ["x" * 100] * number


def _salt(wal: Path) -> bytes:
    """What is another one each time that a log begins anew (https://www.sqlite.org/fileformat.html,
    section 4.1)."""
    with wal.open("rb") as file:
        return file.read(32)[16:24]

"""A journal that nothing can be written to: operators can see it, and see its end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import anyio
import pytest

from agent.alerts import Alerts
from agent.disk_watch import DiskWatch, outlasting
from agent.journal.errors import JournalUnusable
from agent.journal.journal import Journal
from agent.ports.errors import Refused
from tests.agent.journal.journals import opened
from tests.agent.world import ManualClock, running


def locked(journal: Journal, value: bool) -> None:
    """The database itself refuses all that changes it, or no longer does."""
    writing = journal._writing  # pyright: ignore[reportPrivateUsage]
    writing.execute(f"PRAGMA query_only = {value}")


async def heard_nothing(text: str) -> None:
    del text


async def test_it_is_told_once_nothing_can_be_stored_and_when_it_can_again(tmp_path: Path) -> None:
    alerts = Alerts(ManualClock(), heard_nothing)
    changed = asyncio.Event()
    alerts.on_change(changed.set)
    async with opened(tmp_path) as journal:
        watch = asyncio.create_task(DiskWatch(journal, alerts, try_again_s=0.01).run())
        await journal.set_setting("name", "before")
        assert not alerts.current()
        locked(journal, True)
        for _ in range(2):
            with pytest.raises(JournalUnusable, match="readonly"):
                await journal.set_setting("name", "meanwhile")
        (sentence,) = alerts.current().values()
        assert sentence.startswith(f"nothing can be stored in {journal.path}: ")
        assert "no payment is taken" in sentence
        changed.clear()
        locked(journal, False)
        # Nobody else writes: it is tried.
        await asyncio.wait_for(changed.wait(), 10)
        assert not alerts.current()
        assert journal.setting("name") == "before"
        watch.cancel()


async def test_what_cannot_be_stored_of_itself_is_no_trouble_of_the_disk(tmp_path: Path) -> None:
    alerts = Alerts(ManualClock(), heard_nothing)
    async with opened(tmp_path) as journal:
        DiskWatch(journal, alerts)
        with pytest.raises(JournalUnusable):
            await journal.set_setting("name", "\ud800")
        assert not alerts.current()


async def test_what_works_in_the_background_outlasts_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("agent.disk_watch.BEGIN_AGAIN_S", 0)
    begun = 0

    async def refused() -> None:
        raise JournalUnusable("database or disk is full")

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun == 1:
            await refused()
        if begun == 2:
            async with anyio.create_task_group() as group:
                group.start_soon(refused)

    await outlasting(work, "pruning")
    assert begun == 3
    assert caplog.messages == ["pruning waits: database or disk is full"] * 2


async def test_what_is_wrong_otherwise_is_not_outlasted() -> None:
    async def work() -> None:
        raise ValueError("a mistake of ours")

    with pytest.raises(ValueError, match="a mistake of ours"):
        await outlasting(work, "pruning")


async def test_no_payment_is_taken_meanwhile(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.ready()
        locked(world.journal, True)
        with pytest.raises((JournalUnusable, Refused)):
            await world.paid()
        assert any("nothing can be stored" in one for one in world.site.office.troubles().values())
        locked(world.journal, False)
        await world.paid()
        assert not world.site.office.troubles()


async def test_a_start_writes_nothing_that_it_cannot_do_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full when the machine starts: chargers and operators find Strom all the same."""
    async with running(tmp_path, steady=ManualClock(0)) as world:
        await world.ready()
    opened_anew = Journal.open

    def full(path: Path) -> Journal:
        journal = opened_anew(path)
        locked(journal, True)
        return journal

    monkeypatch.setattr("tests.agent.world.Journal.open", full)
    async with running(tmp_path, steady=ManualClock(0)) as world:
        await world.until(lambda: "journal" in world.site.office.troubles())

"""The one writer of the database, cut off in the middle."""

from __future__ import annotations

from pathlib import Path

import anyio
import anyio.lowlevel

from agent.journal.journal import Journal
from tests.agent.journal.test_pruning import opened

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

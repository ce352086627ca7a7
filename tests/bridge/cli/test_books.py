"""`strom owed`, with money that no charge explains."""

from __future__ import annotations

import json
import time
from pathlib import Path

import anyio

from agent.journal.journal import Journal
from agent.journal.outside import Unattributed
from tests.bridge.cli.command import Strom

STRAY = Unattributed("ab" * 32, 21_000_000, int(time.time() * 1000) - 7_200_000, "nobody says")


async def _book(path: Path) -> None:
    journal = Journal.open(path)
    async with anyio.create_task_group() as group:
        group.start_soon(journal.run)
        await journal.outside.book(STRAY)
        journal.stop()
    journal.close()


def test_nothing_is_owed_before_the_first_start(strom: Strom) -> None:
    strom("init")
    assert "has not run yet" in strom("owed").out


def test_money_that_nothing_explains_is_listed(strom: Strom, tmp_path: Path) -> None:
    strom("init")
    anyio.run(_book, tmp_path / "data" / "strom.sqlite")
    told = strom("owed")
    assert told.code == 0
    for part in ("Nothing is owed.", "belong to no charge", STRAY.payment_hash, "21,000", "2 h"):
        assert part in told.out, told.out
    assert json.loads(strom("owed", "--json").out) == []

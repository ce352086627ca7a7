"""A journal that is at work, on a file."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio

from agent.journal.journal import Journal
from agent.journal.pruning import DAY_MS

KEEP_MS = 90 * DAY_MS


@asynccontextmanager
async def opened(folder: Path) -> AsyncGenerator[Journal]:
    async with opened_at(folder / "journal.sqlite") as journal:
        yield journal


@asynccontextmanager
async def opened_at(path: Path) -> AsyncGenerator[Journal]:
    journal = Journal.open(path)
    async with anyio.create_task_group() as group:
        group.start_soon(journal.run)
        yield journal
        group.cancel_scope.cancel()
    journal.close()

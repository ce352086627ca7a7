"""What the operating system tells a running Strom."""

from __future__ import annotations

import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskStatus


@asynccontextmanager
async def until_told() -> AsyncGenerator[None]:
    """A block that is left, by being cancelled, when this process is asked to end.

    What must be closed in good order belongs around it: inside, awaiting is over.
    """
    async with anyio.create_task_group() as group:

        async def listen(*, task_status: TaskStatus[None]) -> None:
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                task_status.started()
                async for _ in signals:
                    group.cancel_scope.cancel()

        await group.start(listen)
        yield
        group.cancel_scope.cancel()

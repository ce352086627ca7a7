"""Stored effects on their way to their targets: one worker each, so that none waits for another.

A task is acknowledged once its handler returns; a handler that fails, in whatever way, is asked
again later, so every effect is carried out at least once, also across a crash.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

import anyio.abc

from agent.journal.errors import JournalClosed, JournalUnusable
from agent.journal.journal import Journal, Task

FIRST_RETRY_S = 1.0
LAST_RETRY_S = 300.0

log = logging.getLogger(__name__)


class Retry(Exception):
    """A handler could not do it now; the text says why. The task comes again later."""


Handler = Callable[[Task, bool], Awaitable[None]]
"""Carries out a task; the flag says that it may have been carried out before (a restart).
A handler that acknowledges the task itself, with what it stores, returns all the same."""


class Outbox:
    """Delivers tasks in order within a target, and independently between targets.

    Args:
        journal: where delivered tasks are acknowledged.
        handlers: who carries out the tasks of a target, by the part of its name before ":".
    """

    def __init__(self, journal: Journal, handlers: dict[str, Handler]) -> None:
        self._journal = journal
        self._handlers = handlers
        self._queues: dict[str, deque[tuple[Task, bool]]] = {}
        self._group: anyio.abc.TaskGroup | None = None
        self._hurry = asyncio.Event()

    def start(self, group: anyio.abc.TaskGroup) -> None:
        """Deliver in the background of a task group, beginning with what a crash left over."""
        self._group = group
        for task in self._journal.undelivered():
            self._post(task, recovered=True)

    def post(self, tasks: Iterable[Task]) -> None:
        """Hand over tasks that were just stored."""
        for task in tasks:
            self._post(task, recovered=False)

    def hurry(self) -> None:
        """Try everything that waits for its next attempt again now."""
        self._hurry.set()
        self._hurry = asyncio.Event()

    @property
    def depth(self) -> int:
        """How many tasks wait or are under way."""
        return sum(len(queue) for queue in self._queues.values())

    def _post(self, task: Task, *, recovered: bool) -> None:
        if self._group is None:
            return
        queue = self._queues.get(task.target)
        if queue is not None:
            queue.append((task, recovered))
            return
        self._queues[task.target] = deque([(task, recovered)])
        self._group.start_soon(self._work, task.target, name=f"outbox {task.target}")

    async def _work(self, target: str) -> None:
        """Deliver what waits for one target; end when nothing does."""
        queue = self._queues[target]
        handler = self._handlers[target.partition(":")[0]]
        while queue:
            task, recovered = queue[0]
            await self._deliver(handler, task, recovered)
            queue.popleft()
        del self._queues[target]

    async def _deliver(self, handler: Handler, task: Task, recovered: bool) -> None:
        pause_s = FIRST_RETRY_S
        while True:
            try:
                await handler(task, recovered)
                await self._journal.acknowledge(task.seq)
            except Retry as reason:
                log.warning("%s for %s: %s", type(task.effect).__name__, task.target, reason)
            except JournalClosed:
                return
            except JournalUnusable as error:
                # A disk that is full may have room again; to end would leave every charger alone.
                log.error(
                    "%s for %s cannot be stored: %s", type(task.effect).__name__, task.target, error
                )
            except Exception:
                # What Strom does wrong with one driver's money must not keep it from all others'.
                log.exception(
                    "%s for %s went wrong, which is Strom's own fault; it is tried again",
                    type(task.effect).__name__,
                    task.target,
                )
            else:
                return
            with anyio.move_on_after(pause_s):
                await self._hurry.wait()
            pause_s = min(pause_s * 2, LAST_RETRY_S)
            recovered = True

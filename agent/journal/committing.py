"""COMMIT, which waits for the disk, in a thread of its own: whatever else waits in threads, the
journal never does."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from queue import SimpleQueue
from threading import Thread

import anyio

from agent.journal.checkpoints import Checkpoints

Asked = tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]


class Committing:
    """Commits on one connection, one at a time; nobody else may use it meanwhile.

    Args:
        connection: on which.
        checkpoints: hears of each COMMIT that was done.
    """

    def __init__(self, connection: sqlite3.Connection, checkpoints: Checkpoints) -> None:
        self._connection = connection
        self._checkpoints = checkpoints
        self._asked: SimpleQueue[Asked | None] = SimpleQueue()

    @contextmanager
    def running(self) -> Generator[None]:
        """The thread, which `commit` needs."""
        thread = Thread(target=self._work, name="journal", daemon=True)
        with self._checkpoints.running():
            thread.start()
            try:
                yield
            finally:
                self._asked.put(None)
                thread.join()

    async def commit(self) -> None:
        """COMMIT; a cancellation waits for the disk's answer first.

        Raises:
            sqlite3.Error: the database refused.
        """
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        self._asked.put((loop, done))
        try:
            await asyncio.shield(done)
        except asyncio.CancelledError:
            # A cancelled scope cancels whatever waits again and again, and the connection must
            # not be closed under a thread that uses it.
            with anyio.CancelScope(shield=True):
                await done
            raise

    def _work(self) -> None:
        while (asked := self._asked.get()) is not None:
            loop, done = asked
            refusal: sqlite3.Error | None = None
            try:
                self._connection.execute("COMMIT")
                self._checkpoints.committed(self._connection)
            except sqlite3.Error as error:
                refusal = error
            loop.call_soon_threadsafe(_tell, done, refusal)


def _tell(done: asyncio.Future[None], refusal: sqlite3.Error | None) -> None:
    if done.done():
        return
    if refusal is None:
        done.set_result(None)
    else:
        done.set_exception(refusal)

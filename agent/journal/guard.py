"""One Strom to a journal: two of them would each pay what is owed."""

from __future__ import annotations

import fcntl
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from agent.journal.errors import JournalUnusable


@contextmanager
def held(path: Path) -> Generator[None]:
    """A block in which no other process has this one's journal; the system ends it with us.

    Args:
        path: of the database; beside it stands a file that is locked.

    Raises:
        JournalUnusable: another process has it, or the file cannot be written.
    """
    lock_path = path.with_name(f"{path.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = lock_path.open("a")
    except OSError as error:
        raise JournalUnusable(f"{lock_path} cannot be written: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JournalUnusable(
                f"another Strom works on {path.parent}: stop it first, or give this one a "
                "data_dir of its own"
            ) from None
        yield

"""How a process that serves is set up: its event loop, its pauses, and how many files it may open.

A Strom is one thread that never waits, and threads that wait for the disk. Two habits of
Python stop that one thread for longer than everything else together: the garbage collector,
which looks at every connection and session again and again, and a thread that comes back from
the disk and waits 5 ms for its turn, which holds up a whole group of stored messages.
"""

from __future__ import annotations

import gc
import resource
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from typing import TypeVar

import anyio

T = TypeVar("T")

SWITCH_S = 0.0005
"""How long a thread waits for its turn before the running one is asked for it."""
NEW_OBJECTS = 20_000
"""So many new objects, and the young ones are looked at; every second time what was left over from
them too, which takes tens of milliseconds at most; all of them 600 times later. The messages of 500
chargers that are under way at once are 11,000 objects: they come and go without a look."""

MOST_FILES = 65_536
"""Each connection is a file to the system, which gives a process leave for 1,024 of them, and that
only for the sake of programs that use select()."""


def run(main: Callable[[], Awaitable[T]]) -> T:
    """Run `main` to its end on a fast event loop, with short pauses and many files."""
    with short_pauses(), many_files():
        return anyio.run(main, backend_options={"use_uvloop": True})


@contextmanager
def short_pauses() -> Generator[None]:
    """Keep the garbage collector and the threads from stopping the event loop for long."""
    switch_s, thresholds = sys.getswitchinterval(), gc.get_threshold()
    sys.setswitchinterval(SWITCH_S)
    gc.collect()
    # What is here by now, the modules above all, stays: it need not be looked at again.
    gc.freeze()
    gc.set_threshold(NEW_OBJECTS, 0, 600)
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
        sys.setswitchinterval(switch_s)


@contextmanager
def many_files() -> Generator[None]:
    """Let the process have as many files open as the system allows it to ask for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft == resource.RLIM_INFINITY or soft >= most:
        yield
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

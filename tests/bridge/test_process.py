"""How a process that serves is set up, and that it leaves no trace in the one that asked."""

from __future__ import annotations

import asyncio
import gc
import resource
import sys

from bridge import process


async def _loop() -> tuple[str, float, int]:
    kind = type(asyncio.get_running_loop()).__module__
    return kind, sys.getswitchinterval(), gc.get_threshold()[0]


def test_it_runs_on_a_fast_loop_with_short_pauses_and_puts_all_back() -> None:
    before = sys.getswitchinterval(), gc.get_threshold(), gc.get_freeze_count()
    kind, switch_s, new_objects = process.run(_loop)
    assert kind.startswith("uvloop")
    assert switch_s < before[0]
    assert new_objects > before[1][0]
    assert (sys.getswitchinterval(), gc.get_threshold(), gc.get_freeze_count()) == before


async def _files() -> int:
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_it_may_open_as_many_files_as_there_are_connections() -> None:
    """A service is started with leave for 1,024: chargers and drivers together have more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = min(before[1], process.MOST_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most - 1, before[1]))
    try:
        assert process.run(_files) == most
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == most - 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

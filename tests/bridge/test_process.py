"""How a process that serves is set up, and that it leaves no trace in the one that asked."""

from __future__ import annotations

import asyncio
import gc
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

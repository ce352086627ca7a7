"""One clock for all sessions: whatever deadlines are named in whatever order, each rings once."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.timers import Timers

pytestmark = pytest.mark.anyio

SETS = st.tuples(st.sampled_from("abcd"), st.none() | st.integers(0, 50), st.booleans())
LOOKS = st.integers(0, 50)


class Rung:
    """Timers with a clock that is set by hand, and what they rang for."""

    def __init__(self, idle_places: int = 0) -> None:
        self.now_ms = 0
        self.sessions: list[str] = []
        self.timers = Timers(lambda: self.now_ms, self._ring, idle_places)

    async def _ring(self, charge_point_id: str, session_id: str, at_ms: int) -> None:
        assert (charge_point_id, at_ms) == ("CP", self.now_ms)
        self.sessions.append(session_id)


@given(st.lists(SETS | LOOKS), st.integers(0, 5))
def test_they_ring_as_a_plain_list_of_deadlines_would(
    steps: list[tuple[str, int | None, bool] | int], idle_places: int
) -> None:
    async def rung_as_expected() -> None:
        rung = Rung(idle_places)
        deadlines: dict[str, int] = {}
        for step in steps:
            if isinstance(step, tuple):
                session_id, at_ms, soon = step
                if soon:
                    rung.timers.set_soon(session_id, "CP", {session_id: at_ms}.get)
                else:
                    rung.timers.set(session_id, "CP", at_ms)
                deadlines.pop(session_id, None)
                if at_ms is not None:
                    deadlines[session_id] = at_ms
            else:
                rung.now_ms = step
                due = {name for name, at_ms in deadlines.items() if at_ms <= step}
                assert await rung.timers.ring_due() == len(due)
                assert sorted(rung.sessions) == sorted(due)
                rung.sessions.clear()
                for name in due:
                    del deadlines[name]
                # Not after each step: what is named soon waits for others.
                assert rung.timers.next_at_ms() == min(deadlines.values(), default=None)
        assert rung.timers.next_at_ms() == min(deadlines.values(), default=None)

    asyncio.run(rung_as_expected())


async def test_deadlines_that_move_to_later_take_no_room() -> None:
    rung = Rung()
    for at_ms in range(10_000):
        rung.timers.set("a", "CP", at_ms)
    assert rung.timers.queued == 1
    assert rung.timers.next_at_ms() == 9_999


async def test_deadlines_that_move_to_sooner_and_those_given_up_take_little_room() -> None:
    rung = Rung(idle_places=10)
    for at_ms in range(20_000, 10_000, -1):
        rung.timers.set("a", "CP", at_ms)
        rung.timers.set("b", "CP", at_ms + 30_000)
        rung.timers.set(f"ended {at_ms}", "CP", at_ms)
        rung.timers.set(f"ended {at_ms}", "CP", None)
    assert rung.timers.queued <= 2 * 3 + 10
    rung.now_ms = 10_001
    assert await rung.timers.ring_due() == 1
    rung.now_ms = 40_001
    assert await rung.timers.ring_due() == 1
    assert rung.sessions == ["a", "b"]


async def test_a_deadline_that_moves_again_and_again_is_found_once() -> None:
    rung, found = Rung(), list[str]()

    def find(session_id: str) -> int | None:
        found.append(session_id)
        return 7

    for _ in range(1_000):
        rung.timers.set_soon("a", "CP", find)
    assert not found
    assert rung.timers.next_at_ms() == 7
    assert found == ["a"]


@pytest.mark.parametrize("soon", [False, True])
async def test_a_sooner_deadline_wakes_the_clock(soon: bool) -> None:
    rung = Rung()
    running = asyncio.create_task(rung.timers.run())
    try:
        rung.timers.set("far", "CP", 10_000_000)
        # It goes to sleep until then.
        await asyncio.sleep(0)
        rung.now_ms = 5
        if soon:
            rung.timers.set_soon("near", "CP", {"near": 5}.get)
        else:
            rung.timers.set("near", "CP", 5)
        async with asyncio.timeout(0.5):
            while not rung.sessions:
                await asyncio.sleep(0)
    finally:
        running.cancel()
    assert rung.sessions == ["near"]


async def test_what_is_due_is_dealt_with_also_where_it_rang_already() -> None:
    goes_on, rung = asyncio.Event(), list[str]()

    async def ring(charge_point_id: str, session_id: str, at_ms: int) -> None:
        del charge_point_id, at_ms
        await goes_on.wait()
        rung.append(session_id)

    timers = Timers(lambda: 5, ring)
    timers.set("a", "CP", 5)
    async with asyncio.TaskGroup() as group:
        first, second = (group.create_task(timers.ring_due()) for _ in range(2))
        while timers.next_at_ms() is not None:
            await asyncio.sleep(0)
        assert not second.done()
        goes_on.set()
    assert (rung, first.result(), second.result()) == (["a"], 1, 0)

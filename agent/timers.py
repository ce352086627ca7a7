"""When each session's next deadline comes: one clock for all of them."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Awaitable, Callable

from agent.clock import Clock

LONGEST_SLEEP_S = 1.0
"""The clock is looked at that often at least: it may be set, and machines go to sleep."""

SOON_S = 0.05
"""So much later a deadline is named that readings move: a meter that is read a hundred times a
second moves it as often, and finding it costs as much as all else that a reading changes."""

Find = Callable[[str], int | None]
"""Says a session's deadline as it is by now, in Unix ms; None for none."""

Ring = Callable[[str, str, int], Awaitable[object]]
"""Called with charge point, session and the time that was reached, in Unix ms. A reminder of a
charge point's own has a name in the session's place."""


class Timers:
    """Rings for each session at its deadline, until the session names another.

    Args:
        clock: Unix milliseconds.
        ring: called for each deadline that is reached.
        look: called before the clock is asked which are.
        idle_places: so many places in the queue may be nobody's any more, and as many again as
            there are deadlines.
    """

    def __init__(
        self,
        clock: Clock,
        ring: Ring,
        idle_places: int = 100,
        look: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._clock = clock
        self._look = look
        self._ring = ring
        self._idle_places = idle_places
        self._due: dict[str, tuple[int, str]] = {}
        self._queued: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []
        self._moved: dict[str, tuple[str, Find]] = {}
        self._sooner = asyncio.Event()
        self._ringing = asyncio.Lock()

    def set(self, session_id: str, charge_point_id: str, at_ms: int | None) -> None:
        """Name the session's next deadline; None for no deadline."""
        self._moved.pop(session_id, None)
        if at_ms is None:
            self._due.pop(session_id, None)
            return
        self._due[session_id] = (at_ms, charge_point_id)
        # Every sample moves a deadline, mostly to later: then the session's place in the queue
        # comes up early and is moved there, which costs nothing now and wakes nobody.
        queued_at_ms = self._queued.get(session_id)
        if queued_at_ms is None or at_ms < queued_at_ms:
            self._queue(session_id, at_ms)
            self._tidy()
            if self._heap[0] == (at_ms, session_id):
                self._sooner.set()

    def set_soon(self, session_id: str, charge_point_id: str, find: Find) -> None:
        """Have the session's next deadline found a moment later, and before any rings."""
        if not self._moved:
            asyncio.get_running_loop().call_later(SOON_S, self._find_moved)
        self._moved[session_id] = (charge_point_id, find)

    def _find_moved(self) -> None:
        while self._moved:
            session_id, (charge_point_id, find) = self._moved.popitem()
            self.set(session_id, charge_point_id, find(session_id))

    def _queue(self, session_id: str, at_ms: int) -> None:
        self._queued[session_id] = at_ms
        heapq.heappush(self._heap, (at_ms, session_id))

    def _tidy(self) -> None:
        """Deadlines that come sooner each time, as with a car that takes ever more, leave a place
        behind each time."""
        if len(self._heap) <= 2 * len(self._due) + self._idle_places:
            return
        self._queued = {session_id: at_ms for session_id, (at_ms, _) in self._due.items()}
        self._heap = [(at_ms, session_id) for session_id, at_ms in self._queued.items()]
        heapq.heapify(self._heap)

    @property
    def queued(self) -> int:
        """How many places in the queue are taken."""
        return len(self._heap)

    def next_at_ms(self) -> int | None:
        """The earliest deadline."""
        self._find_moved()
        while self._heap:
            at_ms, session_id = self._heap[0]
            due_at_ms = self._due.get(session_id, (None,))[0]
            is_its_place = self._queued.get(session_id) == at_ms
            if is_its_place and due_at_ms == at_ms:
                return at_ms
            heapq.heappop(self._heap)
            if is_its_place:
                del self._queued[session_id]
                if due_at_ms is not None:
                    self._queue(session_id, due_at_ms)
        return None

    async def ring_due(self) -> int:
        """Ring for every deadline that the clock has passed.

        Returns:
            For how many, once all of them are dealt with, also one that rang already.
        """
        count = 0
        async with self._ringing:
            if self._look is not None:
                await self._look()
            now_ms = self._clock()
            while (at_ms := self.next_at_ms()) is not None and at_ms <= now_ms:
                _, session_id = heapq.heappop(self._heap)
                del self._queued[session_id]
                _, charge_point_id = self._due.pop(session_id)
                await self._ring(charge_point_id, session_id, now_ms)
                count += 1
        return count

    async def run(self) -> None:
        """Ring at every deadline, until cancelled."""
        while True:
            await self.ring_due()
            self._sooner.clear()
            at_ms = self.next_at_ms()
            left_s = LONGEST_SLEEP_S
            if at_ms is not None:
                left_s = min(left_s, max(0, at_ms - self._clock()) / 1000)
            try:
                async with asyncio.timeout(left_s):
                    await self._sooner.wait()
            except TimeoutError:
                continue

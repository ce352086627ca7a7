"""Troubles that an operator must know of: each told when it begins, and when it is over.

A trouble has a name, under which it is raised and cleared. It is in the log at once; the
operators get a message, but of one that comes and goes not more than one in a while: one that came
back meanwhile and stays is told of after that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

import anyio

from agent.clock import Clock
from agent.journal.errors import JournalUnusable

QUIET_MS = 600_000
"""How long after a message about a trouble the next one about it may come."""

MOST_WAITING = 100

_LOOK_S = 30.0
"""How often it is looked whether one that was not told of may be told of now."""

log = logging.getLogger(__name__)

Tell = Callable[[str], Awaitable[None]]
"""Sends a message to every operator."""


class Alerts:
    """What is wrong now.

    Args:
        clock: Unix milliseconds.
        tell: sends a message to every operator.
    """

    def __init__(self, clock: Clock, tell: Tell) -> None:
        self._clock = clock
        self._tell = tell
        self._troubles: dict[str, str] = {}
        self._told_at_ms: dict[str, int] = {}
        self._told: set[str] = set()
        self._withheld: set[str] = set()
        """Troubles that came, or got worse, too soon after the last message about them."""
        self._waiting: asyncio.Queue[str] = asyncio.Queue(MOST_WAITING)
        self._on_change: list[Callable[[], None]] = []

    def on_change(self, call: Callable[[], None]) -> None:
        """Call this whenever what is wrong has changed."""
        self._on_change.append(call)

    def raised(self, name: str, sentence: str, *, again: bool = False) -> None:
        """Something is wrong; nothing happens when that is known already.

        Args:
            name: of the trouble, the same as for `cleared`.
            sentence: for the operator, without secrets.
            again: tell of it although it is known: it got worse.
        """
        known = name in self._troubles
        if self._troubles.get(name) != sentence:
            self._troubles[name] = sentence
            self._changed()
        if known and not again:
            return
        log.warning("%s", sentence)
        self._withheld.add(name)
        self._tell_withheld(name)

    def cleared(self, name: str, sentence: str) -> None:
        """It is well again; nothing happens when nothing was wrong."""
        if self._troubles.pop(name, None) is None:
            return
        self._changed()
        self._withheld.discard(name)
        log.warning("%s", sentence)
        if name in self._told:
            self._told.discard(name)
            self._message(name, f"✓ {sentence}")

    def happened(self, name: str, sentence: str) -> None:
        """Something happened that is over at once: operators get a message, one in a while.

        Args:
            name: of what happened.
            sentence: for the operator, without secrets.
        """
        if not self._was_just_told(name):
            self._message(name, f"⚠ {sentence}")

    def _was_just_told(self, name: str) -> bool:
        last_ms = self._told_at_ms.get(name)
        # The clock may have been set back since.
        return last_ms is not None and 0 <= self._clock() - last_ms < QUIET_MS

    def current(self) -> Mapping[str, str]:
        """What is wrong now, by name."""
        return dict(self._troubles)

    def _tell_withheld(self, name: str) -> None:
        if not self._was_just_told(name):
            self._withheld.discard(name)
            self._told.add(name)
            self._message(name, f"⚠ {self._troubles[name]}")

    def _changed(self) -> None:
        for call in self._on_change:
            call()

    def _message(self, name: str, text: str) -> None:
        self._told_at_ms[name] = self._clock()
        try:
            self._waiting.put_nowait(text)
        except asyncio.QueueFull:
            log.warning("a message to the operators is left out: too many wait")

    async def run(self) -> None:
        """Send the messages until cancelled."""
        while True:
            for name in tuple(self._withheld):
                self._tell_withheld(name)
            text = ""
            with anyio.move_on_after(_LOOK_S):
                text = await self._waiting.get()
            if not text:
                continue
            try:
                await self._tell(text)
            except JournalUnusable as error:
                log.error("the operators cannot be told: %s", error)

"""What a charge point remembers of those who write to it: their language, and what it told them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

HELP_EVERY_MS = 600_000
GREETINGS = 3
"""How often help is given in that time to one who asks for it by name, or who has paid: bots do
the first forever."""

MOST_REMEMBERED = 5_000
_LAST_ANSWERS = 4
_TELLING_CHARACTERS = 16


@dataclass
class Memory:
    """What is remembered of one who writes to one charge point; lost at a restart.

    Attributes:
        language: that his words showed last; "" before.
        answers: what he was told last.
    """

    language: str = ""
    answers: deque[str] = field(default_factory=lambda: deque[str](maxlen=_LAST_ANSWERS))
    _helped_at_ms: deque[int] = field(default_factory=lambda: deque[int](maxlen=GREETINGS))

    def echoes(self, text: str) -> bool:
        """Whether a text carries words that we said ourselves: another bot, or a quote."""
        return any(
            line in text
            for answer in self.answers
            for line in answer.splitlines()
            if len(line) >= _TELLING_CHARACTERS and " " in line
        )

    def may_help(self, now_ms: int, most: int) -> bool:
        """Whether help is given again: so often in a while."""
        recent = [at_ms for at_ms in self._helped_at_ms if now_ms - at_ms < HELP_EVERY_MS]
        if len(recent) >= most:
            return False
        self._helped_at_ms.append(now_ms)
        return True


class Memories:
    """Of all who write; the newest are kept."""

    def __init__(self) -> None:
        self._memories: dict[tuple[str, str], Memory] = {}

    def of(self, charge_point_id: str, sender: str) -> Memory:
        """What is remembered of a sender, who moves to the end."""
        name = (charge_point_id, sender)
        memory = self._memories.pop(name, None) or Memory()
        if len(self._memories) >= MOST_REMEMBERED:
            self._memories.pop(next(iter(self._memories)))
        self._memories[name] = memory
        return memory

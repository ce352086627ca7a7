"""What time it is: handed to whoever needs it, so that nobody waits for it in a test."""

from __future__ import annotations

from collections.abc import Callable

Clock = Callable[[], int]
"""The time in Unix milliseconds."""

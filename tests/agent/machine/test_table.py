from __future__ import annotations

import pytest

from agent.machine.table import row, table


def _length(subject: str, event: str) -> int:
    return len(subject) + len(event)


def test_two_rows_for_the_same_are_refused() -> None:
    with pytest.raises(ValueError, match="two rows for OPEN and str"):
        table([row("OPEN", str, _length), row("OPEN", str, _length)])

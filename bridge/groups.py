"""Errors that come out of task groups, wrapped once for each group they passed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors themselves, whatever groups are around them."""
    if isinstance(error, BaseExceptionGroup):
        for part in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from leaves(part)
    else:
        yield error

"""Cursors of settlement streams: an index, and the source that counts it.

An operator may exchange his wallet for another one. A cursor of the old one means nothing
there, so it is told apart and the new wallet's stream begins at its beginning.
"""

from __future__ import annotations


def write(source: str, index: int) -> str:
    """The cursor behind entry `index` (counted from 1) of a source such as "lnd-02ab34cd"."""
    return f"{source}:{index}"


def read(source: str, cursor: str) -> int:
    """The index behind which to go on: 0 for no cursor, and for one of another source."""
    owner, _, index = cursor.rpartition(":")
    return int(index) if owner == source and index.isascii() and index.isdigit() else 0

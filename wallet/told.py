"""What a stream has told of already."""

from __future__ import annotations

from collections import OrderedDict

REMEMBERED = 10_000


class Told:
    """The payment hashes that a stream told of, the latest ones only."""

    def __init__(self) -> None:
        self._hashes: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, payment_hash: str) -> bool:
        return payment_hash in self._hashes

    def is_new(self, payment_hash: str) -> bool:
        """Whether a hash was not told of yet; from now on it was."""
        if payment_hash in self._hashes:
            return False
        self._hashes[payment_hash] = None
        if len(self._hashes) > REMEMBERED:
            self._hashes.popitem(last=False)
        return True

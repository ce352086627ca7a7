"""OCPP 2.0.1 names transactions by the charger's text, Strom by a number: which is which.

Kept in a file, since both must still be known after a restart in the middle of a session.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path

_KEEP = 20_000


class TransactionNames:
    """Numbers of transactions by charge point and the charger's own name, both ways.

    Args:
        path: where they are kept; None keeps them in memory alone.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._numbers: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._names: dict[tuple[str, int], str] = {}
        if path is not None and path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                charge_point_id, _, rest = line.partition("\t")
                number, tab, name = rest.partition("\t")
                if tab and number.isdigit():
                    self._know(charge_point_id, name, int(number))

    def number(self, charge_point_id: str, name: str) -> int | None:
        """The number of a transaction by its name."""
        return self._numbers.get((charge_point_id, name))

    def name(self, charge_point_id: str, number: int) -> str | None:
        """The name of a transaction by its number."""
        return self._names.get((charge_point_id, number))

    def learn(self, charge_point_id: str, name: str, number: int) -> None:
        """Remember a transaction; returns once that is on the disk.

        Raises:
            OSError: it cannot be written.
        """
        if self._numbers.get((charge_point_id, name)) == number:
            return
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{charge_point_id}\t{number}\t{name}\n")
                file.flush()
                os.fsync(file.fileno())
        self._know(charge_point_id, name, number)

    def _know(self, charge_point_id: str, name: str, number: int) -> None:
        self._numbers[charge_point_id, name] = number
        self._names[charge_point_id, number] = name
        if len(self._numbers) > _KEEP:
            (oldest, _), old_number = self._numbers.popitem(last=False)
            self._names.pop((oldest, old_number), None)

"""Whether a charger names its transactions by their numbers: learned from what it reports."""

from __future__ import annotations

from agent.journal.journal import Journal


class Numbering:
    """By the number of which transaction the meter of each connector of one charger was read last,
    where that transaction is of the connector; it survives a restart.

    Args:
        charge_point_id: whose.
        journal: where it is kept.
    """

    def __init__(self, charge_point_id: str, journal: Journal) -> None:
        self._setting = f"numbers:{charge_point_id}"
        self._journal = journal
        self._numbers: dict[int, int] = {}
        self._is_kept = True

    def resume(self) -> None:
        """Take up what the journal knows."""
        stored = self._journal.setting(self._setting) or ""
        pairs = (pair.split("=") for pair in stored.split(",") if pair)
        self._numbers = {int(connector): int(number) for connector, number in pairs}

    def is_right(self, connector: int, transaction_id: int) -> bool:
        """Whether what runs on a connector was called by its own number there."""
        return self._numbers.get(connector) == transaction_id

    def heard(self, connector: int, transaction_id: int) -> None:
        """What runs on a connector was called by its own number."""
        if self._numbers.get(connector) != transaction_id:
            self._numbers[connector] = transaction_id
            self._is_kept = False

    async def keep(self) -> None:
        """Store what is new; returns once it is stored."""
        if not self._is_kept:
            self._is_kept = True
            pairs = (f"{connector}={number}" for connector, number in self._numbers.items())
            await self._journal.set_setting(self._setting, ",".join(pairs))

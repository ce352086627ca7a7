"""What a simulated charger knows of its connectors and transactions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bridge.simulator.electric import Meter


@dataclass(slots=True, eq=False)
class Transaction:
    """A transaction; `id` is None until the central system gave one.

    Attributes:
        samples: what goes into the StopTransaction's transactionData.
        stopped: whether it has ended.
    """

    id_tag: str
    meter_start_wh: int
    id: int | None = None
    samples: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    stopped: bool = False


@dataclass(slots=True, eq=False)
class Connector:
    """One connector.

    Attributes:
        status: as last reported (OCPP 1.6 section 7.7).
        plugged: whether a car is plugged in.
        operative: whether the operator lets it work.
        suspended: whether the car takes no energy for now.
        fault: an errorCode while it is broken, else "".
        awaited_tag: the id tag of an accepted remote start that waits for the plug.
    """

    id: int
    meter: Meter
    status: str = "Available"
    plugged: bool = False
    operative: bool = True
    suspended: bool = False
    fault: str = ""
    awaited_tag: str = ""
    attempt: int = 0
    transaction: Transaction | None = None

    @property
    def energy_wh(self) -> int:
        """The register in whole Wh, as it is reported."""
        return int(self.meter.register_wh)

    def natural_status(self) -> str:
        """The status that follows from all the rest."""
        if self.fault:
            return "Faulted"
        if self.transaction is not None:
            if self.suspended or self.meter.battery.full:
                return "SuspendedEV"
            return "Charging"
        if self.plugged:
            return "Preparing" if self.awaited_tag or self.status != "Finishing" else "Finishing"
        if self.awaited_tag:
            return "Preparing"
        return "Available" if self.operative else "Unavailable"


@dataclass(slots=True, eq=False)
class Queued:
    """A message about a transaction that must reach the central system, in its order."""

    action: str
    payload: dict[str, Any]
    transaction: Transaction
    attempts: int = 0

"""A charger: what it is asked for, what it answers, and what it reports."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from agent.machine.meter import Source


class StartOutcome(StrEnum):
    """A charger's answer to being asked to start."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class StopOutcome(StrEnum):
    """A charger's answer to being asked to stop."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class WatchOutcome(StrEnum):
    """A charger's answer to being asked for a reading of its meter."""

    COMING = "coming"
    UNSUPPORTED = "unsupported"
    UNKNOWN = "unknown"


class ChargerCommand(StrEnum):
    """What an operator may ask of a charger."""

    RESET = "reset"
    UNLOCK = "unlock"
    ENABLE = "enable"
    DISABLE = "disable"


class Charger(Protocol):
    """A connected charger, as a bridge hands it to the agent.

    No method raises for a charger that misbehaves: what cannot be known is UNKNOWN.
    """

    async def start(self, connector: int, id_tag: str) -> StartOutcome:
        """Ask to start charging on a connector under an id tag of at most 18 characters."""
        ...

    async def stop(self, transaction_id: int) -> StopOutcome:
        """Ask to stop a transaction."""
        ...

    async def command(self, command: ChargerCommand, connector: int) -> bool:
        """Carry out an operator's command (connector 0: the whole charge point); True if done."""
        ...

    async def watch(self, connector: int) -> WatchOutcome:
        """Have a connector's meter read now, or more often; takes seconds at most."""
        ...

    async def watch_as_usual(self, connector: int) -> None:
        """Undo what `watch` changed."""
        ...

    async def cut_power(self, connector: int, transaction_id: int) -> bool:
        """Give no more power to a transaction; True if the charger does so."""
        ...


@dataclass(frozen=True, slots=True)
class Nameplate:
    """What a charger says of itself when it boots; "" where it says nothing."""

    vendor: str = ""
    model: str = ""
    serial: str = ""
    firmware: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """What a charger says is wrong with a connector, or with itself; texts are its own words, on
    one line.

    Attributes:
        code: what is wrong, as OCPP calls it; "" where it does not say.
        vendor_code: the same by its vendor's list; "" for nothing.
        info: what it says besides; "" for nothing.
        since_ms: since when, Unix ms.
        is_grave: whether somebody must see to it although the connector is not Faulted.
    """

    code: str
    vendor_code: str
    info: str
    since_ms: int
    is_grave: bool = False

    @property
    def reason(self) -> str:
        """All of it in short: "GroundFailure (E12): RCD tripped"."""
        vendor_code = (
            f"({self.vendor_code})" if self.code and self.vendor_code else self.vendor_code
        )
        named = f"{self.code} {vendor_code}".strip()
        return ": ".join(part for part in (named, self.info) if part)


@dataclass(frozen=True, slots=True)
class StartReport:
    """A charger's word that a transaction began (OCPP StartTransaction).

    The four first fields together with the charge point name the transaction: a charger
    that repeats them means the same one. So `started_at_ms` is the charger's own time,
    however wrong its clock is; `began_at_ms` is the same moment by our clock, None where
    it needs no correction. `connector` is 0, and `register_wh` None, where the charger did not
    say it.
    """

    connector: int
    id_tag: str
    register_wh: int | None
    started_at_ms: int
    began_at_ms: int | None = None


@dataclass(frozen=True, slots=True)
class StartVerdict:
    """The agent's answer: the id that the transaction has from now on, and whether it may go on."""

    transaction_id: int
    accepted: bool


class MeterReport(Struct, frozen=True):
    """One reading of the meter. `transaction_id` is None where the charger named none.

    Attributes:
        connector: the connector that was read.
        transaction_id: as the charger gave it; trusted only when it is one of ours.
        sampled_at_ms: when, corrected for the charger's clock.
        register_wh: the energy register in Wh; None when the sample had none.
        power_w: power in W; None when the sample had none.
        fraction_mwh: what rounding took off the register or added, in thousandths of a Wh,
            where it was not written in kWh.
        source: where it was read, or that the register is a sum of intervals.
    """

    connector: int
    transaction_id: int | None
    sampled_at_ms: int
    register_wh: int | None
    power_w: int | None = None
    fraction_mwh: int = 0
    source: Source = Source.SAMPLE


@dataclass(frozen=True, slots=True)
class StopReport:
    """A charger's word that a transaction ended (OCPP StopTransaction).

    `presumed` where it never said so, and only knows nothing of it any more.
    """

    transaction_id: int
    register_wh: int | None
    stopped_at_ms: int
    reason: str = "Local"
    id_tag: str = ""
    presumed: bool = False

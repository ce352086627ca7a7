"""What an operator sees of a charger: plain data, for the command line and the console alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class ShownFault:
    """What a charger says is wrong.

    Attributes:
        connector: with which connector; 0 for the charger itself.
        reason: what, in its own words.
        since_ms: since when, Unix ms.
    """

    connector: int
    reason: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class ChargerSheet:
    """A charge point's charger at one moment; texts are the charger's own words.

    Attributes:
        id: of the charge point.
        connected: whether it is connected.
        version: the version of OCPP that it speaks; "" while it is not connected.
        vendor, model, serial, firmware: what it said at its last boot; "" for nothing.
        connectors: the state of each, by its number.
        faults: what it says is wrong with them.
        answers: whether it answers: a connection that hangs looks open.
        since_ms: since when it is connected, Unix ms; None while it is not.
        heard_at_ms: when it was last heard, Unix ms; None where nobody knows.
        ping_ms: what our last ping took there and back; None while none was answered.
        clock_behind_ms: how far its clock is behind ours, negative for ahead; None while that was
            not measured.
        wanted_profile: the least security profile that the operator's file asks for.
        profile: the one that it met; None while it is not connected.
        showed: what it showed and was asked for: "tls", "password", "certificate".
        certificate_expires_at_ms: when the certificate that it last showed expires, Unix ms; None
            where it showed none.
        troubles: what operators were told of it and is not over, a sentence each.
    """

    id: str
    connected: bool
    version: str = ""
    vendor: str = ""
    model: str = ""
    serial: str = ""
    firmware: str = ""
    connectors: dict[str, str] = field(default_factory=dict[str, str])
    faults: tuple[ShownFault, ...] = ()
    answers: bool = False
    since_ms: int | None = None
    heard_at_ms: int | None = None
    ping_ms: int | None = None
    clock_behind_ms: int | None = None
    wanted_profile: int = 0
    profile: int | None = None
    showed: tuple[str, ...] = ()
    certificate_expires_at_ms: int | None = None
    troubles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of a charger's configuration.

    Attributes:
        key: its name.
        wanted: the value that it shall have, masked for a secret.
        present: the value that it has, masked alike.
        state: "set", or why it has not that value.
        here: what it is called in the version of OCPP that the charger speaks; "" for the same.
        matters: whether somebody must see to it.
        means: what follows from the value that it has, a word of the catalogues behind
            "setting."; "" for nothing.
        beyond_wh: the energy that may flow between two readings of the meter, where that is much.
    """

    key: str
    wanted: str
    present: str
    state: str
    here: str = ""
    matters: bool = False
    means: str = ""
    beyond_wh: int = 0


@dataclass(frozen=True, slots=True)
class SettingsSheet:
    """A charger's configuration as it was last compared.

    Attributes:
        checked_at_ms: when, Unix ms; 0 for never.
        keys: each key that is wanted, or that billing needed to be changed.
        trouble: why nothing could be compared; "" where it could.
    """

    id: str
    checked_at_ms: int = 0
    keys: tuple[Setting, ...] = ()
    trouble: str = ""


class SecurityEventLine(Protocol):
    """A security event that a charger reported."""

    @property
    def at_ms(self) -> int:
        """When, Unix ms."""
        ...

    @property
    def kind(self) -> str:
        """Its type."""
        ...

    @property
    def info(self) -> str:
        """What the charger said besides."""
        ...

    @property
    def alarming(self) -> bool:
        """Whether operators were told of it."""
        ...


class SpokenLine(Protocol):
    """A message between a charger and Strom, secrets masked."""

    @property
    def at_ms(self) -> int:
        """When, Unix ms."""
        ...

    @property
    def incoming(self) -> bool:
        """Whether the charger said it."""
        ...

    @property
    def form(self) -> str:
        """ "call", "answer", "error" or "other"."""
        ...

    @property
    def action(self) -> str:
        """What it is about."""
        ...

    @property
    def said(self) -> str:
        """The rest, on one line."""
        ...


@dataclass(frozen=True, slots=True)
class LogQuery:
    """Which messages are wanted.

    Attributes:
        most: so many at most, the latest.
        incoming: only those of the charger, or only those to it; None for both.
        text: what their action or content has in it, in any case; "" for anything.
        before_ms: only those before this time, Unix ms; None for up to now.
    """

    most: int
    incoming: bool | None = None
    text: str = ""
    before_ms: int | None = None


Presence = Literal["answers", "silent", "away"]
"""Whether a charger answers, is connected and does not answer, or is not connected."""


class Chargers(Protocol):
    """What the operator may look at; every call may raise UnknownChargePoint."""

    def presence(self, charge_point_id: str) -> Presence:
        """Whether a charger is there; costs next to nothing."""
        ...

    async def sheet(self, charge_point_id: str) -> ChargerSheet:
        """How a charger is."""
        ...

    async def settings(self, charge_point_id: str) -> SettingsSheet:
        """How its configuration is."""
        ...

    async def events(self, charge_point_id: str) -> Sequence[SecurityEventLine]:
        """The security events that it reported, the latest first."""
        ...

    async def log(self, charge_point_id: str, query: LogQuery) -> Sequence[SpokenLine]:
        """What was said, the latest first."""
        ...

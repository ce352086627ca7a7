"""How each charger's connection is: what the operator sees of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from bridge.ocpp.connection import Connection
from bridge.ocpp.heard_connection import HeardConnection
from bridge.ocpp.security.admission import Visitor

TLS, PASSWORD, CERTIFICATE = "tls", "password", "certificate"


class Dialect(Protocol):
    """The version of OCPP that is spoken."""

    @property
    def clock_behind_ms(self) -> int | None:
        """How far the charger's clock is behind ours; None while that was not measured."""
        ...


@dataclass(frozen=True, slots=True)
class LinkState:
    """A connection at one moment.

    Attributes:
        since_ms: since when it is there, Unix ms; None where it is not.
        answers: whether the charger answers.
        heard_at_ms: when a byte last came, Unix ms; None where that is not known.
        ping_ms: what our last ping took there and back; None while none was answered.
        clock_behind_ms: how far the charger's clock is behind ours, negative for ahead; None
            while that was not measured.
        showed: what the charger showed of itself: "tls", "password", "certificate".
    """

    since_ms: int | None = None
    answers: bool = False
    heard_at_ms: int | None = None
    ping_ms: int | None = None
    clock_behind_ms: int | None = None
    showed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Link:
    """A connection that is there."""

    connection: Connection
    socket: HeardConnection
    dialect: Dialect
    showed: tuple[str, ...]
    since_ms: int


class Links:
    """The connections that count, and when each charger was heard last.

    Args:
        clock: our time in Unix ms.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._links: dict[str, Link] = {}
        self._heard_at_ms: dict[str, int] = {}

    def opened(
        self,
        connection: Connection,
        socket: HeardConnection,
        dialect: Dialect,
        showed: tuple[str, ...],
    ) -> Link:
        """A charger connected; its newest connection counts."""
        link = Link(connection, socket, dialect, showed, self._clock())
        self._links[connection.charge_point_id] = link
        return link

    def closed(self, link: Link) -> None:
        """A connection ended."""
        charge_point_id = link.connection.charge_point_id
        if self._links.get(charge_point_id) is link:
            del self._links[charge_point_id]
            self._heard_at_ms[charge_point_id] = self._heard(link)

    def state(self, charge_point_id: str) -> LinkState:
        """How the connection of a charge point's charger is now."""
        link = self._links.get(charge_point_id)
        if link is None:
            return LinkState(heard_at_ms=self._heard_at_ms.get(charge_point_id))
        ping_s = link.socket.ping_s
        return LinkState(
            since_ms=link.since_ms,
            answers=link.connection.answers,
            heard_at_ms=self._heard(link),
            ping_ms=None if ping_s is None else max(1, round(ping_s * 1000)),
            clock_behind_ms=link.dialect.clock_behind_ms,
            showed=link.showed,
        )

    def _heard(self, link: Link) -> int:
        """Unix ms of a moment that the connection knows by the event loop's clock."""
        heard_at = link.socket.heard_at
        if not heard_at:
            return link.since_ms
        ago_s = asyncio.get_running_loop().time() - heard_at
        return self._clock() - round(ago_s * 1000)


def shown(visitor: Visitor) -> tuple[str, ...]:
    """What a charger that was let in showed of itself."""
    ways = {
        TLS: visitor.over_tls,
        PASSWORD: bool(visitor.authorization),
        CERTIFICATE: visitor.certificate is not None,
    }
    return tuple(way for way, was_shown in ways.items() if was_shown)


def profile_of(ways: Collection[str]) -> int:
    """The security profile that was met (security whitepaper, section 2).

    Args:
        ways: what the charger showed and was asked for.
    """
    if CERTIFICATE in ways:
        return 3
    if PASSWORD in ways:
        return 2 if TLS in ways else 1
    return 0

"""The OCPP-J server: where chargers connect, who may, and which connection counts."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from agent.alerts import Alerts
from agent.config.models import Wishes
from agent.config.values import CHARGE_POINT_ID, is_charger_id
from agent.ports.charge_point import ChargePoint
from agent.ports.charger import Nameplate
from agent.ports.errors import AgentError, UnknownChargePoint
from agent.ports.site import ChargePoints
from bridge.errors import CannotListen
from bridge.ocpp.clocks import Clocks
from bridge.ocpp.configuration.upkeep import Upkeep
from bridge.ocpp.connection import Connection, FrameLog, NoLog
from bridge.ocpp.desk import Desk, Line
from bridge.ocpp.dialects import Dialect16, Dialect201
from bridge.ocpp.errors import OcppError
from bridge.ocpp.handshakes import (
    OCPP201,
    fault,
    id_in_path,
    mend,
    offered_subprotocols,
    spoken,
)
from bridge.ocpp.heard_connection import HeardConnection
from bridge.ocpp.limits import Limits
from bridge.ocpp.links import Links, shown
from bridge.ocpp.listeners import Listeners
from bridge.ocpp.liveness import Liveness
from bridge.ocpp.security.admission import AuthPolicy, Guard, Visitor, refusal
from bridge.ocpp.security.extension import SecurityExtension
from bridge.ocpp.security.signing import Signing
from bridge.ocpp.security.tls import client_certificate
from bridge.ocpp.v201.transactions import Stations
from bridge.ocpp.watching import Abilities

logger = logging.getLogger(__name__)

_MOST_OF_A_NAME = 60


@dataclass(frozen=True, slots=True)
class TlsListener:
    """Where chargers connect over TLS ("host:port"), and what is shown to them."""

    listen: str
    context: ssl.SSLContext


class OcppServer:
    """Listens for chargers.

    Whichever way a charger comes, its newest connection is the one that counts.

    Args:
        site: the charge points.
        listen: "host:port"; port 0 lets the system choose.
        policy: who may connect, by charge point id as configured.
        clock: our time in Unix ms.
        guard: is told who comes to the door.
        limits: what one connection may take.
        log: keeps what goes over the wire.
        tls: a second listener, for wss:// (security profiles 2 and 3).
        settings: the configuration keys that a charge point's charger shall have, by what it
            is; with None chargers are not asked for their configuration at all.
        called: charge point ids, by what their chargers call themselves.
        leaving: a charge point that has left the operator's file and is let in all the same, by
            what its charger calls itself; it comes before another one whose charger does so, too.
        names_file: where an earlier version kept the names of OCPP 2.0.1's transactions.
        alerts: who tells the operators.

    Attributes:
        desk: sends what the operator asks for.
        upkeep: keeps the chargers' configuration; None where it stays as it is.
        links: how each charger's connection is.
    """

    def __init__(
        self,
        site: ChargePoints,
        listen: str,
        policy: Callable[[str], AuthPolicy],
        clock: Callable[[], int],
        *,
        guard: Guard | None = None,
        limits: Limits | None = None,
        log: FrameLog | None = None,
        tls: TlsListener | None = None,
        settings: Callable[[str, Nameplate], Wishes] | None = None,
        called: Mapping[str, str] | None = None,
        leaving: Callable[[str], ChargePoint | None] = lambda _: None,
        names_file: Path | None = None,
        alerts: Alerts | None = None,
    ) -> None:
        self._site = site
        self._listen = listen
        self._called = {name.lower(): known for name, known in (called or {}).items()}
        self._leaving = leaving
        self._policy = policy
        self._clock = clock
        self._guard = guard
        self._limits = limits or Limits()
        self._log = log or NoLog()
        self._tls = tls
        self.upkeep = None if settings is None else Upkeep(settings, clock, alerts)
        self._abilities: dict[tuple[str, str], Abilities] = {}
        self._clocks = Clocks(self._spawn)
        self._stations = Stations(names_file)
        self.desk = Desk(clock, self._stations, settings or _nothing)
        self.links = Links(clock)
        self._listeners = Listeners(self._serve, self._admit, self._limits)
        self._owners: dict[str, Connection] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            CannotListen: the address is in use or not ours.
        """
        try:
            await self._listeners.open(self._listen, "strom.ocpp_listen")
            if self._tls is not None:
                await self._listeners.open(self._tls.listen, "ocpp.tls_listen", self._tls.context)
        except CannotListen:
            await self.close()
            raise
        ids = self._site.charge_point_ids()
        if self.upkeep is not None:
            await self.upkeep.remember([self._site.charge_point(name) for name in ids])
            self._spawn(self.upkeep.run())

    @property
    def port(self) -> int:
        """The port that is listened on without TLS; 0 before `start`."""
        return next(iter(self._listeners.ports), 0)

    @property
    def tls_port(self) -> int:
        """The port that is listened on with TLS; 0 before `start` and without TLS."""
        return next(iter(self._listeners.ports[1:]), 0)

    def connected(self) -> Sequence[str]:
        """The ids of the charge points whose chargers are connected now."""
        return tuple(self._owners)

    def differing(self) -> int:
        """How many keys of chargers are not as the operator wants them."""
        return 0 if self.upkeep is None else self.upkeep.differing

    def silent(self) -> Sequence[str]:
        """The ids of the charge points whose chargers are connected and do not answer."""
        return tuple(name for name, owner in self._owners.items() if not owner.answers)

    def send_away(self, charge_point_id: str) -> None:
        """End the connection of a charge point that has gone."""
        owner = self._owners.get(charge_point_id)
        if owner is not None:
            self._spawn(owner.dismiss("this charge point is not configured here any more"))

    def clock_was_set(self, by_ms: int) -> None:
        """Our clock was set, forward or (below zero) back: chargers go by the time of before."""
        self._clocks.ours_was_set(by_ms)

    async def close(self) -> None:
        """Close all connections and stop listening."""
        await self._listeners.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _admit(self, socket: ServerConnection, request: Request) -> Response | None:
        """Refuse those who may not connect, before the connection is a websocket."""
        mend(request)
        charge_point = self._charge_point(request.path)
        if charge_point is None:
            logger.info(
                "a charger was refused: the file has no charge point %s (%s)",
                _called(request.path),
                _peer(socket),
            )
            return socket.respond(404, "This charge point is not configured here.\n")
        if reason := fault(request):
            logger.warning("%s was refused: %s (%s)", charge_point.id, reason, _peer(socket))
            return socket.respond(426, f"This is for the websockets of chargers: {reason}.\n")
        try:
            policy = self._policy(charge_point.id)
        except (OcppError, OSError) as error:
            logger.error("%s was refused: %s", charge_point.id, error)
            return socket.respond(500, "This charge point cannot be let in now.\n")
        refused = refusal(policy, charge_point.id, _visitor(socket, request))
        if refused is None:
            if isinstance(socket, HeardConnection):
                socket.version, socket.admitted = policy.version, charge_point.id
            return None
        logger.warning("%s was refused: %s (%s)", charge_point.id, refused.reason, _peer(socket))
        if self._guard is not None:
            self._guard.refused(charge_point.id, refused)
        response = socket.respond(refused.status, refused.answer)
        if refused.status == HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = 'Basic realm="OCPP", charset="UTF-8"'
        return response

    def _charge_point(self, path: str) -> ChargePoint | None:
        charge_point_id = id_in_path(path)
        if charge_point_id is None:
            return None
        if (leaving := self._leaving(charge_point_id)) is not None:
            return leaving
        try:
            known = self._called.get(charge_point_id.lower(), charge_point_id)
            return self._site.charge_point(known)
        except UnknownChargePoint:
            return None

    async def _serve(self, socket: ServerConnection) -> None:
        """One connection from its handshake to its end."""
        charge_point = self._charge_point(socket.request.path) if socket.request else None
        if charge_point is None or socket.request is None:
            return
        if not isinstance(socket, HeardConnection) or socket.admitted != charge_point.id:
            # It may have been let in as one that is gone by now.
            return
        visitor = _visitor(socket, socket.request)
        if self._guard is not None:
            self._spawn(self._guard.entered(charge_point.id, visitor))
        charger_clock = await self._clocks.of(charge_point)
        charger_clock.reconnected()
        version = spoken(socket.subprotocol or socket.version)
        common = (charge_point, self._clock, self._limits, self.upkeep, charger_clock)
        abilities = self._abilities.setdefault((charge_point.id, version), Abilities())
        if version == OCPP201:
            station = await self._stations.of(charge_point)
            dialect = Dialect201(*common, abilities, station)
        else:
            dialect = Dialect16(*common, abilities)

        def answering(answers: bool) -> None:
            self._spawn(charge_point.answering(charger, answers))

        liveness = Liveness(
            charge_point.id,
            socket,
            self._limits,
            on_change=answering,
            probe=lambda: self._spawn(dialect.probe()),
        )

        async def prepare() -> None:
            # The password first: the configuration may take a charger long to tell.
            if self._guard is not None:
                await self._guard.prepared(charge_point, charger, visitor)
            await dialect.prepare()

        signing = Signing(
            charge_point.id,
            visitor,
            dialect.version,
            self._guard,
            lambda: connection,
            self._spawn,
        )
        connection = Connection(
            socket,
            charge_point.id,
            SecurityExtension(charge_point.id, dialect, self._security_event, signing.wanted),
            self._limits,
            self._log,
            liveness,
            on_ready=lambda: self._spawn(prepare()),
        )
        calls = dialect.noted(connection)
        charger = dialect.charger(calls, self._spawn)
        line = Line(charge_point, calls, dialect.version, dialect.reports)
        older = self._owners.get(charge_point.id)
        self._owners[charge_point.id] = connection
        self.desk.opened(line)
        link = self.links.opened(connection, socket, dialect, shown(visitor))
        tended = dialect.tended
        if self.upkeep is not None and tended is not None:
            self.upkeep.opened(tended)
        logger.info("%s connected (%s)", charge_point.id, _peer(socket))
        if older is not None:
            logger.info("%s: the newer connection takes over", charge_point.id)
            self._spawn(older.close("a newer connection took over"))
        try:
            await charge_point.attach(charger)
            await connection.run()
        except AgentError as error:
            logger.error("%s: %s", charge_point.id, error)
        finally:
            if self._owners.get(charge_point.id) is connection:
                del self._owners[charge_point.id]
            self.desk.closed(line)
            self.links.closed(link)
            if self.upkeep is not None and tended is not None:
                self.upkeep.closed(tended)
            await charge_point.detach(charger)

    def _security_event(self, charge_point_id: str, kind: str, info: str) -> None:
        if self._guard is not None:
            self._guard.security_event(charge_point_id, kind, info)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _visitor(socket: ServerConnection, request: Request) -> Visitor:
    extra = socket.transport.get_extra_info
    return Visitor(
        over_tls=extra("ssl_object") is not None,
        certificate=client_certificate(extra("peercert")),
        authorization=request.headers.get_all("Authorization"),
        offered=offered_subprotocols(request),
    )


def _nothing(charge_point_id: str, nameplate: Nameplate) -> Wishes:
    del charge_point_id, nameplate
    return Wishes({})


def _called(path: str) -> str:
    """What a charger calls itself, fit for a log."""
    name = id_in_path(path) or ""
    if not name:
        return "without an id"
    if name.lower() == "ocpp":
        return "'ocpp': an id is wanted behind it, as in /ocpp/CP001"
    if is_charger_id(name) and not CHARGE_POINT_ID.fullmatch(name):
        return f"with charger_id = {name!r}"
    return repr(name[:_MOST_OF_A_NAME])


def _peer(socket: ServerConnection) -> str:
    address: Any = socket.remote_address
    return f"from {address[0]}" if isinstance(address, tuple) and address else "peer unknown"

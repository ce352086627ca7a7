"""The OCPP-J server: where chargers connect, who may, and which connection counts."""

from __future__ import annotations

import asyncio
import errno
import logging
import ssl
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

from agent.ports import AgentError, ChargePoint, Site, UnknownChargePoint
from bridge.ocpp.admission import (
    OCPP201,
    AuthPolicy,
    id_in_path,
    may_enter,
    offered_subprotocols,
    select_subprotocol,
    usable,
)
from bridge.ocpp.connection import Connection, FrameLog, Limits, NoLog
from bridge.ocpp.dialects import Dialect16, Dialect201
from bridge.ocpp.errors import CannotListen
from bridge.ocpp.tls import common_name
from bridge.ocpp.transaction_names import TransactionNames
from bridge.ocpp.watching import Abilities

logger = logging.getLogger(__name__)

_wire_logger = logging.getLogger(f"{__name__}.wire")
_wire_logger.setLevel(logging.CRITICAL)

_BACKLOG = 2048
_CLOSE_TIMEOUT_S = 3.0


class OcppServer:
    """Listens for chargers.

    Args:
        site: the charge points.
        listen: "host:port"; port 0 lets the system choose.
        policy: who may connect, by charge point id as configured.
        clock: our time in Unix ms.
        limits: what one connection may take.
        log: keeps what goes over the wire.
        tls: for wss:// (security profiles 2 and 3).
        settings: the configuration keys that a charge point's charger shall have; with None
            chargers are not asked for their configuration at all.
        names_file: where the names of OCPP 2.0.1's transactions are kept over a restart.
    """

    def __init__(
        self,
        site: Site,
        listen: str,
        policy: Callable[[str], AuthPolicy],
        clock: Callable[[], int],
        *,
        limits: Limits | None = None,
        log: FrameLog | None = None,
        tls: ssl.SSLContext | None = None,
        settings: Callable[[str], Mapping[str, str]] | None = None,
        names_file: Path | None = None,
    ) -> None:
        self._site = site
        self._listen = listen
        self._policy = policy
        self._clock = clock
        self._limits = limits or Limits()
        self._log = log or NoLog()
        self._tls = tls
        self._settings = settings
        self._were_reset: set[str] = set()
        self._abilities: dict[str, Abilities] = {}
        self._names = TransactionNames(names_file)
        self._server: Server | None = None
        self._owners: dict[str, Connection] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            CannotListen: the address is in use or not ours.
        """
        host, _, port = self._listen.rpartition(":")
        try:
            self._server = await serve(
                self._serve,
                host.strip("[]"),
                int(port),
                process_request=self._admit,
                select_subprotocol=select_subprotocol,
                compression=None,
                max_size=self._limits.frame_bytes,
                max_queue=self._limits.queued_frames,
                ping_interval=self._limits.ping_interval_s,
                ping_timeout=self._limits.ping_timeout_s,
                close_timeout=_CLOSE_TIMEOUT_S,
                server_header="Strom",
                logger=_wire_logger,
                ssl=self._tls,
                backlog=_BACKLOG,
            )
        except OSError as error:
            reason = (
                "is in use: stop the other program or choose another ocpp_listen"
                if error.errno == errno.EADDRINUSE
                else f"cannot be listened on: {error.strerror or error}"
            )
            raise CannotListen(f"{self._listen} {reason}") from None
        ids = self._site.charge_point_ids()
        bare = [name for name in ids if self._policy(name).password is None]
        if bare:
            names = ", ".join(bare[:5]) + (f" and {len(bare) - 5} more" if bare[5:] else "")
            logger.warning(
                "no password_file for %s: whoever reaches %s can pretend to be that charge point",
                names,
                self._listen,
            )

    @property
    def port(self) -> int:
        """The port that is listened on; 0 before `start`."""
        if self._server is None or not self._server.sockets:
            return 0
        return int(next(iter(self._server.sockets)).getsockname()[1])

    def connected(self) -> Sequence[str]:
        """The ids of the charge points whose chargers are connected now."""
        return tuple(self._owners)

    async def close(self) -> None:
        """Close all connections and stop listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _admit(self, socket: ServerConnection, request: Request) -> Response | None:
        """Refuse those who may not connect, before the connection is a websocket."""
        charge_point = self._charge_point(request.path)
        if charge_point is None:
            logger.info("a charger that is not configured was refused (%s)", _peer(socket))
            return socket.respond(404, "This charge point is not configured here.\n")
        policy = self._policy(charge_point.id)
        authorization = request.headers.get_all("Authorization")
        if policy.password is not None and not may_enter(policy.password, authorization):
            logger.warning("%s was refused: wrong password (%s)", charge_point.id, _peer(socket))
            response = socket.respond(401, "The user name or password is wrong.\n")
            response.headers["WWW-Authenticate"] = 'Basic realm="OCPP", charset="UTF-8"'
            return response
        if policy.client_certificate and not _shows_certificate(socket, charge_point.id):
            logger.warning("%s was refused: no certificate of its own", charge_point.id)
            return socket.respond(403, "Show the client certificate of this charge point.\n")
        offered = offered_subprotocols(request)
        if not usable(offered) if offered else policy.strict_subprotocol:
            logger.warning("%s was refused: it does not offer ocpp1.6", charge_point.id)
            return socket.respond(400, "Offer the subprotocol ocpp1.6.\n")
        return None

    def _charge_point(self, path: str) -> ChargePoint | None:
        charge_point_id = id_in_path(path)
        if charge_point_id is None:
            return None
        try:
            return self._site.charge_point(charge_point_id)
        except UnknownChargePoint:
            return None

    async def _serve(self, socket: ServerConnection) -> None:
        """One connection from its handshake to its end."""
        charge_point = self._charge_point(socket.request.path) if socket.request else None
        if charge_point is None:
            return
        spoken = (socket.subprotocol or "").lower()
        if spoken == OCPP201:
            dialect = Dialect201(charge_point, self._clock, self._limits, self._names)
        else:
            dialect = Dialect16(
                charge_point,
                self._clock,
                self._limits,
                self._settings,
                self._were_reset,
                self._abilities.setdefault(charge_point.id, Abilities()),
            )
        connection = Connection(
            socket,
            charge_point.id,
            dialect,
            self._limits,
            self._log,
            on_ready=lambda: self._spawn(dialect.prepare()),
        )
        charger = dialect.charger(connection, self._spawn)
        older = self._owners.get(charge_point.id)
        self._owners[charge_point.id] = connection
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
            await charge_point.detach(charger)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _shows_certificate(socket: ServerConnection, charge_point_id: str) -> bool:
    """Whether the client showed the certificate of a charge point; `ssl` verified its chain."""
    name = common_name(socket.transport.get_extra_info("peercert"))
    return name.lower() == charge_point_id.lower()


def _peer(socket: ServerConnection) -> str:
    address: Any = socket.remote_address
    return f"from {address[0]}" if isinstance(address, tuple) and address else "peer unknown"

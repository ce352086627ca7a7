"""How chargers must show themselves, from the operator's file to the OCPP server."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

import anyio

from agent.alerts import Alerts
from agent.clock import Clock
from agent.config.ocpp import OcppConfig
from agent.config.secret_files import read_secret
from agent.config.tables import Config
from agent.ports.charge_point import ChargePoint
from agent.ports.errors import AgentError
from bridge.ocpp.admission import AuthPolicy, Refusal, Visitor
from bridge.ocpp.certificates import Certificates
from bridge.ocpp.message_log import MessageLog
from bridge.ocpp.passwords import Passwords
from bridge.ocpp.rotation import Rekeyable, Rotation
from bridge.ocpp.security_events import encoded
from bridge.ocpp.security_extension import ALARMING
from bridge.ocpp.server import TlsListener
from bridge.ocpp.tls import TlsFiles

REPLACED_FOLDER = "ocpp-passwords"
EVENTS_FOLDER = "ocpp-security"
EVENTS_BYTES = 200_000

log = logging.getLogger(__name__)


def tls_files(ocpp: OcppConfig) -> TlsFiles | None:
    """The files behind the listener with TLS; None where there is none."""
    if ocpp.certificate is None or ocpp.key is None:
        return None
    return TlsFiles(ocpp.certificate, ocpp.key, ocpp.client_ca)


class ChargerSecurity:
    """Certificates and passwords of a running Strom; the OCPP server's guard.

    Args:
        config: the operator's file.
        clock: Unix milliseconds.
        alerts: who tells the operators.

    Raises:
        TlsUnusable: certificate or key cannot be used.
    """

    def __init__(self, config: Config, clock: Clock, alerts: Alerts) -> None:
        self._listen = config.ocpp.tls_listen
        self._points = {point.id: point for point in config.charge_points}
        self._alerts = alerts
        self._events = MessageLog(config.strom.data_dir / EVENTS_FOLDER, clock, EVENTS_BYTES)
        self._rotation = Rotation(Passwords(config.strom.data_dir / REPLACED_FOLDER), alerts)
        files = tls_files(config.ocpp)
        self._certificates = None if files is None else Certificates(files, clock, alerts)

    @property
    def tls(self) -> TlsListener | None:
        """Where and with what the OCPP server listens for TLS."""
        if self._certificates is None or self._listen is None:
            return None
        return TlsListener(self._listen, self._certificates.context)

    def policy(self, charge_point_id: str) -> AuthPolicy:
        """How a charge point has to show itself.

        Raises:
            OSError: its password's file cannot be read.
            PasswordUnreadable: nor can the one that takes its place.
        """
        point = self._points[charge_point_id]
        known = AuthPolicy()
        if point.password_file is not None:
            first = read_secret(point.password_file)
            known = self._rotation.accepted(charge_point_id, first, rotates=point.rotate_password)
        return replace(
            known,
            strict_subprotocol=point.strict_subprotocol,
            profile=point.security_profile or 0,
            certificate_name=point.certificate_name,
        )

    async def entered(self, charge_point_id: str, visitor: Visitor) -> None:
        """A charge point was let in."""
        if self._certificates is not None and visitor.certificate is not None:
            self._certificates.shown(charge_point_id, visitor.certificate)
        if self._points[charge_point_id].password_file is not None:
            await self._rotation.entered(charge_point_id, visitor.authorization)

    def refused(self, charge_point_id: str, refusal: Refusal) -> None:
        """A charge point was not let in."""
        if refusal.locked_out:
            self._rotation.locked_out(charge_point_id)

    def security_event(self, charge_point_id: str, kind: str, info: str) -> None:
        """A charger reports a security event: it is kept, and an alarming one is told of."""
        self._events.received(charge_point_id, encoded(kind, info))
        if kind in ALARMING:
            told = f"{kind} ({info})" if info else kind
            self._alerts.happened(
                f"{kind} {charge_point_id}", f"{charge_point_id} reports a security event: {told}"
            )

    async def prepared(
        self, charge_point: ChargePoint, charger: Rekeyable, visitor: Visitor
    ) -> None:
        """A charge point may be called: its first password is replaced where that is wanted."""
        point = self._points[charge_point.id]
        if point.password_file is None or not point.rotate_password:
            return
        try:
            first = read_secret(point.password_file)
            await self._rotation.prepared(charge_point, charger, visitor.authorization, first)
        except (AgentError, OSError) as error:
            log.warning("%s keeps its first password for now: %s", charge_point.id, error)

    def expiries(self) -> Mapping[str, int]:
        """When certificates expire, in Unix ms, by whose they are."""
        return {} if self._certificates is None else self._certificates.expiries()

    def renew(self) -> None:
        """Take up certificate files that were renewed."""
        if self._certificates is not None:
            self._certificates.renew()

    async def run(self) -> None:
        """Watch over the certificates and keep security events, until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._events.run)
            if self._certificates is not None:
                group.start_soon(self._certificates.run)

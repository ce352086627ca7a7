"""How chargers must show themselves, from the operator's file to the OCPP server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Protocol

import anyio

from agent.alerts import Alerts
from agent.clock import Clock
from agent.config.ocpp import MUTUAL_TLS, OcppConfig
from agent.config.secret_files import read_secret
from agent.config.tables import ChargePointConfig, Config
from agent.ports.charge_point import ChargePoint
from agent.ports.errors import AgentError
from bridge.ocpp.errors import CallFailed, InvalidCall
from bridge.ocpp.message_log import MessageLog
from bridge.ocpp.security.admission import AuthPolicy, Refusal, Visitor
from bridge.ocpp.security.authority import Authority, AuthorityUnusable, Issued, RequestRefused
from bridge.ocpp.security.certificates import WARN_DAYS, Certificates
from bridge.ocpp.security.events import encoded
from bridge.ocpp.security.extension import ALARMING
from bridge.ocpp.security.passwords import Passwords
from bridge.ocpp.security.rotation import Rekeyable, Rotation
from bridge.ocpp.security.tls import TlsFiles, TlsUnusable, expires_at_ms
from bridge.ocpp.server import TlsListener

REPLACED_FOLDER = "ocpp-passwords"
ISSUED_FOLDER = "ocpp-certificates"
SIGN_AGAIN_MS = 60_000
"""A charger that asks for certificates in a row gets one in so long."""
EVENTS_FOLDER = "ocpp-security"
EVENTS_BYTES = 200_000

log = logging.getLogger(__name__)


def authority(ocpp: OcppConfig, clock: Clock) -> Authority | None:
    """Who signs chargers' certificates; None where nobody does; raises AuthorityUnusable."""
    if ocpp.ca_certificate is None or ocpp.ca_key is None or ocpp.client_ca is None:
        return None
    days = ocpp.certificate_days
    return Authority(ocpp.ca_certificate, ocpp.ca_key, ocpp.client_ca, days, clock)


def tls_files(ocpp: OcppConfig) -> TlsFiles | None:
    """The files behind the listener with TLS; None where there is none."""
    if ocpp.certificate is None or ocpp.key is None:
        return None
    return TlsFiles(ocpp.certificate, ocpp.key, ocpp.client_ca)


class Renewable(Rekeyable, Protocol):
    """A connected charger."""

    async def ask_for_certificate(self) -> None:
        """Have it ask for a new certificate; raises CallFailed."""
        ...


class ChargerSecurity:
    """Certificates and passwords of a running Strom; the OCPP server's guard.

    Args:
        config: the operator's file.
        clock: Unix milliseconds.
        alerts: who tells the operators.
        leaving: charge points that have left the file, and are let in as long as they charge.

    Raises:
        TlsUnusable: certificate or key cannot be used.
        AuthorityUnusable: nor can those that chargers' certificates are signed with.
    """

    def __init__(
        self,
        config: Config,
        clock: Clock,
        alerts: Alerts,
        leaving: Iterable[ChargePointConfig] = (),
    ) -> None:
        self._listen = config.ocpp.tls_listen
        self._points = {point.id: point for point in (*leaving, *config.charge_points)}
        self._alerts = alerts
        self._events = MessageLog(config.strom.data_dir / EVENTS_FOLDER, clock, EVENTS_BYTES)
        self._rotation = Rotation(Passwords(config.strom.data_dir / REPLACED_FOLDER), alerts)
        files = tls_files(config.ocpp)
        self._certificates = None if files is None else Certificates(files, clock, alerts)
        self._clock = clock
        self._ocpp = config.ocpp
        self._authority = authority(config.ocpp, clock)
        self._signed_at_ms: dict[str, int] = {}
        self._issued = config.strom.data_dir / ISSUED_FOLDER
        self._remember()

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
            certificate_name=point.certified_as,
            version="" if point.ocpp_version is None else f"ocpp{point.ocpp_version}",
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

    def _remember(self) -> None:
        """Take up the certificates that were issued before Strom was started."""
        for charge_point_id in self._points if self._authority and self._certificates else ():
            try:
                expires = expires_at_ms(self._issued / f"{charge_point_id}.pem")
            except TlsUnusable:
                continue
            if self._certificates is not None:
                self._certificates.issued(charge_point_id, expires)

    async def sign(self, charge_point_id: str, visitor: Visitor, request: str) -> Issued:
        """A certificate for a charger's request; raises RequestRefused.

        Only who proved over TLS which charge point it is gets one for it.
        """
        if self._authority is None:
            raise RequestRefused("Strom is no authority: [ocpp] has no ca_certificate")
        point = self._points[charge_point_id]
        if not visitor.over_tls:
            raise RequestRefused("it came without TLS: somebody on the way could have asked")
        if point.password_file is None and point.least_profile < MUTUAL_TLS:
            raise RequestRefused("it showed neither a password nor a certificate")
        now_ms = self._clock()
        if now_ms - self._signed_at_ms.get(charge_point_id, -SIGN_AGAIN_MS) < SIGN_AGAIN_MS:
            raise RequestRefused("it got one just now")
        name = point.certified_as
        issued = await asyncio.to_thread(self._authority.issue, request, name)
        self._signed_at_ms[charge_point_id] = now_ms
        log.info("%s gets a certificate for %s", charge_point_id, name)
        return issued

    async def handed_over(self, charge_point_id: str, issued: Issued, *, taken: bool) -> None:
        """A charger was given its certificate: where it took it, that is kept."""
        trouble = f"certificate refused {charge_point_id}"
        if not taken:
            self._alerts.raised(
                trouble, f"{charge_point_id} does not take the certificate that it asked for"
            )
            return
        self._alerts.cleared(trouble, f"{charge_point_id} took its certificate")
        await asyncio.to_thread(self._keep, charge_point_id, issued)
        if self._certificates is not None:
            self._certificates.issued(charge_point_id, issued.expires_at_ms)

    def _keep(self, charge_point_id: str, issued: Issued) -> None:
        try:
            self._issued.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._issued / f"{charge_point_id}.pem").write_text(issued.chain, encoding="ascii")
        except OSError as error:
            log.warning("the certificate of %s is not kept: %s", charge_point_id, error.strerror)

    async def _renew_certificate(
        self, charge_point_id: str, charger: Renewable, visitor: Visitor
    ) -> None:
        """Have a charger ask for a new certificate when its own expires soon (use case A02)."""
        if self._authority is None or visitor.certificate is None:
            return
        left_ms = visitor.certificate.expires_at_ms - self._clock()
        if left_ms < WARN_DAYS * 86_400_000:
            try:
                await charger.ask_for_certificate()
            except (CallFailed, InvalidCall) as error:
                log.warning("%s does not renew its certificate: %s", charge_point_id, error)

    async def prepared(
        self, charge_point: ChargePoint, charger: Renewable, visitor: Visitor
    ) -> None:
        """A charge point may be called: its first password is replaced where that is wanted."""
        point = self._points[charge_point.id]
        await self._renew_certificate(charge_point.id, charger, visitor)
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
        name = "authority files"
        try:
            self._authority = authority(self._ocpp, self._clock)
        except AuthorityUnusable as error:
            self._alerts.raised(name, f"{error}; what was read before goes on")
        else:
            self._alerts.cleared(name, "the files of the authority can be used again")

    async def run(self) -> None:
        """Watch over the certificates and keep security events, until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._events.run)
            if self._certificates is not None:
                group.start_soon(self._certificates.run)

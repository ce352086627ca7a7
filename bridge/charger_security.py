"""How chargers must show themselves, from the operator's file to the OCPP server."""

from __future__ import annotations

from collections.abc import Mapping

import anyio

from agent.alerts import Alerts
from agent.clock import Clock
from agent.config.ocpp import OcppConfig
from agent.config.secret_files import read_secret
from agent.config.tables import Config
from bridge.ocpp.admission import AuthPolicy, Visitor
from bridge.ocpp.certificates import Certificates
from bridge.ocpp.server import TlsListener
from bridge.ocpp.tls import TlsFiles


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
        files = tls_files(config.ocpp)
        self._certificates = None if files is None else Certificates(files, clock, alerts)

    @property
    def tls(self) -> TlsListener | None:
        """Where and with what the OCPP server listens for TLS."""
        if self._certificates is None or self._listen is None:
            return None
        return TlsListener(self._listen, self._certificates.context)

    def policy(self, charge_point_id: str) -> AuthPolicy:
        """How a charge point has to show itself; raises OSError without its password's file."""
        point = self._points[charge_point_id]
        return AuthPolicy(
            password=None if point.password_file is None else read_secret(point.password_file),
            strict_subprotocol=point.strict_subprotocol,
            profile=point.security_profile or 0,
            certificate_name=point.certificate_name,
        )

    def entered(self, charge_point_id: str, visitor: Visitor) -> None:
        """A charge point was let in."""
        if self._certificates is not None and visitor.certificate is not None:
            self._certificates.shown(charge_point_id, visitor.certificate)

    def expiries(self) -> Mapping[str, int]:
        """When certificates expire, in Unix ms, by whose they are."""
        return {} if self._certificates is None else self._certificates.expiries()

    def renew(self) -> None:
        """Take up certificate files that were renewed."""
        if self._certificates is not None:
            self._certificates.renew()

    async def run(self) -> None:
        """Watch over the certificates until cancelled."""
        if self._certificates is not None:
            await self._certificates.run()
        await anyio.sleep_forever()

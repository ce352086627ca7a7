"""The certificates in use: renewed files are taken up, and what expires is told of in time."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.alerts import Alerts
from bridge.ocpp.security.tls import (
    ClientCertificate,
    TlsFiles,
    TlsUnusable,
    expires_at_ms,
    server_context,
)

logger = logging.getLogger(__name__)

WARN_DAYS = 30
AGAIN_DAYS = (7, 1, 0)
"""Days that are left when operators hear of it once more; 0 is when it has expired."""

SERVER, CLIENT_CA = "server", "client_ca"

_MS_PER_DAY = 86_400_000
_LOOK_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class _Known:
    """A certificate, with the words for it and for the cure."""

    what: str
    expires_at_ms: int
    cure: str


class Certificates:
    """Strom's own certificate and those of chargers.

    Attributes:
        context: to be listened with; new connections get what the files hold now.

    Args:
        files: where they are.
        clock: our time in Unix ms.
        alerts: who tells the operators.

    Raises:
        TlsUnusable: they cannot be used.
    """

    def __init__(self, files: TlsFiles, clock: Callable[[], int], alerts: Alerts) -> None:
        self._files = files
        self._clock = clock
        self._alerts = alerts
        self._seen = self._state()
        self.context = server_context(files)
        self.context.sni_callback = self._choose
        self._current = self.context
        self._known: dict[str, _Known] = {}
        self._told: dict[str, int] = {}
        self._read()
        self._told_at_ms = clock()
        for name in self._known:
            self._tell(name, daily=True)

    def expiries(self) -> Mapping[str, int]:
        """When certificates expire, in Unix ms: "server", "client_ca", and by charge point id."""
        return {name: known.expires_at_ms for name, known in self._known.items()}

    def shown(self, charge_point_id: str, certificate: ClientCertificate) -> None:
        """A charge point came in with its certificate."""
        self.issued(charge_point_id, certificate.expires_at_ms)

    def issued(self, charge_point_id: str, expires_at_ms: int) -> None:
        """A charge point has a certificate, be it that it has not come in with it yet."""
        self._known[charge_point_id] = _Known(
            f"the client certificate of {charge_point_id}",
            expires_at_ms,
            "the charger needs a new one",
        )
        self._tell(charge_point_id, daily=False)

    def renew(self) -> None:
        """Take up what the files hold now; where that is unusable, the old ones go on."""
        self._seen = self._state()
        name = "certificate files"
        try:
            context = server_context(self._files)
            self._read()
        except TlsUnusable as error:
            self._alerts.raised(name, f"{error}; what was read before goes on")
            return
        self._current = context
        self._alerts.cleared(name, "the certificate files can be used again")
        logger.info("certificates were read anew from %s", self._files.certificate)
        for kind in (SERVER, CLIENT_CA):
            if kind in self._known:
                self._tell(kind, daily=False)

    def look(self) -> None:
        """See whether files have changed; once a day, tell again of what expires."""
        if self._state() != self._seen:
            self.renew()
        if self._clock() - self._told_at_ms >= _MS_PER_DAY:
            self._told_at_ms = self._clock()
            for name in self._known:
                self._tell(name, daily=True)

    async def run(self) -> None:
        """Look every minute until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            self.look()

    def _choose(
        self, connection: ssl.SSLObject, server_name: str | None, context: ssl.SSLContext
    ) -> None:
        """Called early in every handshake, whether a name was asked for or not."""
        del server_name, context
        connection.context = self._current

    def _read(self) -> None:
        files = self._files
        found = {
            SERVER: _Known(
                f"the certificate {files.certificate}",
                expires_at_ms(files.certificate),
                "renew it, or chargers refuse to connect",
            )
        }
        if files.client_ca is not None:
            found[CLIENT_CA] = _Known(
                f"an authority in {files.client_ca}",
                expires_at_ms(files.client_ca),
                "chargers with its certificates are refused then",
            )
        self._known |= found

    def _tell(self, name: str, *, daily: bool) -> None:
        """Tell of a certificate that expires: operators at each stage, the log every day."""
        known = self._known[name]
        left = (known.expires_at_ms - self._clock()) // _MS_PER_DAY
        trouble = f"certificate {name}"
        if left >= WARN_DAYS:
            self._told.pop(name, None)
            self._alerts.cleared(trouble, f"{known.what} is valid for {left} days")
            return
        stage = 1 + sum(left < days for days in AGAIN_DAYS)
        when = "has expired" if left < 0 else f"expires in {left} days"
        sentence = f"{known.what} {when}: {known.cure}"
        if stage > self._told.get(name, 0):
            self._told[name] = stage
            self._alerts.raised(trouble, sentence, again=True)
        elif daily:
            logger.warning("%s", sentence)

    def _state(self) -> tuple[tuple[int, int, int] | None, ...]:
        """What changes when a file does; an interrupted renewal may leave one missing."""
        files = (self._files.certificate, self._files.key, self._files.client_ca)
        return tuple(None if path is None else _state_of(path) for path in files)


def _state_of(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino

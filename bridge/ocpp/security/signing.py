"""A charger asks for a certificate, and gets it once it has the answer.

SignCertificate and CertificateSigned: OCPP 1.6 security whitepaper, edition 3, use cases A02 and
A03; OCPP 2.0.1, the same.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from bridge.ocpp.actions import Version
from bridge.ocpp.calls import Calls
from bridge.ocpp.errors import CallFailed, InvalidCall
from bridge.ocpp.meters.readings import as_text
from bridge.ocpp.schemas import Payload, check_call
from bridge.ocpp.security.admission import Visitor
from bridge.ocpp.security.authority import Issued, RequestRefused

logger = logging.getLogger(__name__)

_CONNECTION = "ChargingStationCertificate"
_LONGEST_CSR = 10_000


class Signer(Protocol):
    """Decides on certificates."""

    async def sign(self, charge_point_id: str, visitor: Visitor, request: str) -> Issued:
        """A certificate for a charger's request in PEM; raises RequestRefused."""
        ...

    async def handed_over(self, charge_point_id: str, issued: Issued, *, taken: bool) -> None:
        """A charger was given its certificate, and took it or not."""
        ...


class Signing:
    """Certificates for the charger of one connection.

    Args:
        charge_point_id: whose.
        visitor: how it came in.
        version: of OCPP.
        signer: decides; None where nobody does.
        calls: asks the charger, once there is a connection.
        spawn: runs what comes after the answer.
    """

    __slots__ = ("_calls", "_id", "_signer", "_spawn", "_version", "_visitor")

    def __init__(
        self,
        charge_point_id: str,
        visitor: Visitor,
        version: Version,
        signer: Signer | None,
        calls: Callable[[], Calls],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._id = charge_point_id
        self._visitor = visitor
        self._version = version
        self._signer = signer
        self._calls = calls
        self._spawn = spawn

    async def wanted(self, payload: Payload) -> bool:
        """Whether a SignCertificate is granted; the certificate follows by itself."""
        kind = as_text(payload.get("certificateType"), 50)
        try:
            if self._signer is None or kind not in ("", _CONNECTION):
                raise RequestRefused(f"Strom signs no {kind or 'certificates'}")
            request = as_text(payload.get("csr"), _LONGEST_CSR)
            issued = await self._signer.sign(self._id, self._visitor, request)
        except RequestRefused as refused:
            logger.warning("%s wants a certificate signed: rejected: %s", self._id, refused)
            return False
        self._spawn(self._hand_over(self._signer, issued, kind))
        return True

    async def _hand_over(self, signer: Signer, issued: Issued, kind: str) -> None:
        payload: Payload = {"certificateChain": issued.chain}
        payload |= {"certificateType": kind} if kind else {}
        try:
            check_call("CertificateSigned", payload, self._version.package)
            answer = await self._calls().call("CertificateSigned", payload)
        except (CallFailed, InvalidCall) as error:
            logger.warning("%s did not get its certificate: %s", self._id, error)
            return
        taken = as_text(answer.get("status"), 50) == "Accepted"
        await signer.handed_over(self._id, issued, taken=taken)

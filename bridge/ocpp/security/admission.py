"""Who may connect as which charge point."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from agent.config.ocpp import MUTUAL_TLS, TLS
from agent.ports.charge_point import ChargePoint
from bridge.ocpp.handshakes import OCPP16, OCPP201, chosen
from bridge.ocpp.security.authority import Issued
from bridge.ocpp.security.tls import ClientCertificate
from bridge.ocpp.v16.charger import OcppCharger
from bridge.ocpp.v201.charger import Ocpp201Charger


@dataclass(frozen=True, slots=True)
class AuthPolicy:
    """Who may connect as a charge point.

    Attributes:
        password: of HTTP Basic authentication (security profiles 1 and 2); None lets anyone in.
        besides: another password that is accepted.
        retired: a password that was replaced, and is not accepted any more.
        version: the one subprotocol that is spoken with it; "" for whichever it prefers.
        strict_subprotocol: refuse a charger that does not offer "ocpp1.6"; chargers in the
            field forget it, so this is off by default.
        profile: the least security profile: 2 demands TLS, 3 a client certificate besides.
        certificate_name: what that certificate must be issued to; "" for the charge point's id.
    """

    password: str | None = None
    strict_subprotocol: bool = False
    profile: int = 0
    certificate_name: str = ""
    besides: str | None = None
    retired: str | None = None
    version: str = ""


@dataclass(frozen=True, slots=True)
class Visitor:
    """A charger at the door.

    Attributes:
        over_tls: whether its connection is encrypted.
        certificate: its client certificate, whose chain was verified; None without one.
        authorization: its Authorization headers.
        offered: the subprotocols that it offers.
    """

    over_tls: bool
    certificate: ClientCertificate | None
    authorization: Sequence[str]
    offered: Sequence[str]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a charger may not connect: HTTP status, words for it, and words for the operator.

    `locked_out` is set for one that shows a password which was replaced.
    """

    status: int
    answer: str
    reason: str
    locked_out: bool = False


class Guard(Protocol):
    """Is told who comes to the door."""

    async def entered(self, charge_point_id: str, visitor: Visitor) -> None:
        """A charge point's charger was let in."""
        ...

    def refused(self, charge_point_id: str, refusal: Refusal) -> None:
        """A charge point's charger was not let in."""
        ...

    def security_event(self, charge_point_id: str, kind: str, info: str) -> None:
        """A charger reports a security event."""
        ...

    async def sign(self, charge_point_id: str, visitor: Visitor, request: str) -> Issued:
        """A certificate for a charger's request in PEM; raises RequestRefused."""
        ...

    async def handed_over(self, charge_point_id: str, issued: Issued, *, taken: bool) -> None:
        """A charger was given its certificate, and took it or not."""
        ...

    async def prepared(
        self, charge_point: ChargePoint, charger: OcppCharger | Ocpp201Charger, visitor: Visitor
    ) -> None:
        """A charger that was let in may be called now, and was asked for what it must tell."""
        ...


def refusal(policy: AuthPolicy, charge_point_id: str, visitor: Visitor) -> Refusal | None:
    """Why a charger may not connect as a charge point; None when it may."""
    profile = policy.profile
    if profile >= TLS and not visitor.over_tls:
        return Refusal(
            403,
            "Connect over TLS, to wss://.\n",
            f"it came without TLS, and its security profile is {profile}",
        )
    if profile >= MUTUAL_TLS:
        wanted = policy.certificate_name or charge_point_id
        if visitor.certificate is None:
            return Refusal(
                403,
                "Show the client certificate of this charge point.\n",
                "it showed no client certificate, and its security profile is 3",
            )
        names = visitor.certificate.names
        if wanted.lower() not in {name.lower() for name in names}:
            shown = ", ".join(sorted(names)) or "nobody"
            return Refusal(
                403,
                "Show the client certificate of this charge point.\n",
                f'its client certificate is issued to {shown}, not to "{wanted}"',
            )
    known = [one for one in (policy.password, policy.besides) if one is not None]
    if known and not any(may_enter(one, visitor.authorization) for one in known):
        old = policy.retired is not None and may_enter(policy.retired, visitor.authorization)
        reason = (
            "it shows a password that was replaced"
            if old
            else "its password is wrong"
            if visitor.authorization
            else "it showed no password"
        )
        return Refusal(401, "The user name or password is wrong.\n", reason, locked_out=old)
    missing = not visitor.offered and policy.strict_subprotocol
    if missing or (visitor.offered and chosen(visitor.offered, policy.version) is None):
        wanted = policy.version or f"{OCPP16} or {OCPP201}"
        return Refusal(400, f"Offer the subprotocol {wanted}.\n", _lacking(policy, visitor.offered))
    return None


def _lacking(policy: AuthPolicy, offered: Sequence[str]) -> str:
    if not offered:
        return "it offers no subprotocol, and strict_subprotocol demands one"
    names = [name[:20] for name in offered[:3] if name.isprintable()]
    shown = ", ".join(names) or "subprotocols without a readable name"
    if policy.version:
        return f"it offers {shown}, and not {policy.version}, the version that ocpp_version says"
    return f"it offers {shown}, and neither {OCPP16} nor {OCPP201}"


def may_enter(password: str, authorization: Sequence[str]) -> bool:
    """Whether an Authorization header carries the password.

    Chargers send an AuthorizationKey as its bytes or as its hex digits, whichever way it
    was given to them; the user name adds nothing, since the path names the charge point, and
    has a colon in it where the charger's id has one.
    """
    if len(authorization) != 1:
        return False
    scheme, _, credentials = authorization[0].partition(" ")
    if scheme.lower() != "basic":
        return False
    try:
        decoded = base64.b64decode(credentials.strip(), validate=True)
    except (binascii.Error, ValueError):
        return False
    raw = password.encode()
    accepted = [raw, raw.hex().encode(), raw.hex().upper().encode()]
    try:
        unhexed = bytes.fromhex(password)
    except ValueError:
        pass
    else:
        accepted += [unhexed] if unhexed else []
        accepted += [password.upper().encode(), password.lower().encode()]
    return any(
        hmac.compare_digest(decoded[-len(candidate) - 1 :], b":" + candidate)
        for candidate in accepted
    )

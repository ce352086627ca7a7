"""What an operator's hand must not do to money and security over OCPP, and what it may on demand.

A request that Strom would contradict, or that takes a driver's charge away, is refused unless it
is forced; one that could be confused with a driver's session, or would lock the charger out, is
refused always, with the way to do it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from agent.ports.charge_point import Commitments
from bridge.ocpp import timestamps
from bridge.ocpp.configuration.billing import need_of
from bridge.ocpp.configuration.keys import keys_set
from bridge.ocpp.errors import OcppError
from bridge.ocpp.masking import is_secret
from bridge.ocpp.meters.readings import as_int, as_text, objects
from bridge.ocpp.schemas import Payload

_SESSION_TAG = re.compile(r"\s*[0-9a-fA-F]{16}")
"""Strom's sessions start under a tag of 16 hexadecimal digits."""

_OWN_START_IDS = 1_000_000
"""Strom's own remoteStartIds are smaller."""

_PASSWORDS = frozenset({"authorizationkey", "basicauthpassword"})
_LOCKS = frozenset({"securityprofile", "networkconfigurationpriority"})


class Guarded(OcppError):
    """A request that is not sent; the text is the reason and the way.

    Attributes:
        forceable: whether it is sent when it is forced.
    """

    def __init__(self, sentence: str, forceable: bool) -> None:
        super().__init__(sentence)
        self.forceable = forceable


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known when a request is to be sent.

    Attributes:
        now_ms: Unix ms.
        commitments: what the charge point has promised.
        transactions: the ids of sold transactions as the charger knows them.
        wanted: the configuration of the operator's file.
    """

    now_ms: int
    commitments: Commitments
    transactions: frozenset[str] = frozenset()
    wanted: Mapping[str, str] = field(default_factory=dict[str, str])


Objection = tuple[str, bool]
"""A sentence, and whether force overcomes it."""


def check(action: str, payload: Payload, situation: Situation, *, force: bool) -> list[str]:
    """Refuse a request that breaks what was promised; returns warnings for one that is sent.

    Args:
        action: of either version; `payload` keeps to its schema.
        payload: the request.
        situation: what is known now.
        force: send also what may be sent on demand.

    Raises:
        Guarded: it is not to be sent.
    """
    guard = _GUARDS.get(action)
    objections = [] if guard is None else list(guard(payload, situation))
    for sentence, forceable in objections:
        if not forceable:
            raise Guarded(sentence, forceable=False)
    if objections and not force:
        raise Guarded(f"{objections[0][0]}; --force sends it all the same", forceable=True)
    return [sentence for sentence, _ in objections] + list(_notes(action, payload, situation))


def _notes(action: str, payload: Payload, situation: Situation) -> Iterator[str]:
    """What is worth knowing of a request that does no harm."""
    by_lower = {key.lower(): (key, value) for key, value in situation.wanted.items()}
    for key, value in keys_set(action, payload):
        name, wanted = by_lower.get(key.lower(), (key, value))
        if wanted != value:
            shown = "another value" if is_secret(name) else wanted
            yield f"your file wants {name} = {shown}: the next check sets it back"


def _remote_start(payload: Payload, situation: Situation) -> Iterator[Objection]:
    token = payload.get("idTag", _fields(payload.get("idToken")).get("idToken"))
    if _SESSION_TAG.match(as_text(token)):
        yield (
            "an id tag that begins with 16 hexadecimal digits is that of a driver's session: "
            "use another one",
            False,
        )
    start_id = as_int(payload.get("remoteStartId"))
    if start_id is not None and start_id < _OWN_START_IDS:
        yield (
            f"remoteStartId {start_id} may be that of a driver's session: "
            f"use one from {_OWN_START_IDS:,} on",
            False,
        )
    connector = as_int(payload.get("connectorId", payload.get("evseId")))
    taken = situation.commitments.connectors
    if taken and (connector is None or connector in taken):
        yield "a driver's session is open there: wait for its end, or stop it first", False
    yield (
        "nobody has paid for this start: Strom takes only what it sold, and answers the charger's "
        "StartTransaction with Invalid. To sell or to give away, let a driver pay, by a tariff "
        "with low or no prices",
        True,
    )


def _remote_stop(payload: Payload, situation: Situation) -> Iterator[Objection]:
    if as_text(payload.get("transactionId"), 100) in situation.transactions:
        yield (
            "this is a driver's session: stop it at /admin or by the message "
            '"stop", so that the books say who did',
            True,
        )


def _configuration(payload: Payload, situation: Situation) -> Iterator[Objection]:
    del situation
    for action in ("ChangeConfiguration", "SetVariables"):
        for key, value in keys_set(action, payload):
            yield from _key(key, value)


def _key(key: str, value: str) -> Iterator[Objection]:
    last = key.lower().rpartition(".")[2]
    if last in _PASSWORDS:
        yield (
            "Strom would not know the charger's new password: write it into the charge point's "
            "password_file, and let Strom hand it over",
            False,
        )
    elif last in _LOCKS:
        yield f"a wrong {key} locks the charger out of this Strom", True
    need = need_of(key)
    if need is not None and not need.enough(value):
        yield f"{key} = {value[:100]} breaks the billing: {need.why}", True


def _reserve(payload: Payload, situation: Situation) -> Iterator[Objection]:
    written = payload.get("expiryDate", payload.get("expiryDateTime"))
    expires_ms = timestamps.parse(written)
    if expires_ms is None or expires_ms <= situation.now_ms:
        yield f"the reservation would be over already: {as_text(written, 50)} is in the past", False
    connector = as_int(payload.get("connectorId", payload.get("evseId"))) or 0
    taken = situation.commitments.connectors
    if connector in taken or (not connector and taken):
        yield "a driver's session is open there", False


def _whole(what: str) -> Callable[[Payload, Situation], Iterator[Objection]]:
    """A request that ends what runs anywhere at the charge point."""

    def guard(payload: Payload, situation: Situation) -> Iterator[Objection]:
        del payload
        taken = sorted(situation.commitments.connectors)
        if taken:
            where = ", ".join(map(str, taken))
            yield f"a driver's session is open at connector {where}, and {what}", True

    return guard


def _one(what: str) -> Callable[[Payload, Situation], Iterator[Objection]]:
    """A request that ends what runs at the connector that it names."""

    def guard(payload: Payload, situation: Situation) -> Iterator[Objection]:
        connector = as_int(payload.get("evseId", payload.get("connectorId")))
        if connector in situation.commitments.connectors:
            yield f"a driver's session is open at connector {connector}, and {what}", True

    return guard


def _local_list(payload: Payload, situation: Situation) -> Iterator[Objection]:
    del situation
    for item in objects(payload.get("localAuthorizationList")):
        info = _fields(item.get("idTagInfo", item.get("idTokenInfo")))
        if info.get("status") == "Accepted":
            yield "who is Accepted on the charger's own list charges without paying", True
            return


def _profile(payload: Payload, situation: Situation) -> Iterator[Objection]:
    profile = _fields(payload.get("csChargingProfiles", payload.get("chargingProfile")))
    purpose = as_text(profile.get("chargingProfilePurpose"))
    if situation.commitments.connectors and purpose == "TxProfile":
        yield "it may replace the limit that ends a driver's charge with his credit", True


def _lockout(what: str) -> Callable[[Payload, Situation], Iterator[Objection]]:
    def guard(payload: Payload, situation: Situation) -> Iterator[Objection]:
        del payload, situation
        yield what, True

    return guard


def _fields(value: object) -> dict[str, Any]:
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


_FIRMWARE = _whole("new firmware may end it")
_GUARDS: Mapping[str, Callable[[Payload, Situation], Iterator[Objection]]] = {
    "ChangeConfiguration": _configuration,
    "ClearChargingProfile": _whole("the limit that ends it with its credit may be among these"),
    "DeleteCertificate": _lockout("without this certificate the charger may not come back"),
    "RemoteStartTransaction": _remote_start,
    "RemoteStopTransaction": _remote_stop,
    "RequestStartTransaction": _remote_start,
    "RequestStopTransaction": _remote_stop,
    "ReserveNow": _reserve,
    "Reset": _whole("a reset ends it"),
    "SendLocalList": _local_list,
    "SetChargingProfile": _profile,
    "SetNetworkProfile": _lockout("a wrong network profile locks the charger out of this Strom"),
    "SetVariables": _configuration,
    "SignedUpdateFirmware": _FIRMWARE,
    "UnlockConnector": _one("unlocking ends it"),
    "UpdateFirmware": _FIRMWARE,
}

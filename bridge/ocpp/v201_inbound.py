"""What a charging station says in OCPP 2.0.1, as plain reports to its charge point.

OCPP 2.0.1, part 2 "Specification": https://openchargealliance.org/protocols/open-charge-point-protocol/

Here the station names its transactions, and tells of them in one kind of message. Strom takes
a transaction as begun once it knows both for whom and from which register on.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from agent.machine.events import ConnectorStatus
from agent.ports.charge_point import ChargePoint
from agent.ports.charger import MeterReport, Nameplate, StartReport, StopReport
from bridge.ocpp import frames, timestamps
from bridge.ocpp.nameplate import introduce
from bridge.ocpp.readings import Reading, as_int, as_number, as_text, id_tag, objects, readings
from bridge.ocpp.schemas import Payload, check_result
from bridge.ocpp.signed_values import signed_values
from bridge.ocpp.transaction_names import TransactionNames
from bridge.ocpp.v201_charger import PACKAGE, RemoteStarts

logger = logging.getLogger(__name__)

_STATUSES = {
    "available": ConnectorStatus.AVAILABLE,
    "occupied": ConnectorStatus.PREPARING,
    "reserved": ConnectorStatus.RESERVED,
    "unavailable": ConnectorStatus.UNAVAILABLE,
    "faulted": ConnectorStatus.FAULTED,
}
_CHARGING_STATES = {
    "Charging": ConnectorStatus.CHARGING,
    "SuspendedEV": ConnectorStatus.SUSPENDED_EV,
    "SuspendedEVSE": ConnectorStatus.SUSPENDED_EVSE,
}
_MAX_OPEN = 64
_MAX_MULTIPLIER = 12


@dataclass
class _Begun:
    """What is known of a transaction that Strom has not taken as begun yet."""

    evse: int = 0
    tag: str = ""
    register_wh: int | None = None
    written: object = None


class Inbound201:
    """The handlers of one connection.

    Args:
        charge_point: to whom all is reported.
        clock: our time in Unix ms.
        heartbeat_s: how often the station shall say that it is there.
        names: the numbers of its transactions.
        starts: the tags behind its remote starts.
        want_register: called with an EVSE whose transaction began without its register.

    Attributes:
        booted: whether it sent a BootNotification.
        showed_status: whether it sent a StatusNotification.
    """

    def __init__(
        self,
        charge_point: ChargePoint,
        clock: Callable[[], int],
        heartbeat_s: int,
        names: TransactionNames,
        starts: RemoteStarts,
        want_register: Callable[[int], None],
    ) -> None:
        self._charge_point = charge_point
        self._clock = clock
        self._heartbeat_s = heartbeat_s
        self._names = names
        self._starts = starts
        self._want_register = want_register
        self._station_clock = timestamps.Clock()
        self._waiting: dict[str, _Begun] = {}
        self._evses: dict[str, int] = {}
        self.booted = False
        self.showed_status = False

    def knows(self, action: str) -> bool:
        """Whether there is an answer to this action."""
        return action in _HANDLERS

    async def answer(self, action: str, payload: Payload) -> bytes:
        """Report what the station said and return the answer to it, as JSON.

        Raises:
            AgentError: it could not be stored.
        """
        return await _HANDLERS[action](self, payload, self._clock())

    async def boot_notification(self, payload: Payload, now_ms: int) -> bytes:
        """Use case B01; the answer tells the time."""
        station = _fields(payload.get("chargingStation"))
        await introduce(
            self._charge_point,
            Nameplate(
                vendor=as_text(station.get("vendorName"), 50),
                model=as_text(station.get("model"), 50),
                serial=as_text(station.get("serialNumber"), 50),
                firmware=as_text(station.get("firmwareVersion"), 50),
            ),
        )
        self._station_clock.was_told()
        self.booted = True
        return _checked(
            "BootNotification",
            {
                "status": "Accepted",
                "currentTime": timestamps.render(now_ms),
                "interval": self._heartbeat_s,
            },
        )

    async def heartbeat(self, payload: Payload, now_ms: int) -> bytes:
        """Use case G02; the answer tells the time."""
        del payload
        self._station_clock.was_told()
        return _checked("Heartbeat", {"currentTime": timestamps.render(now_ms)})

    async def authorize(self, payload: Payload, now_ms: int) -> bytes:
        """Use case C01."""
        del now_ms
        tag = id_tag(_fields(payload.get("idToken")).get("idToken"))
        accepted = bool(tag) and await self._charge_point.may_charge(tag)
        return _checked("Authorize", {"idTokenInfo": _id_token_info(accepted)})

    async def status_notification(self, payload: Payload, now_ms: int) -> bytes:
        """Use case G01. An EVSE that is occupied by a transaction says more by its events."""
        self.showed_status = True
        evse = as_int(payload.get("evseId"))
        status = _STATUSES.get(as_text(payload.get("connectorStatus"), 50).lower())
        self._station_clock.measure(payload.get("timestamp"), now_ms, live=True)
        occupied = status is ConnectorStatus.PREPARING and evse in self._evses.values()
        if evse is not None and evse >= 0 and status is not None and not occupied:
            at_ms = self._station_clock.ours(payload.get("timestamp"), now_ms)
            await self._charge_point.connector_status(evse, status, at_ms)
        return frames.EMPTY

    async def meter_values(self, payload: Payload, now_ms: int) -> bytes:
        """Use case J01: readings outside of transactions."""
        evse = as_int(payload.get("evseId"))
        if evse:
            await self._sampled(payload.get("meterValue"), evse, None, now_ms)
        return frames.EMPTY

    async def transaction_event(self, payload: Payload, now_ms: int) -> bytes:
        """Use cases E01 to E15; acknowledged whatever it says."""
        info = _fields(payload.get("transactionInfo"))
        name = as_text(info.get("transactionId"), 100)
        ended = payload.get("eventType") == "Ended"
        token = _fields(payload.get("idToken"))
        live = payload.get("offline") is not True
        self._station_clock.measure(payload.get("timestamp"), now_ms, live=live)
        at_ms = self._station_clock.ours(payload.get("timestamp"), now_ms)
        evse = as_int(_fields(payload.get("evse")).get("id")) or self._evses.get(name, 0)
        if evse:
            self._remember(name, evse)
        number = self._names.number(self._charge_point.id, name)
        accepted: bool | None = None
        if number is None:
            number, accepted = await self._begin(name, payload, evse, now_ms)
        elif token:
            accepted = await self._charge_point.may_charge(id_tag(token.get("idToken")))
        await self._sampled(payload.get("meterValue"), evse, number, now_ms)
        state = _CHARGING_STATES.get(as_text(info.get("chargingState"), 50))
        if state is not None and evse and not ended:
            await self._charge_point.connector_status(evse, state, at_ms)
        if ended:
            await self._end(name, number, payload, at_ms)
        if accepted is None and not token:
            return frames.EMPTY
        return _checked("TransactionEvent", {"idTokenInfo": _id_token_info(bool(accepted))})

    async def _begin(
        self, name: str, payload: Payload, evse: int, now_ms: int
    ) -> tuple[int | None, bool | None]:
        """Learn more of a transaction without a number; give it one once all is known.

        Returns:
            Its number, and whether it may go on; None for what is not known yet.
        """
        known = self._waiting.setdefault(name, _Begun(written=payload.get("timestamp")))
        if len(self._waiting) > _MAX_OPEN:
            self._waiting.pop(next(iter(self._waiting)))
        known.evse = evse or known.evse
        tag = id_tag(_fields(payload.get("idToken")).get("idToken"))
        remote = as_int(_fields(payload.get("transactionInfo")).get("remoteStartId"))
        known.tag = tag or known.tag or self._starts.tag(remote)
        for reading in readings(_as_16(payload.get("meterValue"))):
            if known.register_wh is None:
                known.register_wh = reading.register_wh
        if not known.tag:
            return None, None
        if known.register_wh is None or not known.evse:
            if known.evse:
                self._want_register(known.evse)
            return None, await self._charge_point.may_charge(known.tag)
        verdict = await self._charge_point.transaction_started(
            StartReport(
                connector=known.evse,
                id_tag=known.tag,
                register_wh=known.register_wh,
                started_at_ms=timestamps.parse(known.written) or 0,
                began_at_ms=self._station_clock.ours(known.written, now_ms),
            )
        )
        self._names.learn(self._charge_point.id, name, verdict.transaction_id)
        self._waiting.pop(name, None)
        return verdict.transaction_id, verdict.accepted

    async def _end(self, name: str, number: int | None, payload: Payload, at_ms: int) -> None:
        registers = [
            reading.register_wh
            for reading in readings(_as_16(payload.get("meterValue")))
            if reading.register_wh is not None
        ]
        known = self._waiting.pop(name, _Begun())
        tag = id_tag(_fields(payload.get("idToken")).get("idToken")) or known.tag
        info = _fields(payload.get("transactionInfo"))
        await self._charge_point.transaction_stopped(
            StopReport(
                transaction_id=-1 if number is None else number,
                register_wh=registers[-1] if registers else None,
                stopped_at_ms=at_ms,
                reason=as_text(info.get("stoppedReason"), 50) or "Local",
                id_tag=tag,
            )
        )
        self._evses.pop(name, None)

    async def data_transfer(self, payload: Payload, now_ms: int) -> bytes:
        """Use case P02; no vendor's extension is known here."""
        del payload, now_ms
        return b'{"status":"UnknownVendorId"}'

    async def noted(self, payload: Payload, now_ms: int) -> bytes:
        """A notification that is of interest in the message log alone."""
        del payload, now_ms
        return frames.EMPTY

    async def _sampled(
        self, meter_value: object, evse: int, number: int | None, now_ms: int
    ) -> None:
        signed = signed_values(meter_value, lambda w: self._station_clock.ours(w, now_ms))
        if signed:
            await self._charge_point.signed_values(evse, number, signed)
        reports = [
            self._report(reading, evse, number, now_ms) for reading in readings(_as_16(meter_value))
        ]
        if reports:
            await self._charge_point.meter_sampled(reports)

    def _report(self, reading: Reading, evse: int, number: int | None, now_ms: int) -> MeterReport:
        return MeterReport(
            connector=evse,
            transaction_id=number,
            sampled_at_ms=self._station_clock.ours(reading.written, now_ms),
            register_wh=reading.register_wh,
            power_w=reading.power_w,
            fraction_mwh=reading.fraction_mwh,
        )

    def _remember(self, name: str, evse: int) -> None:
        if len(self._evses) >= _MAX_OPEN and name not in self._evses:
            self._evses.pop(next(iter(self._evses)))
        self._evses[name] = evse


def _fields(value: object) -> dict[str, Any]:
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def _as_16(meter_value: object) -> list[dict[str, Any]]:
    """Meter values as 1.6 writes them: 2.0.1 has the unit and its power of ten in an object."""
    return [
        {
            "timestamp": element.get("timestamp"),
            "sampledValue": [_sample_as_16(s) for s in objects(element.get("sampledValue"))],
        }
        for element in objects(meter_value)
    ]


def _sample_as_16(sample: dict[str, Any]) -> dict[str, Any]:
    unit = _fields(sample.get("unitOfMeasure"))
    multiplier = as_int(unit.get("multiplier")) or 0
    value = as_number(sample.get("value"))
    if value is None or abs(multiplier) > _MAX_MULTIPLIER:
        return {}
    return sample | {"value": value * 10.0**multiplier, "unit": unit.get("unit")}


def _id_token_info(accepted: bool) -> dict[str, str]:
    return {"status": "Accepted" if accepted else "Invalid"}


def _checked(action: str, payload: dict[str, Any]) -> bytes:
    check_result(action, payload, PACKAGE)
    return msgspec.json.encode(payload)


_NOTED = (
    "ClearedChargingLimit",
    "NotifyChargingLimit",
    "NotifyCustomerInformation",
    "NotifyDisplayMessages",
    "NotifyEvent",
    "NotifyMonitoringReport",
    "NotifyReport",
    "PublishFirmwareStatusNotification",
    "ReportChargingProfiles",
    "ReservationStatusUpdate",
)
_HANDLERS: dict[str, Callable[[Inbound201, Payload, int], Awaitable[bytes]]] = {
    **dict.fromkeys(_NOTED, Inbound201.noted),
    "Authorize": Inbound201.authorize,
    "BootNotification": Inbound201.boot_notification,
    "DataTransfer": Inbound201.data_transfer,
    "Heartbeat": Inbound201.heartbeat,
    "MeterValues": Inbound201.meter_values,
    "StatusNotification": Inbound201.status_notification,
    "TransactionEvent": Inbound201.transaction_event,
}

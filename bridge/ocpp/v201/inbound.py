"""What a charging station says in OCPP 2.0.1, as plain reports to its charge point.

OCPP 2.0.1, part 2 "Specification": https://openchargealliance.org/protocols/open-charge-point-protocol/

Transactions are the matter of `bridge.ocpp.v201.events`.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from agent.machine.events import ConnectorStatus
from agent.ports.charge_point import ChargePoint
from agent.ports.charger import Nameplate
from bridge.ocpp import frames, timestamps
from bridge.ocpp.actions import V201
from bridge.ocpp.errors import NotSupported
from bridge.ocpp.meters.readings import as_int, as_text, objects
from bridge.ocpp.meters.samples import Samples
from bridge.ocpp.nameplate import introduce
from bridge.ocpp.schemas import Payload, check_result
from bridge.ocpp.v201.charger import PACKAGE
from bridge.ocpp.v201.events import TransactionEvents
from bridge.ocpp.v201.evses import STATUSES
from bridge.ocpp.v201.transactions import Station
from bridge.ocpp.v201.values import (
    LARGEST_EVSE,
    State,
    as_16,
    evse_id,
    fields,
    token_of,
    transaction_event,
)

logger = logging.getLogger(__name__)


class Inbound201:
    """The handlers of one connection.

    Args:
        charge_point: to whom all is reported.
        clock: our time in Unix ms.
        heartbeat_s: how often the station shall say that it is there.
        station: what is known of its transactions and EVSEs.
        charger_clock: what is known of its clock.
        want_register: called with an EVSE whose transaction began without its register.

    Attributes:
        booted: whether it sent a BootNotification.
        showed_status: whether it told of a connector.
    """

    def __init__(
        self,
        charge_point: ChargePoint,
        clock: Callable[[], int],
        heartbeat_s: int,
        station: Station,
        charger_clock: timestamps.Clock,
        want_register: Callable[[int], None],
    ) -> None:
        self._charge_point = charge_point
        self._clock = clock
        self._heartbeat_s = heartbeat_s
        self._station = station
        self._station_clock = charger_clock
        self._samples = Samples(charge_point, self._station_clock, as_16)
        self.events = TransactionEvents(
            charge_point, station, self._station_clock, self._samples, want_register
        )
        station.evses.connected()
        self.booted = False
        self.showed_status = False

    @property
    def clock_behind_ms(self) -> int | None:
        """How far the charger's clock is behind ours; None while that was not measured."""
        return self._station_clock.measured_ms

    def answer(self, action: str, payload: Payload) -> Awaitable[bytes] | None:
        """Report what the station said and return the answer to it, as JSON.

        Returns:
            None for an action to which there is no answer. Awaiting an answer raises AgentError
            where what was said could not be stored.
        """
        handler = _HANDLERS.get(action)
        return None if handler is None else handler(self, payload, self._clock())

    async def boot_notification(self, payload: Payload, now_ms: int) -> bytes:
        """Use case B01; the answer tells the time."""
        station = fields(payload.get("chargingStation"))
        await introduce(
            self._charge_point,
            Nameplate(
                vendor=as_text(station.get("vendorName"), 50),
                model=as_text(station.get("model"), 50),
                serial=as_text(station.get("serialNumber"), 50),
                firmware=as_text(station.get("firmwareVersion"), 50),
            ),
        )
        for evse in self._station.faults.booted():
            await self._charge_point.connector_fault(evse, None)
        self._station_clock.began_anew()
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
        tag = token_of(payload)
        accepted = bool(tag) and await self._charge_point.may_charge(tag)
        return _checked("Authorize", {"idTokenInfo": _id_token_info(accepted)})

    async def status_notification(self, payload: Payload, now_ms: int) -> bytes:
        """Use case G01."""
        written = payload.get("timestamp")
        self._station_clock.measure(written, now_ms, live=self.booted)
        evse, connector = as_int(payload.get("evseId")), as_int(payload.get("connectorId"))
        at_ms = self._station_clock.ours(written, now_ms)
        await self._showed(evse, connector or 0, payload.get("connectorStatus"), at_ms)
        return frames.EMPTY

    async def notify_event(self, payload: Payload, now_ms: int) -> bytes:
        """Use cases G01 and N07: of the states of connectors, EVSEs and the station, and of what is
        wrong with their components."""
        for item in objects(payload.get("eventData")):
            at_ms = self._station_clock.ours(item.get("timestamp"), now_ms)
            about = self._station.faults.take(item, at_ms)
            if about is not None:
                await self._charge_point.connector_fault(about, self._station.faults.of(about))
            component, variable = fields(item.get("component")), fields(item.get("variable"))
            name = as_text(component.get("name"), 50).lower()
            if as_text(variable.get("name"), 50).lower() != "availabilitystate":
                continue
            evse = evse_id(component)
            if name not in ("chargingstation", "evse", "connector") or (
                bool(evse) is (name == "chargingstation")
            ):
                continue
            plug = as_int(fields(component.get("evse")).get("connectorId")) or 0
            await self._showed(evse, plug, item.get("actualValue"), at_ms)
        return frames.EMPTY

    async def _showed(self, evse: int | None, connector: int, value: object, at_ms: int) -> None:
        """A plug showed a state; one in a transaction that is occupied says nothing new."""
        name = as_text(value, 50).strip()
        status = STATUSES.get(name.lower())
        if evse is None or not 0 <= evse <= LARGEST_EVSE or status is None:
            logger.info(
                "%s: a status was not understood: EVSE %s is %r", self._charge_point.id, evse, name
            )
            return
        self.showed_status = True
        if self._station.faults.showed(evse, connector, status):
            await self._charge_point.connector_fault(evse, self._station.faults.of(evse))
        evses, running = self._station.evses, self._station.running(evse)
        status = evses.plug(evse, connector, status, in_use=running is not None)
        if running is not None:
            if status is ConnectorStatus.AVAILABLE and running.state is not State.IDLE:
                running.left = True
            powered = running.sold or running.state in (State.CHARGING, State.SUSPENDED_EV)
            if status is ConnectorStatus.PREPARING and powered and not running.left:
                evses.occupied(evse, at_ms)
                return
        await evses.show(evse, status, at_ms)

    async def meter_values(self, payload: Payload, now_ms: int) -> bytes:
        """Use case J01: readings outside of transactions."""
        evse = evse_id(payload)
        if evse:
            meter_value = payload.get("meterValue")
            await self._samples.keep_signed(meter_value, evse, None, now_ms)
            found = await self._samples.read(meter_value, now_ms)
            found = await self.events.metered_outside(evse, found, now_ms)
            await self._samples.report(found, evse, None, now_ms)
        return frames.EMPTY

    async def transaction_event(self, payload: Payload, now_ms: int) -> bytes:
        """Use cases E01 to E15; acknowledged whatever it says.

        No totalCost is told (use cases I02 and I03): it would be in the station's own
        TariffCostCtrlr.Currency, a code of ISO 4217, and satoshis have none.
        """
        accepted = await self.events.take(transaction_event(payload), now_ms)
        if accepted is None:
            return frames.EMPTY
        return _checked("TransactionEvent", {"idTokenInfo": _id_token_info(accepted)})

    async def data_transfer(self, payload: Payload, now_ms: int) -> bytes:
        """Use case P02; no vendor's extension is known here."""
        del payload, now_ms
        return b'{"status":"UnknownVendorId"}'

    async def notify_ev_charging_needs(self, payload: Payload, now_ms: int) -> bytes:
        """Use case K15: Strom plans no charging by a car's needs."""
        del payload, now_ms
        return b'{"status":"Rejected"}'

    async def notify_ev_charging_schedule(self, payload: Payload, now_ms: int) -> bytes:
        """Use case K15: the car's own plan is in the message log."""
        del payload, now_ms
        return b'{"status":"Accepted"}'

    async def get_certificate_status(self, payload: Payload, now_ms: int) -> bytes:
        """Use case M06: Strom asks no authority for a station."""
        del payload, now_ms
        return b'{"status":"Failed"}'

    async def unsupported(self, payload: Payload, now_ms: int) -> bytes:
        """A request that only a provider of contract certificates could carry out, or one that is
        for stations."""
        del payload, now_ms
        raise NotSupported("Strom does nothing for this action")

    async def noted(self, payload: Payload, now_ms: int) -> bytes:
        """A notification that is of interest in the message log alone."""
        del payload, now_ms
        return frames.EMPTY


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
    "NotifyMonitoringReport",
    "NotifyReport",
    "PublishFirmwareStatusNotification",
    "ReportChargingProfiles",
    "ReservationStatusUpdate",
)
_HANDLERS: dict[str, Callable[[Inbound201, Payload, int], Awaitable[bytes]]] = {
    **dict.fromkeys(V201.actions(), Inbound201.unsupported),
    **dict.fromkeys(_NOTED, Inbound201.noted),
    "Get15118EVCertificate": Inbound201.unsupported,
    "Authorize": Inbound201.authorize,
    "BootNotification": Inbound201.boot_notification,
    "DataTransfer": Inbound201.data_transfer,
    "GetCertificateStatus": Inbound201.get_certificate_status,
    "Heartbeat": Inbound201.heartbeat,
    "MeterValues": Inbound201.meter_values,
    "NotifyEVChargingNeeds": Inbound201.notify_ev_charging_needs,
    "NotifyEVChargingSchedule": Inbound201.notify_ev_charging_schedule,
    "NotifyEvent": Inbound201.notify_event,
    "StatusNotification": Inbound201.status_notification,
    "TransactionEvent": Inbound201.transaction_event,
}

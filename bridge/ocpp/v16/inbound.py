"""What a charger says in OCPP 1.6, as plain reports to its charge point.

Nothing that a charger says about a transaction is refused for its form: what is missing
is taken as unknown, and the frame itself stays in the message log.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from agent.machine.events import ConnectorStatus
from agent.machine.meter import Source
from agent.ports.charge_point import ChargePoint
from agent.ports.charger import Nameplate, StartReport, StopReport
from bridge.ocpp import frames, timestamps
from bridge.ocpp.actions import V16
from bridge.ocpp.errors import NotSupported
from bridge.ocpp.faults import fault_of
from bridge.ocpp.meters.plain_samples import PlainSamples
from bridge.ocpp.meters.readings import as_int, as_text, id_tag, register
from bridge.ocpp.meters.samples import Samples
from bridge.ocpp.meters.unread_meters import UnreadMeters
from bridge.ocpp.nameplate import introduce
from bridge.ocpp.schemas import Payload, check_result

logger = logging.getLogger(__name__)

_MAX_TRANSACTIONS = 64
_FOR_CHARGERS = frozenset(V16.actions())

MAX_CONNECTOR = 99
"""The highest connector that a charge point of the operator's file may have."""

_STATUSES = {status.value.lower(): status for status in ConnectorStatus} | {
    "occupied": ConnectorStatus.CHARGING,
    "suspendedev": ConnectorStatus.SUSPENDED_EV,
    "suspendedevse": ConnectorStatus.SUSPENDED_EVSE,
}
del _STATUSES["offline"]


class Inbound:
    """The handlers of one connection.

    Args:
        charge_point: to whom all is reported.
        clock: our time in Unix ms.
        heartbeat_s: how often the charger shall say that it is there.
        charger_clock: what is known of the charger's clock.

    Attributes:
        booted: whether it sent a BootNotification.
        shown: the connectors whose state it sent.
    """

    def __init__(
        self,
        charge_point: ChargePoint,
        clock: Callable[[], int],
        heartbeat_s: int,
        charger_clock: timestamps.Clock,
    ) -> None:
        self._charge_point = charge_point
        self._clock = clock
        self._heartbeat_s = heartbeat_s
        self._charger_clock = charger_clock
        self._samples = Samples(charge_point, charger_clock)
        self._unread = UnreadMeters(charge_point)
        self._connectors: dict[int, int] = {}
        self.booted = False
        self.shown: set[int] = set()

    @property
    def clock_behind_ms(self) -> int | None:
        """How far the charger's clock is behind ours; None while that was not measured."""
        return self._charger_clock.measured_ms

    def meter_asked(self) -> None:
        """The charger is asked for its meter now."""
        self._unread.asked(self._clock())

    def answer(self, action: str, payload: Payload | PlainSamples) -> Awaitable[bytes] | None:
        """Report what the charger said and return the answer to it, as JSON.

        Returns:
            None for an action to which there is no answer. Awaiting an answer raises AgentError
            where what was said could not be stored.

        Raises:
            NotSupported: this is for chargers to be asked (OCPP-J 1.6 section 4.2.3).
        """
        if isinstance(payload, PlainSamples):
            return self.plain_samples(payload, self._clock())
        handler = _HANDLERS.get(action)
        if handler is None and action in _FOR_CHARGERS:
            raise NotSupported("this is a question to chargers, and not from one")
        return None if handler is None else handler(self, payload, self._clock())

    async def boot_notification(self, payload: Payload, now_ms: int) -> bytes:
        """OCPP 1.6 section 4.2; the answer tells the time."""
        await introduce(
            self._charge_point,
            Nameplate(
                vendor=as_text(payload.get("chargePointVendor"), 50),
                model=as_text(payload.get("chargePointModel"), 50),
                serial=as_text(payload.get("chargePointSerialNumber"), 50),
                firmware=as_text(payload.get("firmwareVersion"), 50),
            ),
        )
        self._charger_clock.began_anew()
        self._charger_clock.was_told()
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
        """OCPP 1.6 section 4.6; the answer tells the time."""
        del payload
        self._charger_clock.was_told()
        return b'{"currentTime":"%b"}' % timestamps.render(now_ms).encode()

    async def authorize(self, payload: Payload, now_ms: int) -> bytes:
        """OCPP 1.6 section 4.1."""
        del now_ms
        tag = id_tag(payload.get("idTag"))
        accepted = bool(tag) and await self._charge_point.may_charge(tag)
        return _checked("Authorize", {"idTagInfo": _id_tag_info(accepted)})

    async def status_notification(self, payload: Payload, now_ms: int) -> bytes:
        """OCPP 1.6 section 4.9."""
        connector = as_int(payload.get("connectorId"))
        name = as_text(payload.get("status"), 50).strip()
        status = _STATUSES.get(name.lower())
        self._charger_clock.measure(payload.get("timestamp"), now_ms, live=self.booted)
        at_ms = self._charger_clock.ours(payload.get("timestamp"), now_ms)
        if connector is not None and connector >= 0:
            fault = fault_of(payload, status, at_ms)
            await self._charge_point.connector_fault(connector, fault, status)
        if connector is None or connector < 0 or status is None:
            logger.info(
                "%s: a status was not understood: connector %s is %r",
                self._charge_point.id,
                connector,
                name,
            )
            return frames.EMPTY
        if connector <= MAX_CONNECTOR:
            self.shown.add(connector)
        await self._charge_point.connector_status(connector, status, at_ms)
        return frames.EMPTY

    async def start_transaction(self, payload: Payload, now_ms: int) -> bytes:
        """OCPP 1.6 section 4.8."""
        connector = as_int(payload.get("connectorId"))
        written = payload.get("timestamp")
        self._charger_clock.measure(written, now_ms, live=False)
        report = StartReport(
            connector=connector or 0,
            id_tag=id_tag(payload.get("idTag")),
            register_wh=register(payload.get("meterStart")),
            started_at_ms=timestamps.parse(written) or 0,
            began_at_ms=self._charger_clock.ours(written, now_ms),
        )
        verdict = await self._charge_point.transaction_started(report)
        self._remember(verdict.transaction_id, report.connector)
        number, start_wh = verdict.transaction_id, report.register_wh
        await self._unread.began(number, report.connector, start_wh, report.started_at_ms)
        return _checked(
            "StartTransaction",
            {
                "transactionId": verdict.transaction_id,
                "idTagInfo": _id_tag_info(verdict.accepted),
            },
        )

    async def plain_samples(self, samples: PlainSamples, now_ms: int) -> bytes:
        """OCPP 1.6 section 4.7, by the book and read already."""
        connector, transaction_id = samples.connector, samples.transaction_id
        if connector:
            self._remember(transaction_id, connector)
        if connector or transaction_id is not None:
            readings = samples.readings
            if self._unread.may_be_open:
                named = transaction_id
                readings, _ = await self._unread.metered(None, readings, connector, named, now_ms)
            await self._samples.take_read(readings, connector, transaction_id, now_ms)
        return frames.EMPTY

    async def meter_values(self, payload: Payload, now_ms: int) -> bytes:
        """OCPP 1.6 section 4.7, whatever it is."""
        connector = as_int(payload.get("connectorId"))
        transaction_id = as_int(payload.get("transactionId"))
        if connector:
            self._remember(transaction_id, connector)
        if connector or transaction_id is not None:
            values = payload.get("meterValue") or payload.get("values")
            await self._metered(values, connector or 0, transaction_id, now_ms)
        return frames.EMPTY

    async def stop_transaction(self, payload: Payload, now_ms: int) -> bytes:
        """OCPP 1.6 section 4.10; acknowledged whatever it says."""
        transaction_id = as_int(payload.get("transactionId"))
        transaction_id = -1 if transaction_id is None else transaction_id
        samples = payload.get("transactionData")
        if samples:
            connector = self._connectors.get(transaction_id, 0)
            await self._metered(samples, connector, transaction_id, now_ms, ended=True)
        register_wh = register(payload.get("meterStop"))
        register_wh = await self._unread.last_word_wh(register_wh)
        await self._charge_point.transaction_stopped(
            StopReport(
                transaction_id=transaction_id,
                register_wh=register_wh,
                stopped_at_ms=self._charger_clock.ours(payload.get("timestamp"), now_ms),
                reason=as_text(payload.get("reason"), 50) or "Local",
                id_tag=id_tag(payload.get("idTag")),
            )
        )
        self._connectors.pop(transaction_id, None)
        await self._unread.ended(transaction_id)
        return frames.EMPTY

    async def _metered(
        self,
        values: object,
        connector: int,
        transaction_id: int | None,
        now_ms: int,
        *,
        ended: bool = False,
    ) -> None:
        """Report all that is in a `meterValue` list, and what is summed up with it."""
        await self._samples.keep_signed(values, connector, transaction_id, now_ms)
        found, summed_up = await self._samples.read(values, now_ms), None
        if self._unread.may_be_open:
            found, summed_up = await self._unread.metered(
                values, found, connector, transaction_id, now_ms, ended=ended
            )
        source = Source.END_SAMPLE if ended else Source.SAMPLE
        await self._samples.report(found, connector, transaction_id, now_ms, source)
        if summed_up is not None:
            number, place, reading = summed_up
            self._charger_clock.measure(reading.written, now_ms, live=False)
            await self._samples.report([reading], place, number, now_ms, Source.INTERVALS)

    async def data_transfer(self, payload: Payload, now_ms: int) -> bytes:
        """OCPP 1.6 section 4.3; no vendor's extension is known here."""
        del payload, now_ms
        return b'{"status":"UnknownVendorId"}'

    def _remember(self, transaction_id: int | None, connector: int) -> None:
        """A StopTransaction does not name its connector."""
        if transaction_id is None or transaction_id <= 0 or transaction_id in self._connectors:
            return
        if len(self._connectors) >= _MAX_TRANSACTIONS:
            self._connectors.pop(next(iter(self._connectors)))
        self._connectors[transaction_id] = connector


def _id_tag_info(accepted: bool) -> dict[str, str]:
    return {"status": "Accepted" if accepted else "Invalid"}


def _checked(action: str, payload: dict[str, Any]) -> bytes:
    check_result(action, payload)
    return msgspec.json.encode(payload)


_HANDLERS: dict[str, Callable[[Inbound, Payload, int], Awaitable[bytes]]] = {
    "Authorize": Inbound.authorize,
    "BootNotification": Inbound.boot_notification,
    "DataTransfer": Inbound.data_transfer,
    "Heartbeat": Inbound.heartbeat,
    "MeterValues": Inbound.meter_values,
    "StartTransaction": Inbound.start_transaction,
    "StatusNotification": Inbound.status_notification,
    "StopTransaction": Inbound.stop_transaction,
}

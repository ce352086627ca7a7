"""The simulated charge point: what it does by itself, what people do to it, what it is told.

Simulated time: `speed` makes energy flow that many times faster, and the meter is read that
much more often (at most four times a second), so that a demo charges 10 kWh in seconds. The
power on the wire stays what such a charger really gives, and timestamps stay those of the
clock: with a speed above 1 the register therefore runs ahead of the reported power.
Heartbeats, ConnectionTimeOut and back-off keep to real time.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any

import anyio
from anyio.abc import TaskGroup
from websockets.exceptions import WebSocketException

from bridge.simulator.connector import Connector, Queued, Transaction
from bridge.simulator.electric import Battery, Meter
from bridge.simulator.keys import Keys
from bridge.simulator.wire import CallFailed, NotConnected, Payload, Trace, Wire, open_wire

_MIN_SAMPLE_S = 0.25
_TICK_S = 0.1
_BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_BOOT_RETRY_S = 5.0

Then = Callable[[], Awaitable[None]]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _silent(sentence: str) -> None:
    del sentence


def _untraced(sent: bool, action: str, payload: Payload) -> None:
    del sent, action, payload


class SimulatedChargePoint:
    """A charge point that connects to a central system over OCPP 1.6.

    Args:
        url: the central system's URL, with or without the id at its end.
        charge_point_id: who it is.
        connectors: how many connectors it has.
        password: for HTTP Basic authentication.
        max_power_w: what each connector gives.
        speed: how many times faster energy flows; see the module.
        clock: its clock, in Unix ms.
        say: told a sentence about each thing that happens.
        trace: told each OCPP request, sent or received.
    """

    def __init__(
        self,
        url: str,
        charge_point_id: str,
        *,
        connectors: int = 1,
        password: str | None = None,
        max_power_w: int = 11_000,
        speed: float = 1.0,
        clock: Callable[[], int] = _now_ms,
        say: Callable[[str], None] = _silent,
        trace: Trace = _untraced,
    ) -> None:
        self.id = charge_point_id
        self.keys = Keys(connectors)
        self.connectors = {
            number: Connector(number, Meter(max_power_w, register_wh=12_345.0 * number))
            for number in range(1, connectors + 1)
        }
        self.online = False
        self.queue: deque[Queued] = deque()
        self._url = url
        self._password = password
        self._speed = speed
        self._clock = clock
        self._say = say
        self._trace = trace
        self._wire: Wire | None = None
        self._work: TaskGroup | None = None
        self._powered = True
        self._reachable = True
        self._changed = anyio.Event()

    async def run(self) -> None:
        """Be a charge point until cancelled: connect, boot, report, and come back when lost."""
        async with anyio.create_task_group() as work:
            self._work = work
            work.start_soon(self._flow)
            attempt = 0
            while True:
                await self.until(lambda: self._powered and self._reachable)
                try:
                    async with open_wire(self._url, self.id, self._password) as socket:
                        attempt = 0
                        await self._connected(Wire(socket, self._told, self._trace))
                except (OSError, TimeoutError, WebSocketException) as error:
                    self._say(f"cannot connect: {error}")
                delay = _BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)]
                attempt += 1
                with anyio.move_on_after(delay):
                    await self.until(lambda: not (self._powered and self._reachable))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something about this charge point holds."""
        while not condition():
            await self._changed.wait()

    async def plug_in(self, connector: int = 1, battery: Battery | None = None) -> None:
        """Somebody plugs his car in."""
        here = self.connectors[connector]
        here.plugged = True
        here.suspended = False
        here.meter.battery = battery or Battery()
        self._say(f"connector {connector}: a car is plugged in")
        if here.awaited_tag:
            await self._show(here)
            await self._begin(here, here.awaited_tag)
        else:
            await self._show(here)

    async def unplug(self, connector: int = 1) -> None:
        """Somebody pulls the plug: a running transaction ends with it."""
        here = self.connectors[connector]
        self._say(f"connector {connector}: the car is unplugged")
        await self._end(here, "EVDisconnected")
        here.plugged = False
        here.suspended = False
        await self._show(here)

    async def stop_locally(self, connector: int = 1) -> None:
        """Somebody presses the stop button."""
        await self._end(self.connectors[connector], "Local")

    async def present_card(self, id_tag: str, connector: int = 1) -> bool:
        """Somebody holds a card to the reader of a plugged-in connector; True if it starts."""
        try:
            answer = await self._call("Authorize", {"idTag": id_tag})
        except (CallFailed, NotConnected):
            return False
        if answer["idTagInfo"]["status"] != "Accepted":
            return False
        await self._begin(self.connectors[connector], id_tag)
        return True

    async def suspend(self, connector: int = 1) -> None:
        """The car takes no energy for now."""
        await self._suspended(connector, True)

    async def resume(self, connector: int = 1) -> None:
        """The car takes energy again."""
        await self._suspended(connector, False)

    async def fault(self, connector: int = 1, error_code: str = "GroundFailure") -> None:
        """The connector breaks; "" as the code repairs it."""
        here = self.connectors[connector]
        here.fault = error_code
        if error_code:
            await self._end(here, "Other")
        await self._show(here)

    async def go_offline(self) -> None:
        """The network is gone, without a word; charging goes on and is reported later."""
        self._reachable = False
        self._lose_wire()
        self._notify()

    async def come_back(self) -> None:
        """The network, or the power, is back."""
        self._reachable = True
        self._powered = True
        self._notify()

    async def power_loss(self) -> None:
        """The power is gone: transactions end, and are reported once it is back."""
        self._say("power loss")
        self._powered = False
        self._lose_wire()
        for here in self.connectors.values():
            await self._end(here, "PowerLoss")
        self._notify()

    async def _connected(self, wire: Wire) -> None:
        async with anyio.create_task_group() as group:

            async def receive() -> None:
                await wire.receive()
                group.cancel_scope.cancel()

            self._wire = wire
            group.start_soon(receive)
            group.start_soon(self._live)
        self._wire = None
        self.online = False
        self._say("the connection is lost")
        self._notify()

    async def _live(self) -> None:
        """Boot, show all states, then deliver what is queued and say that we are here."""
        try:
            heartbeat_s = await self._boot()
            self.online = True
            self._say("booted")
            for here in (None, *self.connectors.values()):
                await self._send_status(here)
            self._notify()
            async with anyio.create_task_group() as group:
                group.start_soon(self._deliver)
                while True:
                    await anyio.sleep(heartbeat_s)
                    await self._call("Heartbeat", {})
        except* (NotConnected, CallFailed):
            self._lose_wire()

    async def _boot(self) -> float:
        """BootNotification until it is accepted; returns the interval of heartbeats."""
        while True:
            answer = await self._call(
                "BootNotification",
                {
                    "chargePointVendor": "Strom",
                    "chargePointModel": "Simulator",
                    "chargePointSerialNumber": self.id[:25],
                    "firmwareVersion": "1.0",
                },
            )
            interval = float(answer.get("interval") or self.keys.number("HeartbeatInterval"))
            if answer["status"] == "Accepted":
                return max(interval, 1.0)
            await anyio.sleep(interval or _BOOT_RETRY_S)

    async def _deliver(self) -> None:
        """Deliver what must not be lost, in its order."""
        while True:
            await self.until(lambda: bool(self.queue))
            head = self.queue[0]
            if head.transaction.id is not None and "transactionId" in head.payload:
                head.payload["transactionId"] = head.transaction.id
            try:
                answer = await self._call(head.action, head.payload)
            except CallFailed:
                head.attempts += 1
                if head.attempts >= self.keys.number("TransactionMessageAttempts"):
                    self.queue.remove(head)
                else:
                    await anyio.sleep(self.keys.number("TransactionMessageRetryInterval"))
                continue
            self.queue.remove(head)
            if head.action == "StartTransaction":
                await self._started(head.transaction, answer)
            self._notify()

    async def _started(self, transaction: Transaction, answer: Payload) -> None:
        transaction.id = int(answer["transactionId"])
        if answer["idTagInfo"]["status"] == "Accepted":
            return
        for here in self.connectors.values():
            if here.transaction is transaction:
                await self._end(here, "DeAuthorized")

    async def _begin(self, here: Connector, id_tag: str) -> None:
        if here.transaction is not None or not here.plugged or here.fault:
            return
        here.awaited_tag = ""
        here.attempt += 1
        transaction = Transaction(id_tag, here.energy_wh)
        transaction.samples.append(self._meter_value(here, "Transaction.Begin", stop=True))
        here.transaction = transaction
        here.meter.switch(not here.suspended)
        self._say(f"connector {here.id}: charging begins")
        self._enqueue(
            "StartTransaction",
            {
                "connectorId": here.id,
                "idTag": id_tag,
                "meterStart": transaction.meter_start_wh,
                "timestamp": self._timestamp(),
            },
            transaction,
        )
        await self._show(here)
        if self._work is not None:
            self._work.start_soon(self._sample, here, transaction)

    async def _end(self, here: Connector, reason: str) -> None:
        transaction = here.transaction
        here.awaited_tag = ""
        if transaction is None:
            return
        here.transaction = None
        transaction.stopped = True
        here.meter.switch(False)
        transaction.samples.append(self._meter_value(here, "Transaction.End", stop=True))
        self._say(f"connector {here.id}: charging ends ({reason})")
        self._enqueue(
            "StopTransaction",
            {
                "transactionId": -1,
                "idTag": transaction.id_tag,
                "meterStop": here.energy_wh,
                "timestamp": self._timestamp(),
                "reason": reason,
                "transactionData": transaction.samples,
            },
            transaction,
        )
        here.status = "Finishing" if here.plugged else here.status
        await self._show(here, force=here.plugged)

    async def _flow(self) -> None:
        """Let energy flow, and notice when the car is full."""
        before = anyio.current_time()
        while True:
            await anyio.sleep(_TICK_S)
            now = anyio.current_time()
            elapsed_ms = (now - before) * 1000 * self._speed
            before = now
            for here in self.connectors.values():
                here.meter.advance(elapsed_ms)
                if here.transaction is not None:
                    await self._show(here)
            self._notify()

    async def _sample(self, here: Connector, transaction: Transaction) -> None:
        """Report the meter while the transaction lasts."""
        while True:
            interval = self.keys.number("MeterValueSampleInterval")
            await anyio.sleep(max(interval / self._speed, _MIN_SAMPLE_S) if interval else 1.0)
            if transaction.stopped:
                return
            if interval:
                self._send_sample(here, "Sample.Periodic")

    def _send_sample(self, here: Connector, context: str) -> None:
        transaction = here.transaction
        if transaction is None:
            return
        self._enqueue(
            "MeterValues",
            {
                "connectorId": here.id,
                "transactionId": -1,
                "meterValue": [self._meter_value(here, context)],
            },
            transaction,
        )

    def _meter_value(self, here: Connector, context: str, stop: bool = False) -> Payload:
        key = "StopTxnSampledData" if stop else "MeterValuesSampledData"
        battery = here.meter.battery
        values = {
            "Energy.Active.Import.Register": (str(here.energy_wh), "Wh"),
            "Power.Active.Import": (f"{here.meter.power_w:.0f}", "W"),
            "Current.Import": (f"{here.meter.power_w / 690:.1f}", "A"),
            "Voltage": ("230.0", "V"),
            "SoC": (f"{100 * battery.charge_wh / battery.capacity_wh:.0f}", "Percent"),
        }
        return {
            "timestamp": self._timestamp(),
            "sampledValue": [
                {
                    "value": values[measurand][0],
                    "context": context,
                    "measurand": measurand,
                    "unit": values[measurand][1],
                }
                for measurand in self.keys.names(key)
            ],
        }

    async def _suspended(self, connector: int, suspended: bool) -> None:
        here = self.connectors[connector]
        here.suspended = suspended
        if here.transaction is not None:
            here.meter.switch(not suspended)
        await self._show(here)

    def _told(self, action: str, payload: Payload) -> tuple[Payload, Then | None] | None:
        """The answer to a request, and what to do after it."""
        match action:
            case "RemoteStartTransaction":
                return self._remote_start(payload)
            case "RemoteStopTransaction":
                return self._remote_stop(payload)
            case "GetConfiguration":
                return self.keys.get(payload.get("key") or []), None
            case "ChangeConfiguration":
                status = self.keys.change(payload["key"], payload["value"])
                return {"status": status}, None
            case "ChangeAvailability":
                return self._change_availability(payload)
            case "UnlockConnector":
                return self._unlock(payload)
            case "Reset":
                return {"status": "Accepted"}, partial(self._reset, payload["type"])
            case "TriggerMessage":
                return self._trigger(payload)
            case "SetChargingProfile":
                return self._set_profile(payload), None
            case "ClearChargingProfile":
                for here in self.connectors.values():
                    here.meter.limit_w = None
                return {"status": "Accepted"}, None
            case "ClearCache":
                return {"status": "Accepted"}, None
            case "DataTransfer":
                return {"status": "UnknownVendorId"}, None
            case _:
                return None

    def _remote_start(self, payload: Payload) -> tuple[Payload, Then | None]:
        wanted = payload.get("connectorId")
        free = [
            here
            for here in self.connectors.values()
            if wanted in (None, here.id)
            and here.transaction is None
            and not here.awaited_tag
            and here.operative
            and not here.fault
        ]
        if not free:
            return {"status": "Rejected"}, None
        here = next((here for here in free if here.plugged), free[0])
        here.awaited_tag = payload["idTag"]
        here.attempt += 1
        return {"status": "Accepted"}, partial(self._await_plug, here, here.attempt)

    async def _await_plug(self, here: Connector, attempt: int) -> None:
        if here.plugged:
            await self._begin(here, here.awaited_tag)
            return
        await self._show(here)
        if self._work is not None:
            self._work.start_soon(self._plug_timeout, here, attempt)

    async def _plug_timeout(self, here: Connector, attempt: int) -> None:
        await anyio.sleep(self.keys.number("ConnectionTimeOut"))
        if here.attempt == attempt and here.awaited_tag:
            self._say(f"connector {here.id}: nobody plugged in")
            here.awaited_tag = ""
            await self._show(here)

    def _remote_stop(self, payload: Payload) -> tuple[Payload, Then | None]:
        for here in self.connectors.values():
            if here.transaction is not None and here.transaction.id == payload["transactionId"]:
                return {"status": "Accepted"}, partial(self._end, here, "Remote")
        return {"status": "Rejected"}, None

    def _change_availability(self, payload: Payload) -> tuple[Payload, Then | None]:
        number = payload["connectorId"]
        chosen = [here for here in self.connectors.values() if number in (0, here.id)]
        if not chosen:
            return {"status": "Rejected"}, None
        for here in chosen:
            here.operative = payload["type"] == "Operative"
        busy = any(here.transaction is not None for here in chosen)

        async def show() -> None:
            for here in chosen:
                await self._show(here)

        return {"status": "Scheduled" if busy else "Accepted"}, show

    def _unlock(self, payload: Payload) -> tuple[Payload, Then | None]:
        here = self.connectors.get(payload["connectorId"])
        if here is None:
            return {"status": "NotSupported"}, None
        return {"status": "Unlocked"}, partial(self._end, here, "UnlockCommand")

    def _trigger(self, payload: Payload) -> tuple[Payload, Then | None]:
        number = payload.get("connectorId")
        chosen = [here for here in self.connectors.values() if number in (None, here.id)]

        async def statuses() -> None:
            for here in chosen:
                await self._send_status(here)

        async def samples() -> None:
            for here in chosen:
                self._send_sample(here, "Trigger")

        async def heartbeat() -> None:
            await self._call("Heartbeat", {})

        async def boot() -> None:
            await self._boot()

        actions: dict[str, Then] = {
            "StatusNotification": statuses,
            "MeterValues": samples,
            "Heartbeat": heartbeat,
            "BootNotification": boot,
        }
        then = actions.get(payload["requestedMessage"])
        if then is None:
            return {"status": "NotImplemented"}, None
        return {"status": "Accepted"}, then

    def _set_profile(self, payload: Payload) -> Payload:
        profile = payload["csChargingProfiles"]
        schedule = profile["chargingSchedule"]
        if schedule["chargingRateUnit"] != "W":
            return {"status": "Rejected"}
        limit_w = float(schedule["chargingSchedulePeriod"][0]["limit"])
        for here in self.connectors.values():
            if payload["connectorId"] in (0, here.id):
                here.meter.limit_w = limit_w
        return {"status": "Accepted"}

    async def _reset(self, kind: str) -> None:
        for here in self.connectors.values():
            await self._end(here, "SoftReset" if kind == "Soft" else "HardReset")
        if kind == "Soft" and self._wire is not None:
            await self._wire.close()
        else:
            self._lose_wire()

    async def _call(self, action: str, payload: dict[str, Any]) -> Payload:
        if self._wire is None:
            raise NotConnected(f"{action} was not sent: there is no connection")
        return await self._wire.call(action, payload)

    def _enqueue(self, action: str, payload: Payload, transaction: Transaction) -> None:
        self.queue.append(Queued(action, payload, transaction))
        self._notify()

    async def _show(self, here: Connector, force: bool = False) -> None:
        """Report a connector's status if it changed."""
        status = here.status if force else here.natural_status()
        if status == here.status and not force:
            return
        here.status = status
        self._say(f"connector {here.id}: {status}")
        self._notify()
        await self._send_status(here)

    async def _send_status(self, here: Connector | None) -> None:
        if not self.online:
            return
        payload = {
            "connectorId": here.id if here else 0,
            "errorCode": (here.fault if here else "") or "NoError",
            "status": here.status if here else "Available",
            "timestamp": self._timestamp(),
        }
        try:
            await self._call("StatusNotification", payload)
        except (CallFailed, NotConnected):
            return

    def _timestamp(self) -> str:
        moment = datetime.fromtimestamp(self._clock() / 1000, UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _lose_wire(self) -> None:
        self.online = False
        if self._wire is not None:
            self._wire.break_off()

    def _notify(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()

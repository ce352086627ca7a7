"""What a simulated charger does by itself: its connectors, meters, transactions and messages.

Simulated time: `speed` makes energy flow that many times faster, and the meter is read that
much more often (at most four times a second), so that a demo charges 10 kWh in seconds. The
power on the wire stays what such a charger really gives, and timestamps stay those of the
clock: with a speed above 1 the register therefore runs ahead of the reported power.
Heartbeats, ConnectionTimeOut and back-off keep to real time.
"""

from __future__ import annotations

import ssl
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import anyio
from anyio.abc import TaskGroup

from bridge.simulator.connector import Connector, Queued, Transaction
from bridge.simulator.electric import Meter
from bridge.simulator.keys import Keys
from bridge.simulator.wire import CallFailed, NotConnected, Payload, Trace, Wire

_MIN_SAMPLE_S = 0.25
_TICK_S = 0.1
_BOOT_RETRY_S = 5.0


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _silent(sentence: str) -> None:
    del sentence


def _untraced(sent: bool, action: str, payload: Payload) -> None:
    del sent, action, payload


class Station:
    """A charger with its connectors; see `SimulatedChargePoint` for the arguments."""

    def __init__(
        self,
        url: str,
        charge_point_id: str,
        *,
        connectors: int = 1,
        password: str | None = None,
        tls: ssl.SSLContext | None = None,
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
        self._tls = tls
        self._password: str | None = password
        self._speed = speed
        self._clock = clock
        self._say = say
        self._trace = trace
        self._wire: Wire | None = None
        self._work: TaskGroup | None = None
        self._powered = True
        self._reachable = True
        self._changed = anyio.Event()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something about this charge point holds."""
        while not condition():
            await self._changed.wait()

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

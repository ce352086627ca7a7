"""The simulated charge point: its connection to a central system, and what people do to it."""

from __future__ import annotations

import os

import anyio
from websockets.exceptions import InvalidStatus, WebSocketException

from bridge.simulator.connector import Transaction
from bridge.simulator.electric import Battery
from bridge.simulator.orders import ObedientStation
from bridge.simulator.wire import CallFailed, NotConnected, Payload, Wire, open_wire

_BACKOFF_S = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class SimulatedChargePoint(ObedientStation):
    """A charge point that connects to a central system over OCPP 1.6.

    Args:
        url: the central system's URL, with or without the id at its end.
        charge_point_id: who it is.
        connectors: how many connectors it has.
        password: for HTTP Basic authentication.
        tls: whom it trusts over wss://, and its client certificate; None: as this machine does.
        max_power_w: what each connector gives.
        speed: how many times faster energy flows; see `station`.
        clock: its clock, in Unix ms.
        say: told a sentence about each thing that happens.
        trace: told each OCPP request, sent or received.
    """

    async def run(self) -> None:
        """Be a charge point until cancelled: connect, boot, report, and come back when lost."""
        async with anyio.create_task_group() as work:
            self._work = work
            work.start_soon(self._flow)
            attempt = 0
            while True:
                await self.until(lambda: self._powered and self._reachable)
                try:
                    async with open_wire(self._url, self.id, self._password, self._tls) as socket:
                        attempt = 0
                        await self._connected(Wire(socket, self._told, self._trace))
                except (OSError, TimeoutError, WebSocketException) as error:
                    self._say(f"cannot connect: {_told(error)}")
                delay = _BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)]
                attempt += 1
                with anyio.move_on_after(delay):
                    await self.until(lambda: not (self._powered and self._reachable))

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


def _told(error: Exception) -> str:
    """Why a connection failed, in the words of whoever refused it."""
    if isinstance(error, OSError) and error.errno and error.errno > 0:
        return f"{os.strerror(error.errno).lower()}; trying again"
    if not isinstance(error, InvalidStatus):
        return str(error) or "it took too long"
    words = error.response.body or b""
    said = words.decode(errors="replace").strip()[:200]
    return f"{said or 'it was refused'} (HTTP {error.response.status_code})"

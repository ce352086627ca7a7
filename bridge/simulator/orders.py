"""What a central system tells a simulated charger to do (OCPP 1.6 section 5)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

import anyio

from bridge.simulator.connector import Connector
from bridge.simulator.station import Station
from bridge.simulator.wire import Payload

Then = Callable[[], Awaitable[None]]


class ObedientStation(Station):
    """A charger that carries out what it is told."""

    def _told(self, action: str, payload: Payload) -> tuple[Payload, Then | None] | None:
        """The answer to a request, and what to do after it."""
        match action:
            case "RemoteStartTransaction":
                return self._remote_start(payload)
            case "RemoteStopTransaction":
                return self._remote_stop(payload)
            case "GetConfiguration":
                return self.keys.get(payload.get("key") or []), None
            case "ChangeConfiguration" if payload["key"] == "AuthorizationKey":
                return self._take_password(payload["value"])
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

    def _take_password(self, value: str) -> tuple[Payload, Then | None]:
        """AuthorizationKey: hex digits, shown from the next connection on (whitepaper, A01)."""
        try:
            password = bytes.fromhex(value).decode()
        except ValueError:
            return {"status": "Rejected"}, None
        if self._password is None or not 16 <= len(password) <= 20:
            return {"status": "Rejected"}, None
        self._password = password
        self._say("takes a new password")

        async def reconnect() -> None:
            if self._wire is not None:
                await self._wire.close()

        return {"status": "Accepted"}, reconnect

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

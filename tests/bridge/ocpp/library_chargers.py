"""Chargers made of the `ocpp` library with its own strict validation, in both versions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any, cast

from ocpp import routing
from ocpp.v16 import ChargePoint as ChargePoint16
from ocpp.v16 import call as call16
from ocpp.v16 import call_result as result16
from ocpp.v201 import ChargePoint as ChargePoint201
from ocpp.v201 import call as call201
from ocpp.v201 import call_result as result201
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

METER_START = 40_000

on: Any = cast(Any, routing).on


async def ask(charger: Any, message: Any) -> Any:
    """Strom's answer to a message; raises where it is an error, or does not fit its schema."""
    return await charger.call(message, suppress=False)


def now() -> str:
    return datetime.now(UTC).isoformat()


class Charger16(ChargePoint16):
    """One connector of OCPP 1.6 that keeps its configuration; `asked` has what Strom sent."""

    def __init__(self, name: str, socket: Any) -> None:
        super().__init__(name, socket)
        self.asked: list[str] = []
        self.settings = {"MeterValueSampleInterval": "900", "HeartbeatInterval": "300"}
        self.tag: asyncio.Queue[str] = asyncio.Queue()
        self.stop: asyncio.Queue[int] = asyncio.Queue()

    @on("RemoteStartTransaction")
    async def started(self, id_tag: str, connector_id: int) -> Any:
        assert connector_id == 1
        self.tag.put_nowait(id_tag)
        return result16.RemoteStartTransaction(status=cast(Any, "Accepted"))

    @on("RemoteStopTransaction")
    async def stopped(self, transaction_id: int) -> Any:
        self.stop.put_nowait(transaction_id)
        return result16.RemoteStopTransaction(status=cast(Any, "Accepted"))

    @on("GetConfiguration")
    async def told(self, key: list[str]) -> Any:
        self.asked += key
        return result16.GetConfiguration(
            configuration_key=[
                cast(Any, {"key": name, "readonly": False, "value": self.settings[name]})
                for name in key
                if name in self.settings
            ],
            unknown_key=[name for name in key if name not in self.settings],
        )

    @on("ChangeConfiguration")
    async def changed(self, key: str, value: str) -> Any:
        self.settings[key] = value
        return result16.ChangeConfiguration(status=cast(Any, "Accepted"))

    async def shows(self, status: str) -> None:
        await ask(
            self, call16.StatusNotification(1, cast(Any, "NoError"), cast(Any, status), now())
        )

    async def boot(self) -> str:
        answer = await ask(self, call16.BootNotification("ocpp", "PyPI"))
        await self.shows("Available")
        return answer.status

    async def charge(self) -> bool:
        """A session from the remote start to the remote stop: whether both meant the same."""
        tag = await self.tag.get()
        await self.shows("Preparing")
        allowed = await ask(self, call16.Authorize(tag))
        assert allowed.id_tag_info["status"] == "Accepted"
        start = await ask(self, call16.StartTransaction(1, tag, METER_START, now()))
        assert start.id_tag_info["status"] == "Accepted"
        await self.shows("Charging")
        sample = {"value": "40.4", "unit": "kWh", "measurand": "Energy.Active.Import.Register"}
        values = [{"timestamp": now(), "sampledValue": [sample]}]
        await ask(self, call16.MeterValues(1, cast(Any, values), start.transaction_id))
        transaction_id = await self.stop.get()
        stop = call16.StopTransaction(METER_START + 500, now(), transaction_id, cast(Any, "Remote"))
        await ask(self, stop)
        await self.shows("Finishing")
        await ask(self, call16.Heartbeat())
        return start.transaction_id == transaction_id


class Charger201(ChargePoint201):
    """One EVSE of OCPP 2.0.1; `asked` has the variables that Strom asked for."""

    def __init__(self, name: str, socket: Any) -> None:
        super().__init__(name, socket)
        self.asked: list[str] = []
        self.settings: dict[str, str] = {}
        self.tag: asyncio.Queue[tuple[Any, int]] = asyncio.Queue()
        self.stop: asyncio.Queue[str] = asyncio.Queue()

    @on("RequestStartTransaction")
    async def started(self, id_token: Any, remote_start_id: int, evse_id: int) -> Any:
        assert evse_id == 1
        self.tag.put_nowait((id_token, remote_start_id))
        return result201.RequestStartTransaction(status=cast(Any, "Accepted"))

    @on("RequestStopTransaction")
    async def stopped(self, transaction_id: str) -> Any:
        self.stop.put_nowait(transaction_id)
        return result201.RequestStopTransaction(status=cast(Any, "Accepted"))

    @on("GetVariables")
    async def told(self, get_variable_data: list[dict[str, Any]]) -> Any:
        results: list[Any] = []
        for item in get_variable_data:
            name = f"{item['component']['name']}.{item['variable']['name']}"
            self.asked.append(name)
            results.append(
                {
                    "attribute_status": "Accepted",
                    "attribute_value": self.settings.get(name, "900"),
                    "component": item["component"],
                    "variable": item["variable"],
                }
            )
        return result201.GetVariables(get_variable_result=results)

    @on("SetVariables")
    async def changed(self, set_variable_data: list[dict[str, Any]]) -> Any:
        results: list[Any] = []
        for item in set_variable_data:
            name = f"{item['component']['name']}.{item['variable']['name']}"
            self.settings[name] = item["attribute_value"]
            results.append(
                {
                    "attribute_status": "Accepted",
                    "component": item["component"],
                    "variable": item["variable"],
                }
            )
        return result201.SetVariables(set_variable_result=results)

    async def shows(self, status: str) -> None:
        await ask(self, call201.StatusNotification(now(), cast(Any, status), 1, 1))

    async def boot(self) -> str:
        station = {"model": "ocpp", "vendor_name": "PyPI"}
        answer = await ask(self, call201.BootNotification(cast(Any, station), cast(Any, "PowerUp")))
        await self.shows("Available")
        return answer.status

    async def tells(self, kind: str, reason: str, seq_no: int, wh: int, **more: Any) -> Any:
        sample = {"value": wh, "measurand": "Energy.Active.Import.Register"}
        values = [{"timestamp": now(), "sampled_value": [sample]}]
        event = call201.TransactionEvent(
            cast(Any, kind),
            now(),
            cast(Any, reason),
            seq_no,
            more.pop("info"),
            meter_value=cast(Any, values),
            **more,
        )
        return await ask(self, event)

    async def charge(self) -> bool:
        """A session from the remote start to the remote stop: whether both meant the same."""
        token, start_id = await self.tag.get()
        await self.shows("Occupied")
        allowed = await ask(self, call201.Authorize(token))
        assert allowed.id_token_info["status"] == "Accepted"
        info: dict[str, Any] = {"transaction_id": f"tx-{time.time_ns()}"}
        here: dict[str, Any] = {"evse": {"id": 1, "connector_id": 1}}
        began = info | {"remote_start_id": start_id, "charging_state": "Charging"}
        start = await self.tells(
            "Started", "RemoteStart", 0, METER_START, info=began, id_token=token, **here
        )
        assert start.id_token_info["status"] == "Accepted"
        await self.tells("Updated", "MeterValuePeriodic", 1, METER_START + 400, info=info)
        asked = await self.stop.get()
        ended = info | {"stopped_reason": "Remote"}
        await self.tells("Ended", "RemoteStop", 2, METER_START + 500, info=ended)
        await self.shows("Available")
        await ask(self, call201.Heartbeat())
        return asked == info["transaction_id"]


@asynccontextmanager
async def library_charger(url: str, version: str) -> AsyncGenerator[Charger16 | Charger201]:
    """A connected charger that has booted."""
    kind = Charger16 if version == "ocpp1.6" else Charger201
    async with connect(url, subprotocols=[Subprotocol(version)], proxy=None) as socket:
        charger = kind("CP001", socket)
        reading = asyncio.create_task(charger.start())
        try:
            assert await charger.boot() == "Accepted"
            yield charger
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading

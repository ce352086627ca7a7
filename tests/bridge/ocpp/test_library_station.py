"""A station made of the `ocpp` library's own ChargePoint for 2.0.1, with a device model.

Everything that it is asked, and that it is answered, passes the library's validation.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from ocpp import routing
from ocpp.v201 import ChargePoint, call, call_result
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from agent.config.models import Wishes
from agent.machine.model import Ending, SessionState
from agent.ports.charger import Nameplate
from agent.ports.quotes import Quote
from bridge.ocpp.server import AuthPolicy, OcppServer
from tests.agent.world import running
from tests.bridge.ocpp.stage import METER_START, Stage

on = cast(Any, routing).on  # the library ships without types
Payload = dict[str, Any]

WISHES = {"OCPPCommCtrlr.HeartbeatInterval": "60", "SampledDataCtrlr.TxUpdatedInterval": "15"}
RESULT = ("component", "variable")


@dataclass
class Model:
    """The variables of a station, and what it was asked."""

    values: dict[str, str] = field(
        default_factory=lambda: {
            "OCPPCommCtrlr.HeartbeatInterval": "300",
            "SampledDataCtrlr.TxUpdatedInterval": "0",
            "SampledDataCtrlr.TxUpdatedMeasurands": "Voltage",
            "SampledDataCtrlr.TxStartedMeasurands": "",
            "TxCtrlr.StopTxOnInvalidId": "false",
        }
    )
    starts: asyncio.Queue[Payload] = field(default_factory=asyncio.Queue[Payload])
    stops: asyncio.Queue[str] = field(default_factory=asyncio.Queue[str])
    plugged: str = ""


class LibraryStation(ChargePoint):
    """Answers as its model says; begins its transactions when a car is plugged in."""

    def __init__(self, charge_point_id: str, connection: Any, model: Model) -> None:
        super().__init__(charge_point_id, connection)
        self.model = model

    async def say(self, message: object) -> Any:
        """Send a message; an error frame raises."""
        return await cast(Any, self).call(message, suppress=False)

    @on("GetVariables")
    def get_variables(self, get_variable_data: list[Payload]) -> Any:
        def result(item: Payload) -> Payload:
            name = f"{item['component']['name']}.{item['variable']['name']}"
            value = self.model.values.get(name)
            known: Payload = {"attribute_status": "UnknownVariable"}
            if value is not None:
                known = {"attribute_status": "Accepted", "attribute_value": value}
            return {key: item[key] for key in RESULT} | known

        return call_result.GetVariables([cast(Any, result(item)) for item in get_variable_data])

    @on("SetVariables")
    def set_variables(self, set_variable_data: list[Payload]) -> Any:
        results: list[Any] = []
        for item in set_variable_data:
            name = f"{item['component']['name']}.{item['variable']['name']}"
            self.model.values[name] = item["attribute_value"]
            results.append({key: item[key] for key in RESULT} | {"attribute_status": "Accepted"})
        return call_result.SetVariables(results)

    @on("RequestStartTransaction")
    def request_start(self, **asked: Any) -> Any:
        self.model.starts.put_nowait(asked)
        return call_result.RequestStartTransaction(
            status=cast(Any, "Accepted"), transaction_id=self.model.plugged
        )

    @on("RequestStopTransaction")
    def request_stop(self, transaction_id: str) -> Any:
        self.model.stops.put_nowait(transaction_id)
        return call_result.RequestStopTransaction(status=cast(Any, "Accepted"))


class Transactions:
    """Tells of the transactions of a station."""

    def __init__(self, station: LibraryStation, stage: Stage) -> None:
        self._station = station
        self._stage = stage
        self._seq_no = 0

    async def tell(self, kind: str, why: str, state: str, wh: float | None, **more: Any) -> Any:
        """One event, a second after the last."""
        self._stage.world.clock.advance(1)
        at = self._stage.at()
        info: Payload = {"transaction_id": self._station.model.plugged, "charging_state": state}
        info |= more.pop("info", {})
        values: Any = None
        if wh is not None:
            unit = {"unit": "kWh", "multiplier": -3}
            values = [{"timestamp": at, "sampled_value": [{"value": wh, "unit_of_measure": unit}]}]
        self._seq_no += 1
        message = call.TransactionEvent(
            event_type=cast(Any, kind),
            timestamp=at,
            trigger_reason=cast(Any, why),
            seq_no=self._seq_no,
            transaction_info=cast(Any, info),
            meter_value=values,
            **more,
        )
        return await self._station.say(message)


@asynccontextmanager
async def standing(folder: Path) -> AsyncGenerator[tuple[Stage, Model]]:
    """A site whose operator has wishes, and a model that no station has yet."""

    def wished(charge_point_id: str, nameplate: Nameplate) -> Wishes:
        assert (charge_point_id, nameplate.vendor) == ("CP001", "Library")
        return Wishes(WISHES)

    async with running(folder) as world:
        server = OcppServer(
            world.site, "127.0.0.1:0", lambda _: AuthPolicy(), world.clock, settings=wished
        )
        await server.start()
        try:
            yield Stage(world, server), Model()
        finally:
            await server.close()


@asynccontextmanager
async def connected(stage: Stage, model: Model) -> AsyncGenerator[LibraryStation]:
    """The station on a new connection."""
    url = f"ws://127.0.0.1:{stage.server.port}/ocpp/CP001"
    offered = [Subprotocol("ocpp2.1"), Subprotocol("ocpp2.0.1")]
    async with connect(url, subprotocols=offered, proxy=None, close_timeout=1) as socket:
        assert socket.subprotocol == "ocpp2.0.1"
        station = LibraryStation("CP001", socket, model)
        task = asyncio.create_task(station.start())
        try:
            yield station
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def booted(station: LibraryStation, stage: Stage) -> None:
    about: Any = {"vendor_name": "Library", "model": "v201"}
    boot = call.BootNotification(charging_station=about, reason=cast(Any, "PowerUp"))
    assert (await station.say(boot)).status == "Accepted"
    status: Any = "Available" if not station.model.plugged else "Occupied"
    await station.say(call.StatusNotification(stage.at(), status, 1, 1))


async def test_a_session_over_an_outage_and_a_reboot(tmp_path: Path) -> None:
    """Plugged in, paid for, an outage in which the station reboots, and stopped from afar."""
    async with standing(tmp_path) as (stage, model):
        async with connected(stage, model) as station:
            events = Transactions(station, stage)
            await booted(station, stage)
            heartbeat = "OCPPCommCtrlr.HeartbeatInterval"
            await stage.world.until(lambda: model.values[heartbeat] == "60")
            assert model.values["TxCtrlr.StopTxOnInvalidId"] == "true"
            assert model.values["SampledDataCtrlr.TxUpdatedInterval"] == "15"
            register = "Energy.Active.Import.Register"
            assert model.values["SampledDataCtrlr.TxStartedMeasurands"] == register
            model.plugged = "9b9c6fe2-tx"
            place: Any = {"id": 1, "connector_id": 1}
            await events.tell("Started", "CablePluggedIn", "EVConnected", METER_START, evse=place)
            quote: Quote = await stage.world.paid()
            asked = await model.starts.get()
            token = asked["id_token"]
            assert token["id_token"] == quote.session_id
            answer = await events.tell(
                "Updated", "RemoteStart", "Charging", METER_START, id_token=token
            )
            assert answer.id_token_info == {"status": "Accepted"}
        async with connected(stage, model) as station:
            await booted(station, stage)
            events = Transactions(station, stage)
            wh = METER_START + 50
            await events.tell("Updated", "MeterValuePeriodic", "Charging", wh, offline=True)
            await stage.world.site.owned.stop(quote.secret)
            assert await model.stops.get() == model.plugged
            stopped = {"info": {"stopped_reason": "Remote"}}
            wh = METER_START + 60
            await events.tell("Ended", "RemoteStop", "EVConnected", wh, **stopped)
            session = await stage.until(quote, SessionState.CLOSED)
            assert (session.energy_wh, session.ending) == (60, Ending.STOPPED)

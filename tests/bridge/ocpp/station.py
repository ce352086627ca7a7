"""A charging station of OCPP 2.0.1 made of raw frames, before a real site."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from agent.machine.events import Obstacle
from agent.machine.model import SessionState
from agent.ports.quotes import Quote
from bridge.ocpp.server import OcppServer
from tests.bridge.ocpp.stage import METER_START, Stage
from tests.bridge.ocpp.wire import RawCharger, charger

STATION = {"vendorName": "Raw", "model": "Frames"}
ACCEPTED = {"idTokenInfo": {"status": "Accepted"}}
INVALID = {"idTokenInfo": {"status": "Invalid"}}


@asynccontextmanager
async def station(
    stage: Stage, *, boots: bool = True, server: OcppServer | None = None
) -> AsyncGenerator[RawCharger]:
    """A connected station, that booted and shows EVSE 1 as free."""
    offered = ("ocpp2.0.1", "ocpp1.6")
    async with charger(server or stage.server, subprotocols=offered) as raw:
        assert raw.socket.subprotocol == "ocpp2.0.1"
        if boots:
            await boot(raw)
            await plug(raw, stage, "Available")
        yield raw


async def boot(raw: RawCharger) -> None:
    payload = {"reason": "PowerUp", "chargingStation": STATION}
    assert (await raw.call("BootNotification", payload))["status"] == "Accepted"


async def plug(
    raw: RawCharger, stage: Stage, status: str, evse: int = 1, connector: int = 1
) -> None:
    """StatusNotification of a plug."""
    payload = {"evseId": evse, "connectorId": connector, "connectorStatus": status}
    assert await raw.call("StatusNotification", payload | {"timestamp": stage.at()}) == {}


def register(
    stage: Stage, wh: float, context: str = "Sample.Periodic", *, seconds: float = 0
) -> list[dict[str, Any]]:
    """A meter value: the register in kWh, and 7.2 kW."""
    sample = {"value": wh / 1000, "context": context, "unitOfMeasure": {"unit": "kWh"}}
    power = {
        "value": 72,
        "measurand": "Power.Active.Import",
        "unitOfMeasure": {"unit": "W", "multiplier": 2},
    }
    return [{"timestamp": stage.at(seconds), "sampledValue": [sample, power]}]


async def event(
    raw: RawCharger,
    stage: Stage,
    kind: str,
    info: dict[str, Any] | None = None,
    /,
    **fields: Any,
) -> Any:
    """TransactionEvent; returns the answer.

    Args:
        raw: the station.
        stage: where the time comes from.
        kind: its eventType.
        info: fields of its transactionInfo besides.
        fields: `name` and `state` of the transaction, and fields of the event.
    """
    name, state = fields.pop("name", "tx-a"), fields.pop("state", "")
    payload: dict[str, Any] = {
        "eventType": kind,
        "timestamp": stage.at(),
        "triggerReason": "Trigger",
        "seqNo": 0,
        "transactionInfo": {"transactionId": name}
        | ({"chargingState": state} if state else {})
        | (info or {}),
    }
    return await raw.call("TransactionEvent", payload | fields)


async def asked_to_start(
    raw: RawCharger, stage: Stage, sats: int = 1000, evse: int = 1
) -> tuple[Quote, dict[str, Any]]:
    """A driver pays, and the station accepts the remote start; returns what it was asked."""
    quote = await stage.world.paid(sats, evse)
    asked = await raw.accept("RequestStartTransaction")
    assert asked["idToken"] == {"idToken": quote.session_id, "type": "Central"}
    assert asked["evseId"] == evse
    return quote, asked


async def started(
    raw: RawCharger, stage: Stage, asked: dict[str, Any], wh: float = METER_START, /, **more: Any
) -> Any:
    """The transaction that follows a remote start begins with everything that there is to tell."""
    fields: dict[str, Any] = {
        "state": "Charging",
        "triggerReason": "RemoteStart",
        "evse": {"id": asked["evseId"], "connectorId": 1},
        "idToken": asked["idToken"],
        "meterValue": register(stage, wh, "Transaction.Begin"),
    }
    info = {"remoteStartId": asked["remoteStartId"]}
    return await event(raw, stage, "Started", info, **(fields | more))


async def charging(raw: RawCharger, stage: Stage, sats: int = 1000) -> Quote:
    """A paid session under way."""
    quote, asked = await asked_to_start(raw, stage, sats)
    assert await started(raw, stage, asked) == ACCEPTED
    assert stage.session(quote).state is SessionState.CHARGING
    return quote


async def obstacle(stage: Stage, evse: int = 1) -> Obstacle | None:
    """Why nobody could pay for an EVSE now."""
    return await stage.world.point.obstacle(evse)

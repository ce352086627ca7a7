"""A charger that takes every request its library's schemas know, and answers by the book.

The schemas are checked by the `ocpp` library's own validator, not by ours.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
from anyio.abc import TaskGroup
from ocpp import messages
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

Payload = dict[str, Any]

_library = cast(Any, messages)  # the library ships without types

ANSWERS_16: dict[str, Payload] = {
    "GetConfiguration": {
        "configurationKey": [
            {"key": "AuthorizationKey", "readonly": False, "value": "hunter2"},
            {"key": "HeartbeatInterval", "readonly": True, "value": "300"},
        ],
        "unknownKey": ["Foo"],
    },
    "GetDiagnostics": {"fileName": "diag.zip"},
    "GetLocalListVersion": {"listVersion": 3},
    "GetCompositeSchedule": {"status": "Rejected"},
    "UnlockConnector": {"status": "Unlocked"},
    "UpdateFirmware": {},
    "GetInstalledCertificateIds": {"status": "NotFound"},
}
ANSWERS_201: dict[str, Payload] = {
    "ClearVariableMonitoring": {"clearMonitoringResult": [{"id": 1, "status": "Accepted"}]},
    "CostUpdated": {},
    "GetInstalledCertificateIds": {"status": "NotFound"},
    "GetLocalListVersion": {"versionNumber": 3},
    "GetTransactionStatus": {"messagesInQueue": False},
    "GetVariables": {
        "getVariableResult": [
            {
                "attributeStatus": "Accepted",
                "attributeValue": "hunter2",
                "component": {"name": "SecurityCtrlr"},
                "variable": {"name": "BasicAuthPassword"},
            }
        ]
    },
    "SetVariableMonitoring": {
        "setMonitoringResult": [
            {
                "status": "Accepted",
                "type": "UpperThreshold",
                "severity": 5,
                "component": {"name": "A"},
                "variable": {"name": "B"},
            }
        ]
    },
    "SetVariables": {
        "setVariableResult": [
            {
                "attributeStatus": "Rejected",
                "component": {"name": "OCPPCommCtrlr"},
                "variable": {"name": "HeartbeatInterval"},
            }
        ]
    },
    "GetChargingProfiles": {"status": "NoProfiles"},
    "UnlockConnector": {"status": "Unlocked"},
    "UnpublishFirmware": {"status": "Unpublished"},
}


class ObedientCharger:
    """Answers all that it is asked.

    Attributes:
        asked: each request, in its order.
        faults: errorCodes to answer with, by action.
        description: the errorDescription that comes with each.
        keys: its configuration, where it shall have one of its own: value, and whether it may be
            changed.
        deaf: actions that are not answered at all.
        ended: set once the other side has ended the connection.
    """

    def __init__(self, socket: ClientConnection, version: str) -> None:
        self._socket = socket
        self._version = version
        self._said = 0
        self._answered = anyio.Event()
        self._answer: Payload = {}
        self.answers = dict(ANSWERS_16 if version == "1.6" else ANSWERS_201)
        self.asked: list[tuple[str, Payload]] = []
        self.faults: dict[str, str] = {}
        self.description = "not like that"
        self.keys: dict[str, tuple[str, bool]] = {}
        self.deaf: set[str] = set()
        self.reports: list[Payload] = []
        self.ended = anyio.Event()

    async def boot(self) -> None:
        """BootNotification, with a nameplate."""
        plate: Payload
        if self._version == "1.6":
            plate = {
                "chargePointVendor": "Acme",
                "chargePointModel": "Wall One",
                "chargePointSerialNumber": "S-1",
                "firmwareVersion": "1.2.3",
            }
        else:
            station = {
                "vendorName": "Acme",
                "model": "Wall Two",
                "serialNumber": "S-2",
                "firmwareVersion": "2.0",
            }
            plate = {"reason": "PowerUp", "chargingStation": station}
        await self.say("BootNotification", plate)

    async def say(self, action: str, payload: Payload) -> Payload:
        """Send a request and return its answer."""
        self._said += 1
        answered, self._answered = anyio.Event(), anyio.Event()
        answered = self._answered
        await self._socket.send(json.dumps([2, f"c{self._said}", action, payload]))
        await answered.wait()
        return self._answer

    async def close(self) -> None:
        """End the connection."""
        await self._socket.close()

    async def heard(self, action: str) -> Payload:
        """Wait until a request came; the last one of this action."""
        while not (found := [payload for name, payload in self.asked if name == action]):
            await anyio.sleep(0.005)
        return found[-1]

    async def run(self, group: TaskGroup) -> None:
        """Answer until the connection ends."""
        async for frame in self._socket:
            kind, message_id, *rest = json.loads(frame)
            if kind != 2:
                self._answer = rest[0] if kind == 3 else {}
                self._answered.set()
                continue
            action, payload = rest
            call = _library.Call(message_id, action, payload)
            await _library.validate_payload(call, self._version)
            self.asked.append((action, payload))
            if action in self.deaf:
                continue
            if action in self.faults:
                reply: list[Any] = [4, message_id, self.faults[action], self.description, {}]
            else:
                answer = self._configured(action, payload) or self.answers.get(
                    action, {"status": "Accepted"}
                )
                result = _library.CallResult(message_id, answer, action)
                await _library.validate_payload(result, self._version)
                reply = [3, message_id, answer]
            await self._socket.send(json.dumps(reply))
            if action in ("GetBaseReport", "GetReport"):
                group.start_soon(self._report)
        self.ended.set()

    def _configured(self, action: str, payload: Payload) -> Payload | None:
        """The answer to what is about the configuration, where there is one of its own."""
        if not self.keys or action not in ("GetConfiguration", "ChangeConfiguration"):
            return None
        if action == "ChangeConfiguration":
            _, free = self.keys.get(payload["key"], ("", False))
            if not free:
                return {"status": "Rejected"}
            self.keys[payload["key"]] = (payload["value"], True)
            return {"status": "Accepted"}
        known = [
            {"key": key, "readonly": not free, "value": value}
            for key, (value, free) in self.keys.items()
            if key in payload.get("key", self.keys)
        ]
        return {"configurationKey": known, "unknownKey": []}

    async def _report(self) -> None:
        for report in self.reports:
            await self.say("NotifyReport", report)


@asynccontextmanager
async def obedient(
    port: int,
    version: str = "1.6",
    charge_point_id: str = "CP001",
    keys: dict[str, tuple[str, bool]] | None = None,
    password: str = "",
) -> AsyncGenerator[ObedientCharger]:
    """A connected charger that booted; `keys` is its configuration."""
    headers: dict[str, str] = {}
    if password:
        shown = b64encode(f"{charge_point_id}:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {shown}"
    subprotocol = Subprotocol(f"ocpp{version}")
    url = f"ws://127.0.0.1:{port}/ocpp/{charge_point_id}"
    async with (
        connect(
            url,
            subprotocols=[subprotocol],
            additional_headers=headers,
            proxy=None,
            close_timeout=1,
        ) as socket,
        anyio.create_task_group() as group,
    ):
        charger = ObedientCharger(socket, version)
        charger.keys = keys or {}
        group.start_soon(charger.run, group)
        await charger.boot()
        yield charger
        group.cancel_scope.cancel()

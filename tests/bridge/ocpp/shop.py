"""A server whose operator wishes a configuration, and a charger that is nothing but its keys."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio

from agent.alerts import Alerts
from agent.config.models import Wishes
from agent.ports.charger import Nameplate
from bridge.ocpp.configuration.keys import Taken
from bridge.ocpp.configuration.reports import Report
from bridge.ocpp.configuration.upkeep import Upkeep
from bridge.ocpp.connection import Limits
from bridge.ocpp.server import AuthPolicy, OcppServer
from tests.agent.world import ManualClock
from tests.bridge.ocpp.recorder import RecordingChargePoint, RecordingSite
from tests.bridge.ocpp.wire import RawCharger, charger

LIMITS = Limits(silence_s=0.1, call_timeout_s=5)
NEEDED = "Energy.Active.Import.Register,Power.Active.Import"
"""The measurands that billing needs."""


@dataclass
class Box:
    """A charger that is nothing but its keys, over any number of connections.

    Attributes:
        deaf: keys of which it answers no change.
        slow: keys of which it shows a new value only once it was asked for them again.
    """

    values: dict[str, str]
    readonly: set[str] = field(default_factory=set[str])
    refuses: set[str] = field(default_factory=set[str])
    reboots: set[str] = field(default_factory=set[str])
    forgets: set[str] = field(default_factory=set[str])
    deaf: set[str] = field(default_factory=set[str])
    slow: set[str] = field(default_factory=set[str])
    most: int | None = None
    changes: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    asked: list[list[str]] = field(default_factory=list[list[str]])
    resets: int = 0
    later: dict[str, str] = field(default_factory=dict[str, str])

    def answer(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        if action == "Reset":
            self.resets += 1
            return {"status": "Accepted"}
        if action == "ChangeConfiguration":
            key, value = payload["key"], payload["value"]
            self.changes.append((key, value))
            if value in self.refuses:
                return {"status": "Rejected"}
            if key in self.slow:
                self.later[key] = value
            elif key not in self.forgets | self.deaf:
                self.values[key] = value
            return {"status": "RebootRequired" if key in self.reboots else "Accepted"}
        if action == "TriggerMessage":
            return {"status": "Accepted"}
        assert action == "GetConfiguration"
        names = payload["key"]
        self.asked.append(names)
        assert self.most is None or len(names) <= self.most
        known = dict(self.values)
        if self.most is not None:
            known["GetConfigurationMaxKeys"] = str(self.most)
        found = {n: known[k] for n in names for k in known if k.lower() == n.lower()}
        if found.keys() & self.later.keys():
            self.values |= self.later
            self.later.clear()
        return {
            "configurationKey": [
                {"key": name, "readonly": name in self.readonly, "value": value}
                for name, value in found.items()
            ],
            "unknownKey": [name for name in names if name not in found],
        }

    async def run(self, raw: RawCharger) -> None:
        while True:
            frame = await raw.asked()
            answer = self.answer(frame[2], frame[3])
            if frame[2] != "ChangeConfiguration" or frame[3]["key"] not in self.deaf:
                await raw.send([3, frame[1], answer])


@dataclass
class Shop:
    """A server whose operator wishes something."""

    site: RecordingSite
    limits: Limits
    clock: ManualClock = field(default_factory=ManualClock)
    wishes: dict[str, str] = field(default_factory=dict[str, str])
    own: bool = True
    told: list[str] = field(default_factory=list[str])
    server: OcppServer = field(init=False)
    alerts: Alerts = field(init=False)

    @property
    def point(self) -> RecordingChargePoint:
        return self.site.points["CP001"]

    @property
    def upkeep(self) -> Upkeep:
        assert self.server.upkeep is not None
        return self.server.upkeep

    def wanted(self, charge_point_id: str, nameplate: Nameplate) -> Wishes:
        assert nameplate.vendor == "Raw"
        return Wishes(self.wishes, frozenset(self.wishes if self.own else ()))

    async def tell(self, text: str) -> None:
        self.told.append(text)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        self.alerts = Alerts(self.clock, self.tell)
        server = self.server = OcppServer(
            self.site,
            "127.0.0.1:0",
            lambda _: AuthPolicy(),
            self.clock,
            limits=self.limits,
            settings=self.wanted,
            alerts=self.alerts,
        )
        await server.start()
        try:
            yield
        finally:
            await server.close()

    @asynccontextmanager
    async def boots(self, box: Box) -> AsyncGenerator[None]:
        """A charger boots and is compared."""
        checked_before = (await self.report()).checked_at_ms
        self.clock.advance(1)
        async with charger(self.server) as raw, anyio.create_task_group() as group:
            await raw.boot()
            group.start_soon(box.run, raw)
            await self.until(lambda report: report.checked_at_ms > checked_before)
            yield
            group.cancel_scope.cancel()

    async def report(self) -> Report:
        return await self.upkeep.report(self.point)

    async def until(self, condition: Callable[[Report], bool]) -> None:
        with anyio.fail_after(20):
            while not condition(await self.report()):
                await anyio.sleep(0.01)

    async def states(self) -> dict[str, Taken]:
        return {key.key: key.state for key in (await self.report()).keys}


@asynccontextmanager
async def opened_shop(limits: Limits = LIMITS) -> AsyncGenerator[Shop]:
    """A shop with one charge point."""
    shop = Shop(RecordingSite("CP001"), limits)
    async with shop.open():
        yield shop

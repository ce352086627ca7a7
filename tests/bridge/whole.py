"""A whole Strom from its file, by a clock that the test moves, and chargers on real sockets."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx

from agent.charge_point import ChargePointAgent
from agent.config.tables import load
from agent.machine.model import Session
from agent.ports.quotes import Origin, Quote, QuoteRequest
from bridge.app import App
from bridge.ocpp import timestamps
from tests.agent.world import ManualClock
from tests.bridge.ocpp.obedient import ObedientCharger, obedient
from tests.strom_toml import DAY, LOCAL, charge_point
from wallet.dev import DevWallet

WEST_WALL = charge_point("CP001", "Old Mill, west wall", "{point}")
CAR_PARK = charge_point("CP002", "Old Mill, car park")
CONFIG = LOCAL + "{strom}" + DAY + WEST_WALL + CAR_PARK
METER_START = 40_000


@dataclass
class Whole:
    """A Strom at work."""

    app: App
    clock: ManualClock
    folder: Path
    http: httpx.AsyncClient

    @property
    def point(self) -> ChargePointAgent:
        return self.app.site.charge_point("CP001")

    def at(self, seconds: float = 0) -> str:
        """A timestamp so many seconds from now."""
        return timestamps.render(self.clock() + int(seconds * 1000))

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            await anyio.sleep(0.005)

    async def paid(self, charger: ObedientCharger, sats: int, connector: int = 1) -> Quote:
        """A driver pays, and the charger accepts the remote start."""
        quote = await self.point.quote(QuoteRequest(sats * 1000, Origin.LNURL, connector=connector))
        wallet = self.app.wallet
        assert isinstance(wallet, DevWallet)
        await wallet.driver_pay(quote.bolt11)
        while (await charger.heard("RemoteStartTransaction"))["idTag"] != quote.session_id:
            await anyio.sleep(0.005)
        return quote

    async def charging(
        self, charger: ObedientCharger, sats: int, **fields: object
    ) -> tuple[Quote, int]:
        """A paid session under way; returns its quote and its transaction."""
        quote = await self.paid(charger, sats)
        payload = {
            "connectorId": 1,
            "idTag": quote.session_id,
            "meterStart": METER_START,
            "timestamp": self.at(),
        }
        answer = await charger.say("StartTransaction", payload | fields)
        assert answer["idTagInfo"] == {"status": "Accepted"}
        return quote, answer["transactionId"]

    async def sample(
        self,
        charger: ObedientCharger,
        transaction_id: int,
        *,
        register: int | None = None,
        power_w: int | None = None,
        after_s: float = 60,
    ) -> None:
        """MeterValues, so many seconds later."""
        self.clock.advance(after_s)
        values: list[dict[str, Any]] = [{"value": "230", "measurand": "Voltage"}]
        if register is not None:
            values.append({"value": str(register), "unit": "Wh"})
        if power_w is not None:
            values.append({"value": str(power_w), "measurand": "Power.Active.Import", "unit": "W"})
        value = {"timestamp": self.at(), "sampledValue": values}
        payload = {"connectorId": 1, "transactionId": transaction_id, "meterValue": [value]}
        assert await charger.say("MeterValues", payload) == {}

    async def stop(
        self,
        charger: ObedientCharger,
        quote: Quote,
        transaction_id: int,
        register: int,
        after_s: float = 60,
    ) -> Session:
        """StopTransaction; returns the closed session."""
        self.clock.advance(after_s)
        payload = {
            "transactionId": transaction_id,
            "meterStop": register,
            "timestamp": self.at(),
        }
        assert await charger.say("StopTransaction", payload) == {}
        return self.point.sessions.get(quote.session_id)


@asynccontextmanager
async def whole(
    folder: Path, *, strom: str = "", point: str = "", steady: ManualClock | None = None
) -> AsyncGenerator[Whole]:
    """A Strom with two charge points; `strom` and `point` are more lines of its file, and `steady`
    is the clock that nobody can set."""
    path = folder / "strom.toml"
    path.write_text(CONFIG.format(strom=strom, point=point))
    clock = ManualClock()
    async with App.open(load(path), clock, steady) as app:
        url = f"http://127.0.0.1:{app.http_port}"
        async with httpx.AsyncClient(base_url=url, timeout=30) as http:
            yield Whole(app, clock, folder, http)


@asynccontextmanager
async def ready(
    strom: Whole,
    keys: dict[str, tuple[str, bool]] | None = None,
    *,
    password: str = "",
) -> AsyncGenerator[ObedientCharger]:
    """A charger that booted and is free; its configuration was compared.

    Args:
        keys: its configuration.
        password: what it shows.
    """
    async with obedient(strom.app.ocpp_port, keys=keys, password=password) as charger:
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
        assert await charger.say("StatusNotification", status | {"timestamp": strom.at()}) == {}
        await charger.heard("GetConfiguration")
        yield charger

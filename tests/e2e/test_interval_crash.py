"""A charger of OCPP 1.6 that tells energy by intervals alone, and a Strom that is killed meanwhile.

A real process killed with SIGKILL, a charger of raw frames over a real socket, a driver over HTTP.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from bridge.ocpp.timestamps import render
from tests.bridge.ocpp.wire import RawCharger
from tests.e2e.served import PAID_SAT, Session, Strom, running

EACH_WH = 20


class IntervalCharger:
    """What it keeps over its connections: its transaction and its clock."""

    def __init__(self) -> None:
        self.transaction_id = 0
        self.told: list[dict[str, Any]] = []

    async def starts(self, raw: RawCharger) -> None:
        _, message_id, action, asked = await raw.asked()
        while action != "RemoteStartTransaction":
            refusal: list[Any] = [4, message_id, "NotSupported", "", {}]
            await raw.send(refusal)
            _, message_id, action, asked = await raw.asked()
        await raw.send([3, message_id, {"status": "Accepted"}])
        start = {"connectorId": 1, "idTag": asked["idTag"], "meterStart": 0, "timestamp": now()}
        self.transaction_id = (await raw.call("StartTransaction", start))["transactionId"]

    def interval(self) -> dict[str, Any]:
        """One more, which is over now."""
        energy = {"value": str(EACH_WH), "measurand": "Energy.Active.Import.Interval"}
        value = {"timestamp": now(), "sampledValue": [energy]}
        message = {"connectorId": 1, "transactionId": self.transaction_id, "meterValue": [value]}
        self.told.append(message)
        return message


def now() -> str:
    return render(time.time_ns() // 1_000_000)


@asynccontextmanager
async def connected(strom: Strom) -> AsyncGenerator[RawCharger]:
    async with connect(
        f"{strom.ocpp_url}/CP001", subprotocols=[Subprotocol("ocpp1.6")], proxy=None
    ) as socket:
        raw = RawCharger(socket)
        assert (await raw.boot())["status"] == "Accepted"
        yield raw


async def shows(strom: Strom, page: str, wh: int) -> None:
    """Wait until the driver's page shows an energy."""

    async def reached() -> bool:
        return (await strom.get(page)).get("energy_wh") == wh

    await strom.until(reached)


async def test_intervals_over_a_kill_are_billed_once(tmp_path: Path) -> None:
    charger = IntervalCharger()
    async with running(tmp_path) as strom:
        async with connected(strom) as raw:
            await strom.until(strom.online)
            bolt11, page = await strom.invoice()
            assert "preimage" in await strom.post("/dev/pay", {"pr": bolt11})
            await charger.starts(raw)
            for _ in range(2):
                assert await raw.call("MeterValues", charger.interval()) == {}
            await shows(strom, page, 2 * EACH_WH)
            await raw.send([2, "cut", "MeterValues", charger.interval()])
            strom.kill()
            await raw.socket.wait_closed()
        await strom.start()
        async with connected(strom) as raw:
            # What it had kept, in another order and with what was answered before.
            kept = [charger.told[2], charger.told[1], charger.interval(), charger.told[0]]
            for message in (*kept, *kept):
                assert await raw.call("MeterValues", message) == {}
            await shows(strom, page, 4 * EACH_WH)
            stop = {"transactionId": charger.transaction_id, "meterStop": 0}
            assert await raw.call("StopTransaction", stop | {"timestamp": now()}) == {}
            closed = await strom.ends(page)
            assert closed["energy_wh"] == 4 * EACH_WH
            adds_up(closed)


def adds_up(closed: Session) -> None:
    assert closed["paid_msat"] == PAID_SAT * 1000
    assert closed["cost_msat"] == closed["energy_wh"] * 300
    rounding_msat = closed["paid_msat"] - closed["cost_msat"] - closed["owed_msat"]
    assert 0 <= rounding_msat < 1000

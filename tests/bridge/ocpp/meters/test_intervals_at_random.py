"""A charger of OCPP 1.6 that tells energy by intervals alone, on a line and a Strom that fail.

What it tells is lost, kept for later, repeated and reordered; the connection is cut, and Strom ends
and starts again on the same data. Nobody is ever billed for more than flowed for him.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from agent.machine.model import SessionState
from agent.ports.quotes import Quote
from tests.agent.world import ManualClock, running
from tests.bridge.ocpp.stage import Stage, billed
from tests.bridge.ocpp.wire import RawCharger, charger, serving

STEPS = 25
LIVES = 3


class IntervalCharger:
    """Its meter is right; what it says of it gets lost in many ways."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.meter_start = random.choice((0, None, 700))
        self.number = 0
        self.flowed_wh = 0
        self.told: list[dict[str, Any]] = []
        self._kept: list[dict[str, Any]] = []
        self._context = random.choice(({}, {"context": "Sample.Periodic"}))

    def charges(self, stage: Stage) -> None:
        """An interval passes, and its energy is to be told."""
        stage.world.clock.advance(20)
        wh = self._random.randrange(60)
        self.flowed_wh += wh
        energy = {"value": str(wh), "measurand": "Energy.Active.Import.Interval", "unit": "Wh"}
        samples = [energy | self._context]
        if self._random.random() < 0.5:
            power = {"value": str(wh * 180), "measurand": "Power.Active.Import", "unit": "W"}
            samples.insert(self._random.randrange(2), power)
        if self._random.random() < 0.2:
            samples.append({"value": "0"})
        message: dict[str, Any] = {
            "connectorId": 1,
            "meterValue": [{"timestamp": stage.at(), "sampledValue": samples}],
        }
        named = self._random.choice(({"transactionId": self.number}, {"transactionId": 0}, {}))
        self._kept.append(message | named)

    async def talks(self, raw: RawCharger) -> None:
        """Tell some of what is to be told, perhaps in another order, and some of it again."""
        fate = self._random.random()
        if fate < 0.2:
            return
        if fate < 0.3:
            self._random.shuffle(self._kept)
        for message in self._kept:
            if self._random.random() < 0.9:
                await self._tell(raw, message)
        self._kept.clear()
        if self.told and self._random.random() < 0.4:
            await self._tell(raw, self._random.choice(self.told))

    async def _tell(self, raw: RawCharger, message: dict[str, Any]) -> None:
        self.told.append(message)
        assert await raw.call("MeterValues", message) == {}

    async def stops(self, stage: Stage, raw: RawCharger) -> None:
        start_wh = self.meter_start or 0
        true_wh = start_wh + self.flowed_wh
        meter_stop = self._random.choice((0, None, true_wh, 98_765_432))
        stop = {"transactionId": self.number, "meterStop": meter_stop, "timestamp": stage.at()}
        for _ in range(self._random.choice((1, 2))):
            assert await raw.call("StopTransaction", stop) == {}


@pytest.mark.parametrize("seed", range(6))
async def test_no_more_is_billed_than_flowed(tmp_path: Path, seed: int) -> None:
    random = Random(seed)  # noqa: S311  no secret
    clock = ManualClock()
    car = IntervalCharger(random)
    quote: Quote | None = None
    for life in range(LIVES):
        async with running(tmp_path, clock) as world, serving(world.site, clock=clock) as server:
            stage = Stage(world, server)
            async with charger(server) as raw:
                if quote is None:
                    quote = await stage.paid(raw)
                    answer = await stage.start(raw, quote, meterStart=car.meter_start)
                    car.number = answer["transactionId"]
                before_wh = stage.session(quote).energy_wh
                for _ in range(STEPS):
                    car.charges(stage)
                    await car.talks(raw)
                    energy_wh = stage.session(quote).energy_wh
                    assert before_wh <= energy_wh <= car.flowed_wh
                    before_wh = energy_wh
                assert before_wh > 0
                if life == LIVES - 1:
                    await car.stops(stage, raw)
                    session = await stage.until(quote, SessionState.CLOSED)
                    assert before_wh <= session.energy_wh <= car.flowed_wh
                    billed(session)

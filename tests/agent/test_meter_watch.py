"""Meters that the operator's file cannot work well with, told of once, on a whole site."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.alerts import Alerts
from agent.config.tables import ChargePointConfig, Config, ConnectorConfig, TariffConfig
from agent.machine.meter import Source
from agent.ports.charger import MeterReport, StartReport, StopReport
from tests.agent.world import ManualClock, World, running

LIMIT_W = 22_000
START_WH = 1_000_000


@dataclass
class Meter:
    """A charge under way, whose meter the test reads."""

    world: World
    told: list[str]
    connector: int
    session_id: str = ""
    transaction_id: int = 0
    register_wh: int = START_WH

    async def starts(self) -> None:
        quote = await self.world.paid(100_000, connector=self.connector)
        self.session_id = quote.session_id
        begun = StartReport(self.connector, quote.session_id, self.register_wh, self.world.clock())
        verdict = await self.world.point.transaction_started(begun)
        self.transaction_id = verdict.transaction_id

    async def reads(
        self,
        power_w: int,
        *,
        times: int = 1,
        every_s: int = 20,
        step_wh: int = 1,
        seen: bool = True,
    ) -> None:
        """Power flows, and its register, which counts in steps, is read or is not."""
        flowed_mwh = 0
        before_wh = self.register_wh
        for _ in range(times):
            self.world.clock.advance(every_s)
            flowed_mwh += power_w * every_s * 1000 // 3600
            self.register_wh = before_wh + flowed_mwh // 1000
            shown = self.register_wh // step_wh * step_wh if seen else None
            await self.shows(shown, power_w)

    async def shows(self, register_wh: int | None, power_w: int | None) -> None:
        report = MeterReport(
            self.connector, self.transaction_id, self.world.clock(), register_wh, power_w
        )
        await self.world.point.meter_sampled([report])

    async def stops(self, *, says: bool = True, after_s: int = 1) -> None:
        self.world.clock.advance(after_s)
        register_wh = self.register_wh if says else None
        await self.world.point.transaction_stopped(
            StopReport(self.transaction_id, register_wh, self.world.clock())
        )


def config(*, check_meter: bool) -> Config:
    connectors = tuple(ConnectorConfig(id=number, max_power_w=LIMIT_W) for number in (1, 2))
    return Config(
        tariffs={"day": TariffConfig.model_validate({"energy_per_kwh": 300})},
        charge_points=(
            ChargePointConfig(
                id="CP001",
                name="Old Mill",
                tariff="day",
                check_meter=check_meter,
                connectors=connectors,
            ),
        ),
    )


@asynccontextmanager
async def charging(
    folder: Path, connectors: Sequence[int] = (1,), *, check_meter: bool = False
) -> AsyncGenerator[list[Meter]]:
    """Charges under way on a site whose operators hear of troubles."""
    clock = ManualClock()
    told: list[str] = []

    async def tell(text: str) -> None:
        told.append(text)

    alerts = Alerts(clock, tell)
    settings = config(check_meter=check_meter)
    async with running(folder, clock, settings, alerts=alerts) as world:
        await world.ready()
        meters = [Meter(world, told, connector) for connector in connectors]
        for meter in meters:
            await meter.starts()
        yield meters


def troubles(meter: Meter) -> list[str]:
    return list(meter.world.site.office.troubles().values())


async def test_more_power_than_the_file_says_is_told_once(tmp_path: Path) -> None:
    async with charging(tmp_path) as [meter]:
        await meter.reads(48_060, times=60)
        await meter.world.until(lambda: len(meter.told) == 1)
        assert meter.told == [
            "⚠ CP001: connectors.max_power_w of connector 1 is 22000, and its meter shows "
            "48.1 kW: set 50000, or what its nameplate says. Until then a charge can go beyond "
            "its credit before its first reading."
        ]
        # More than that is in the sentence, and no further message.
        await meter.reads(145_080, times=30)
        (sentence,) = troubles(meter)
        assert "145.1 kW: set 150000" in sentence
        await meter.stops()
        assert len(meter.told) == 1


async def test_each_connector_is_named(tmp_path: Path) -> None:
    async with charging(tmp_path, (1, 2), check_meter=True) as [one, two]:
        await one.reads(50_040, times=12)
        await two.reads(30_060, times=12)
        (sentence,) = troubles(one)
        assert "connector 1 is 22000, and its meter shows 50.0 kW: set 50000" in sentence
        assert "connector 2 is 22000, and its meter shows 30.1 kW: set 30000" in sentence
        assert "not billed (check_meter)" in sentence


@pytest.mark.parametrize("check_meter", [False, True])
async def test_a_dc_charger_that_was_left_at_the_default(tmp_path: Path, check_meter: bool) -> None:
    async with charging(tmp_path, check_meter=check_meter) as [meter]:
        await meter.reads(150_120, times=12)
        (sentence,) = troubles(meter)
        assert "150.1 kW: set 150000" in sentence


@pytest.mark.parametrize(
    ("power_w", "every_s", "step_wh"),
    [
        (22_000, 20, 1),
        # The grid's voltage is high.
        (24_000, 20, 1),
        # Registers that count in tenths of a kWh and in whole ones.
        (22_000, 20, 100),
        (22_000, 60, 1_000),
        (22_000, 120, 1_000),
        (24_000, 120, 1_000),
        (22_000, 300, 1_000),
    ],
)
async def test_as_much_as_it_may_give_is_no_trouble(
    tmp_path: Path, power_w: int, every_s: int, step_wh: int
) -> None:
    async with charging(tmp_path) as [meter]:
        await meter.reads(power_w, times=60, every_s=every_s, step_wh=step_wh)
        assert troubles(meter) == []


@pytest.mark.parametrize("check_meter", [False, True])
async def test_a_register_that_leaps_and_falls_is_no_trouble(
    tmp_path: Path, check_meter: bool
) -> None:
    async with charging(tmp_path, check_meter=check_meter) as [meter]:
        for leap_wh in (20_000, -9_000, 50_000, 700_000, -1_000_000):
            await meter.reads(20_000, times=11)
            meter.register_wh += leap_wh
        assert troubles(meter) == []


async def test_readings_of_one_moment_are_no_trouble(tmp_path: Path) -> None:
    async with charging(tmp_path) as [meter]:
        for _ in range(30):
            await meter.reads(20_000)
            await meter.shows(meter.register_wh + 50, 20_000)
        assert troubles(meter) == []


async def test_the_next_charge_is_looked_at_anew(tmp_path: Path) -> None:
    async with charging(tmp_path) as [meter]:
        await meter.reads(20_000, times=5)
        await meter.stops()
        # Somebody charged without paying, at another power.
        meter.register_wh += 500_000
        await meter.starts()
        await meter.reads(20_000, times=12)
        assert troubles(meter) == []


async def test_a_meter_that_is_never_read_is_told_of_until_it_is(tmp_path: Path) -> None:
    async with charging(tmp_path) as [meter]:
        await meter.reads(11_000, times=60, seen=False)
        assert troubles(meter) == []
        await meter.stops()
        await meter.world.until(lambda: len(meter.told) == 1)
        assert meter.told == [
            "⚠ CP001: in a charge of 20 min no energy was among its readings "
            "(Energy.Active.Import.Register): only what it said at its stop is billed, and "
            "credits end by max_power_w alone. See to its MeterValuesSampledData and "
            'MeterValueSampleInterval: "strom settings CP001" shows them'
        ]
        await meter.starts()
        await meter.reads(11_000, times=2)
        await meter.stops()
        await meter.world.until(lambda: len(meter.told) == 2)
        assert meter.told[1] == "✓ CP001: its energy is read while it charges"
        assert troubles(meter) == []


async def test_a_charge_that_could_not_be_billed_is_told_of_however_short(tmp_path: Path) -> None:
    async with charging(tmp_path) as [meter]:
        await meter.stops(says=False, after_s=90)
        (sentence,) = troubles(meter)
        assert "nothing could be billed" in sentence


async def test_a_short_charge_without_a_reading_is_no_trouble(tmp_path: Path) -> None:
    async with charging(tmp_path) as [meter]:
        await meter.stops(after_s=300)
        assert troubles(meter) == []


async def test_what_came_with_the_stop_alone_is_a_reading(tmp_path: Path) -> None:
    """Chargers that keep their readings for the stop (StopTxnSampledData)."""
    async with charging(tmp_path) as [meter]:
        meter.world.clock.advance(1_200)
        meter.register_wh += 3_000
        report = MeterReport(
            1,
            meter.transaction_id,
            meter.world.clock(),
            meter.register_wh,
            source=Source.END_SAMPLE,
        )
        await meter.world.point.meter_sampled([report])
        await meter.stops()
        assert len(troubles(meter)) == 1


async def test_nothing_is_said_of_a_charge_whose_beginning_was_not_seen(tmp_path: Path) -> None:
    """Strom was started anew in the middle of it."""
    async with charging(tmp_path) as [meter]:
        transaction_id, session_id = meter.transaction_id, meter.session_id
    clock = ManualClock(meter.world.clock() + 1_200_000)
    async with running(tmp_path, clock, config(check_meter=False)) as world:
        stop = StopReport(transaction_id, meter.register_wh, clock())
        await world.point.transaction_stopped(stop)
        assert world.point.sessions.get(session_id).closed_at_ms is not None
        assert world.site.office.troubles() == {}


async def test_sums_of_intervals_are_readings(tmp_path: Path) -> None:
    """Their power is looked at, and nobody is told that the energy is not read."""
    async with charging(tmp_path) as [meter]:
        for _ in range(60):
            meter.world.clock.advance(20)
            meter.register_wh += 267
            at_ms = meter.world.clock()
            reading = (meter.connector, meter.transaction_id, at_ms, meter.register_wh)
            report = MeterReport(*reading, source=Source.INTERVALS)
            await meter.world.point.meter_sampled([report])
        (sentence,) = troubles(meter)
        assert "its meter shows 48.1 kW: set 50000" in sentence
        await meter.stops(says=False)
        assert troubles(meter) == [sentence]

"""Strom starts anew while a transaction runs that nobody paid for."""

from __future__ import annotations

from pathlib import Path

from agent.machine.events import ConnectorStatus
from tests.agent.strays import (
    asked,
    charging,
    delivered,
    given_up,
    refused,
    sampled,
    session,
    started,
    status,
)
from tests.agent.world import ManualClock, ScriptedCharger, running


async def test_after_a_restart_it_is_not_billed_to_the_driver_whose_connector_it_took(
    tmp_path: Path,
) -> None:
    """Its readings name no transaction: what they show was his until it began."""
    clock = ManualClock()
    async with running(tmp_path, clock) as world:
        await world.ready()
        quote, _ = await charging(world)
        await status(world, ConnectorStatus.CHARGING)
        await refused(world)
    async with running(tmp_path, clock) as world:
        await world.point.attach(ScriptedCharger())
        await status(world, ConnectorStatus.CHARGING)
        await sampled(world, 1_900)
        assert session(world, quote).energy_wh == 500
        assert session(world, quote).status is not ConnectorStatus.CHARGING
        await given_up(world, quote)
        assert session(world, quote).energy_wh == 500


async def test_after_a_restart_it_is_not_billed_to_the_driver_who_starts_there(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    async with running(tmp_path, clock) as world:
        await world.ready()
        number = await refused(world)
    async with running(tmp_path, clock) as world:
        charger = await world.ready()
        quote = await world.paid()
        own = await started(world, quote, 700)
        await sampled(world, 5_000, number)
        assert session(world, quote).energy_wh == 0
        await sampled(world, 1_700, own)
        await sampled(world, 1_800)
        await status(world, ConnectorStatus.CHARGING)
        await delivered(world)
        assert session(world, quote).energy_wh == 1_100
        assert asked(charger, "stop") == []


async def test_after_a_restart_it_is_stopped_for_the_driver_who_waits_there(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    async with running(tmp_path, clock) as world:
        await world.ready()
        await world.paid()
        number = await refused(world)
        await status(world, ConnectorStatus.CHARGING)
    async with running(tmp_path, clock) as world:
        charger = ScriptedCharger()
        await world.point.attach(charger)
        await status(world, ConnectorStatus.CHARGING)
        await delivered(world)
        assert asked(charger, "stop") == [number]


async def test_after_a_restart_a_driver_who_went_on_in_spite_of_it_keeps_his_connector(
    tmp_path: Path,
) -> None:
    """A start was refused where he charges, and his own reading showed that he goes on."""
    clock = ManualClock()
    async with running(tmp_path, clock) as world:
        await world.ready()
        quote, own = await charging(world)
        await status(world, ConnectorStatus.CHARGING)
        await refused(world)
        await sampled(world, 700, own)
    async with running(tmp_path, clock) as world:
        charger = ScriptedCharger()
        await world.point.attach(charger)
        await status(world, ConnectorStatus.CHARGING)
        await sampled(world, 1_900)
        await delivered(world)
        assert session(world, quote).energy_wh == 1_900
        assert asked(charger, "stop") == []

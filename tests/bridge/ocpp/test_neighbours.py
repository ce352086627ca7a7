"""A hostile or broken connection beside a good one, whose answers stay fast."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from time import perf_counter

import pytest
from websockets.exceptions import ConnectionClosed

from agent.config.tables import ChargePointConfig, Config, ConnectorConfig, TariffConfig
from tests.agent.world import running
from tests.bridge.ocpp.wire import RawCharger, charger, serving

ANSWERED_S = 5
"""Much longer than any answer takes on busy cores; the benchmarks tell how long they do take."""

MEGABYTE = "x" * 1_000_000
DEEP = '{"a":' * 100_000 + "1" + "}" * 100_000


async def floods(raw: RawCharger) -> None:
    """As many calls as the socket takes, and no answer is read before the end."""
    for number in range(3_000):
        await raw.send(f'[2,"f{number}","Heartbeat",{{}}]')


async def nests(raw: RawCharger) -> None:
    for _ in range(20):
        await raw.send(f'[2,"n","StopTransaction",{DEEP}]')
        # No flood: each of them alone is to be borne.
        await asyncio.sleep(0.05)


async def sends_large_stops(raw: RawCharger) -> None:
    """Stops are taken at any size up to the frame's: each has ten thousand readings."""
    sample = {"timestamp": "2026-01-01T00:00:00Z", "sampledValue": [{"value": "1"}]}
    stop = json.dumps(
        [2, "s", "StopTransaction", {"transactionId": 1, "transactionData": [sample] * 10_000}]
    )
    for _ in range(10):
        await raw.send(stop)
        await raw.receive()


async def sends_frames_too_large(raw: RawCharger) -> None:
    for _ in range(10):
        await raw.send(f'[2,"b","DataTransfer",{{"vendorId":"{MEGABYTE}"}}]')


async def answers_what_nobody_asked(raw: RawCharger) -> None:
    for number in range(3_000):
        await raw.send(f'[3,"nobody-{number}",{{}}]')


async def speaks_no_json(raw: RawCharger) -> None:
    for _ in range(2_000):
        await raw.send("[2,\\ \\" + "[" * 400)


@pytest.mark.parametrize(
    "attack",
    [
        floods,
        nests,
        sends_large_stops,
        sends_frames_too_large,
        answers_what_nobody_asked,
        speaks_no_json,
    ],
)
async def test_a_broken_charger_never_disturbs_another(
    attack: Callable[[RawCharger], Awaitable[None]],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Frame size, nesting, queue and rate are bounded for each connection alone."""
    caplog.set_level(logging.INFO)
    points = tuple(
        ChargePointConfig(id=name, name=name, tariff="day", connectors=(ConnectorConfig(id=1),))
        for name in ("CP001", "CP002")
    )
    settings = Config(
        tariffs={"day": TariffConfig.model_validate({"energy_per_kwh": 300})},
        charge_points=points,
    )
    async with (
        running(tmp_path, settings=settings) as world,
        serving(world.site, clock=world.clock) as server,
        charger(server, "/ocpp/CP002") as good,
    ):
        await good.boot()

        async def attacks() -> None:
            while not over.is_set():
                with suppress(ConnectionClosed, TimeoutError):
                    async with charger(server) as bad:
                        await attack(bad)

        over = asyncio.Event()
        attacking = asyncio.create_task(attacks())
        until = perf_counter() + 1.5
        while perf_counter() < until:
            async with asyncio.timeout(ANSWERED_S):
                await good.call("Heartbeat", {})
            await asyncio.sleep(0.005)
        assert not attacking.done()
        over.set()
        await attacking
        assert server.silent() == ()
        await good.call("Heartbeat", {})
    assert "Traceback" not in caplog.text
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []

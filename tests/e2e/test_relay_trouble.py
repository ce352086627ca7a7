"""Relays in trouble under a whole Strom: no session is lost, nothing is done twice, and the
published state is right again within ten seconds."""

from __future__ import annotations

from pathlib import Path

from agent.machine.events import ConnectorStatus
from tests.e2e.relay_process import RelayProcess
from tests.e2e.relay_world import charging_place


async def test_a_relay_that_is_killed_in_the_middle(tmp_path: Path) -> None:
    relay = RelayProcess(tmp_path)
    await relay.start(tmp_path / "first")
    try:
        async with charging_place(tmp_path, [relay.url], relay.url) as place:
            await place.starts_charging()
            await place.right_again()
            relay.kill()
            await place.charger.suspend()
            await place.becomes(ConnectorStatus.SUSPENDED_EV)
            await relay.start(tmp_path / "first")
            await place.right_again()
            await place.tops_up()
            # Killed again, and what it had is lost: all of it is there again, not only what
            # changes later.
            relay.kill()
            await relay.start(tmp_path / "second")
            await place.right_again()
            await place.charger.resume()
            await place.stops_and_takes_the_change()
            await place.right_again()
            await place.all_happened_once()
    finally:
        relay.kill()

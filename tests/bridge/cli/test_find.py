"""`strom find` as a process of its own, against a whole Strom."""

from __future__ import annotations

import json
from pathlib import Path

from tests.bridge.cli.command import Strom
from tests.bridge.cli.test_driver import ground


async def test_charge_points_near_a_place(tmp_path: Path) -> None:
    async with ground(tmp_path) as here:
        relay = ("--relay", here.app.relay_url)
        near = ("find", "--near", "52.52,13.405", *relay)
        ran = await here.strom(*near)
        assert ran.returncode == 0, ran.stderr.decode()
        text = ran.stdout.decode()
        assert "Old Mill, west wall" in text
        assert "1 of 1" in text
        assert "300\N{NO-BREAK SPACE}sat/kWh" in text
        assert here.address in text
        assert max(len(line) for line in text.splitlines()) <= 80
        found = json.loads((await here.strom(*near, "--json")).stdout)
        west = next(point for point in found if point["id"] == "CP001")
        assert west["npub"] == here.npub
        assert west["lightning_address"] == here.address
        # Its place is published as a cell of about 5 km.
        assert west["distance_km"] < 5
        assert west["connectors"][0]["status"] == "Available"
        none = await here.strom("find", "--near", "0,0", *relay)
        assert none.stdout.decode() == "No charge point within 50 km is on these relays.\n"
        other = await here.strom(*near, "--connector", "CHADEMO", "--json")
        assert json.loads(other.stdout) == []
        typed = await here.strom(*near, "--connector", "iec_62196_t2", "--json")
        assert [point["id"] for point in json.loads(typed.stdout)] == [
            point["id"] for point in found
        ]


def test_places_that_are_none(strom: Strom) -> None:
    for place in ("Berlin", "52.5", "91,0", "1,2,3"):
        ran = strom("find", "--near", place)
        assert (ran.code, "expected degrees" in ran.err) == (1, True)
    ran = strom("find", "--near", "1,2", "--connector", "T2")
    assert "IEC_62196_T2" in ran.err
    ran = strom("find", "--near", "1,2", "--connector", "chadem")
    assert ran.err == "error: chadem is no OCPI connector type; try CHADEMO\n"

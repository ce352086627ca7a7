"""`strom sessions`: what was charged, what decided it, and what went beyond the credit."""

from __future__ import annotations

import json
from pathlib import Path

import anyio

from agent.journal.journal import Journal, Step
from agent.machine.model import Session
from tests.agent.machine.examples import HOUR, MINUTE, SAT, T0, after, charging, ended, sampled
from tests.bridge.cli.command import Strom

CHARGED = after(
    charging(400 * SAT),
    sampled(T0 + 10 * MINUTE, 41_000),
    sampled(T0 + 11 * MINUTE, 4),
    ended(T0 + HOUR, 504),
)


async def _keep(path: Path, session: Session) -> None:
    journal = Journal.open(path)
    async with anyio.create_task_group() as group:
        group.start_soon(journal.run)
        await journal.commit(Step(session, []))
        journal.stop()
    journal.close()


def test_nothing_before_the_first_charge(strom: Strom) -> None:
    strom("init")
    assert "Nothing was charged yet." in strom("sessions").out
    unknown = strom("sessions", "abc")
    assert unknown.code != 0
    assert "there is no session abc" in unknown.err


def test_a_charge_is_listed_and_explained(strom: Strom, tmp_path: Path) -> None:
    strom("init")
    anyio.run(_keep, tmp_path / "data" / "strom.sqlite", CHARGED)
    told = strom("sessions").out
    for part in ("1,500", "stopped, 1", "corrected", "166 Wh", "beyond the credits"):
        assert part in told, told
    told = strom("sessions", "session").out
    for part in (
        "Meter: 40,000 Wh at the start, 504 Wh",
        "began anew at 4 Wh",
        "Beyond the credit",
    ):
        assert part in told, told
    (one,) = json.loads(strom("sessions", "--json").out)
    assert (one["overshoot_wh"], one["overshoot_msat"]) == (166, 50_000)
    assert one["meter"]["ending"] == "stopped"

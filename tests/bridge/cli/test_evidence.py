"""`strom sessions`: what was charged, what decided it, and what went beyond the credit."""

from __future__ import annotations

import json
from pathlib import Path

import anyio
from msgspec.structs import replace

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
        "400\N{NO-BREAK SPACE}sat of 400\N{NO-BREAK SPACE}sat used.",
        "Meter: 40,000 Wh at the start, 504 Wh",
        "began anew at 4 Wh",
        "Beyond the credit",
    ):
        assert part in told, told
    (one,) = json.loads(strom("sessions", "--json").out)
    assert (one["overshoot_wh"], one["overshoot_msat"]) == (166, 50_000)
    assert one["meter"]["ending"] == "stopped"


def test_a_charge_under_way_has_no_end_yet(strom: Strom, tmp_path: Path) -> None:
    strom("init")
    running = after(charging(400 * SAT), sampled(T0 + 10 * MINUTE, 41_000))
    anyio.run(_keep, tmp_path / "data" / "strom.sqlite", running)
    assert strom("sessions", "session").out == (
        "CP001.1, paid for at 2027-01-15 08:00 UTC: 400\N{NO-BREAK SPACE}sat.\n"
        "Meter: 40,000 Wh at the start, 41,000 Wh now.\n"
        "Charged so far: 1,000 Wh. It is still open.\n"
    )


def test_a_pipe_gets_ids_whole(strom: Strom, tmp_path: Path) -> None:
    """They are to be copied; a pipe is no terminal of 80 columns."""
    strom("init")
    long_id = "0123456789abcdef" * 6
    anyio.run(_keep, tmp_path / "data" / "strom.sqlite", replace(CHARGED, charge_point=long_id))
    assert f"{long_id}.1" in strom("sessions").out


def test_the_latest_end_comes_first(strom: Strom, tmp_path: Path) -> None:
    strom("init")
    path = tmp_path / "data" / "strom.sqlite"
    long = replace(CHARGED, id="long", closed_at_ms=T0 + 9 * HOUR)
    short = replace(CHARGED, id="short", opened_at_ms=T0 + HOUR, closed_at_ms=T0 + 2 * HOUR)
    for session in (long, short):
        anyio.run(_keep, path, session)
    listed = strom("sessions").out
    assert listed.index("long") < listed.index("short")

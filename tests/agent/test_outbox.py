"""Effects on their way, where Strom itself does something wrong."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.machine.model import SessionState
from agent.ports.charger import StartOutcome
from tests.agent.world import ScriptedCharger, running


@dataclass
class Faulty(ScriptedCharger):
    """A bridge with a fault of its own at its first start."""

    faults: list[Exception] = field(default_factory=lambda: [KeyError("nobody thought of this")])

    async def start(self, connector: int, id_tag: str) -> StartOutcome:
        if self.faults:
            raise self.faults.pop()
        return await super().start(connector, id_tag)


async def test_a_fault_with_one_effect_ends_nothing_and_is_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else Strom ended at once, and again at each start, for the effect is stored."""
    monkeypatch.setattr("agent.outbox.FIRST_RETRY_S", 0.01)
    async with running(tmp_path) as world:
        charger = await world.ready(Faulty())
        quote = await world.paid()
        await world.until(lambda: bool(charger.asked))
        assert charger.asked == [("start", 1, quote.session_id)]
    [told] = [record for record in caplog.records if record.exc_info]
    assert "StartCharging for charger:CP001/1" in told.getMessage()


async def test_an_effect_waits_for_a_full_disk(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended Strom: the charger rejects a start, and that cannot be stored."""
    monkeypatch.setattr("agent.outbox.FIRST_RETRY_S", 0.01)
    async with running(tmp_path) as world:
        charger = ScriptedCharger(StartOutcome.REJECTED)
        await world.ready(charger)
        with closing(sqlite3.connect(tmp_path / "strom.db")) as database:
            refusal = "SELECT RAISE(ABORT, 'database or disk is full')"
            is_reject = "NEW.kind = 'StartRejected'"
            database.execute(
                f"CREATE TRIGGER full BEFORE INSERT ON events WHEN {is_reject} BEGIN {refusal}; END"
            )
            paid = await world.paid()
            await world.until(lambda: "cannot be stored" in caplog.text)
            assert world.point.sessions.get(paid.session_id).state is SessionState.STARTING
            database.execute("DROP TRIGGER full")
        await world.until(lambda: world.site.office.waiting_effects == 0)
        world.clock.advance(121)
        await world.site.ring_due()
        session = world.point.sessions.get(paid.session_id)
        assert (session.state, session.owed_msat) == (SessionState.CLOSED, 1_000_000)

"""Effects on their way, where Strom itself does something wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

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

"""What the operators are told of troubles: once at the beginning, once at the end."""

from __future__ import annotations

import anyio
import pytest

from agent.alerts import QUIET_MS, Alerts
from agent.journal.errors import JournalUnusable
from tests.agent.world import ManualClock


class Operators:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.heard: list[str] = []
        self.alerts = Alerts(self.clock, self.hear)

    async def hear(self, text: str) -> None:
        self.heard.append(text)

    async def settle(self) -> list[str]:
        """What was heard once everything that waited was sent."""
        async with anyio.create_task_group() as group:
            group.start_soon(self.alerts.run)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
        return self.heard


async def test_a_message_that_cannot_be_stored_ends_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    heard: list[str] = []

    async def tell(text: str) -> None:
        if "first" in text:
            raise JournalUnusable("database or disk is full")
        heard.append(text)

    alerts = Alerts(ManualClock(), tell)
    alerts.raised("one", "the first trouble")
    alerts.raised("two", "the second trouble")
    async with anyio.create_task_group() as group:
        group.start_soon(alerts.run)
        await anyio.wait_all_tasks_blocked()
        group.cancel_scope.cancel()
    assert heard == ["⚠ the second trouble"]
    assert "the operators cannot be told: database or disk is full" in caplog.text


async def test_a_clock_that_was_set_back_keeps_nobody_quiet() -> None:
    operators = Operators()
    operators.alerts.raised("wallet", "the wallet is lost")
    operators.alerts.cleared("wallet", "the wallet is back")
    operators.alerts.happened("clock", "the clock was set")
    operators.clock.advance(-3 * 86_400)
    operators.alerts.raised("wallet", "the wallet is lost again")
    operators.alerts.happened("clock", "the clock was set again")
    assert (await operators.settle())[3:] == [
        "⚠ the wallet is lost again",
        "⚠ the clock was set again",
    ]


async def test_a_trouble_is_told_when_it_begins_and_when_it_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    operators = Operators()
    for _ in range(3):
        operators.alerts.raised("wallet", "the wallet is lost")
    assert operators.alerts.current() == {"wallet": "the wallet is lost"}
    operators.alerts.cleared("wallet", "the wallet is back")
    operators.alerts.cleared("wallet", "the wallet is back")
    assert await operators.settle() == ["⚠ the wallet is lost", "✓ the wallet is back"]
    assert operators.alerts.current() == {}
    assert [record.message for record in caplog.records] == [
        "the wallet is lost",
        "the wallet is back",
    ]


async def test_one_that_comes_and_goes_is_told_once_in_a_while() -> None:
    operators = Operators()
    for _ in range(5):
        operators.alerts.raised("relay", "a relay is silent")
        operators.alerts.cleared("relay", "the relay speaks")
    assert len(await operators.settle()) == 2
    operators.clock.now_ms += QUIET_MS
    operators.alerts.raised("relay", "a relay is silent")
    assert len(await operators.settle()) == 3


async def test_one_that_came_back_at_once_and_stays_is_told_of_later() -> None:
    """Operators heard that it is over: they must not believe that for ever."""
    operators = Operators()
    operators.alerts.raised("relay", "a relay is silent")
    operators.alerts.cleared("relay", "the relay speaks")
    operators.alerts.raised("relay", "a relay is silent")
    assert len(await operators.settle()) == 2
    operators.clock.now_ms += QUIET_MS - 1
    assert len(await operators.settle()) == 2
    operators.clock.now_ms += 1
    assert (await operators.settle())[2:] == ["⚠ a relay is silent"]
    operators.clock.now_ms += QUIET_MS
    operators.alerts.cleared("relay", "the relay speaks")
    assert (await operators.settle())[3:] == ["✓ the relay speaks"]


async def test_one_that_came_back_at_once_and_is_over_is_not_told_of_later() -> None:
    operators = Operators()
    for _ in range(2):
        operators.alerts.raised("relay", "a relay is silent")
        operators.alerts.cleared("relay", "the relay speaks")
    operators.clock.now_ms += QUIET_MS
    assert len(await operators.settle()) == 2


async def test_troubles_do_not_hide_each_other() -> None:
    operators = Operators()
    operators.alerts.raised("wallet", "the wallet is lost")
    operators.alerts.raised("relay", "a relay is silent")
    operators.alerts.cleared("relay", "the relay speaks")
    assert await operators.settle() == [
        "⚠ the wallet is lost",
        "⚠ a relay is silent",
        "✓ the relay speaks",
    ]
    assert list(operators.alerts.current()) == ["wallet"]


async def test_what_happens_is_told_once_in_a_while_and_is_no_trouble() -> None:
    operators = Operators()
    for _ in range(3):
        operators.alerts.happened("tamper", "the case was opened")
    assert await operators.settle() == ["⚠ the case was opened"]
    operators.clock.advance(QUIET_MS / 1000)
    operators.alerts.happened("tamper", "the case was opened")
    assert len(await operators.settle()) == 2
    assert operators.alerts.current() == {}


async def test_what_gets_worse_is_told_again() -> None:
    operators = Operators()
    operators.alerts.raised("certificate", "it expires in 29 days")
    operators.clock.advance(QUIET_MS / 1000)
    operators.alerts.raised("certificate", "it expires in 6 days", again=True)
    assert await operators.settle() == ["⚠ it expires in 29 days", "⚠ it expires in 6 days"]
    assert operators.alerts.current() == {"certificate": "it expires in 6 days"}

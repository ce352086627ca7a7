"""What operators hear of what chargers say is wrong."""

from __future__ import annotations

import pytest

from agent.alerts import QUIET_MS
from agent.commons import ANYTHING, Changes
from agent.faults import Faults
from agent.machine.events import ConnectorStatus
from agent.ports.charger import Fault
from tests.agent.test_alerts import Operators

FAULTED, AVAILABLE = ConnectorStatus.FAULTED, ConnectorStatus.AVAILABLE
CHARGING = ConnectorStatus.CHARGING
GROUND = Fault("GroundFailure", "E12", "RCD tripped", 1_000, is_grave=True)
HOT = Fault("HighTemperature", "", "", 1_000, is_grave=True)
WEAK = Fault("WeakSignal", "", "-105 dBm", 1_000)


class Charger:
    """A charge point's faults and the operators who hear of them."""

    def __init__(self) -> None:
        self.operators = Operators()
        self.changes = Changes()
        self.faults = Faults("CP001", self.operators.alerts, self.changes)

    def shows(
        self, status: ConnectorStatus, fault: Fault | None = None, connector: int = 1
    ) -> None:
        """A StatusNotification."""
        self.faults.said(connector, fault, status)
        self.faults.showed(connector, status)

    async def heard(self) -> list[str]:
        return await self.operators.settle()


@pytest.fixture
def charger() -> Charger:
    return Charger()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (GROUND, "GroundFailure (E12): RCD tripped"),
        (Fault("GroundFailure", "E12", "", 0), "GroundFailure (E12)"),
        (Fault("", "E12", "RCD tripped", 0), "E12: RCD tripped"),
        (Fault("", "", "RCD tripped", 0), "RCD tripped"),
        (HOT, "HighTemperature"),
    ],
)
def test_a_reason_in_short(fault: Fault, reason: str) -> None:
    assert fault.reason == reason


async def test_faulted_is_told_once_with_its_reason_and_when_it_is_over(charger: Charger) -> None:
    for _ in range(3):
        charger.shows(FAULTED, GROUND)
    charger.shows(AVAILABLE)
    charger.shows(AVAILABLE)
    assert await charger.heard() == [
        "⚠ CP001: connector 1 is Faulted: GroundFailure (E12): RCD tripped",
        "✓ CP001: connector 1 is in order again",
    ]
    assert charger.faults.current() == {}


async def test_a_grave_error_is_told_of_while_it_charges_on(charger: Charger) -> None:
    charger.shows(CHARGING, HOT)
    charger.shows(CHARGING)
    assert await charger.heard() == [
        "⚠ CP001: connector 1 reports HighTemperature",
        "✓ CP001: connector 1 is in order again",
    ]


async def test_one_that_is_not_grave_is_shown_and_not_told_of(charger: Charger) -> None:
    charger.shows(CHARGING, WEAK)
    assert charger.faults.current() == {1: WEAK}
    assert charger.faults.count == 1
    assert await charger.heard() == []
    charger.shows(FAULTED, WEAK)
    assert await charger.heard() == ["⚠ CP001: connector 1 is Faulted: WeakSignal: -105 dBm"]


async def test_faulted_without_a_reason_counts_and_the_reason_is_told_when_it_comes(
    charger: Charger,
) -> None:
    charger.shows(FAULTED)
    assert charger.faults.count == 1
    charger.faults.said(1, GROUND)
    charger.faults.said(1, GROUND)
    assert charger.faults.count == 1
    assert await charger.heard() == [
        "⚠ CP001: connector 1 is Faulted and does not say why",
        "⚠ CP001: connector 1 is Faulted: GroundFailure (E12): RCD tripped",
    ]


async def test_an_error_that_becomes_faulted_soon_is_told_of_again_if_it_stays(
    charger: Charger,
) -> None:
    charger.shows(CHARGING, HOT)
    for _ in range(3):
        charger.shows(FAULTED, HOT)
    assert len(await charger.heard()) == 1
    charger.operators.clock.now_ms += QUIET_MS
    assert (await charger.heard())[1:] == ["⚠ CP001: connector 1 is Faulted: HighTemperature"]
    charger.shows(FAULTED, HOT)
    charger.operators.clock.now_ms += QUIET_MS
    assert len(await charger.heard()) == 2


async def test_an_error_that_becomes_faulted_without_a_reason_is_told_of_again(
    charger: Charger,
) -> None:
    charger.shows(CHARGING, HOT)
    charger.operators.clock.now_ms += QUIET_MS
    charger.shows(FAULTED)
    assert (await charger.heard())[1:] == ["⚠ CP001: connector 1 is Faulted and does not say why"]


async def test_the_next_time_it_is_faulted_its_reason_is_told_once(charger: Charger) -> None:
    """The time before, it did not say why."""
    charger.shows(FAULTED)
    charger.shows(AVAILABLE)
    charger.operators.clock.now_ms += QUIET_MS
    charger.shows(FAULTED, GROUND)
    assert len(await charger.heard()) == 3


async def test_one_that_flaps_is_told_of_once_in_a_while(charger: Charger) -> None:
    for _ in range(20):
        charger.shows(FAULTED)
        charger.faults.said(1, GROUND)
        charger.shows(AVAILABLE)
        charger.operators.clock.now_ms += QUIET_MS // 100
    assert len(await charger.heard()) == 3


async def test_the_charger_as_a_whole_and_each_connector_are_told_apart(charger: Charger) -> None:
    charger.shows(FAULTED, GROUND, connector=0)
    charger.shows(CHARGING, HOT, connector=2)
    charger.shows(AVAILABLE, connector=0)
    assert await charger.heard() == [
        "⚠ CP001: the charger is Faulted: GroundFailure (E12): RCD tripped",
        "⚠ CP001: connector 2 reports HighTemperature",
        "✓ CP001: the charger is in order again",
    ]
    assert list(charger.faults.current()) == [2]


def test_what_is_said_again_is_wrong_since_the_first_time(charger: Charger) -> None:
    charger.shows(FAULTED, GROUND)
    again = Fault("GroundFailure", "E12", "still", 9_000, is_grave=True)
    charger.shows(FAULTED, again)
    (known,) = charger.faults.current().values()
    assert (known.info, known.since_ms) == ("still", 1_000)
    charger.shows(FAULTED, Fault("GroundFailure", "E13", "", 9_000, is_grave=True))
    (known,) = charger.faults.current().values()
    assert known.since_ms == 9_000


def test_who_looks_is_woken_by_a_change_alone(charger: Charger) -> None:
    watcher = charger.changes.watch(ANYTHING)
    charger.shows(CHARGING, WEAK)
    assert watcher.is_set()
    watcher.clear()
    charger.shows(CHARGING, WEAK)
    assert not watcher.is_set()

"""The session machine's table of connectors: every state with every status."""

from __future__ import annotations

import pytest

from agent.machine.effects import StartCharging
from agent.machine.events import ConnectorStatus
from agent.machine.session import step
from tests.agent.machine.each_state import NOW, SESSIONS
from tests.agent.machine.examples import named, showed

# status, STARTING, STARTING/unplug, CHARGING, SUSPENDED, STOPPING
STATUS_TABLE = """
Available        STARTING          STARTING/again    CHARGING/vanishing   SUSPENDED/vanishing STOPPING/vanishing
Preparing        STARTING/again    STARTING/again    CHARGING/vanishing   SUSPENDED/vanishing STOPPING/vanishing
Charging         STARTING          STARTING          CHARGING             CHARGING            STOPPING
SuspendedEVSE    STARTING          STARTING          SUSPENDED            SUSPENDED           STOPPING
SuspendedEV      STARTING          STARTING          SUSPENDED            SUSPENDED           STOPPING
Finishing        STARTING          STARTING/unplug   CHARGING/vanishing   SUSPENDED/vanishing STOPPING/vanishing
Reserved         STARTING          STARTING/unplug   CHARGING             SUSPENDED           STOPPING
Unavailable      STARTING          STARTING/unplug   CHARGING             SUSPENDED           STOPPING
Faulted          STARTING          STARTING/unplug   CHARGING             SUSPENDED           STOPPING
Offline          STARTING          STARTING/unplug   CHARGING/lost        SUSPENDED/lost      STOPPING/lost
"""  # noqa: E501  a row is a line

STATUS_ROWS = [line.split() for line in STATUS_TABLE.splitlines() if line]


@pytest.mark.parametrize("cells", STATUS_ROWS, ids=lambda cells: cells[0])
def test_every_state_with_every_connector_status(cells: list[str]) -> None:
    names = ["STARTING", "STARTING/unplug", "CHARGING", "SUSPENDED", "STOPPING"]
    expected = dict(zip(names, cells[1:], strict=True))
    found: dict[str, str] = {}
    for name in expected:
        changed, effects = step(SESSIONS[name], showed(NOW, ConnectorStatus(cells[0])))
        marks = {
            "vanishing": changed.vanished_since_ms == NOW,
            "lost": changed.offline_since_ms == NOW,
            "again": StartCharging(2) in effects,
            "unplug": changed.unplug_first,
        }
        found[name] = "/".join([changed.state, *(mark for mark, is_set in marks.items() if is_set)])
        assert "PublishStatus" in named(effects) or marks["again"]
    assert found == expected


def test_the_status_table_leaves_nothing_out() -> None:
    assert [cells[0] for cells in STATUS_ROWS] == list(ConnectorStatus)

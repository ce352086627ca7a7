"""How a connector is shown to the next driver."""

from __future__ import annotations

import pytest

from agent.machine.events import ConnectorStatus, Obstacle
from agent.nostr.press import published_status
from agent.ports.charge_point import ConnectorView
from nips.status import STATUSES


@pytest.mark.parametrize(
    ("status", "obstacle", "shown"),
    [
        ("Available", None, "Available"),
        ("Available", Obstacle.OCCUPIED, "Preparing"),
        ("Available", Obstacle.DISABLED, "Unavailable"),
        ("Available", Obstacle.OFFLINE, "Unavailable"),
        ("Available", Obstacle.RESERVED, "Reserved"),
        ("Offline", Obstacle.OFFLINE, "Unavailable"),
        ("Charging", Obstacle.OFFLINE, "Unavailable"),
        ("Charging", Obstacle.OCCUPIED, "Charging"),
        ("Charging", Obstacle.DISABLED, "Charging"),
        ("Preparing", None, "Preparing"),
    ],
)
def test_the_state_is_that_for_the_next_driver(
    status: str, obstacle: Obstacle | None, shown: str
) -> None:
    view = ConnectorView(1, ConnectorStatus(status), obstacle)
    assert published_status(view) == shown


@pytest.mark.parametrize("status", ConnectorStatus)
@pytest.mark.parametrize("obstacle", [None, *Obstacle])
def test_it_is_always_a_word_of_ocpp_and_free_only_without_obstacle(
    status: ConnectorStatus, obstacle: Obstacle | None
) -> None:
    shown = published_status(ConnectorView(1, status, obstacle))
    assert shown in STATUSES
    assert shown != "Available" or obstacle is None

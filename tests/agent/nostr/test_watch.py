"""Relays that are away or behind: told once, and told when that is over."""

from __future__ import annotations

from agent.alerts import Alerts
from agent.nostr.watch import AWAY_MS, MOST_WAITING, Watch
from nips.relays import RelayHealth
from tests.agent.world import ManualClock

URL = "wss://relay.example.com"


class Figures:
    """The figures of one relay, as a test says."""

    def __init__(self) -> None:
        self.connected = True
        self.waiting = 0

    def health(self) -> dict[str, RelayHealth]:
        return {URL: RelayHealth(URL, self.connected, None, 0, 0, 0, 0, 0, "", 0)}

    def depths(self) -> dict[str, int]:
        return {URL: self.waiting}


async def tell(text: str) -> None:
    del text


def test_a_relay_is_missed_after_a_minute_and_no_sooner() -> None:
    clock, figures = ManualClock(), Figures()
    alerts = Alerts(clock, tell)
    watch = Watch(figures, alerts, clock)
    figures.connected = False
    watch.look()
    clock.now_ms += AWAY_MS - 1
    watch.look()
    assert alerts.current() == {}
    clock.now_ms += 1
    watch.look()
    assert list(alerts.current().values()) == [f"the relay {URL} has not been reached for 60 s"]
    figures.connected = True
    watch.look()
    assert alerts.current() == {}
    figures.connected = False
    watch.look()
    assert alerts.current() == {}


def test_a_relay_that_is_behind_must_catch_up_by_half() -> None:
    clock, figures = ManualClock(), Figures()
    alerts = Alerts(clock, tell)
    watch = Watch(figures, alerts, clock)
    for waiting, wrong in (
        (MOST_WAITING, 0),
        (MOST_WAITING + 1, 1),
        (MOST_WAITING // 2, 1),
        (0, 0),
    ):
        figures.waiting = waiting
        watch.look()
        assert len(alerts.current()) == wrong

"""Rate limits by hand-set time."""

from __future__ import annotations

from bridge.limits import Rate, RateLimit
from tests.agent.world import ManualClock


def test_a_burst_then_a_steady_rate() -> None:
    clock = ManualClock()
    limit = RateLimit(Rate(burst=3, per_minute=6), clock)
    assert [limit.wait_s("192.0.2.1") for _ in range(4)] == [0, 0, 0, 11]
    clock.advance(5)
    assert limit.wait_s("192.0.2.1") == 6
    clock.advance(5)
    assert limit.wait_s("192.0.2.1") == 0
    assert limit.wait_s("192.0.2.1") > 0


def test_addresses_are_counted_apart_and_ipv6_by_network() -> None:
    limit = RateLimit(Rate(burst=1, per_minute=1), ManualClock())
    assert limit.wait_s("192.0.2.1") == 0
    assert limit.wait_s("192.0.2.2") == 0
    assert limit.wait_s("2001:db8::1") == 0
    assert limit.wait_s("2001:db8::ffff") > 0
    assert limit.wait_s("2001:db8:0:1::1") == 0
    assert limit.wait_s("") == 0


def test_a_clock_that_goes_back_gives_nothing_away() -> None:
    clock = ManualClock()
    limit = RateLimit(Rate(burst=1, per_minute=60), clock)
    assert limit.wait_s("a") == 0
    clock.advance(-100)
    assert limit.wait_s("a") > 0

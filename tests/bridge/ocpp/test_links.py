"""What the operator sees of a connection: measured on real sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.ocpp.limits import Limits
from bridge.ocpp.links import CERTIFICATE, PASSWORD, TLS, LinkState, profile_of
from bridge.ocpp.server import AuthPolicy
from tests.bridge.ocpp.proxy import proxied
from tests.bridge.ocpp.stage import booted, staged
from tests.bridge.ocpp.wire import charger

HASTY = Limits(ping_interval_s=0.2, ping_timeout_s=0.3, lost_after_s=60)


async def test_nothing_is_known_of_a_charger_that_never_came(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        assert stage.server.links.state("CP001") == LinkState()


async def test_a_connection_is_measured(tmp_path: Path) -> None:
    policy = AuthPolicy(password="a-long-password")
    async with (
        staged(tmp_path, policy=policy) as stage,
        booted(stage, credentials=b"CP001:a-long-password") as raw,
    ):
        links = stage.server.links
        await stage.world.until(lambda: links.state("CP001").ping_ms is not None)
        state = links.state("CP001")
        assert state.answers
        assert state.since_ms == stage.world.clock()
        assert state.ping_ms is not None
        assert 1 <= state.ping_ms < 1000
        assert state.showed == (PASSWORD,)
        assert state.heard_at_ms is not None
        assert -1000 <= state.heard_at_ms - stage.world.clock() <= 0
        assert state.clock_behind_ms == 0
        await raw.call("Heartbeat", {})
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
        await raw.call("StatusNotification", status | {"timestamp": stage.at(300)})
        assert links.state("CP001").clock_behind_ms == -300_000


async def test_one_that_went_away_was_heard_last_when_it_went(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage:
        links, went_ms = stage.server.links, stage.world.clock()
        async with booted(stage):
            assert links.state("CP001").since_ms == went_ms
        await stage.world.until(lambda: links.state("CP001").since_ms is None)
        stage.world.clock.advance(3600)
        heard_ms = links.state("CP001").heard_at_ms
        assert heard_ms is not None
        assert -1000 <= heard_ms - went_ms <= 0
        assert not links.state("CP001").answers


async def test_the_newest_connection_is_the_one_that_is_shown(tmp_path: Path) -> None:
    async with staged(tmp_path) as stage, booted(stage) as old:
        stage.world.clock.advance(60)
        async with charger(stage.server) as new:
            await new.boot()
            await old.socket.wait_closed()
            assert stage.server.links.state("CP001").since_ms == stage.world.clock()


async def test_one_that_hangs_does_not_answer_and_its_ping_is_not_renewed(tmp_path: Path) -> None:
    async with (
        staged(tmp_path, limits=HASTY) as stage,
        proxied(stage.server.port) as proxy,
        booted(stage, port=proxy.port),
    ):
        links = stage.server.links
        await stage.world.until(lambda: links.state("CP001").ping_ms is not None)
        proxy.open.clear()
        await stage.world.until(lambda: not links.state("CP001").answers)
        assert links.state("CP001").since_ms is not None
        proxy.open.set()
        await stage.world.until(lambda: links.state("CP001").answers)
        # What was on its way all the while counts in full.
        await stage.world.until(lambda: (links.state("CP001").ping_ms or 0) >= 100)


@pytest.mark.parametrize(
    ("showed", "profile"),
    [
        ((), 0),
        ((TLS,), 0),
        ((PASSWORD,), 1),
        ((TLS, PASSWORD), 2),
        ((TLS, CERTIFICATE), 3),
    ],
)
def test_profiles(showed: tuple[str, ...], profile: int) -> None:
    assert profile_of(showed) == profile

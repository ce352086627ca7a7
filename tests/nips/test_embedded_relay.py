from __future__ import annotations

import socket
from pathlib import Path

import pytest

from nips.embedded_relay import EmbeddedRelay
from nips.errors import EmbeddedRelayError
from nips.filters import Filter
from tests.nips.support import key_of, now_s, pooling, serving

ALICE = key_of("alice")


async def test_it_listens_on_a_free_port_and_lets_go_of_it() -> None:
    relay = EmbeddedRelay("localhost", 0)
    assert relay.url == ""
    await relay.open()
    port = int(relay.url.rpartition(":")[2])
    await relay.close()
    await relay.close()
    assert relay.url == ""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))


async def test_a_port_in_use_is_named() -> None:
    async with serving() as relay:
        port = int(relay.url.rpartition(":")[2])
        with pytest.raises(EmbeddedRelayError, match=str(port)):
            await EmbeddedRelay("127.0.0.1", port).open()


async def test_a_host_that_is_no_address_is_refused() -> None:
    with pytest.raises(EmbeddedRelayError, match="IP address"):
        await EmbeddedRelay("relay.example.com", 7777).open()


async def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(EmbeddedRelayError, match="folder"):
        await EmbeddedRelay("127.0.0.1", 0, file / "data").open()


async def test_events_survive_a_restart(tmp_path: Path) -> None:
    event = ALICE.sign(1, "kept", [], now_s())
    for publishing in (True, False):
        relay = EmbeddedRelay("127.0.0.1", 0, tmp_path)
        await relay.open()
        try:
            async with pooling(relay.url) as pool:
                if publishing:
                    assert (await pool.publish(event))[relay.url].ok
                else:
                    assert await pool.fetch(Filter(kinds=(1,))) == [event]
        finally:
            await relay.close()


async def test_it_does_not_throttle_a_network_of_charge_points() -> None:
    async with serving() as relay, pooling(relay.url) as pool:
        for number in range(300):
            event = ALICE.sign(1, str(number), [], now_s())
            assert (await pool.publish(event))[relay.url].ok

"""NDK under Node as a driver's client, over both relay programs."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from nips.dms import read_message
from nips.event import Coordinate, NostrEvent
from nips.filters import Filter
from nips.identity import decode_naddr
from nips.profile import Profile, dm_relays, profile
from nips.status import ConnectorState, UserStatus, connector_status, user_status
from tests.counterpart_relay import nostr_relay
from tests.nips.support import key_of, now_s, pooling, serving, take
from tests.node import run_script

pytestmark = [pytest.mark.usefixtures("node_modules"), pytest.mark.timeout(600)]

CHARGER = key_of("charger")
DRIVER = key_of("driver")


@pytest.fixture(params=["embedded", "nostr-relay"])
async def relay_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[str, None]:
    if request.param == "embedded":
        async with serving() as relay:
            yield relay.url
    else:
        command = request.getfixturevalue("nostr_relay_command")
        async with nostr_relay(command, tmp_path) as url:
            yield url


async def test_ndk_finds_the_charge_point_and_writes_to_it(relay_url: str) -> None:
    async with pooling(relay_url) as pool:
        at = now_s()
        state = ConnectorState("CP001", 1, "Available", at, at + 900, text="Available")
        for template in (
            profile(Profile(name="Old Mill", lud16="cp001@example.com", bot=True)),
            dm_relays([relay_url]),
            user_status(UserStatus("Available", expires_at=at + 900)),
            connector_status(state),
        ):
            assert (await pool.publish(CHARGER.sign_template(template, at)))[relay_url].ok
        await pool.subscribe("dm", Filter(kinds=(4,), tags={"p": (CHARGER.pubkey,)}))
        incoming = pool.incoming()
        seen = await run_script(
            "ndk.mjs",
            {
                "relay": relay_url,
                "pubkey": CHARGER.pubkey,
                "secret": DRIVER.keys.secret_key().to_hex(),
                "text": "stop ✋",
            },
        )
        (item,) = await take(incoming, 1)
    assert (seen["name"], seen["lud16"]) == ("Old Mill", "cp001@example.com")
    assert seen["kinds"] == [10050, 30315, 30716]
    assert seen["verified"] == [True] * 3
    assert seen["status"] == "Available"
    assert Coordinate.parse(seen["address"]) == Coordinate(30716, CHARGER.pubkey, "CP001:1")
    assert decode_naddr(seen["naddr"])[0] == Coordinate(30716, CHARGER.pubkey, "CP001:1")
    assert NostrEvent.parse(json.dumps(seen["message"])) == item.event
    message = read_message(CHARGER, item.event)
    assert (message.sender, message.text) == (DRIVER.pubkey, "stop ✋")

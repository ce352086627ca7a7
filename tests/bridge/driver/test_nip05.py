"""Names to keys, by the domain's word."""

from __future__ import annotations

import pytest

from bridge.driver.errors import DriverError
from bridge.driver.lnurl import client
from bridge.driver.nip05 import pubkey_of
from tests.bridge.driver.canned import canned

KEY = "ab" * 32


async def test_a_name_has_a_key_and_relays() -> None:
    async with canned() as web, client() as http:
        web.answers["/.well-known/nostr.json"] = {
            "names": {"cp001": KEY},
            "relays": {KEY: ["wss://relay.example.com", 5]},
        }
        assert await pubkey_of(http, f"CP001@{web.host}") == (KEY, ("wss://relay.example.com",))
        assert web.asked == [("/.well-known/nostr.json", {"name": ["cp001"]})]


@pytest.mark.parametrize(
    "answer", [{}, {"names": {"cp001": "x"}}, {"names": []}, [], "no", (404, "no")]
)
async def test_a_domain_that_does_not_know_the_name(answer: object) -> None:
    async with canned() as web, client() as http:
        web.answers["/.well-known/nostr.json"] = answer
        with pytest.raises(DriverError, match="knows no nostr key of cp001; use the npub"):
            await pubkey_of(http, f"cp001@{web.host}")


@pytest.mark.parametrize("name", ["cp001@127.0.0.1:1", "cp001@127.0.0.1:bad"])
async def test_a_domain_that_is_not_there(name: str) -> None:
    async with client() as http:
        with pytest.raises(DriverError, match="cannot be reached"):
            await pubkey_of(http, name)

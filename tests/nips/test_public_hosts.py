"""Where a stranger may make us connect to, whatever a resolver says."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from nips.errors import NotPublic
from nips.public_hosts import MAX_ADDRESSES, PublicHosts, is_public_address
from tests.far_names import Resolver


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",  # noqa: S104  nothing listens there
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.1.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fc00::1",
        "fe80::1%eth0",
        "ff02::1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::808:808",
        "2002:a00:1::",
        "2002:808:808::1",
        "2001:0:808:808::1",
    ],
)
def test_private_addresses_in_all_their_forms(address: str) -> None:
    assert not is_public_address(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2a00:1450:4001::1", "64:ff9b::808:808"])
def test_public_addresses(address: str) -> None:
    assert is_public_address(address)


@pytest.mark.parametrize(
    "answer",
    [
        [],
        ["10.0.0.1"],
        ["8.8.8.8", "127.0.0.1"],
        ["2a00:1450:4001::1", "::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
    ],
)
async def test_a_name_is_public_only_if_all_its_addresses_are(answer: Sequence[str]) -> None:
    for allow_loopback in (False, True):
        with pytest.raises(NotPublic):
            await PublicHosts(allow_loopback, Resolver([answer])).addresses("far.example", 443)


async def test_the_addresses_come_once_each_and_not_without_end() -> None:
    many = ["8.8.8.8", "8.8.8.8", *(f"9.9.9.{number}" for number in range(1, 100))]
    found = await PublicHosts(lookup=Resolver([many])).addresses("far.example", 443)
    assert found == ("8.8.8.8", "9.9.9.1", "9.9.9.2")
    assert len(found) == MAX_ADDRESSES


async def test_this_machine_only_where_allowed_and_only_by_its_own_names() -> None:
    here = PublicHosts(allow_loopback=True)
    assert set(await here.addresses("localhost", 1)) <= {"127.0.0.1", "::1"}
    assert await here.addresses("127.0.0.1", 1) == ("127.0.0.1",)
    assert await here.addresses("::1", 1) == ("::1",)
    for host in ("localhost", "127.0.0.1", "::1", "127.1", "2130706433", "0x7f000001"):
        with pytest.raises(NotPublic):
            await PublicHosts().addresses(host, 1)
    with pytest.raises(NotPublic):
        await PublicHosts(True, Resolver([["10.0.0.1"]])).addresses("localhost", 1)

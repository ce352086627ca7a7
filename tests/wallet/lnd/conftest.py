"""A wallet on LND, the server that plays it, and somebody else's node."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from tests.wallet.backends.lnd import NodePeer
from tests.wallet.lnd.wallets import make_wallet
from tests.wallet.lnd_node import LndNode
from tests.wallet.lnd_server import LndServer, lnd_server
from wallet.lnd import LndWallet


@pytest.fixture
async def nodes() -> AsyncGenerator[tuple[LndServer, LndNode]]:
    async with lnd_server() as pair:
        yield pair


@pytest.fixture
def server(nodes: tuple[LndServer, LndNode]) -> LndServer:
    return nodes[0]


@pytest.fixture
def peer(nodes: tuple[LndServer, LndNode]) -> NodePeer:
    return NodePeer(nodes[1])


@pytest.fixture
async def wallet(server: LndServer) -> AsyncGenerator[LndWallet]:
    opened = make_wallet(server)
    await opened.open()
    yield opened
    await opened.close()

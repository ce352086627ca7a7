"""Backends that are slow to start are shared by all tests of one process."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from tests.wallet.lnbits_server import LnbitsServer, lnbits_server


@pytest.fixture(scope="session")
async def lnbits(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncGenerator[LnbitsServer]:
    """A running LNbits."""
    async with lnbits_server(tmp_path_factory.mktemp("lnbits")) as running:
        yield running

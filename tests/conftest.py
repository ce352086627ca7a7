"""Shared by all tests: anyio on asyncio, as in production."""

import pytest

pytest_plugins = ["tests.counterpart_relay", "tests.node"]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Strom runs on asyncio: websockets and nostr-sdk do."""
    return "asyncio"

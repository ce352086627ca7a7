"""Shared by all tests: anyio on asyncio, as in production; files in memory; and a property is
judged by what it finds, not by how fast it runs."""

import os
import shutil
import signal
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("strom", deadline=None)
settings.load_profile("strom")

pytest_plugins = ["tests.counterpart_relay", "tests.node", "tests.wallet.lnbits_server"]

MEMORY = Path("/dev", "shm")
ENOUGH_BYTES = 2 * 10**9

LONG = (
    "tests/bridge/web/",
    "tests/e2e/",
    "tests/wallet/",
    "tests/nips/",
    "tests/bridge/lnurl/",
    "tests/bridge/ocpp/test_counterparts.py",
    "tests/bridge/ocpp/test_neighbours.py",
)
"""Where tests start browsers and other programs, and wait for them."""


def pytest_configure() -> None:
    """Keep the tests' files in memory where there is room, and the byte code of modules.

    Journals and databases wait for the disk at each commit, some milliseconds, thousands of
    times; no test asks whether they do. And some hundred processes import all of Strom.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # So it is behind an `&` in a script, and in what tests start: Ctrl-C would end nothing.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ENOUGH_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long, so that nothing long is left when all else is done."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Strom runs on asyncio: websockets and nostr-sdk do."""
    return "asyncio"

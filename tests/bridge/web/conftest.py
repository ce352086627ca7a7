"""One browser for all tests of a process: it takes seconds to start, and visitors share nothing."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from playwright.async_api import Browser

from tests.bridge.web.browser import chromium


@pytest.fixture(scope="session")
async def browser(anyio_backend: str) -> AsyncGenerator[Browser]:
    async with chromium() as running:
        yield running

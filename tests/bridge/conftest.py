"""A served site for tests of what speaks HTTP."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.bridge.http_world import HttpWorld, serving


@pytest.fixture
async def world(tmp_path: Path) -> AsyncGenerator[HttpWorld]:
    async with serving(tmp_path) as served:
        yield served

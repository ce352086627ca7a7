"""A wallet over NWC, and the scripted service behind it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.wallet.clock import now_ms
from tests.wallet.nwc_scripted import ScriptedService, make_wallet, scripted_service
from wallet.dev import DevWallet
from wallet.nwc import NwcWallet


@pytest.fixture
async def dev(tmp_path: Path) -> AsyncGenerator[DevWallet]:
    wallet = DevWallet(tmp_path, now_ms)
    await wallet.open()
    yield wallet
    await wallet.close()


@pytest.fixture
async def service(dev: DevWallet) -> AsyncGenerator[ScriptedService]:
    async with scripted_service(dev) as running:
        yield running


@pytest.fixture
async def wallet(service: ScriptedService) -> AsyncGenerator[NwcWallet]:
    opened = make_wallet(service)
    await opened.open()
    yield opened
    await opened.close()

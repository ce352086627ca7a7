"""The backends of the contract; those that are slow to start serve all tests of one process."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.wallet.backends.dev import dev_backend
from tests.wallet.backends.lnbits import lnbits_backend
from tests.wallet.backends.lnd import REAL_LND, lnd_backend, real_lnd_backend
from tests.wallet.backends.nwc import nwc_backend
from tests.wallet.contract import Backend
from tests.wallet.lnbits_server import LnbitsServer
from wallet.base import Wallet

SLOW = pytest.mark.timeout(600)  # a backend may have to be installed first


@pytest.fixture(scope="module")
async def dev(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncGenerator[Backend]:
    async with dev_backend(tmp_path_factory.mktemp("dev")) as backend:
        yield backend


@pytest.fixture(scope="module")
async def on_lnbits(lnbits: LnbitsServer, tmp_path_factory: pytest.TempPathFactory) -> Backend:
    return await lnbits_backend(lnbits, tmp_path_factory.mktemp("contract"))


@pytest.fixture(scope="module")
async def lnd(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncGenerator[Backend]:
    async with lnd_backend(tmp_path_factory.mktemp("lnd")) as backend:
        yield backend


@pytest.fixture(scope="module")
async def real_lnd(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncGenerator[Backend]:
    async with real_lnd_backend(tmp_path_factory.mktemp("real-lnd")) as backend:
        yield backend


@pytest.fixture(scope="module")
async def nwc(
    lnbits: LnbitsServer, node_modules: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Backend]:
    async with nwc_backend(lnbits, tmp_path_factory.mktemp("nwc")) as backend:
        yield backend


BACKENDS = ["dev", pytest.param("on_lnbits", marks=SLOW), "lnd", pytest.param("nwc", marks=SLOW)]


@pytest.fixture(scope="module", params=[*BACKENDS, "real_lnd"] if REAL_LND else BACKENDS)
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each backend in turn."""
    made: Backend = request.getfixturevalue(request.param)
    return made


@pytest.fixture
async def wallet(backend: Backend) -> AsyncGenerator[Wallet]:
    opened = await backend.connect()
    yield opened
    await opened.close()

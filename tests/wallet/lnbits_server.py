"""A real LNbits on loopback, in a virtual environment of its own; skips aloud without.

Its money is its FakeWallet's: wallets of one instance pay each other.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio import to_thread

from tests import python_program
from tests.ports import free_port

VENV = python_program.COUNTERPARTS / "lnbits"
REQUIREMENTS = Path(__file__).with_name("lnbits_requirements.txt")
SUPER_USER = "00000000000000000000000000000001"
START_S = 90


@dataclass(frozen=True)
class Account:
    """One wallet on an LNbits: `inkey` may receive and look, `adminkey` may pay."""

    id: str
    inkey: str
    adminkey: str


class LnbitsServer:
    """One LNbits process with its data in `folder`."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._token = ""

    async def start(self) -> None:
        """Start it, and set it up the first time."""
        package = next((VENV / "lib").glob("python*/site-packages/lnbits"))
        for name in ("data/logs", "data/images", "data/wasm_extensions", "ext/extensions"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        # It mounts the relative path lnbits/static.
        link = self.folder / "lnbits"
        if not link.is_symlink():
            link.symlink_to(package)
        with (self.folder / "lnbits.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: ASYNC220  (it only forks)
                [
                    VENV / "bin" / "uvicorn",
                    "lnbits.__main__:app",
                    "--host=127.0.0.1",
                    f"--port={self._port}",
                ],
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        with anyio.fail_after(START_S):
            async with httpx.AsyncClient(base_url=self.url, trust_env=False) as http:
                while not await self._answers(http):
                    assert self._process.poll() is None, self.log()
                    await anyio.sleep(0.1)
                if not self._token:
                    self._token = await self._first_install(http)

    async def stop(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            await to_thread.run_sync(lambda: process.wait(timeout=15))
        except subprocess.TimeoutExpired:
            process.kill()
            await to_thread.run_sync(process.wait)

    async def kill(self) -> None:
        """End the process without a chance to tidy up."""
        process, self._process = self._process, None
        assert process is not None
        process.kill()
        await to_thread.run_sync(process.wait)

    def log(self) -> str:
        """What it wrote last."""
        return (self.folder / "lnbits.log").read_text(errors="replace")[-4000:]

    async def account(self, name: str, funds_sat: int = 0) -> Account:
        """A new wallet, funded out of nothing."""
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as http:
            made = await http.post("/api/v1/account", json={"name": name})
            made.raise_for_status()
            wallet = made.json()
            http.cookies.clear()
            if funds_sat:
                funded = await http.put(
                    "/users/api/v1/balance",
                    json={"id": wallet["id"], "amount": funds_sat},
                    headers={"Authorization": f"Bearer {self._token}"},
                )
                funded.raise_for_status()
        return Account(wallet["id"], wallet["inkey"], wallet["adminkey"])

    async def _answers(self, http: httpx.AsyncClient) -> bool:
        try:
            await http.get("/api/v1/wallet")
        except httpx.TransportError:
            return False
        return True

    async def _first_install(self, http: httpx.AsyncClient) -> str:
        answer = await http.put(
            "/api/v1/auth/first_install",
            json={
                "username": "operator",
                "password": "correct horse",
                "password_repeat": "correct horse",
            },
        )
        answer.raise_for_status()
        token: Any = answer.json()["access_token"]
        return token

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ.get("PATH", ""),
            "HOST": "127.0.0.1",
            "PORT": str(self._port),
            "NO_PROXY": "*",
            "LNBITS_DATA_FOLDER": str(self.folder / "data"),
            "LNBITS_EXTENSIONS_PATH": str(self.folder / "ext"),
            "LNBITS_BACKEND_WALLET_CLASS": "FakeWallet",
            "FAKE_WALLET_SECRET": "strom-tests",
            "SUPER_USER": SUPER_USER,
            "LNBITS_ADMIN_UI": "true",
            "AUTH_SECRET_KEY": "strom-tests",
            "AUTH_HTTPS_ONLY": "false",
            "AUTH_ALLOWED_METHODS": '["user-id-only","username-password"]',
            "LNBITS_LNURL_ALLOW_PRIVATE_IPS": "true",
            "LNBITS_CALLBACK_ALLOW_PRIVATE_IPS": "true",
            "LNBITS_CALLBACK_URL_RULES": "[]",
            "LNBITS_RATE_LIMIT_NO": "100000",
            "LNBITS_RATE_LIMIT_UNIT": "second",
            "LNBITS_EXTENSIONS_MANIFESTS": "[]",
            "LNBITS_WASM_EXTENSIONS_MANIFESTS": "[]",
            "LNBITS_EXTENSIONS_DEACTIVATE_ALL": "true",
            "LNBITS_AUDIT_ENABLED": "false",
            "ENABLE_LOG_TO_FILE": "false",
            "LNBITS_EXCHANGE_RATE_PROVIDERS": "[]",
        }


@pytest.fixture(scope="session")
def lnbits_installed() -> None:
    """LNbits is there; otherwise the test is skipped aloud."""
    try:
        install()
    except OSError as error:
        pytest.skip(f"needs LNbits: {error}")


@pytest.fixture(scope="session")
async def lnbits(
    lnbits_installed: None, tmp_path_factory: pytest.TempPathFactory, anyio_backend: str
) -> AsyncGenerator[LnbitsServer]:
    """A running LNbits, one for all tests of a process."""
    async with lnbits_server(tmp_path_factory.mktemp("lnbits")) as running:
        yield running


@asynccontextmanager
async def lnbits_server(folder: Path) -> AsyncGenerator[LnbitsServer]:
    """A running LNbits.

    Raises:
        OSError: it cannot be installed.
    """
    await to_thread.run_sync(install)
    server = LnbitsServer(folder, free_port())
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


def install() -> None:
    """Install LNbits unless it is there.

    Raises:
        OSError: it did not install.
    """
    # What it needs is pinned to the last package, so there is nothing to resolve.
    python_program.install(VENV, REQUIREMENTS.read_text(), "--no-deps")

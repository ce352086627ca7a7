"""A second relay program, PyPI `nostr-relay`, in its own environment (its pins are not ours)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests import python_program

FOLDER = python_program.COUNTERPARTS / "nostr-relay"
REQUIREMENTS = Path(__file__).with_name("nostr_relay_requirements.txt")
START_TIMEOUT_S = 30

CONFIG = """
DEBUG: false
relay_name: counterpart
storage:
  sqlalchemy.url: sqlite+aiosqlite:///{folder}/events.sqlite3
  num_concurrent_reqs: 10
  num_concurrent_adds: 2
  validators:
    - nostr_relay.validators.is_not_too_large
    - nostr_relay.validators.is_signed
verification:
  nip05_verification: disabled
purple:
  host: 127.0.0.1
  port: {port}
  workers: 1
  disable_compression: true
gunicorn:
  bind: 127.0.0.1:{port}
  workers: 1
  loglevel: warning
authentication:
  enabled: {auth}
  relay_urls:
    - ws://127.0.0.1:{port}
  actions:
    save: {actions}
    query: {actions}
subscription_limit: 32
max_limit: 6000
"""


def install() -> Path:
    """Install the relay unless it is there; its command.

    Raises:
        OSError: it did not install.
    """
    python_program.install(FOLDER, REQUIREMENTS.read_text(), "--no-deps")
    return FOLDER / "bin" / "nostr-relay"


@pytest.fixture(scope="session")
def nostr_relay_command() -> Path:
    """The installed `nostr-relay` command."""
    try:
        return install()
    except OSError as error:
        pytest.skip(f"needs the PyPI relay: {error}")


@asynccontextmanager
async def nostr_relay(
    command: Path, folder: Path, port: int = 0, *, members: Sequence[str] = ()
) -> AsyncGenerator[str, None]:
    """Serve it until the end of the block; its URL.

    Args:
        members: pubkeys that are let in once they authenticated (NIP-42); none: everybody is.
    """
    if port == 0:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    config = folder / "relay.yaml"
    config.write_text(
        CONFIG.format(
            folder=folder,
            port=port,
            auth="true" if members else "false",
            actions="rw" if members else "a",
        )
    )
    log = (folder / "relay.log").open("ab")
    process = await asyncio.create_subprocess_exec(
        command, "-c", config, "serve", cwd=folder, stdout=log, stderr=log
    )
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while not await _accepts(port):
                assert process.returncode is None, (folder / "relay.log").read_text()[-2000:]
                await asyncio.sleep(0.05)
        for member in members:
            setting = await asyncio.create_subprocess_exec(
                *(command, "-c", config, "role", "set", "-p", member, "-r", "rw"),
                cwd=folder,
                stdout=log,
                stderr=log,
            )
            assert await setting.wait() == 0, (folder / "relay.log").read_text()[-2000:]
        yield f"ws://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), 10)
            except TimeoutError:
                process.kill()
                await process.wait()
        log.close()


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True

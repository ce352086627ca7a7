"""A relay as a process of its own, that can be killed: `python -m tests.e2e.relay_process`."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from nips.embedded_relay import EmbeddedRelay
from tests.ports import held_ports

START_S = 30


class RelayProcess:
    """A relay on a port that stays the same.

    Args:
        folder: of its log.
    """

    def __init__(self, folder: Path) -> None:
        self._held = ExitStack()
        (self._port,) = self._held.enter_context(held_ports(1))
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"ws://127.0.0.1:{self._port}"

    async def start(self, data: Path) -> None:
        """Serve what is in a folder, and return when it listens."""
        process = self._process = self._spawn(data)
        async with asyncio.timeout(START_S):
            while not await self._listens():
                assert process.poll() is None, (self._folder / "relay.log").read_text()
                await asyncio.sleep(0.02)

    def _spawn(self, data: Path) -> subprocess.Popen[bytes]:
        with (self._folder / "relay.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.relay_process", str(self._port), str(data)],
                stdout=log,
                stderr=log,
            )

    async def _listens(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
        return True

    def kill(self) -> None:
        """End it without a word. Idempotent."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """Kill it, and let go of its port."""
        self.kill()
        self._held.close()


async def _serve(port: int, data: Path) -> None:
    relay = EmbeddedRelay("127.0.0.1", port, data)
    await relay.open()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), Path(sys.argv[2])))

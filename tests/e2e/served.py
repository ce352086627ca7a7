"""A real `strom serve` that can be killed and started again, and a driver who uses it."""

from __future__ import annotations

import signal
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import anyio
import httpx

from bridge.simulator.charge_point import SimulatedChargePoint
from tests import forked
from tests.ports import held_ports

PAID_SAT = 2_000
CONFIG = """
[strom]
public_url = "http://127.0.0.1:{http}"
http_listen = "127.0.0.1:{http}"
ocpp_listen = "127.0.0.1:{ocpp}"
[nostr]
{relay}
[sessions]
start_timeout_s = 60
[wallet]
url = "{wallet}"
hold = "{hold}"
[tariffs.day]
energy_per_kwh = 300
[[charge_points]]
id = "CP001"
name = "Old Mill"
tariff = "day"
"""

Session = dict[str, Any]


class Strom:
    """A Strom that can be killed and started again, and a driver who uses it.

    Args:
        folder: of its file and its data.
        wallet: the wallet's URL.
        hold: whether payments are held.
        program: the module that is run as Strom.
        relay_url: the relay that it uses; "" for its embedded one.
    """

    def __init__(
        self,
        folder: Path,
        wallet: str = "dev://",
        hold: str = "off",
        program: str = "bridge.cli",
        relay_url: str = "",
    ) -> None:
        self._program = program
        self._held = ExitStack()
        http, ocpp, relay = self._held.enter_context(held_ports(3))
        self._folder = folder
        self._process: BaseProcess | None = None
        self.relay_url = relay_url or f"ws://127.0.0.1:{relay}"
        self.ocpp_url = f"ws://127.0.0.1:{ocpp}/ocpp"
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{http}", timeout=20)
        relays = (
            f'relays = ["{relay_url}"]' if relay_url else f'embedded_relay = "127.0.0.1:{relay}"'
        )
        config = CONFIG.format(http=http, ocpp=ocpp, relay=relays, wallet=wallet, hold=hold)
        (folder / "strom.toml").write_text(config)

    async def start(self, **environment: str) -> None:
        log = self._folder / "log"
        self._process = forked.start(
            self._folder, self._program, "serve", environment=environment, out=log, err=log
        )
        await self.until(self._answers)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.join()

    async def close(self) -> None:
        """Kill it, and let go of its ports."""
        if self._process is not None:
            self.kill()
        await self.http.aclose()
        self._held.close()

    async def has_died(self) -> bool:
        """Whether it killed itself."""
        assert self._process is not None
        return self._process.exitcode == -signal.SIGKILL

    async def _answers(self) -> bool:
        try:
            return (await self.http.get("/healthz")).status_code == 200
        except httpx.TransportError:
            assert self._process is not None
            assert self._process.exitcode is None, (self._folder / "log").read_text()
            return False

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Return once a condition holds; the test's time limit bounds it."""
        while not await condition():
            await anyio.sleep(0.02)

    async def get(self, url: str) -> Session:
        answer = await self.http.get(url, headers={"Accept": "application/json"})
        return answer.json()

    async def online(self) -> bool:
        return (await self.get("/lnurl/cp001")).get("tag") == "payRequest"

    async def invoice(self) -> tuple[str, str]:
        """An invoice of the charge point's, and the driver's session page."""
        offer = await self.get("/.well-known/lnurlp/cp001")
        joint = "&" if "?" in offer["callback"] else "?"
        asked = await self.get(f"{offer['callback']}{joint}amount={PAID_SAT * 1000}")
        return asked["pr"], asked["successAction"]["url"]

    async def post(self, path: str, body: Session) -> Session:
        return (await self.http.post(path, json=body)).json()

    async def ends(self, page: str) -> Session:
        """The session once it is closed."""
        found: Session = {}

        async def closed() -> bool:
            found.update(await self.get(page))
            return found.get("state") == "CLOSED"

        await self.until(closed)
        return found


@asynccontextmanager
async def running(
    folder: Path, relay_url: str = "", program: str = "bridge.cli", **environment: str
) -> AsyncGenerator[Strom]:
    strom = Strom(folder, program=program, relay_url=relay_url)
    try:
        await strom.start(**environment)
        yield strom
    finally:
        await strom.close()


def _untraced(sent: bool, action: str, payload: dict[str, Any]) -> None:
    del sent, action, payload


@asynccontextmanager
async def strom_and_charger(
    folder: Path,
    relay_url: str = "",
    program: str = "bridge.cli",
    trace: Callable[[bool, str, dict[str, Any]], None] = _untraced,
    **environment: str,
) -> AsyncGenerator[tuple[Strom, SimulatedChargePoint]]:
    async with (
        running(folder, relay_url, program, **environment) as strom,
        anyio.create_task_group() as group,
    ):
        charger = SimulatedChargePoint(
            strom.ocpp_url, "CP001", connectors=1, speed=100, trace=trace
        )
        group.start_soon(charger.run)
        await strom.until(strom.online)
        yield strom, charger
        group.cancel_scope.cancel()

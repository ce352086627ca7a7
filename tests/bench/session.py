"""How long a paid driver waits for his charger, and how long a crash with open sessions costs."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect

from agent.config.tables import ChargePointConfig, Config, SessionsConfig, TariffConfig
from agent.journal.journal import Journal
from agent.ports.charger import ChargerCommand, StartOutcome, StopOutcome, WatchOutcome
from agent.ports.quotes import Origin, QuoteRequest
from agent.site import Site
from agent.views import PublicFace
from bridge.ocpp.server import AuthPolicy, OcppServer
from tests.agent.world import Ear
from wallet.dev import DevWallet

CHARGE_POINTS = 20
PAYMENTS = 200
OPEN_SESSIONS = 1_000
START_LIMIT_MS = 50
FACE = PublicFace("00" * 32, "npub1example", "nprofile1example", "cp@127.0.0.1")


def now_ms() -> int:
    """The time in Unix milliseconds."""
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def site_of(folder: Path, count: int) -> AsyncGenerator[tuple[Site, DevWallet, float]]:
    """A site with this many charge points, its wallet, and how long it took to start."""
    points = tuple(
        ChargePointConfig(id=f"CP{number}", name="x", tariff="day") for number in range(count)
    )
    tariff = TariffConfig.model_validate({"energy_per_kwh": 300})
    config = Config(
        sessions=SessionsConfig(start_timeout_s=3600), tariffs={"day": tariff}, charge_points=points
    )
    wallet = DevWallet(folder, now_ms)
    await wallet.open()
    ear = Ear()
    began = time.perf_counter()
    journal = Journal.open(folder / "strom.db")
    site = Site(
        config,
        faces={point.id: FACE for point in points},
        journal=journal,
        wallet=wallet,
        clock=now_ms,
        herald=ear,
        voice=ear.deliver,
        payees=None,
    )
    try:
        async with site.running():
            yield site, wallet, time.perf_counter() - began
    finally:
        journal.close()
        await wallet.close()


async def _call(socket: ClientConnection, action: str, payload: dict[str, object]) -> None:
    await socket.send(json.dumps([2, action, action, payload]))
    await socket.recv()


async def _remote_start(socket: ClientConnection) -> tuple[float, str]:
    """When a RemoteStart arrived, and its tag; anything else asked is answered with an error."""
    while True:
        frame = json.loads(await socket.recv())
        if frame[0] == 2 and frame[2] == "RemoteStartTransaction":
            arrived = time.perf_counter()
            await socket.send(json.dumps([3, frame[1], {"status": "Rejected"}]))
            return arrived, frame[3]["idTag"]
        if frame[0] == 2:
            await socket.send(json.dumps([4, frame[1], "NotSupported", "", {}]))


async def payment_to_start(folder: Path) -> list[float]:
    """Milliseconds from a driver's payment to the RemoteStart at his charger, one by one."""
    waits: list[float] = []
    async with site_of(folder, CHARGE_POINTS) as (site, wallet, _):
        server = OcppServer(site, "127.0.0.1:0", lambda _: AuthPolicy(), now_ms)
        await server.start()
        try:
            url = f"ws://127.0.0.1:{server.port}/ocpp"
            sockets = {
                name: await connect(f"{url}/{name}", compression=None)
                for name in site.charge_point_ids()
            }
            for socket in sockets.values():
                await _call(
                    socket,
                    "StatusNotification",
                    {"connectorId": 1, "errorCode": "NoError", "status": "Available"},
                )
            for number in range(PAYMENTS):
                point = site.charge_point(f"CP{number % CHARGE_POINTS}")
                quote = await point.quote(QuoteRequest(500_000, Origin.LNURL, connector=1))
                socket = sockets[point.id]
                starting = asyncio.create_task(_remote_start(socket))
                paid = time.perf_counter()
                await wallet.driver_pay(quote.bolt11)
                arrived, _ = await starting
                waits.append((arrived - paid) * 1000)
                while point.sessions.open():
                    await asyncio.sleep(0.001)
            for socket in sockets.values():
                await socket.close()
        finally:
            await server.close()
    return waits


async def recovery_s(folder: Path) -> float:
    """Seconds to take up a journal with many open sessions again."""
    async with site_of(folder, OPEN_SESSIONS) as (site, wallet, _):

        async def pay(charge_point_id: str) -> None:
            point = site.charge_point(charge_point_id)
            await point.attach(_Deaf())
            quote = await point.quote(QuoteRequest(500_000, Origin.LNURL, connector=1))
            await wallet.driver_pay(quote.bolt11)
            while not point.sessions.open():
                await asyncio.sleep(0.01)

        for charge_point_id in site.charge_point_ids():
            await pay(charge_point_id)
    async with site_of(folder, OPEN_SESSIONS) as (site, _, took_s):
        count = sum(len(site.charge_point(cp).sessions.open()) for cp in site.charge_point_ids())
        if count != OPEN_SESSIONS:
            raise RuntimeError(f"{count} sessions came back, not {OPEN_SESSIONS}")
    return took_s


class _Deaf:
    """A charger that never answers."""

    async def start(self, connector: int, id_tag: str) -> StartOutcome:
        await asyncio.Event().wait()
        return StartOutcome.UNKNOWN

    async def stop(self, transaction_id: int) -> StopOutcome:
        await asyncio.Event().wait()
        return StopOutcome.UNKNOWN

    async def command(self, command: ChargerCommand, connector: int) -> bool:
        return False

    async def watch(self, connector: int) -> WatchOutcome:
        return WatchOutcome.UNKNOWN

    async def watch_as_usual(self, connector: int) -> None:
        return

    async def cut_power(self, connector: int, transaction_id: int) -> bool:
        return False


async def main() -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        waits = sorted(await payment_to_start(Path(folder)))
    p99_ms = waits[int(len(waits) * 0.99)]
    sys.stdout.write(
        f"payment to RemoteStart at the charger, {PAYMENTS} payments: "
        f"median {statistics.median(waits):.1f} ms, p99 {p99_ms:.1f} ms "
        f"({p99_ms / START_LIMIT_MS:.2f}x of the {START_LIMIT_MS} ms aimed at)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        took_s = await recovery_s(Path(folder))
    sys.stdout.write(f"start with {OPEN_SESSIONS} open sessions: {took_s:.2f} s\n")


if __name__ == "__main__":
    asyncio.run(main())

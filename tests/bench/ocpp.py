"""OCPP: MeterValues a second with every sample journalled, beside a bare central system of the
`ocpp` library with its defaults and a raw websockets echo; memory per idle connection.

    python -m tests.bench.ocpp [SECONDS]

Each server is alone in a process, and its chargers are in another.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

from ocpp import routing
from ocpp.v16 import ChargePoint as LibraryChargePoint
from ocpp.v16 import call_result
from websockets.asyncio.server import ServerConnection, serve
from websockets.typing import Subprotocol

from agent.config.tables import (
    ChargePointConfig,
    Config,
    ConnectorConfig,
    SessionsConfig,
    TariffConfig,
)
from agent.journal.journal import Journal, Task
from agent.ports.quotes import Origin, QuoteRequest
from agent.site import Site
from agent.views import PublicFace
from bridge import process
from bridge.ocpp.message_log import MessageLog
from bridge.ocpp.server import AuthPolicy, OcppServer
from wallet.dev import DevWallet

on = cast(Any, routing).on  # the library ships without types
FACE = PublicFace("00" * 32, "npub1example", "nprofile1example", "cp@127.0.0.1:8080")


RUNS = 3
"""A figure shows the machine's moods as much as the server: the median of so many, in turn."""


def now_ms() -> int:
    """The time in Unix ms."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Measured:
    """What a load saw."""

    messages: int
    per_second: float
    median_ms: float
    p99_ms: float
    cpu_us: float = 0.0


class _Mute:
    def status_changed(self, charge_point_id: str) -> None:
        """Nobody listens."""

    async def deliver(self, task: Task, recovered: bool) -> None:
        """Nobody listens."""


@dataclass
class Strom:
    """A whole Strom without its nostr side: agent, journal, play-money wallet, OCPP."""

    site: Site
    wallet: DevWallet
    server: OcppServer

    @property
    def url(self) -> str:
        """Where chargers connect."""
        return f"ws://127.0.0.1:{self.server.port}/ocpp"

    async def pay_for(self, charge_points: int) -> None:
        """A driver pays at each of the first charge points."""
        for charge_point_id in self.site.charge_point_ids()[:charge_points]:
            point = self.site.charge_point(charge_point_id)
            quote = await point.quote(QuoteRequest(100_000_000, Origin.LNURL, connector=1))
            await self.wallet.driver_pay(quote.bolt11)


@asynccontextmanager
async def strom(folder: Path, charge_points: int) -> AsyncGenerator[Strom]:
    """A Strom at work."""
    config = Config(
        sessions=SessionsConfig(start_timeout_s=600),
        tariffs={"day": TariffConfig.model_validate({"energy_per_kwh": 1})},
        charge_points=tuple(
            ChargePointConfig(
                id=f"CP{n:05d}", name="Bench", tariff="day", connectors=(ConnectorConfig(id=1),)
            )
            for n in range(charge_points)
        ),
    )
    wallet = DevWallet(folder, now_ms)
    await wallet.open()
    journal = Journal.open(folder / "strom.db")
    mute = _Mute()
    site = Site(
        config,
        faces={point.id: FACE for point in config.charge_points},
        journal=journal,
        wallet=wallet,
        clock=now_ms,
        herald=mute,
        voice=mute.deliver,
        payees=None,
    )
    log = MessageLog(folder / "ocpp-log", now_ms)
    server = OcppServer(site, "127.0.0.1:0", lambda _: AuthPolicy(password=None), now_ms, log=log)
    logging = asyncio.create_task(log.run())
    try:
        async with site.running():
            await server.start()
            yield Strom(site, wallet, server)
            await server.close()
    finally:
        logging.cancel()
        await asyncio.gather(logging, return_exceptions=True)
        journal.close()
        await wallet.close()


class _BareChargePoint(LibraryChargePoint):
    """The handlers that the library's own documentation shows."""

    @on("BootNotification")
    def on_boot(self, **_: Any) -> Any:
        """Accept."""
        return call_result.BootNotification("2026-11-22T12:00:00Z", 300, "Accepted")  # pyright: ignore[reportArgumentType]

    @on("StartTransaction")
    def on_start(self, **_: Any) -> Any:
        """Accept."""
        return call_result.StartTransaction(1, {"status": "Accepted"})  # pyright: ignore[reportArgumentType]

    @on("MeterValues")
    def on_meter_values(self, **_: Any) -> Any:
        """Take and forget."""
        return call_result.MeterValues()


@asynccontextmanager
async def bare_library() -> AsyncGenerator[str]:
    """A central system of the `ocpp` library with its defaults, which stores nothing."""

    async def connected(socket: ServerConnection) -> None:
        path = socket.request.path if socket.request else ""
        await _BareChargePoint(path.rsplit("/", 1)[-1], socket).start()

    async with serve(connected, "127.0.0.1", 0, subprotocols=[Subprotocol("ocpp1.6")]) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


@asynccontextmanager
async def echo() -> AsyncGenerator[str]:
    """A websockets server that sends back what it gets."""

    async def connected(socket: ServerConnection) -> None:
        async for message in socket:
            await socket.send(message)

    async with serve(
        connected, "127.0.0.1", 0, subprotocols=[Subprotocol("ocpp1.6")], compression=None
    ) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


@dataclass
class LoadProcess:
    """The chargers' process."""

    process: asyncio.subprocess.Process

    async def line(self) -> str:
        """The next line that it prints."""
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode().strip()

    async def count(self, word: str, times: int) -> None:
        """Wait until it has printed a word so many times."""
        for _ in range(times):
            line = await self.line()
            if line != word:
                raise RuntimeError(f"the load said {line!r} and not {word!r}")

    def tell(self) -> None:
        """Give the sign that it waits for."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")


@asynccontextmanager
async def load(
    url: str, connections: int, mode: str, seconds: float, rate: float = 0.0, active: int = 0
) -> AsyncGenerator[LoadProcess]:
    """Chargers in a process of their own; see `ocpp_load`."""
    arguments = [url, str(connections), mode, str(seconds), str(rate), str(active)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.bench.ocpp_load",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield LoadProcess(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def measured(
    url: str, connections: int, mode: str, seconds: float, rate: float = 0.0
) -> Measured:
    """Load a peer."""
    async with load(url, connections, mode, seconds, rate) as process:
        await process.count("ready", 1)
        process.tell()
        await process.count("warm", 1)
        return Measured(**json.loads(await process.line()))


async def meter_values(
    connections: int, seconds: float, rate: float = 0.0, active: int = 0
) -> Measured:
    """MeterValues to a whole Strom, each in a paid session, each journalled.

    Args:
        connections: chargers that are connected.
        seconds: how long.
        rate: messages a second in all; 0 for as fast as answers come.
        active: how many of them charge, the others only stay; 0 for all.
    """
    charging = active or connections
    with tempfile.TemporaryDirectory() as folder:
        async with (
            strom(Path(folder), connections) as here,
            load(here.url, connections, "paid", seconds, rate, active) as process,
        ):
            await process.count("waiting", charging)
            await here.pay_for(charging)
            await process.count("ready", 1)
            idle_s = await cpu_of_idling(seconds) if active else 0.0
            process.tell()
            await process.count("warm", 1)
            before_s = time.process_time()
            figures = json.loads(await process.line())
            used_us = (time.process_time() - before_s - idle_s) * 1e6
            return Measured(**figures, cpu_us=used_us / max(1, figures["messages"]))


async def cpu_of_idling(seconds: float) -> float:
    """CPU seconds that staying connected takes in so many seconds: pings and pongs."""
    before_s = time.process_time()
    await asyncio.sleep(seconds)
    return time.process_time() - before_s


def resident_kib() -> int:
    """This process's resident memory in KiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


async def memory_per_connection(connections: int) -> float:
    """KiB that a connected, booted, idle charge point takes, its agent not counted."""
    with tempfile.TemporaryDirectory() as folder:
        async with strom(Path(folder), connections) as here:
            gc.collect()
            before = resident_kib()
            async with load(here.url, connections, "idle", 0) as process:
                await process.count("ready", 1)
                gc.collect()
                after = resident_kib()
                process.tell()
                process.tell()
                await process.line()
            return (after - before) / connections


async def _peer(peer: Callable[[], AbstractAsyncContextManager[str]], mode: str) -> Measured:
    async with peer() as url:
        return await measured(url, int(sys.argv[2]), mode, *map(float, sys.argv[3:5]))


def serve_alone() -> None:
    """What `alone` asks of this process; prints one line of JSON.

    Strom runs as `strom serve` sets its process up, the peers as their users would.
    """
    kind = sys.argv[1]
    if kind == "echo":
        figures: object = asyncio.run(_peer(echo, "echo"))
    elif kind == "library":
        figures = asyncio.run(_peer(bare_library, "unpaid"))
    elif kind == "memory":
        figures = asyncio.run(memory_per_connection(int(sys.argv[2])))
    else:
        connections, seconds, rate, active = sys.argv[2:6]
        figures = process.run(
            partial(meter_values, int(connections), float(seconds), float(rate), int(active))
        )
    print(json.dumps(figures if isinstance(figures, float) else asdict(cast(Measured, figures))))


async def alone(*arguments: object) -> Any:
    """One figure from a server that is alone in a process of its own."""
    running = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        __spec__.name,
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        # The bare library logs a traceback for each connection that ends.
        stderr=asyncio.subprocess.DEVNULL,
    )
    output, _ = await running.communicate()
    return json.loads(output)


def show(name: str, connections: int, figures: Measured) -> None:
    """Print one line of the table."""
    cpu = f"{figures.cpu_us:>8.0f}" if figures.cpu_us else ""
    print(
        f"{name:<42}{connections:>6}{figures.per_second:>8.0f}"
        f"{figures.median_ms:>11.1f}{figures.p99_ms:>9.1f}{cpu}",
        flush=True,
    )


async def in_turn(
    connections: int, seconds: float, *servers: tuple[str, tuple[float, ...]]
) -> list[list[Measured]]:
    """Servers one after the other, a few times: for each server what its runs gave.

    Args:
        connections: chargers that are connected.
        seconds: how long each run lasts.
        servers: each with what else `serve_alone` takes.
    """
    runs: list[list[Measured]] = [[] for _ in servers]
    for _ in range(RUNS):
        for (kind, more), of_it in zip(servers, runs, strict=True):
            of_it.append(Measured(**await alone(kind, connections, seconds, *more)))
    return runs


async def beside_peers(connections: int, seconds: float) -> None:
    """Strom and its peers as fast as they can, and at half of that."""
    raw, bare, ours = await in_turn(
        connections, seconds, ("echo", ()), ("library", ()), ("strom", (0, 0))
    )
    middle = {
        name: sorted(runs, key=lambda one: one.per_second)[RUNS // 2]
        for name, runs in (
            ("raw websockets echo, stores nothing", raw),
            ("ocpp library, defaults, stores nothing", bare),
            ("Strom, every sample on the disk", ours),
        )
    }
    for name, figures in middle.items():
        show(name, connections, figures)
    of_echo, _, of_strom = (figures.per_second / 2 for figures in middle.values())
    at_half = await in_turn(connections, seconds, ("echo", (of_echo,)), ("strom", (of_strom, 0)))
    for name, runs in zip(("echo", "Strom"), at_half, strict=True):
        figures = sorted(runs, key=lambda one: one.p99_ms)[RUNS // 2]
        show(f"{name} at half its rate", connections, figures)
    print(f"{'':<42}{_times(ours, bare)} the library, {_times(ours, raw)} the echo")


def _times(ours: list[Measured], theirs: list[Measured]) -> str:
    """The median of how many times as fast, of runs that followed each other."""
    ratios = [a.per_second / b.per_second for a, b in zip(ours, theirs, strict=True)]
    return f"{sorted(ratios)[RUNS // 2]:.2f}x ({min(ratios):.2f} to {max(ratios):.2f})"


async def main(seconds: float) -> None:
    """All figures in one run."""
    print(
        f"MeterValues of 8 samples; one process serves, another loads for {seconds:g} s "
        f"once it is warm; medians of {RUNS} runs, at half rate by p99"
    )
    print(f"{'server':<42}{'conns':>6}{'per s':>8}{'median ms':>11}{'p99 ms':>9}{'CPU us':>8}")
    for connections in (50, 500):
        await beside_peers(connections, seconds)
    few = Measured(**await alone("strom", 100, seconds, 1000, 100))
    show("Strom, 1,000 messages/s, one run", 100, few)
    many = Measured(**await alone("strom", 10_000, seconds, 1000, 100))
    show("the same from 100 among 10,000, one run", 10_000, many)
    print(f"{'':<42}cost of a message among 10,000: {many.cpu_us / few.cpu_us:.2f}x")
    for connections in (1_000, 10_000):
        kib = await alone("memory", connections)
        print(f"memory per idle connection at {connections}: {kib:.1f} KiB")


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if sys.argv[1:2] and sys.argv[1].isalpha():
        serve_alone()
    else:
        asyncio.run(main(float(sys.argv[1]) if len(sys.argv) > 1 else 5.0))

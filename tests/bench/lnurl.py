"""LNURL per second beside LNbits' own invoice endpoint; 1,000 live session pages.

    python -m tests.bench.lnurl [CONNECTIONS]

The load comes from a process of its own; the server runs in this one, on a real journal with
the play-money wallet, which signs each invoice. Its peer is an LNbits with its FakeWallet on
the same machine, in the same run; skipped where LNbits is not installed.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect

from agent.config.tables import Config
from tests.bridge.http_world import HttpWorld, path_of, real_clock, secret_of, serving
from tests.wallet.lnbits_server import VENV, lnbits_server
from wallet.dev import DevWallet

AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Answered:
    """What a load saw."""

    requests: int
    per_second: float
    median_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class LivePages:
    """Session pages that are live at once.

    Attributes:
        kib_per_page: what one more page costs the server.
        fan_out_median_ms: from a meter reading to the page that shows it.
    """

    pages: int
    kib_per_page: float
    changes: int
    fan_out_median_ms: float
    fan_out_p99_ms: float


async def load(url: str, seconds: float, order: dict[str, object] | None, key: str) -> Answered:
    """Ask a URL over a few connections for some seconds; POST when there is an order.

    Written on bare sockets: an HTTP library would cost more than what is measured.
    """
    parts = urlsplit(url)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    body = json.dumps(order).encode() if order else b""
    head = (
        f"{'POST' if order else 'GET'} {path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        f"X-Api-Key: {key}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    request = head.encode() + body
    waits: list[float] = []

    async def ask(until: float) -> None:
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
        while time.perf_counter() < until:
            began = time.perf_counter()
            writer.write(request)
            answer = await _answer(reader)
            waits.append(time.perf_counter() - began)
            assert b'"ERROR"' not in answer, answer
        writer.close()
        await writer.wait_closed()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(AT_ONCE):
            tasks.create_task(ask(began + seconds))
    return _answered(waits, time.perf_counter() - began)


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    status = head.split(b" ", 2)[1]
    assert status.startswith(b"2"), head
    length = re.search(rb"(?i)\r\ncontent-length: ([0-9]+)", head)
    assert length is not None, head
    return await reader.readexactly(int(length[1]))


def _answered(waits: list[float], seconds: float) -> Answered:
    return Answered(
        len(waits),
        round(len(waits) / seconds, 1),
        round(statistics.median(waits) * 1000, 1),
        round(_p99(waits) * 1000, 1),
    )


def _p99(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]


async def load_from_outside(
    url: str, seconds: float, order: dict[str, object] | None = None, key: str = ""
) -> Answered:
    """The same from a process of its own."""
    asked = json.dumps({"url": url, "seconds": seconds, "order": order, "key": key})
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.lnurl", "--load", asked, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    return Answered(**json.loads(out))


async def lnurl_steps(seconds: float) -> tuple[Answered, Answered]:
    """The first step of LNURL-pay, and the callback that makes an invoice."""
    with tempfile.TemporaryDirectory() as folder:
        async with serving(Path(folder), clock=real_clock) as world:
            first = await world.lnurl("/lnurl/cp001")
            scans = await load_from_outside(f"{world.url}/lnurl/cp001", seconds)
            callback = f"{first['callback']}?amount=500000"
            return scans, await load_from_outside(callback, seconds)


async def wallet_alone(invoices: int = 100) -> float:
    """The limit of the callback: invoices per second that the play-money wallet makes by itself."""
    with tempfile.TemporaryDirectory() as folder:
        wallet = DevWallet(Path(folder), real_clock)
        await wallet.open()
        began = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(invoices):
                tasks.create_task(
                    wallet.create_invoice(500_000, memo="bench", description=None, expiry_s=600)
                )
        seconds = time.perf_counter() - began
        await wallet.close()
    return round(invoices / seconds, 1)


async def lnbits_invoices(seconds: float) -> Answered | None:
    """LNbits making invoices; None where it is not installed."""
    if not (VENV / ".ready").exists():
        return None
    with tempfile.TemporaryDirectory() as folder:
        async with lnbits_server(Path(folder)) as server:
            account = await server.account("bench")
            order: dict[str, object] = {"out": False, "amount": 500, "memo": "bench"}
            return await load_from_outside(
                f"{server.url}/api/v1/payments", seconds, order, account.inkey
            )


def _many_connectors(count: int) -> Config:
    """Charge points of fifty connectors each, enough for so many sessions."""
    points = [
        {
            "id": f"CP{number:03}",
            "name": f"Bay {number}",
            "tariff": "day",
            "connectors": [{"id": connector} for connector in range(1, 51)],
        }
        for number in range(1, -(-count // 50) + 1)
    ]
    return Config.model_validate(
        {"tariffs": {"day": {"energy_per_kwh": 300}}, "charge_points": points}
    )


async def _charging(world: HttpWorld, charge_point: str, connector: int) -> str:
    first = await world.lnurl(f"/lnurl/{charge_point.lower()}.{connector}")
    second = await world.lnurl(path_of(str(first["callback"])), amount=1_000_000)
    view = await world.pay(str(second["pr"]), secret_of(second))
    await world.start(view)
    return view.secret


def resident_kib() -> int:
    """Memory of this process."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1])


async def live_pages(pages: int = 1000, rounds: int = 3) -> LivePages:
    """So many session pages live at once, each of another session.

    The browsers' ends of the sockets live in this process too, and are counted with it: the
    figure of memory is an upper bound.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = _many_connectors(pages)
        async with serving(Path(folder), clock=real_clock, settings=config) as world:
            secrets: list[str] = []
            for charge_point in world.site.charge_point_ids():
                await world.site.charge_point(charge_point).attach(world.charger)
                for connector in range(1, 51):
                    if len(secrets) < pages:
                        secrets.append(await _charging(world, charge_point, connector))
            gc.collect()
            before_kib = resident_kib()
            url = world.url.replace("http", "ws", 1)
            sockets = [
                await connect(f"{url}/s/{secret}/live", open_timeout=60, compression=None)
                for secret in secrets
            ]
            for socket in sockets:
                await socket.recv()
            gc.collect()
            kib_per_page = (resident_kib() - before_kib) / pages
            waits = [
                wait
                for number in range(1, rounds + 1)
                for wait in await _one_round(world, secrets, sockets, number)
            ]
            for socket in sockets:
                await socket.close()
    return LivePages(
        pages,
        round(kib_per_page, 1),
        len(waits),
        round(statistics.median(waits) * 1000, 1),
        round(_p99(waits) * 1000, 1),
    )


async def _one_round(
    world: HttpWorld, secrets: list[str], sockets: list[ClientConnection], number: int
) -> list[float]:
    """Every session is metered once, spread over ten seconds as chargers do."""
    waits: list[float] = []

    async def change(index: int) -> None:
        await asyncio.sleep(index * 10 / len(secrets))
        view = await world.site.owned.session(secrets[index])
        began = time.perf_counter()
        await world.meter(view, number * 100)
        while f">{number / 10:.2f}<" not in str(await sockets[index].recv()):
            pass
        waits.append(time.perf_counter() - began)

    async with asyncio.TaskGroup() as tasks:
        for index in range(len(secrets)):
            tasks.create_task(change(index))
    return waits


async def main(pages: int = 1000, seconds: float = 5) -> None:
    """Take all figures and print them."""
    scans, invoices = await lnurl_steps(seconds)
    print("LNURL first step:     ", asdict(scans))
    print("LNURL callback:       ", asdict(invoices))
    print("its wallet alone:     ", await wallet_alone(), "invoices per second")
    peer = await lnbits_invoices(seconds)
    print("LNbits invoices:      ", asdict(peer) if peer else "LNbits is not installed")
    print("live session pages:   ", asdict(await live_pages(pages)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--load"]:
        print(json.dumps(asdict(asyncio.run(load(**json.loads(sys.argv[2]))))))
    else:
        asyncio.run(main(*(int(argument) for argument in sys.argv[1:2])))

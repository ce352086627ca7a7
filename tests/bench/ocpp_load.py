"""Chargers for the OCPP benchmarks, in a process of their own.

    python -m tests.bench.ocpp_load URL CONNECTIONS MODE SECONDS RATE ACTIVE

MODE is "paid" (each charger waits for a remote start and charges), "unpaid" (each begins a
transaction by itself), "echo" (frames come back as they are) or "idle" (boots and stays).
With ACTIVE above 0 only so many of them do that, and the others boot and stay.
Prints "ready", waits for a line, loads at RATE messages a second in all (0: as fast as answers
come): at first for WARM_UP_S, then it prints "warm", then for SECONDS, of which it prints one line
of JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import resource
import sys
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

OPENING_AT_ONCE = 50
WARM_UP_S = 1.0
"""The first message of each charger makes what the others find: it is not measured."""

_VALUES = [
    ("Power.Active.Import", "W", ""),
    ("Current.Import", "A", "L1"),
    ("Current.Import", "A", "L2"),
    ("Current.Import", "A", "L3"),
    ("Voltage", "V", "L1"),
    ("Voltage", "V", "L2"),
    ("Voltage", "V", "L3"),
]


def meter_values(transaction_id: int, number: int) -> str:
    """A MeterValues request of eight samples."""
    samples = [
        {
            "value": str(1000 + number),
            "context": "Sample.Periodic",
            "measurand": "Energy.Active.Import.Register",
            "unit": "Wh",
        }
    ]
    for measurand, unit, phase in _VALUES:
        sample = {"value": "230.1", "context": "Sample.Periodic"}
        sample |= {"measurand": measurand, "unit": unit} | ({"phase": phase} if phase else {})
        samples.append(sample)
    at = f"2026-11-22T12:{number // 60 % 60:02d}:{number % 60:02d}.{number // 3600 % 1000:03d}Z"
    payload = {
        "connectorId": 1,
        "transactionId": transaction_id,
        "meterValue": [{"timestamp": at, "sampledValue": samples}],
    }
    return json.dumps([2, f"m{number}", "MeterValues", payload])


@dataclass
class Load:
    """What all chargers of the run share."""

    url: str
    mode: str
    active: int
    go: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    ready: int = 0
    charging: int = 0
    began: float = 0.0
    counted_from: float = 0.0
    until: float = 0.0
    interval_s: float = 0.0
    latencies: list[float] = field(default_factory=list[float])


async def ask(socket: ClientConnection, action: str, payload: dict[str, Any]) -> Any:
    """One request and its answer; a remote start that comes between is kept for later."""
    await socket.send(json.dumps([2, action, action, payload]))
    return json.loads(await socket.recv())


async def prepare(socket: ClientConnection, mode: str) -> int:
    """Boot, and begin a transaction where the mode has one; returns its id."""
    if mode == "echo":
        return 1
    await ask(
        socket, "BootNotification", {"chargePointVendor": "Bench", "chargePointModel": "Load"}
    )
    if mode == "idle":
        return 0
    id_tag = "BENCH"
    if mode == "paid":
        status = {"connectorId": 1, "errorCode": "NoError", "status": "Preparing"}
        await ask(socket, "StatusNotification", status)
        print("waiting", flush=True)
        while True:
            frame = json.loads(await socket.recv())
            if frame[2] == "RemoteStartTransaction":
                id_tag = frame[3]["idTag"]
                break
            await socket.send(json.dumps([4, frame[1], "NotImplemented", "", {}]))
        await socket.send(json.dumps([3, frame[1], {"status": "Accepted"}]))
    start = {
        "connectorId": 1,
        "idTag": id_tag,
        "meterStart": 0,
        "timestamp": "2026-11-22T11:59:59Z",
    }
    answer = await ask(socket, "StartTransaction", start)
    return int(answer[2]["transactionId"])


async def charger(load: Load, number: int, opening: asyncio.Semaphore) -> None:
    """One charger from its connection to the end of the run."""
    async with opening:
        connection = await connect(
            f"{load.url}/CP{number:05d}",
            subprotocols=[Subprotocol("ocpp1.6")],
            compression=None,
            ping_interval=None,
            proxy=None,
            open_timeout=60,
            # One address has 28,000 ports, and closed connections keep theirs for a minute.
            local_addr=(f"127.0.0.{2 + number % 50}", 0),
        )
    async with connection as socket:
        mode = load.mode if number < load.active else "idle"
        transaction_id = await prepare(socket, mode)
        load.ready += 1
        await load.go.wait()
        if mode == "idle":
            await load.over.wait()
            return
        sent = 0
        # By the clock and not by when this charger woke: those that one pause woke together
        # would send together from then on.
        due = load.began + load.interval_s * number / load.active
        await asyncio.sleep(due - perf_counter())
        while due < load.until:
            sent += 1
            frame = meter_values(transaction_id, sent)
            before = perf_counter() if not load.interval_s else due
            await socket.send(frame)
            await socket.recv()
            now = perf_counter()
            if load.counted_from < now <= load.until:
                load.latencies.append(now - before)
            due = now
            if load.interval_s:
                due = before + load.interval_s
                if due > now:
                    await asyncio.sleep(due - now)
        load.charging -= 1
        await load.over.wait()


async def main(
    url: str, connections: int, mode: str, seconds: float, rate: float, active: int
) -> None:
    """Run the load; see the module."""
    load = Load(url, mode, active or connections)
    opening = asyncio.Semaphore(OPENING_AT_ONCE)
    if rate:
        load.interval_s = load.active / rate
    async with asyncio.TaskGroup() as group:
        for number in range(connections):
            group.create_task(charger(load, number, opening))
        while load.ready < connections:
            await asyncio.sleep(0.02)
        print("ready", flush=True)
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, sys.stdin.readline)
        load.began = perf_counter()
        load.counted_from = load.began + WARM_UP_S
        load.until = load.counted_from + seconds
        load.charging = load.active
        load.go.set()
        if mode == "idle":
            await loop.run_in_executor(None, sys.stdin.readline)
        else:
            await asyncio.sleep(load.counted_from - perf_counter())
            print("warm", flush=True)
            while load.charging:
                await asyncio.sleep(0.01)
        done = sorted(load.latencies)
        figures = {
            "messages": len(done),
            "per_second": len(done) / seconds if seconds else 0,
            "median_ms": 1000 * done[len(done) // 2] if done else 0,
            "p99_ms": 1000 * done[len(done) * 99 // 100] if done else 0,
        }
        print(json.dumps(figures), flush=True)
        load.over.set()


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # Pauses of the chargers' process would be told as the server's.
    gc.disable()
    _, _url, _connections, _mode, _seconds, _rate, _active = sys.argv
    asyncio.run(main(_url, int(_connections), _mode, float(_seconds), float(_rate), int(_active)))

"""1,000 identities in one Strom: publishing all of them, and a message answered by each.

Strom is alone in this process, whole, as `strom serve` runs it; the relay and the drivers are in
another one (`nostr_strangers`). Beside each figure stands the limit of the same minute: what
nostr-sdk's own calls take on one thread for the work that cannot be avoided.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nostr_sdk import (
    Event,
    EventBuilder,
    Keys,
    Kind,
    PublicKey,
    Tag,
    UnwrappedGift,
    nip04_decrypt,
    nip04_encrypt,
    nip59_make_gift_wrap,
)

from agent.config.tables import Config
from bridge.app import App
from nips.dms import DmProtocol

IDENTITIES = 1_000
ROUNDS = 5
AIM = 3.0
SAMPLES = 200
PATIENCE_S = 120
ANSWER = "Connector 1: Offline.\nPrice: 300 sat/kWh"
PUBLISHED_KINDS = 7
"""Of a charge point with one connector: 0, 10002, 10050, 31990, 30315, 30716 and 30402."""


def now_ms() -> int:
    """The time in Unix milliseconds."""
    return time.time_ns() // 1_000_000


def rss_mib() -> float:
    """The memory that this process has now, in MiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """What nostr-sdk alone takes on one thread, in seconds each.

    Attributes:
        publish: an event made, signed and written as JSON.
        verify: an event read from JSON and verified.
        nip04: a message read and verified, decrypted; an answer encrypted, signed, written.
        nip17: the same with gift wraps, one for the answer.
    """

    publish: float
    verify: float
    nip04: float
    nip17: float

    def of(self, protocol: DmProtocol) -> float:
        """For one message of a protocol."""
        return self.nip04 if protocol == "nip04" else self.nip17


def _each_s(action: Callable[[], object]) -> float:
    began = time.perf_counter()
    for _ in range(SAMPLES):
        action()
    return (time.perf_counter() - began) / SAMPLES


def limits() -> Limits:
    """Measure nostr-sdk alone."""
    driver, charger = Keys.generate(), Keys.generate()

    def signed(keys: Keys, to: PublicKey, kind: int, content: str) -> str:
        return EventBuilder(Kind(kind), content).tags([Tag.public_key(to)]).finalize(keys).as_json()

    def wrapped(keys: Keys, to: PublicKey, text: str) -> str:
        rumor = (
            EventBuilder(Kind(14), text)
            .tags([Tag.public_key(to)])
            .finalize_unsigned(keys.public_key())
        )
        return nip59_make_gift_wrap(keys, to, rumor).as_json()

    def asked_nip04() -> str:
        content = nip04_encrypt(driver.secret_key(), charger.public_key(), "status")
        return signed(driver, charger.public_key(), 4, content)

    old, new = asked_nip04(), wrapped(driver, charger.public_key(), "status")

    def read(raw: str) -> Event:
        event = Event.from_json(raw)
        if not event.verify():
            raise RuntimeError("nostr-sdk does not take its own event")
        return event

    def answer_nip04() -> None:
        event = read(old)
        nip04_decrypt(charger.secret_key(), event.author(), event.content())
        content = nip04_encrypt(charger.secret_key(), event.author(), ANSWER)
        signed(charger, event.author(), 4, content)

    def answer_nip17() -> None:
        gift = UnwrappedGift.from_gift_wrap(charger, read(new))
        wrapped(charger, gift.sender(), ANSWER)

    return Limits(
        publish=_each_s(lambda: signed(charger, driver.public_key(), 1, "x" * 300)),
        verify=_each_s(lambda: read(old)),
        nip04=_each_s(answer_nip04),
        nip17=_each_s(answer_nip17),
    )


class Strangers:
    """The relay and the drivers, in a process of their own."""

    def __init__(self, process: Process, relay_url: str) -> None:
        self._process = process
        self.relay_url = relay_url

    @classmethod
    @asynccontextmanager
    async def started(cls) -> AsyncGenerator[Strangers]:
        """Start them; leaving the context ends them."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.bench.nostr_strangers", stdin=PIPE, stdout=PIPE
        )
        try:
            yield cls(process, (await _line(process))["relay"])
        finally:
            if process.stdin is not None:
                process.stdin.close()
            await process.wait()

    async def get_ready(self, protocol: DmProtocol, chargers: list[str]) -> None:
        """Let a new driver for each charger show himself and write his question."""
        self._tell({"protocol": protocol, "chargers": chargers})
        await _line(self._process)

    async def ask(self) -> float:
        """Let all of them ask; the seconds until all were answered."""
        self._tell({})
        return float((await _line(self._process))["seconds"])

    def _tell(self, told: object) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps(told).encode() + b"\n")


async def _line(process: Process) -> dict[str, Any]:
    line = await process.stdout.readline() if process.stdout is not None else b""
    if not line:
        raise RuntimeError("the process of relay and drivers has ended")
    return json.loads(line)


def config(folder: Path, relay_url: str, identities: int) -> Config:
    """A Strom with that many charge points."""
    points = [
        {"id": f"CP{number:04}", "name": f"Mill {number}", "about": "At the mill.", "tariff": "day"}
        for number in range(identities)
    ]
    return Config.model_validate(
        {
            "strom": {
                "public_url": "http://127.0.0.1:8080",
                "http_listen": "127.0.0.1:0",
                "ocpp_listen": "127.0.0.1:0",
                "data_dir": str(folder),
            },
            "nostr": {"relays": [relay_url]},
            "wallet": {"url": "dev://"},
            "tariffs": {"day": {"energy_per_kwh": 300}},
            "charge_points": points,
        },
        context=folder,
    )


async def _all_published(app: App, relay_url: str, events: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while app.presence.health()[relay_url].published < events:
            await asyncio.sleep(0.01)


async def measured(folder: Path, identities: int, rounds: int) -> None:
    """Print every figure."""
    async with Strangers.started() as strangers:
        settings = config(folder, strangers.relay_url, identities)
        for start in ("the first start", "a later start"):
            before = limits()
            empty_mib, began, worked = rss_mib(), time.perf_counter(), time.process_time()
            async with App.open(settings, now_ms) as app:
                opened_s = time.perf_counter() - began
                events = identities * PUBLISHED_KINDS
                await _all_published(app, strangers.relay_url, events)
                took_s, cpu_s = time.perf_counter() - began, time.process_time() - worked
                took_mib = rss_mib() - empty_mib
                limit_s = events * before.publish
                _print(
                    f"{start}, {identities:,} identities: open after {opened_s:.1f} s, all "
                    f"{events:,} events at the relay after {took_s:.1f} s ({cpu_s:.1f} s of CPU); "
                    f"signing alone takes {limit_s:.1f} s: {took_s / limit_s:.1f}x"
                )
                if start != "the first start":
                    chargers = [identity.pubkey for identity in app.identities.values()]
                    for protocol in ("nip04", "nip17"):
                        await _messages(strangers, protocol, chargers, rounds)
                _print(
                    f"memory: {took_mib:.0f} MiB for them, {took_mib * 1024 / identities:.0f} KiB "
                    f"each, after the messages {rss_mib():.0f} MiB in all"
                )


async def _messages(
    strangers: Strangers, protocol: DmProtocol, chargers: list[str], rounds: int
) -> None:
    times, cpu_times, limit_times = list[float](), list[float](), list[float]()
    for _ in range(rounds):
        await strangers.get_ready(protocol, chargers)
        limit_times.append(limits().of(protocol) * len(chargers))
        worked = time.process_time()
        times.append(await strangers.ask())
        cpu_times.append(time.process_time() - worked)
    ratios = [took / limit for took, limit in zip(times, limit_times, strict=True)]
    took_s, limit_s = statistics.median(times), statistics.median(limit_times)
    ratio = statistics.median(ratios)
    _print(
        f"{protocol}: {len(chargers):,} messages of as many new drivers answered in "
        f"{took_s:.2f} s, {len(chargers) / took_s:.0f}/s "
        f"({statistics.median(cpu_times):.2f} s of CPU); nostr-sdk alone {limit_s:.2f} s, "
        f"{len(chargers) / limit_s:.0f}/s: {ratio:.1f}x of the limit "
        f"({min(ratios):.1f} to {max(ratios):.1f} in {rounds} runs), aim {AIM:g}x"
    )


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def main(identities: int = IDENTITIES, rounds: int = ROUNDS) -> None:
    """Measure in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        await measured(Path(folder), identities, rounds)


if __name__ == "__main__":
    asyncio.run(main())

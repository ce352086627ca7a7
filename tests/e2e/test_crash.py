"""Strom killed with SIGKILL in the middle of the main job, and started again on the same data.

A real process, a real charge point over a real socket, a driver over HTTP: whatever the
moment of the kill, every paid msat is charged, paid back or owed, and nothing is paid twice.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from bridge.simulator.charge_point import SimulatedChargePoint

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
[tariffs.day]
energy_per_kwh = 300
[[charge_points]]
id = "CP001"
name = "Old Mill"
tariff = "day"
"""

Session = dict[str, Any]


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


class Strom:
    """A Strom that can be killed and started again, and a driver who uses it."""

    def __init__(self, folder: Path, relay_url: str = "") -> None:
        http, ocpp, relay = free_ports(3)
        embedded = f'embedded_relay = "127.0.0.1:{relay}"'
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.relay_url = relay_url or f"ws://127.0.0.1:{relay}"
        self.ocpp_url = f"ws://127.0.0.1:{ocpp}/ocpp"
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{http}", timeout=20)
        relays = f'relays = ["{relay_url}"]' if relay_url else embedded
        config = CONFIG.format(http=http, ocpp=ocpp, relay=relays)
        (folder / "strom.toml").write_text(config)

    async def start(self) -> None:
        self._spawn()
        await self.until(self._answers)

    def _spawn(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "bridge.cli", "serve"],
                cwd=self._folder,
                env={**os.environ, "PYTHONPATH": str(Path.cwd())},
                stdout=log,
                stderr=log,
            )

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    async def _answers(self) -> bool:
        try:
            return (await self.http.get("/healthz")).status_code == 200
        except httpx.TransportError:
            assert self._process is not None
            assert self._process.poll() is None, (self._folder / "log").read_text()
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
async def running(folder: Path, relay_url: str = "") -> AsyncGenerator[Strom]:
    strom = Strom(folder, relay_url)
    await strom.start()
    try:
        yield strom
    finally:
        strom.kill()
        await strom.http.aclose()


@asynccontextmanager
async def strom_and_charger(
    folder: Path, relay_url: str = ""
) -> AsyncGenerator[tuple[Strom, SimulatedChargePoint]]:
    async with running(folder, relay_url) as strom, anyio.create_task_group() as group:
        charger = SimulatedChargePoint(strom.ocpp_url, "CP001", connectors=1, speed=100)
        group.start_soon(charger.run)
        await strom.until(strom.online)
        yield strom, charger
        group.cancel_scope.cancel()


MOMENTS = ("paid", "charging", "stopping", "claimed")


@pytest.mark.parametrize("moment", MOMENTS)
async def test_killed_and_started_again(tmp_path: Path, moment: str) -> None:
    async with strom_and_charger(tmp_path) as (strom, charger):

        async def restart_at(now: str) -> None:
            if now == moment:
                strom.kill()
                await strom.start()
                await strom.until(lambda: _is(charger.online))

        await charger.plug_in()
        bolt11, page = await strom.invoice()
        assert "preimage" in await strom.post("/dev/pay", {"pr": bolt11})
        await restart_at("paid")

        async def charged() -> bool:
            session = await strom.get(page)
            return session.get("state") == "CLOSED" or session.get("energy_wh", 0) > 300

        await strom.until(charged)
        await restart_at("charging")
        assert (await strom.http.post(f"{page}/stop")).status_code < 400
        await restart_at("stopping")
        session = await strom.ends(page)
        assert session["paid_msat"] == PAID_SAT * 1000
        assert 0 < session["cost_msat"] <= session["paid_msat"]

        offer = await strom.get(_withdraw_url(page))
        amount_msat = offer["maxWithdrawable"]
        assert amount_msat == session["owed_msat"]
        mine = await strom.post("/dev/invoice", {"amount_msat": amount_msat})
        joint = "&" if "?" in offer["callback"] else "?"
        claim = f"{offer['callback']}{joint}k1={offer['k1']}&pr={mine['pr']}"
        assert (await strom.get(claim))["status"] == "OK"
        await restart_at("claimed")
        assert (await strom.get(claim))["status"] == "OK"
        second = await strom.post("/dev/invoice", {"amount_msat": amount_msat})
        again = f"{offer['callback']}{joint}k1={offer['k1']}&pr={second['pr']}"
        assert (await strom.get(again))["status"] == "ERROR"

        async def repaid() -> bool:
            return (await strom.get(page))["owed_msat"] == 0

        await strom.until(repaid)
        after = await strom.get(page)
        rounding_msat = after["paid_msat"] - after["cost_msat"] - amount_msat
        assert 0 <= rounding_msat < 1000
        assert await _was_paid(strom, mine["payment_hash"])
        assert not await _was_paid(strom, second["payment_hash"])


async def _is(value: bool) -> bool:
    return value


async def _was_paid(strom: Strom, payment_hash: str) -> bool:
    answer = await strom.http.get(f"/dev/invoice/{payment_hash}")
    return answer.json()["paid"] is True


def _withdraw_url(page: str) -> str:
    return "/lnurl/cp001?s=" + page.rpartition("/")[2]

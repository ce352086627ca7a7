"""`strom zap`, `dm` and `pay` as processes of their own, against a whole Strom."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio

from agent.links import Links
from bridge.app import App
from bridge.demo.run import demo_config
from bridge.simulator import SimulatedChargePoint
from nips.identity import Identity
from tests.bridge.cli.command import Strom
from tests.bridge.ocpp.wire import now_ms
from tests.bridge.waiting import until_free


@dataclass
class Ground:
    """A Strom with one simulated charge point, and where the driver's commands run."""

    app: App
    charger: SimulatedChargePoint
    folder: Path

    @property
    def url(self) -> str:
        return self.app.config.strom.public_url

    @property
    def address(self) -> str:
        return f"cp001@{Links(self.app.config.strom.public_url).host}"

    @property
    def npub(self) -> str:
        return self.app.identities["CP001"].npub

    async def strom(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return await anyio.run_process(
            [sys.executable, "-m", "bridge.cli", *arguments],
            cwd=self.folder,
            env={
                **os.environ,
                "PYTHONPATH": str(Path.cwd()),
                "HOME": str(self.folder),
                "XDG_CONFIG_HOME": str(self.folder / "config"),
            },
            check=False,
        )


@asynccontextmanager
async def ground(folder: Path) -> AsyncGenerator[Ground]:
    config = demo_config(folder, 0, 0, 0)
    async with App.open(config, now_ms) as app, anyio.create_task_group() as group:
        # No faster: a charge must outlast several commands on a busy machine.
        charger = SimulatedChargePoint(f"ws://127.0.0.1:{app.ocpp_port}/ocpp", "CP001", speed=10)
        group.start_soon(charger.run)
        await until_free(app.site)
        yield Ground(app, charger, folder)
        group.cancel_scope.cancel()


async def test_a_driver_with_nothing_but_the_command_line(tmp_path: Path) -> None:
    async with ground(tmp_path) as here:
        relay = ("--relay", here.app.relay_url)
        zapped = await here.strom(
            "zap", here.address, "1000", "--comment", "Moin", *relay, "--pay-with", here.url
        )
        assert zapped.returncode == 0, zapped.stderr
        assert re.search(r"Paid 1,000 sat of play money. Preimage [0-9a-f]{64}", str(zapped.stdout))
        assert re.search(r"Zapped 1,000 sat. Receipt [0-9a-f]{64}", str(zapped.stdout))
        assert b"Made a key for you" in zapped.stderr
        await here.charger.plug_in()
        await here.charger.until(lambda: here.charger.connectors[1].transaction is not None)

        status = await here.strom("dm", here.npub, "status", "please", "--nip04", *relay)
        assert status.returncode == 0, status.stderr
        assert b"1,000" in status.stdout
        assert b"Made a key" not in status.stderr

        other = tmp_path / "other.nsec"
        other.write_text(Identity.generate().nsec)
        stranger = await here.strom("dm", here.npub, "stop", "--nsec-file", str(other), *relay)
        assert stranger.returncode == 0
        assert here.charger.connectors[1].transaction is not None

        stopped = await here.strom("dm", here.npub, "stop", *relay)
        assert stopped.returncode == 0, stopped.stderr
        await here.charger.until(lambda: here.charger.connectors[1].transaction is None)
        await here.charger.unplug()


async def test_paying_by_address_and_by_invoice(tmp_path: Path) -> None:
    async with ground(tmp_path) as here:
        shown = await here.strom("pay", here.address, "500")
        assert shown.returncode == 0, shown.stderr
        bolt11 = next(line for line in shown.stdout.decode().splitlines() if line[:4] == "lnbc")
        assert f"{here.url}/s/".encode() in shown.stdout
        assert "▀".encode() in shown.stderr
        paid = await here.strom("pay", bolt11, "--pay-with", here.url)
        assert b"Paid 500 sat of play money" in paid.stdout
        nowhere = await here.strom("pay", bolt11, "--pay-with", "http://127.0.0.1:1")
        assert nowhere.returncode == 1
        assert nowhere.stderr == b"error: there is no play-money wallet at http://127.0.0.1:1\n"
        for amount in ([], ["5"]):
            unsaid = await here.strom("pay", here.address, *amount)
            assert unsaid.returncode == 1
            assert b"200,000 sat" in unsaid.stderr


async def test_who_cannot_be_found(tmp_path: Path) -> None:
    async with ground(tmp_path) as here:
        relay = ("--relay", here.app.relay_url)
        unknown = await here.strom("zap", Identity.generate().npub, "100", *relay)
        assert unknown.returncode == 1
        assert unknown.stderr.endswith(
            b"error: no relay knows this charge point; name another with --relay\n"
        )
        nameless = await here.strom(
            "dm", f"nobody@{Links(here.app.config.strom.public_url).host}", "help"
        )
        assert nameless.returncode == 1
        assert b"knows no nostr key of nobody" in nameless.stderr


def test_what_is_no_charge_point(strom: Strom) -> None:
    ran = strom("dm", "cp001", "help")
    assert (ran.code, ran.err) == (
        1,
        "error: expected an npub, an nprofile or a lightning address\n",
    )
    ran = strom("dm", Identity.generate().npub, "help", "--relay", "https://example.com")
    assert ran.code == 1
    assert ran.err.count("error: ") == 1
    ran = strom("dm", Identity.generate().npub, " ")
    assert (ran.code, ran.err) == (1, "error: say something, such as status\n")
    ran = strom("pay", "lnbc1xyz")
    assert ran.err == "error: this is not a Lightning invoice that can be read\n"

"""Security profiles as the README's file has them: a whole Strom, and chargers before its door."""

from __future__ import annotations

import os
import re
import ssl
import sys
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from agent.config.tables import load
from bridge.app import App
from tests.bridge.cli.command import Strom
from tests.bridge.cli.conftest import strom as strom
from tests.bridge.ocpp.pki import Authority
from tests.bridge.ocpp.wire import RawCharger, now_ms
from tests.ports import free_port

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
PASSWORD = "0123456789abcdef"


class Ground:
    """A folder with the README's file, its secrets and certificates."""

    def __init__(self, folder: Path, days: float = 90) -> None:
        for name in ("tls", "secrets"):
            (folder / name).mkdir()
        self.folder = folder
        (folder / "secrets" / "CP001").write_text(PASSWORD)
        (folder / "secrets" / "CP001").chmod(0o600)
        self.authority = Authority(folder / "tls", "root")
        self.chargers = Authority(folder / "tls", "chargers-ca")
        assert self.chargers.file.exists()
        self.renew(days)
        [text] = re.findall(r"^```toml\n(\[ocpp\].*?)^```$", README, re.DOTALL | re.MULTILINE)
        self.http = f"127.0.0.1:{free_port()}"
        listen = f'[strom]\nocpp_listen = "127.0.0.1:0"\nhttp_listen = "{self.http}"\n'
        listen += f'public_url = "http://{self.http}"\n[nostr]\nembedded_relay = "127.0.0.1:0"\n'
        self.file = folder / "strom.toml"
        self.file.write_text(listen + text.replace("0.0.0.0:9443", "127.0.0.1:0"))

    def renew(self, days: float) -> None:
        until = (datetime.now(UTC) + timedelta(days=days)).replace(tzinfo=None)
        certificate, key = self.authority.issue("new", "127.0.0.1", "localhost", until=until)
        key.rename(self.folder / "tls" / "privkey.pem")
        certificate.rename(self.folder / "tls" / "fullchain.pem")

    def own(self, name: str) -> ssl.SSLContext:
        return self.authority.trusting(self.chargers.issue("own", cn=name))

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[App]:
        async with App.open(load(self.file), now_ms) as app:
            yield app


async def boot(
    app: App, name: str, context: ssl.SSLContext | None, password: str | None = None
) -> str | int:
    """The status of a charge point's boot, or that of its refusal."""
    address = (
        f"wss://127.0.0.1:{app.ocpp_tls_port}" if context else f"ws://127.0.0.1:{app.ocpp_port}"
    )
    headers: dict[str, str] = {}
    if password is not None:
        headers["Authorization"] = f"Basic {b64encode(f'{name}:{password}'.encode()).decode()}"
    try:
        async with connect(
            f"{address}/ocpp/{name}",
            ssl=context,
            subprotocols=[Subprotocol("ocpp1.6")],
            additional_headers=headers,
            proxy=None,
        ) as socket:
            return (await RawCharger(socket).boot())["status"]
    except InvalidStatus as refused:
        return refused.response.status_code


async def test_the_readmes_file_asks_each_charge_point_for_its_profile(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    async with ground.open() as app, httpx.AsyncClient(base_url=f"http://{ground.http}") as http:
        tls = ground.authority.trusting()
        assert await boot(app, "CP001", tls, PASSWORD) == "Accepted"
        assert await boot(app, "CP001", tls, "wrong") == 401
        assert await boot(app, "CP001", None, PASSWORD) == 403
        assert await boot(app, "CP002", ground.own("SN-4711")) == "Accepted"
        assert await boot(app, "CP002", ground.own("CP002")) == 403
        assert await boot(app, "CP002", tls) == 403
        assert await boot(app, "CP002", None) == 403
        figures = {
            sample.labels["certificate"]: sample.value
            for family in text_string_to_metric_families((await http.get("/metrics")).text)
            for sample in family.samples
            if sample.name == "strom_certificate_expiry_timestamp_seconds"
        }
        assert set(figures) == {"server", "client_ca", "CP002"}
        assert figures["server"] == pytest.approx(now_ms() / 1000 + 90 * 86_400, abs=100)


async def test_operators_hear_of_a_certificate_that_expires(tmp_path: Path) -> None:
    ground = Ground(tmp_path, days=12.5)
    async with ground.open() as app:
        assert "expires in 12 days" in app.alerts.current()["certificate server"]
        ground.renew(100)
        app.security.renew()
        assert "certificate server" not in app.alerts.current()


async def test_the_simulated_charge_point_has_profile_3(tmp_path: Path) -> None:
    ground = Ground(tmp_path)
    certificate, key = ground.chargers.issue("own", cn="SN-4711")
    async with ground.open() as app:
        url = f"wss://localhost:{app.ocpp_tls_port}/ocpp"
        trusted = str(ground.authority.file)
        own = ("--certificate", str(certificate), "--key", str(key))
        ran = await anyio.open_process(
            [
                *(sys.executable, "-m", "bridge.cli", "simulate"),
                *("--id", "CP002", "--url", url, "--ca", trusted, *own),
            ],
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
        )
        async with ran:
            assert ran.stdout is not None
            said = ""
            while "booted" not in said:
                said += (await ran.stdout.receive()).decode()
            ran.kill()


def test_simulate_with_files_that_are_no_certificates(strom: Strom, tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("x")
    ran = strom("simulate", "--url", "wss://localhost:1/ocpp", "--ca", "x.pem")
    assert ran.code == 1
    assert ran.err.startswith("error: x.pem cannot be used for TLS")


def test_check_shows_certificates_and_profiles(strom: Strom, tmp_path: Path) -> None:
    ground = Ground(tmp_path, days=67.5)
    ran = strom("check")
    assert ran.code == 0, ran.err
    assert "certificate 127.0.0.1, localhost, issued by trustme" in ran.out
    assert ", 67 days left" in ran.out
    assert "client_ca   " in ran.out
    assert "ocpp     wss://127.0.0.1:0/ocpp/CP001" in ran.out
    assert "security profile 2: TLS and password" in ran.out
    assert "security profile 3: TLS and a client certificate issued to SN-4711" in ran.out
    (tmp_path / "tls" / "privkey.pem").write_bytes(ground.authority.issue("x")[1].read_bytes())
    ran = strom("check")
    assert ran.code == 1
    assert "the key is not the one of this certificate" in ran.err
    ground.renew(-1)
    assert "EXPIRED" in strom("check").out


async def test_serve_with_unusable_files_is_one_sentence(strom: Strom, tmp_path: Path) -> None:
    Ground(tmp_path)
    (tmp_path / "tls" / "fullchain.pem").write_text("no certificate")
    ran = strom("check")
    assert ran.code == 1
    assert ran.err.count("\n") == 1
    assert "cannot be used" in ran.err

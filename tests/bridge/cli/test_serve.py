"""`strom serve` as a process of its own: it starts, takes a changed file, and ends when told."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import httpx
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from agent.clock import Clock
from agent.config.tables import Config, load
from agent.journal.errors import JournalUnusable
from bridge.app import App
from bridge.cli.serve import Service
from bridge.groups import leaves
from tests.bridge.ocpp.pki import Authority
from tests.ports import free_port
from tests.strom_toml import DAY, SERVED, charge_point

CONFIG = SERVED + DAY + charge_point()


class Served:
    """A running `strom serve` and what it writes."""

    def __init__(self, process: Process, folder: Path, http_port: int) -> None:
        assert process.stderr is not None
        self.process = process
        self.folder = folder
        self.url = f"http://127.0.0.1:{http_port}"
        self._lines = BufferedByteReceiveStream(process.stderr)
        self.seen: list[str] = []

    async def writes(self, pattern: str) -> str:
        """The first line from here on that fits."""
        while True:
            try:
                line = (await self._lines.receive_until(b"\n", 10_000)).decode()
            except anyio.IncompleteRead:
                pytest.fail(f"{pattern} was not written: {self.seen}")
            self.seen.append(line)
            if re.search(pattern, line):
                return line


@asynccontextmanager
async def serving(folder: Path, config: str = CONFIG) -> AsyncGenerator[Served]:
    http_port = free_port()
    (folder / "strom.toml").write_text(config.format(http_port=http_port))
    process = await anyio.open_process(
        [sys.executable, "-m", "bridge.cli", "serve"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(Path.cwd()), "COLUMNS": "200"},
    )
    async with process:
        try:
            yield Served(process, folder, http_port)
        finally:
            if process.returncode is None:
                process.kill()


async def test_it_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        await served.writes("Strom serves 1 charge point: http://127.0.0.1:")
        async with httpx.AsyncClient() as http:
            page = await http.get(f"{served.url}/cp/cp001")
        assert page.status_code == 200
        assert "Old Mill" in page.text
        served.process.send_signal(signal.SIGTERM)
        assert await served.process.wait() == 0
    assert (tmp_path / "secrets" / "seed").exists()


async def test_a_changed_file_is_taken_and_a_broken_one_is_not(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        await served.writes("Strom serves")
        file = tmp_path / "strom.toml"
        good = file.read_text()
        file.write_text(good + "nonsense = 1\n")
        served.process.send_signal(signal.SIGHUP)
        await served.writes(r'"CP001" \.nonsense is not a key that Strom knows')
        await served.writes("goes on with what it had")
        file.write_text(good)
        served.process.send_signal(signal.SIGHUP)
        await served.writes("has not changed")
        file.write_text(good.replace("Old Mill", "New Mill"))
        served.process.send_signal(signal.SIGHUP)
        await served.writes("Strom serves 1 charge point")
        async with httpx.AsyncClient() as http:
            assert "New Mill" in (await http.get(f"{served.url}/cp/cp001")).text
        served.process.send_signal(signal.SIGINT)
        assert await served.process.wait() == 0


async def test_a_wallet_that_cannot_be_sends_nobody_away(tmp_path: Path) -> None:
    """Strom ended all connections first, and found out when it began anew."""
    async with serving(tmp_path) as served:
        await served.writes("Strom serves")
        file = tmp_path / "strom.toml"
        good = file.read_text()
        file.write_text(good + '[wallet]\nurl = "lnbits+https://lnbits.example.com"\n')
        served.process.send_signal(signal.SIGHUP)
        await served.writes("^error: wallet.url: .* lacks the option")
        await served.writes("goes on with what it had")
        file.write_text(good)
        served.process.send_signal(signal.SIGHUP)
        await served.writes("has not changed")
        assert sum("Strom serves" in line for line in served.seen) == 1
        served.process.send_signal(signal.SIGTERM)
        assert await served.process.wait() == 0


async def test_a_changed_file_that_cannot_be_served_is_not_taken(tmp_path: Path) -> None:
    async with serving(tmp_path) as served:
        await served.writes("Strom serves")
        file = tmp_path / "strom.toml"
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            busy = f'ocpp_listen = "127.0.0.1:{taken.getsockname()[1]}"'
            file.write_text(file.read_text().replace('ocpp_listen = "127.0.0.1:0"', busy))
            served.process.send_signal(signal.SIGHUP)
            await served.writes("^error: .* in use")
            await served.writes("goes on with what it had")
            await served.writes("Strom serves 1 charge point")
        served.process.send_signal(signal.SIGTERM)
        assert await served.process.wait() == 0


class Failing:
    """Opens Stroms, the first of which cannot go on once it runs."""

    def __init__(self, error: Exception) -> None:
        self.opened = 0
        self.runs = anyio.Event()
        self._error = error

    @asynccontextmanager
    async def open(self, config: Config, clock: Clock, steady: Clock) -> AsyncGenerator[App]:
        self.opened += 1
        async with App.open(config, clock, steady) as app, anyio.create_task_group() as group:
            if self.opened == 1:
                group.start_soon(self._fail)
            else:
                self.runs.set()
            yield app

    async def _fail(self) -> None:
        raise self._error


async def test_a_strom_that_cannot_go_on_begins_anew(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "strom.toml"
    path.write_text(CONFIG.format(http_port=free_port()))
    opened = Failing(JournalUnusable("the disk is gone"))
    async with anyio.create_task_group() as group:
        group.start_soon(Service(path, load(path), opened.open, pause_s=0).run)
        with anyio.fail_after(30):
            await opened.runs.wait()
        group.cancel_scope.cancel()
    lines = capfd.readouterr().err.splitlines()
    told = [line for line in lines if line.startswith(("error", "warning"))]
    assert told == [
        "error: the disk is gone",
        "warning: Strom could not go on, and begins anew",
    ]


async def test_a_mistake_of_our_own_is_not_hidden_by_beginning_anew(tmp_path: Path) -> None:
    path = tmp_path / "strom.toml"
    path.write_text(CONFIG.format(http_port=free_port()))
    opened = Failing(LookupError("nobody thought of this"))
    with anyio.fail_after(30), pytest.raises(ExceptionGroup) as failed:
        await Service(path, load(path), opened.open, pause_s=0).run()
    assert [str(error) for error in leaves(failed.value)] == ["nobody thought of this"]
    assert opened.opened == 1


async def test_a_renewed_certificate_is_taken_up_on_sighup(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.server()
    files = 'certificate = "server.pem"\nkey = "server.key"'
    table = f'[ocpp]\ntls_listen = "127.0.0.1:0"\n{files}\n[nostr]'
    async with serving(tmp_path, CONFIG.replace("[nostr]", table)) as served:
        line = await served.writes("Strom serves")
        found = re.search(r"with TLS on port (\d+)", line)
        assert found is not None

        def shown() -> str:
            return ssl.get_server_certificate(("127.0.0.1", int(found.group(1))), timeout=10)

        first = await anyio.to_thread.run_sync(shown)
        assert await anyio.to_thread.run_sync(shown) == first
        authority.server()
        served.process.send_signal(signal.SIGHUP)
        await served.writes("has not changed")
        await served.writes("certificates were read anew")
        assert await anyio.to_thread.run_sync(shown) != first
        served.process.send_signal(signal.SIGTERM)
        assert await served.process.wait() == 0


@pytest.mark.parametrize("key", ["http_listen", "ocpp_listen"])
async def test_a_port_in_use_is_one_sentence(tmp_path: Path, key: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        config = re.sub(rf'{key} = ".*"', f'{key} = "{address}"', CONFIG)
        async with serving(tmp_path, config) as served:
            line = await served.writes("^error: ")
            assert f'strom.{key} = "{address}" is in use' in line
            assert await served.process.wait() == 1
    assert not any("Traceback" in line for line in served.seen)


async def test_a_host_that_is_none_is_not_called_in_use(tmp_path: Path) -> None:
    config = CONFIG.replace('ocpp_listen = "127.0.0.1:0"', 'ocpp_listen = "300.0.0.1:0"')
    async with serving(tmp_path, config) as served:
        line = await served.writes("^error: ")
        assert 'strom.ocpp_listen = "300.0.0.1:0" cannot be listened on' in line
        assert "other program" not in line
        assert await served.process.wait() == 1


async def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    config = CONFIG.replace("[nostr]", 'data_dir = "file/data"\n[nostr]')
    async with serving(tmp_path, config) as served:
        line = await served.writes("^error: ")
        assert "file/data" in line
        assert await served.process.wait() == 1


async def test_a_second_strom_on_the_same_journal_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as first:
        await first.writes("Strom serves")
        async with serving(tmp_path) as second:
            line = await second.writes("^error: ")
            assert "another Strom works on" in line
            assert await second.process.wait() == 1
        first.process.send_signal(signal.SIGKILL)
        await first.process.wait()
    async with serving(tmp_path) as third:
        await third.writes("Strom serves")

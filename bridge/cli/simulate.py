"""`strom simulate`: a charge point on the command line, with a person at its plug."""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import anyio
import typer
from rich.text import Text

from agent.config.secret_files import read_secret, secret_file_problem
from bridge.cli.output import Mistake, err, out
from bridge.simulator import SimulatedChargePoint

PANEL = "To try things out"
_PLUG_IN_AFTER_S = 2.0

Act = Callable[[int], Awaitable[None]]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel=PANEL)(simulate)


def simulate(
    url: Annotated[
        str, typer.Option(help="The central system, such as ws://127.0.0.1:9000/ocpp.")
    ] = "ws://127.0.0.1:9000/ocpp",
    charge_point_id: Annotated[str, typer.Option("--id", help="Who it is.")] = "CP001",
    connectors: Annotated[int, typer.Option(help="How many connectors.", min=1, max=10)] = 1,
    power: Annotated[int, typer.Option(help="What each gives, in W.", min=100)] = 11_000,
    speed: Annotated[float, typer.Option(help="Energy flows that many times faster.", min=1)] = 1,
    password_file: Annotated[
        Path | None, typer.Option(help="A file with its OCPP password.", metavar="FILE")
    ] = None,
    ca: Annotated[
        Path | None, typer.Option(help="Whose certificates it trusts (PEM).", metavar="FILE")
    ] = None,
    certificate: Annotated[
        Path | None, typer.Option(help="Its client certificate (PEM).", metavar="FILE")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="The key of that.", metavar="FILE")] = None,
    auto: Annotated[bool, typer.Option("--auto", help="Plug in whenever somebody paid.")] = False,
) -> None:
    """Be a charge point: type plug, unplug, stop and other words to act at it."""
    if not url.startswith(("ws://", "wss://")):
        raise Mistake(f'{url} is no OCPP address; expected one such as "ws://127.0.0.1:9000/ocpp"')
    password = None
    if password_file is not None:
        problem = secret_file_problem(password_file)
        if problem is not None:
            raise Mistake(f"{password_file} {problem}")
        password = read_secret(password_file)
    charger = SimulatedChargePoint(
        url,
        charge_point_id,
        connectors=connectors,
        password=password,
        tls=_tls(ca, certificate, key) if url.startswith("wss:") else None,
        max_power_w=power,
        speed=speed,
        say=lambda sentence: out.print(Text(sentence)),
    )
    anyio.run(_run, charger, auto)


def _tls(ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """What it trusts over TLS, and what it shows of itself."""
    try:
        context = ssl.create_default_context(cafile=ca)
        if certificate is not None:
            context.load_cert_chain(certificate, key, password="")
    except OSError as error:
        named = ", ".join(str(path) for path in (ca, certificate, key) if path is not None)
        raise Mistake(f"{named} cannot be used for TLS: {error.strerror or error}") from None
    return context


async def _run(charger: SimulatedChargePoint, auto: bool) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(charger.run)
        if auto:
            for connector in charger.connectors:
                group.start_soon(_plug_in_when_paid, charger, connector)
        await _listen(charger)
        group.cancel_scope.cancel()


async def _listen(charger: SimulatedChargePoint) -> None:
    """Do what is typed, one word and a connector's number on each line, until "quit"."""
    acts = _acts(charger)
    words = ", ".join(acts)
    if sys.stdin is not None and sys.stdin.isatty():
        err.print(Text(f"Type {words} or quit; a number behind it names the connector.", "dim"))
    async for line in _typed():
        word, *rest = line.split() or [""]
        number = rest[0] if rest else "1"
        if word == "quit":
            return
        if word in acts and number.isdecimal() and int(number) in charger.connectors:
            await acts[word](int(number))
        elif word:
            err.print(
                Text(f"Known are {words} and quit, with connector 1 to {len(charger.connectors)}")
            )
    # Started without a keyboard: it goes on until it is ended from outside.
    await anyio.sleep_forever()


async def _typed() -> AsyncIterator[str]:
    """The lines of the keyboard as they come, until there is none any more.

    Not by a thread: one that waits for a key would keep a process from ending that was told to.
    """
    if sys.stdin is None:
        # Closed by whoever started it.
        return
    keyboard, begun = sys.stdin.fileno(), b""
    while True:
        # A file can always be read, and nobody can wait for it.
        with suppress(PermissionError):
            await anyio.wait_readable(keyboard)
        keys = os.read(keyboard, 4096)
        *lines, begun = (begun + keys).split(b"\n")
        for line in lines if keys else [begun]:
            yield line.decode(errors="replace")
        if not keys:
            return


def _acts(charger: SimulatedChargePoint) -> Mapping[str, Act]:
    async def offline(_: int) -> None:
        await charger.go_offline()

    async def online(_: int) -> None:
        await charger.come_back()

    async def power_loss(_: int) -> None:
        await charger.power_loss()

    async def repair(connector: int) -> None:
        await charger.fault(connector, "")

    return {
        "plug": charger.plug_in,
        "unplug": charger.unplug,
        "stop": charger.stop_locally,
        "suspend": charger.suspend,
        "resume": charger.resume,
        "fault": charger.fault,
        "repair": repair,
        "offline": offline,
        "online": online,
        "blackout": power_loss,
    }


async def _plug_in_when_paid(charger: SimulatedChargePoint, connector: int) -> None:
    here = charger.connectors[connector]
    while True:
        await charger.until(lambda: bool(here.awaited_tag))
        await anyio.sleep(_PLUG_IN_AFTER_S)
        if here.awaited_tag:
            await charger.plug_in(connector)
        await charger.until(lambda: here.transaction is None and not here.awaited_tag)
        if here.plugged:
            await charger.unplug(connector)

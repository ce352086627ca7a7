"""`strom demo`: the main job, from the first look at nostr to the change in the wallet."""

from __future__ import annotations

import logging
from typing import Annotated

import anyio
import typer
from rich.console import Console

from bridge.cli.simulate import PANEL
from bridge.demo.run import run_demo

Port = Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65_535, metavar="PORT")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(rich_help_panel=PANEL)(demo)


def demo(
    once: Annotated[
        bool, typer.Option("--once", help="Leave when the refund has settled: 0 if it has, else 1.")
    ] = False,
    http_port: Port = 0,
    ocpp_port: Port = 0,
    relay_port: Port = 0,
) -> None:
    """Watch a driver zap a simulated charge point, charge and get the change back."""

    async def run() -> bool:
        return await run_demo(
            Console(highlight=False),
            once=once,
            http_port=http_port,
            ocpp_port=ocpp_port,
            relay_port=relay_port,
        )

    # The timeline is the log of a demo.
    logging.getLogger().setLevel(logging.CRITICAL)
    if not anyio.run(run):
        raise typer.Exit(1)
